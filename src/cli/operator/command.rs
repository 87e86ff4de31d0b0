//! What an operator asks for, as it crosses the admin socket.

use crate::id::{SessionId, ShareId};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};

/// One request of an operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    tag = "command",
    content = "with",
    rename_all = "kebab-case",
    deny_unknown_fields
)]
pub enum Command {
    UserAdd(UserAdd),
    UserList,
    UserReset(Whom),
    UserGroups(UserGroups),
    ShareAdd(ShareAdd),
    ShareList,
    ShareRevoke(ShareId),
    SessionList(Option<Whom>),
    SessionRevoke(Revoke),
    KeyRotate {
        /// Whether the new keys sign at once.
        at_once: bool,
    },
}

/// A user to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserAdd {
    /// An `accounts` identity; may be left out where there is only one.
    pub identity: Option<String>,
    pub name: String,
    /// With its country code.
    #[serde(with = "exposed")]
    pub phone: Option<Secret>,
    #[serde(with = "exposed")]
    pub email: Option<Secret>,
    /// A PHC string: the password itself never crosses the socket.
    #[serde(with = "exposed")]
    pub password_hash: Option<Secret>,
    pub can_edit_users: bool,
    #[serde(default)]
    pub groups: Vec<String>,
}

/// The groups of a user, to be shown or changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserGroups {
    pub whom: Whom,
    /// All that the user is to be in; `None`: only shown.
    pub set: Option<Vec<String>>,
}

/// A share link to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareAdd {
    /// As for [`UserAdd`].
    pub identity: Option<String>,
    pub path: String,
    /// Whom it is for; nobody: whoever has it opens what asks for no second factor.
    pub recipients: Vec<RecipientAdd>,
    /// On how many devices it can be opened.
    pub devices_max: Option<u32>,
    /// `None`: until it is revoked.
    pub lifetime_secs: Option<u64>,
}

/// One of the people whom a share link is for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientAdd {
    /// With its country code.
    #[serde(with = "exposed")]
    pub phone: Option<Secret>,
    #[serde(with = "exposed")]
    pub email: Option<Secret>,
}

/// A user: a name, an id (`12`), or surely an id (`id:12`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whom {
    pub user: String,
    /// Tells namesakes apart.
    pub identity: Option<String>,
}

/// The sessions to be ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revoke {
    User(Whom),
    Id(SessionId),
    All,
}

/// An optional secret in the clear, for the admin socket and for `--json`: only the operator's.
pub(super) mod exposed {
    use crate::secret::Secret;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_the_socket_and_hide_their_secrets_in_debug() {
        let command = Command::UserAdd(UserAdd {
            name: "anna".to_owned(),
            phone: Some(Secret::new("+4512345678")),
            password_hash: Some(Secret::new("$argon2id$x")),
            ..UserAdd::default()
        });
        let shown = format!("{command:?}");
        assert!(
            !shown.contains("1234") && !shown.contains("argon"),
            "{shown}"
        );

        let text = serde_json::to_string(&command).unwrap();
        let back: Command = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        assert!(text.contains(r#""command":"user-add""#) && text.contains("+4512345678"));
    }

    #[test]
    fn every_command_is_read_back() {
        for text in [
            r#"{"command":"user-list"}"#,
            r#"{"command":"share-list"}"#,
            r#"{"command":"session-list","with":null}"#,
            r#"{"command":"session-revoke","with":"all"}"#,
            r#"{"command":"session-revoke","with":{"id":4}}"#,
            r#"{"command":"session-revoke","with":{"user":{"user":"anna","identity":null}}}"#,
            r#"{"command":"share-revoke","with":3}"#,
            r#"{"command":"key-rotate","with":{"at_once":true}}"#,
        ] {
            let command: Command = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&command).unwrap(), text);
        }
        let unknown = r#"{"command":"user-reset","with":{"user":"anna","identity":null,"x":1}}"#;
        assert!(serde_json::from_str::<Command>(unknown).is_err());
    }
}
