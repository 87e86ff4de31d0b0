//! Where the command line meets the parts that other modules offer: one thin function each.

use crate::digest::{DigestKeys, SubjectDigest};
use crate::factor::phone::{Phone, PhoneError};
use crate::id::UserId;

/// `Phone::parse(raw, None)`
pub(super) fn phone(raw: &str) -> Result<Phone, PhoneError> {
    let _ = raw;
    todo!()
}

/// `request::canonical_path`
pub(super) fn canonical_path(path: &str) -> Result<String, String> {
    // INTEGRATE: request::canonical_path(path).map(|(path, _)| path.into_owned()).map_err(to_string)
    if path.starts_with('/') {
        Ok(path.to_owned())
    } else {
        Err("a path starts with `/`".to_owned())
    }
}

/// `auth::subject::user`
pub(super) fn user_subject(keys: &DigestKeys, id: UserId) -> SubjectDigest {
    keys.subject("user", &id.to_string())
}
