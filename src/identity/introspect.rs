//! What an issuer answers about a token (RFC 7662 section 2.2). Pure: whoever asks is elsewhere.

use super::claims::{self, ClaimSet, Refused, Word};
use crate::clock::Timestamp;
use crate::config::model::Introspection;

/// Reads an answer. [`Refused::Malformed`] says that it is none, so that nothing is known of the token;
/// every other refusal is the issuer's word.
pub fn read(rules: &Introspection, body: &[u8], now: Timestamp) -> Result<Word, Refused> {
    let claims: ClaimSet = serde_json::from_slice(body).map_err(|_| Refused::Malformed)?;
    match claims.get("active").and_then(serde_json::Value::as_bool) {
        None => return Err(Refused::Malformed),
        Some(false) => return Err(Refused::Inactive),
        Some(true) => {}
    }
    let expires_at = claims::time("exp", &claims)?;
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Refused::Expired);
    }
    if claims::time("nbf", &claims)?.is_some_and(|start| start > now) {
        return Err(Refused::NotYet);
    }
    let audience = rules.audience.as_deref();
    if !audience.is_none_or(|audience| claims::is_for(audience, &claims)) {
        return Err(Refused::Audience);
    }
    Ok(Word {
        profile: claims::profile(&rules.claims, &claims)?,
        expires_at,
        said_at: said_at(rules, &claims, now),
    })
}

/// Of when the answer is: many servers say what they knew when the token was issued, and an older token must
/// not bring that back. `None`: of the moment, by the config, or for want of a time that can be one.
fn said_at(rules: &Introspection, claims: &ClaimSet, now: Timestamp) -> Option<Timestamp> {
    // It was no reason to refuse a token, and is none for this.
    let issued_at = claims::time("iat", claims).ok().flatten();
    issued_at.filter(|at| !rules.is_live && (1..=now.0).contains(&at.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Claims;
    use crate::secret::Secret;
    use serde_json::{Value, json};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_000);

    fn rules() -> Introspection {
        Introspection {
            url: "https://login.example.org/introspect".to_owned(),
            client_id: "vestibule".to_owned(),
            client_secret: Secret::new("hunter2"),
            cache: Duration::from_secs(60),
            audience: Some("files".to_owned()),
            is_live: false,
            claims: Claims {
                user: "username".to_owned(),
                phone: Some("phone_number".to_owned()),
                email: None,
                groups: None,
            },
        }
    }

    fn good() -> Value {
        json!({"active": true, "username": "ann", "aud": ["files"], "exp": 1_001, "phone_number": "+4512345678"})
    }

    fn with(key: &str, value: Value) -> Result<Word, Refused> {
        let mut answer = good();
        answer[key] = value;
        read(&rules(), answer.to_string().as_bytes(), NOW)
    }

    #[test]
    fn an_active_token_has_its_user_and_end() {
        let word = with("active", json!(true)).unwrap();
        assert_eq!(word.profile.user, "ann");
        assert_eq!(word.profile.phone.as_deref(), Some("+4512345678"));
        assert_eq!(word.expires_at, Some(Timestamp(1_001)));
        let mut endless = good();
        endless.as_object_mut().unwrap().remove("exp");
        let endless = read(&rules(), endless.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(endless.expires_at, None);
    }

    #[test]
    fn an_answer_is_of_when_the_token_was_issued_unless_the_server_looks_its_user_up() {
        for (iat, wanted) in [
            (json!(900), Some(Timestamp(900))),
            (json!(1_000), Some(Timestamp(1_000))),
            (json!(1_001), None),
            (json!(1_700_000_000_000_u64), None),
            (json!(0), None),
            (json!(-5), None),
            (json!("yesterday"), None),
            (json!(null), None),
        ] {
            let said = with("iat", iat.clone()).map(|word| word.said_at);
            assert_eq!(said, Ok(wanted), "{iat}");
            let mut live = rules();
            live.is_live = true;
            let mut answer = good();
            answer["iat"] = iat;
            let read = read(&live, answer.to_string().as_bytes(), NOW);
            assert_eq!(read.map(|word| word.said_at), Ok(None));
        }
        assert_eq!(with("active", json!(true)).unwrap().said_at, None);
    }

    #[test]
    fn what_the_issuer_does_not_stand_by_is_refused() {
        for (key, value, refused) in [
            ("active", json!(false), Refused::Inactive),
            ("exp", json!(1_000), Refused::Expired),
            ("nbf", json!(1_001), Refused::NotYet),
            ("aud", json!("mail"), Refused::Audience),
            ("aud", json!(null), Refused::Audience),
            ("username", json!(null), Refused::NoUser),
        ] {
            assert_eq!(with(key, value.clone()), Err(refused), "{key} {value}");
        }
        let mut any = rules();
        any.audience = None;
        let answer = json!({"active": true, "username": "ann", "aud": "mail"}).to_string();
        assert!(read(&any, answer.as_bytes(), NOW).is_ok());
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        for body in [
            "",
            "{}",
            "[]",
            "active",
            "<html>",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
        ] {
            let read = read(&rules(), body.as_bytes(), NOW);
            assert_eq!(read, Err(Refused::Malformed), "{body}");
        }
        assert_eq!(with("exp", json!("soon")), Err(Refused::Malformed));
    }
}
