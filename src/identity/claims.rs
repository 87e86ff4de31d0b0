//! Who a token's user is, by what its issuer claims (RFC 7519 section 4, OpenID Connect Core 5.1).
//!
//! Pure: signed tokens ([`super::jwt`]) and an issuer's answers ([`super::introspect`]) are judged by the
//! same rules. It reads claims that are proven already; it proves nothing itself.

use super::learn::{self, LearnedProfile, USER_BYTES_MAX};
use crate::clock::Timestamp;
use crate::config::model::Claims;
use crate::secret::Secret;
use serde_json::{Map, Value};

/// Claims by name.
pub(super) type ClaimSet = Map<String, Value>;

/// What an issuer says of a token that it stands by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub profile: LearnedProfile,
    /// The token's end; `None`: the issuer names none.
    pub expires_at: Option<Timestamp>,
    /// When the token was issued, where that is known: its word is of then.
    pub said_at: Option<Timestamp>,
}

/// Why a token is not taken. For the log: clients learn no more than that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is not in the form that it must have")]
    Malformed,
    #[error("its signature is of another kind than the config allows")]
    Algorithm,
    #[error("it has a critical header that is not understood")]
    Critical,
    #[error("it is signed with a key that is not among the issuer's")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another service")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("the claim that names its user is missing, or is not a name")]
    NoUser,
    #[error("its issuer has not verified the claim that names its user")]
    NotVerified,
    #[error(
        "the claim that names its user's groups is no text and no list of texts that can be names"
    )]
    BadGroups,
    #[error("its issuer does not stand by it")]
    Inactive,
}

/// The user that the claims name. A phone number or address that the issuer says it has not verified
/// (`phone_number_verified: false`) is none: a code must not go where only the user said so. Nor is
/// anybody who only said so the user of that address (`email` as the claim that names users).
pub(super) fn profile(names: &Claims, claims: &ClaimSet) -> Result<LearnedProfile, Refused> {
    let is_verified = |name: &str| match claims.get(&format!("{name}_verified")) {
        None => true,
        Some(Value::String(said)) => said == "true",
        Some(said) => said == &Value::Bool(true),
    };
    if !is_verified(&names.user) {
        return Err(Refused::NotVerified);
    }
    let user = match claims.get(&names.user) {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(Refused::NoUser),
    };
    // It goes into a header of every request.
    let is_name = (1..=USER_BYTES_MAX).contains(&user.len())
        && !user.chars().any(char::is_control)
        && user.trim() == user;
    if !is_name {
        return Err(Refused::NoUser);
    }
    let text = |name: &Option<String>| {
        let name = name.as_deref()?;
        let text = claims.get(name)?.as_str()?.trim();
        (is_verified(name) && !text.is_empty()).then(|| text.to_owned())
    };
    let groups = names.groups.as_ref();
    let groups = groups.map(|name| learn::groups(claims.get(name)));
    let groups = groups.transpose().map_err(|_| Refused::BadGroups)?;
    Ok(LearnedProfile {
        user,
        phone: text(&names.phone),
        email: text(&names.email).map(Secret::new),
        groups: groups.flatten(),
    })
}

