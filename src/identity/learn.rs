//! Reads what an upstream's own sign-in says: token → user, phone, address, device. Pure.
//!
//! It looks on only: the exchange goes through unchanged whatever is found here. What cannot be read
//! teaches nothing, and the token stays unknown.

use super::members::Members;
use super::{credential, device};
use crate::config::model::{GROUPS_MAX, Learn, is_group};
use crate::secret::Secret;
use serde_json::Value;
use std::fmt;

/// Bytes of the longest user name that is learned: it goes into a header of every request.
pub(super) const USER_BYTES_MAX: usize = 256;

/// Fields of a sign-in request that hold the user's name, beside the one that is called like the
/// name in the answer.
const NAME_FIELDS: [&str; 2] = ["username", "email"];
/// Different names in one sign-in. More are no mistake of a client, but a way to hide the one that
/// counts, or to make others wait.
const NAMES_MAX: usize = 3;

/// A sign-in request that cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sign-in names more than {NAMES_MAX} users: send one user name")]
pub struct TooManyNames;

/// What one successful sign-in taught.
#[derive(Clone, PartialEq, Eq)]
pub struct LearnedExchange {
    pub token: Secret,
    pub user: String,
    /// As the upstream writes it, to be read in the route's `phone_region`.
    pub phone: Option<String>,
    pub email: Option<Secret>,
    /// As in [`LearnedProfile`].
    pub groups: Option<Vec<String>>,
    /// The device that the client named in its request body, `deviceId`.
    pub device: Option<String>,
}

/// What an upstream says of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct LearnedProfile {
    pub user: String,
    /// As the upstream writes it, to be read in the route's `phone_region`.
    pub phone: Option<String>,
    pub email: Option<Secret>,
    /// All that the user is in, in order, each once; `None`: the config does not say where they stand, or
    /// nothing stands there, and what is known stays.
    pub groups: Option<Vec<String>>,
}

impl fmt::Debug for LearnedExchange {
    // A phone number is personal, and has no `Secret` around it before it is a `Phone`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearnedExchange")
            .field("user", &self.user)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LearnedProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearnedProfile")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Reads a whole sign-in exchange; `None` if it was refused or is not of the configured shape.
#[must_use]
pub fn parse(
    learn: &Learn,
    request_content_type: Option<&str>,
    request_body: &[u8],
    response_status: http::StatusCode,
    response_body: &[u8],
) -> Option<LearnedExchange> {
    if !response_status.is_success() {
        return None;
    }
    let answer: Value = serde_json::from_slice(response_body).ok()?;
    let token = text_at(&answer, &learn.token).filter(|token| credential::is_token(token))?;
    let LearnedProfile {
        user,
        phone,
        email,
        groups,
    } = profile(learn, &answer, Some)?;
    Some(LearnedExchange {
        token: Secret::new(token),
        user,
        phone,
        email,
        groups,
        device: requested_device(request_content_type, request_body),
    })
}

/// Reads the answer to the probe: the profile in the sign-in's shape, or by itself.
#[must_use]
pub fn parse_profile(learn: &Learn, body: &[u8]) -> Option<LearnedProfile> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    profile(learn, &answer, Some).or_else(|| profile(learn, &answer, inner))
}

/// A pointer without its first segment: `/profile/username` → `/username`.
fn inner(pointer: &str) -> Option<&str> {
    let rest = pointer.strip_prefix('/')?;
    rest.get(rest.find('/')?..)
}

fn profile<'l>(
    learn: &'l Learn,
    answer: &Value,
    place: impl Fn(&'l str) -> Option<&'l str>,
) -> Option<LearnedProfile> {
    let text = |pointer: &'l str| text_at(answer, place(pointer)?);
    Some(LearnedProfile {
        user: text(&learn.user).filter(|name| name.len() <= USER_BYTES_MAX)?,
        phone: learn.phone.as_deref().and_then(text),
        email: learn.email.as_deref().and_then(text).map(Secret::new),
        groups: match &learn.groups {
            Some(pointer) => groups(answer.pointer(place(pointer)?)).ok()?,
            None => None,
        },
    })
}

/// What stands in the place of a user's groups is no text, and no list of texts that can be names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotGroups;

/// The groups that an answer or a claim names: a text, or a list of them; in order, each once. `None`: it
/// says nothing of groups. An issuer leaves them out of tokens that were asked for with fewer scopes, and
/// nobody leaves a group by asking for less: only a list takes somebody out of one, an empty one out of all.
pub(super) fn groups(value: Option<&Value>) -> Result<Option<Vec<String>>, NotGroups> {
    let mut groups = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(one)) if one.is_empty() => Vec::new(),
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            let texts = many.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().ok_or(NotGroups)?
        }
        Some(_) => return Err(NotGroups),
    };
    groups.sort_unstable();
    groups.dedup();
    let are_groups = groups.len() <= GROUPS_MAX && groups.iter().all(|name| is_group(name));
    are_groups.then_some(Some(groups)).ok_or(NotGroups)
}

