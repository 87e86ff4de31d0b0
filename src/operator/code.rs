//! What programs tell problems by: a closed set, none of which is ever given another name or meaning.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

/// One table: what a problem is called, the status that it has, and what it is.
macro_rules! codes {
    ($($name:ident, $text:literal, $status:ident, $about:literal;)+) => {
        /// What a problem is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        pub enum Code {
            $(
                #[doc = $about]
                #[serde(rename = $text)]
                $name,
            )+
        }

        impl Code {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// As the member `code` has it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The status of all such problems.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$name => StatusCode::$status,)+
                }
            }

            /// What is wrong.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)+
                }
            }
        }
    };
}

codes! {
    Unreadable, "unreadable", BAD_REQUEST, "The request cannot be read: no JSON, or no UTF-8.";
    NotOperator, "not_operator", FORBIDDEN, "Whoever calls is neither root nor the gateway's own user.";
    NoSuchPath, "no_such_path", NOT_FOUND, "There is no such path.";
    NoSuchUser, "no_such_user", NOT_FOUND, "There is no such user.";
    NoSuchFactor, "no_such_factor", NOT_FOUND, "The user has no such factor.";
    NoSuchShare, "no_such_share", NOT_FOUND, "There is no such share link.";
    NoSuchSession, "no_such_session", NOT_FOUND, "There is no such live session.";
    NoSuchDevice, "no_such_device", NOT_FOUND, "No live session is such a device's.";
    NoSuchToken, "no_such_token", NOT_FOUND, "No identity knows the token.";
    NoSuchLockout, "no_such_lockout", NOT_FOUND, "There is no such lockout.";
    NoSuchMethod, "no_such_method", METHOD_NOT_ALLOWED, "The path does not take the method.";
    TooSlow, "too_slow", REQUEST_TIMEOUT, "Whoever follows did not read.";
    NameTaken, "name_taken", CONFLICT, "The identity has a user of that name.";
    ShareRecipient, "share_recipient", CONFLICT, "The user stands for a recipient of a share link, and goes with it.";
    ShareLink, "share_link", CONFLICT, "The token is a share link's, and goes with it.";
    TooLarge, "too_large", PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB.";
    Invalid, "invalid", UNPROCESSABLE_ENTITY, "What `where` names is missing, unknown, or cannot be taken.";
    AmbiguousUser, "ambiguous_user", UNPROCESSABLE_ENTITY, "Several users may be meant.";
    AmbiguousIdentity, "ambiguous_identity", UNPROCESSABLE_ENTITY, "Several identities may be meant.";
    NoSuchIdentity, "no_such_identity", UNPROCESSABLE_ENTITY, "The config has no such identity.";
    KeptElsewhere, "kept_elsewhere", UNPROCESSABLE_ENTITY, "Whoever the identity learns it from says it, not the operator.";
    NotConfigured, "not_configured", UNPROCESSABLE_ENTITY, "The config has nothing that could do it.";
    TooManyFollowers, "too_many_followers", TOO_MANY_REQUESTS, "Too many follow the audit trail.";
    StoreDown, "store_down", SERVICE_UNAVAILABLE, "The store does not answer; nothing was done.";
    NoEntropy, "no_entropy", SERVICE_UNAVAILABLE, "The system gives no random bytes; nothing was done.";
    NoGateway, "no_gateway", SERVICE_UNAVAILABLE, "No gateway runs here.";
    Stopping, "stopping", SERVICE_UNAVAILABLE, "The gateway stops.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_has_a_name_of_its_own_which_the_document_has_too() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    /// What programs were told once stays.
    #[test]
    fn names_and_statuses_are_kept() {
        let all = Code::ALL
            .iter()
            .map(|code| (code.status().as_u16(), code.as_str()));
        let all: Vec<_> = all
            .map(|(status, name)| format!("{status} {name}"))
            .collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