/// Whether `aud`, a text or a list of them, is or holds this service's name.
pub(super) fn is_for(audience: &str, claims: &ClaimSet) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// A NumericDate, in whole seconds; `None` if it is not there.
pub(super) fn time(name: &str, claims: &ClaimSet) -> Result<Option<Timestamp>, Refused> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = match (value.as_i64(), value.as_f64()) {
        (Some(whole), _) => whole,
        // A float's cast saturates.
        (None, Some(fraction)) => fraction.floor() as i64,
        (None, None) => return Err(Refused::Malformed),
    };
    Ok(Some(Timestamp(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Claims {
        Claims {
            user: "sub".to_owned(),
            phone: Some("phone_number".to_owned()),
            email: Some("email".to_owned()),
            groups: Some("groups".to_owned()),
        }
    }

    fn set(value: Value) -> ClaimSet {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_user_is_the_claim_letter_by_letter() {
        let user = |sub: Value| profile(&names(), &set(json!({"sub": sub}))).map(|it| it.user);
        assert_eq!(user(json!("ann")), Ok("ann".to_owned()));
        assert_eq!(user(json!("a|b:é")), Ok("a|b:é".to_owned()));
        assert_eq!(user(json!(17)), Ok("17".to_owned()));
        let long = "x".repeat(USER_BYTES_MAX + 1);
        for no_name in [
            json!(""),
            json!(" ann"),
            json!("ann\n"),
            json!("a\u{0}b"),
            json!(long),
            json!(null),
            json!(true),
            json!(["ann"]),
            json!({"a": "b"}),
        ] {
            assert_eq!(user(no_name.clone()), Err(Refused::NoUser), "{no_name}");
        }
        assert_eq!(profile(&names(), &set(json!({}))), Err(Refused::NoUser));
    }

    #[test]
    fn what_the_issuer_has_not_verified_is_no_place_for_codes() {
        let phone = |verified: Option<Value>| {
            let mut claims = set(json!({"sub": "ann", "phone_number": "+4512345678"}));
            claims.extend(verified.map(|it| ("phone_number_verified".to_owned(), it)));
            profile(&names(), &claims).unwrap().phone
        };
        let number = Some("+4512345678".to_owned());
        assert_eq!(phone(None), number);
        assert_eq!(phone(Some(json!(true))), number);
        assert_eq!(phone(Some(json!("true"))), number);
        for no in [
            json!(false),
            json!("false"),
            json!(null),
            json!(0),
            json!(""),
        ] {
            assert_eq!(phone(Some(no.clone())), None, "{no}");
        }
        let other =
            json!({"sub": "ann", "phone_number": 45, "email": " a@b.c ", "email_verified": true});
        let other = profile(&names(), &set(other)).unwrap();
        assert_eq!(other.phone, None);
        assert_eq!(other.email, Some(Secret::new("a@b.c")));
    }

    #[test]
    fn nobody_is_the_user_of_an_address_by_saying_so() {
        let mut names = names();
        names.user = "email".to_owned();
        let user = |verified: Option<Value>| {
            let mut claims = set(json!({"sub": "17", "email": "ann@example.org"}));
            claims.extend(verified.map(|it| ("email_verified".to_owned(), it)));
            profile(&names, &claims).map(|it| it.user)
        };
        for yes in [None, Some(json!(true)), Some(json!("true"))] {
            assert_eq!(user(yes), Ok("ann@example.org".to_owned()));
        }
        for no in [json!(false), json!("false"), json!(null)] {
            assert_eq!(user(Some(no.clone())), Err(Refused::NotVerified), "{no}");
        }
    }

    #[test]
    fn groups_are_a_text_or_a_list_and_only_that_takes_them_away() {
        let groups = |claim: Option<Value>| {
            let mut claims = set(json!({"sub": "ann"}));
            claims.extend(claim.map(|it| ("groups".to_owned(), it)));
            profile(&names(), &claims).map(|it| it.groups)
        };
        let are = |names: &[&str]| Ok(Some(names.iter().map(ToString::to_string).collect()));
        assert_eq!(groups(None), Ok(None), "what is known stays");
        assert_eq!(groups(Some(json!(null))), Ok(None));
        assert_eq!(groups(Some(json!([]))), are(&[]));
        assert_eq!(groups(Some(json!(""))), are(&[]));
        assert_eq!(groups(Some(json!("staff"))), are(&["staff"]));
        let many = json!(["staff", "a b", "admins", "staff"]);
        assert_eq!(groups(Some(many)), are(&["a b", "admins", "staff"]));
        for bad in [
            json!(17),
            json!({"staff": true}),
            json!(["staff", 17]),
            json!(["staff", ["admins"]]),
            json!(["a\nb"]),
            json!([" a"]),
            json!([""]),
            json!(vec!["x".repeat(257)]),
            json!((0..1_001).map(|n| n.to_string()).collect::<Vec<_>>()),
        ] {
            assert_eq!(groups(Some(bad.clone())), Err(Refused::BadGroups), "{bad}");
        }
        let mut unasked = names();
        unasked.groups = None;
        let claims = set(json!({"sub": "ann", "groups": 17}));
        assert_eq!(profile(&unasked, &claims).unwrap().groups, None);
    }

    #[test]
    fn an_audience_is_one_text_or_a_list() {
        let is_for_files = |aud: Value| is_for("files", &set(json!({"aud": aud})));
        assert!(is_for_files(json!("files")));
        assert!(is_for_files(json!(["mail", "files"])));
        for other in [
            json!("file"),
            json!("files "),
            json!("mail files"),
            json!([]),
            json!([["files"]]),
            json!({"files": true}),
            json!(null),
        ] {
            assert!(!is_for_files(other.clone()), "{other}");
        }
        assert!(!is_for("files", &ClaimSet::new()));
    }

    #[test]
    fn times_are_numbers() {
        let read = |exp: Value| time("exp", &set(json!({"exp": exp})));
        assert_eq!(read(json!(17)), Ok(Some(Timestamp(17))));
        assert_eq!(read(json!(17.9)), Ok(Some(Timestamp(17))));
        assert_eq!(read(json!(1e300)), Ok(Some(Timestamp(i64::MAX))));
        assert_eq!(read(json!(-1)), Ok(Some(Timestamp(-1))));
        for wrong in [json!("17"), json!(null), json!([17])] {
            assert_eq!(read(wrong), Err(Refused::Malformed));
        }
        assert_eq!(time("exp", &ClaimSet::new()), Ok(None));
    }
}