/// The text or number at a JSON pointer (RFC 6901); nothing if it is empty.
fn text_at(value: &Value, pointer: &str) -> Option<String> {
    plain(value.pointer(pointer)?)
}

fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Whose password a sign-in request tries: each different name in it, for what another reader of
/// the same bytes would pick cannot be known. None where it is neither JSON nor a form.
pub fn requested_names(
    learn: &Learn,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Vec<String>, TooManyNames> {
    let of_answer = learn.user.rsplit('/').next().unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for (field, value) in requested(content_type, body) {
        let is_name = field == of_answer || NAME_FIELDS.contains(&field.as_str());
        if !is_name || names.contains(&value) {
            continue;
        }
        if names.len() == NAMES_MAX {
            return Err(TooManyNames);
        }
        names.push(value);
    }
    Ok(names)
}

/// The `deviceId` of a sign-in request.
fn requested_device(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let mut fields = requested(content_type, body).into_iter();
    let (_, device) = fields.find(|(field, _)| field == "deviceId")?;
    Some(device).filter(|device| device::is_device(device))
}

/// The texts of a request in their order. JSON is read as JSON whatever its type says.
fn requested(content_type: Option<&str>, body: &[u8]) -> Vec<(String, String)> {
    if let Ok(Members(fields)) = serde_json::from_slice(body) {
        let text = |(field, value)| Some((field, plain(&value)?));
        return fields.into_iter().filter_map(text).collect();
    }
    if !content_type.is_none_or(is_form) {
        return Vec::new();
    }
    form_urlencoded::parse(body)
        .map(|(field, value)| (field.into_owned(), value.into_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use proptest::prelude::*;

    fn iogates() -> Learn {
        Learn {
            endpoint: "/api/authtoken".to_owned(),
            token: "/token".to_owned(),
            user: "/profile/username".to_owned(),
            phone: Some("/profile/mobile".to_owned()),
            email: Some("/profile/email".to_owned()),
            groups: None,
            probe: Some("/api/profile".to_owned()),
            lifetime: None,
        }
    }

    const ANSWER: &str = r#"{"token":"33c666119","max_file_size":0,"profile":
        {"username":"ann","mobile":"+45 12 34 56 78","email":"ann@example.org","address":null}}"#;
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded; charset=utf-8");

    fn read(content_type: Option<&str>, request: &str, answer: &str) -> Option<LearnedExchange> {
        parse(
            &iogates(),
            content_type,
            request.as_bytes(),
            StatusCode::OK,
            answer.as_bytes(),
        )
    }

    #[test]
    fn a_sign_in_teaches_its_user() {
        let learned = read(FORM, "username=ann&password=x&deviceId=phone+1", ANSWER).unwrap();
        assert_eq!(learned.token.expose(), "33c666119");
        assert_eq!(learned.device.as_deref(), Some("phone 1"));
        assert_eq!(learned.user, "ann");
        assert_eq!(learned.phone.as_deref(), Some("+45 12 34 56 78"));
        assert_eq!(learned.email, Some(Secret::new("ann@example.org")));
    }

    #[test]
    fn the_device_is_read_from_json_of_any_type_and_from_forms() {
        let json = r#"{"deviceId": "d"}"#;
        for (content_type, request, device) in [
            (FORM, json, Some("d")),
            (None, json, Some("d")),
            (Some("text/plain"), json, Some("d")),
            (Some("application/json"), r#"{"deviceId": 42}"#, Some("42")),
            (FORM, "deviceId=d", Some("d")),
            (None, "deviceId=d", Some("d")),
            (Some("multipart/form-data; boundary=x"), "deviceId=d", None),
            (Some("application/json"), "deviceId=d", None),
            (FORM, "", None),
            (FORM, "deviceId=", None),
            (FORM, "deviceId=a%00", None),
            (FORM, r#"["deviceId"]"#, None),
        ] {
            let learned = read(content_type, request, ANSWER).unwrap();
            assert_eq!(
                learned.device.as_deref(),
                device,
                "{content_type:?} {request}"
            );
        }
    }

    #[test]
    fn every_name_that_a_backend_could_read_is_found() {
        let json = Some("application/json");
        for (content_type, request, names) in [
            (json, r#"{"username":" ann ","password":"x"}"#, &["ann"][..]),
            (
                None,
                r#"{"username":"ann","username":"bob"}"#,
                &["ann", "bob"],
            ),
            (FORM, r#"{"email":"a@b.c","username":"a@b.c"}"#, &["a@b.c"]),
            (
                FORM,
                "username=ann&password=x&username=b+c",
                &["ann", "b c"],
            ),
            (FORM, "username=&password=x", &[]),
            (json, r#"{"username":{"$ne":null},"user":"ann"}"#, &[]),
            (json, "username=ann", &[]),
            (Some("multipart/form-data"), "username=ann", &[]),
            (json, "", &[]),
        ] {
            let found = requested_names(&iogates(), content_type, request.as_bytes());
            assert_eq!(found.unwrap(), names, "{request}");
        }
        let other = Learn {
            user: "/result/login".to_owned(),
            ..iogates()
        };
        let request = br#"{"login":"ann","username":"bob"}"#;
        let found = requested_names(&other, None, request);
        assert_eq!(found.unwrap(), ["ann", "bob"]);
        let many = b"username=a&username=b&username=c&username=d";
        assert_eq!(requested_names(&other, FORM, many), Err(TooManyNames));
    }

    #[test]
    fn numbers_are_texts_and_empty_is_nothing() {
        let answer = r#"{"token":42,"profile":{"username":7,"mobile":4512345678,"email":""}}"#;
        let learned = read(None, "", answer).unwrap();
        assert_eq!(learned.token.expose(), "42");
        assert_eq!(learned.user, "7");
        assert_eq!(learned.phone.as_deref(), Some("4512345678"));
        assert_eq!(learned.email, None);
        let answer = r#"{"token":"t","profile":{"username":"a","mobile":null}}"#;
        assert_eq!(read(None, "", answer).unwrap().phone, None);
    }

    #[test]
    fn what_is_not_a_sign_in_teaches_nothing() {
        for answer in [
            "",
            "[]",
            "{}",
            r#"{"token":"t"}"#,
            r#"{"token":"t","profile":{"username":""}}"#,
            r#"{"token":"t","profile":{"username":null}}"#,
            r#"{"token":"","profile":{"username":"a"}}"#,
            r#"{"token":null,"profile":{"username":"a"}}"#,
            r#"{"token":"two words","profile":{"username":"a"}}"#,
            r#"{"token":["t"],"profile":{"username":"a"}}"#,
            r#"{"token":"t","profile":{"username":"a"},}"#,
        ] {
            assert_eq!(read(None, "", answer), None, "{answer}");
        }
        for status in [
            StatusCode::UNAUTHORIZED,
            StatusCode::FOUND,
            StatusCode::BAD_GATEWAY,
        ] {
            let learned = parse(&iogates(), None, b"", status, ANSWER.as_bytes());
            assert_eq!(learned, None, "{status}");
        }
    }

    #[test]
    fn a_name_that_fits_no_header_is_not_learned() {
        let named = |length| {
            let name = "u".repeat(length);
            read(
                None,
                "",
                &format!(r#"{{"token":"t","profile":{{"username":"{name}"}}}}"#),
            )
        };
        assert!(named(USER_BYTES_MAX).is_some());
        assert_eq!(named(USER_BYTES_MAX + 1), None);
    }

    #[test]
    fn a_probe_answers_the_profile_in_either_shape() {
        for body in [
            r#"{"profile":{"username":"ann","mobile":"12345678"}}"#,
            r#"{"username":"ann","mobile":"12345678"}"#,
        ] {
            let profile = parse_profile(&iogates(), body.as_bytes()).unwrap();
            assert_eq!(
                (profile.user.as_str(), profile.phone.as_deref()),
                ("ann", Some("12345678"))
            );
        }
        let flat = Learn {
            user: "/username".to_owned(),
            ..iogates()
        };
        assert!(parse_profile(&flat, br#"{"username":"ann"}"#).is_some());
        for body in ["", "{}", r#""ann""#, r#"{"other":{"username":"ann"}}"#] {
            assert_eq!(parse_profile(&iogates(), body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_profile_that_says_nothing_of_groups_changes_none() {
        let learn = Learn {
            groups: Some("/profile/groups".to_owned()),
            ..iogates()
        };
        let profile = |groups: &str| {
            let body = format!(r#"{{"profile":{{"username":"ann"{groups}}}}}"#);
            parse_profile(&learn, body.as_bytes()).map(|it| it.groups)
        };
        for silent in ["", r#","groups":null"#] {
            assert_eq!(profile(silent), Some(None), "{silent}");
        }
        for empty in [r#","groups":[]"#, r#","groups":"" "#] {
            assert_eq!(profile(empty), Some(Some(Vec::new())), "{empty}");
        }
        let staff = Some(Some(vec!["staff".to_owned()]));
        assert_eq!(profile(r#","groups":["staff"]"#), staff);
        assert_eq!(profile(r#","groups":17"#), None, "no profile of this shape");
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", read(None, "", ANSWER).unwrap());
        for secret in ["33c666119", "12 34", "ann@example.org"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&iogates(), FORM, &body, StatusCode::OK, ANSWER.as_bytes());
            let _ = parse(&iogates(), FORM, &body, StatusCode::OK, &body);
            let _ = requested_names(&iogates(), FORM, &body);
            let _ = parse_profile(&iogates(), &body);
        }
    }
}
