//! Keyed digests: what the store and the hot map hold instead of tokens, codes and numbers.
//!
//! BLAKE3 in keyed mode, one key per purpose, each derived from the store's data key, so that a
//! digest of one kind never equals one of another kind and nobody without the key can make one.
//! Variable-length parts are length-prefixed, so that ("ab", "c") and ("a", "bc") differ.

use std::fmt;

macro_rules! digest_type {
    ($(#[$doc:meta] $name:ident),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}…)"), a, b, c, d)
            }
        }

        impl $name {
            /// The digest from its stored form; `None` if it does not have 32 bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
    )+};
}

digest_type! {
    /// A first-factor token of one identity.
    TokenDigest,
    /// A (token, device) pair of one identity: the key of a session, in the hot map and in the store.
    SessionKey,
    /// A one-time code, bound to what it was sent for.
    CodeDigest,
    /// What a code is bound to: a (token, device) pair, or a wizard.
    Binding,
    /// The secret name of a wizard.
    WizardDigest,
    /// A user code, by which a person finds the client to be let in.
    GrantDigest,
    /// A refresh token.
    RefreshDigest,
    /// A success token.
    SuccessDigest,
    /// A phone number or email address, for the sending limits.
    RecipientDigest,
    /// Whom a failure is counted against: a user, an account name or an address.
    SubjectDigest,
    /// The identifier of a passkey, of one identity.
    PasskeyDigest,
    /// The secret of a browser that is remembered.
    BrowserDigest,
    /// What a form of a page must send back: it shows that the page was shown to this browser.
    FormDigest,
}

impl From<SessionKey> for Binding {
    fn from(pair: SessionKey) -> Self {
        Self(pair.0)
    }
}

impl From<WizardDigest> for Binding {
    // Made under another key than a pair's, so that neither passes for the other.
    fn from(wizard: WizardDigest) -> Self {
        Self(wizard.0)
    }
}

impl From<GrantDigest> for Binding {
    // Made under another key than a pair's or a wizard's.
    fn from(grant: GrantDigest) -> Self {
        Self(grant.0)
    }
}

impl CodeDigest {
    /// Whether both are equal, in time that does not depend on where they differ.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

impl FormDigest {
    /// As it stands in a page: 64 hex digits.
    #[must_use]
    pub fn text(&self) -> String {
        use fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(64), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            })
    }

    /// Whether a form sent this one, in time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, sent: &str) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.text().as_bytes(), sent.as_bytes()).into()
    }
}

/// The digest keys of one store, derived from its data key.
#[derive(Clone)]
pub struct DigestKeys {
    token: [u8; 32],
    session: [u8; 32],
    code: [u8; 32],
    recipient: [u8; 32],
    subject: [u8; 32],
    label: [u8; 32],
    seal: [u8; 32],
    wizard: [u8; 32],
    grant: [u8; 32],
    refresh: [u8; 32],
    success: [u8; 32],
    pepper: [u8; 32],
    passkey: [u8; 32],
    browser: [u8; 32],
    form: [u8; 32],
}

impl fmt::Debug for DigestKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKeys(***)")
    }
}

impl DigestKeys {
    /// Derives every key from `data_key` (32 random bytes).
    #[must_use]
    pub fn derive(data_key: &[u8; 32]) -> Self {
        let key =
            |purpose: &str| blake3::derive_key(&format!("vestibule 2026-11 {purpose}"), data_key);
        Self {
            token: key("token digest"),
            session: key("session key"),
            code: key("code digest"),
            recipient: key("recipient digest"),
            subject: key("failure subject"),
            label: key("device label"),
            seal: key("sealing of columns"),
            wizard: key("wizard name"),
            grant: key("user code"),
            refresh: key("refresh token"),
            success: key("success token"),
            pepper: key("backup code pepper"),
            passkey: key("passkey"),
            browser: key("remembered browser"),
            form: key("form of a page"),
        }
    }

    /// The keys of one identity: a token of one never passes for a token of another.
    #[must_use]
    pub fn realm(&self, identity: &str) -> RealmKeys {
        RealmKeys {
            token: *blake3::keyed_hash(&self.token, identity.as_bytes()).as_bytes(),
            session: *blake3::keyed_hash(&self.session, identity.as_bytes()).as_bytes(),
        }
    }

    /// The key for sealing columns with an AEAD.
    #[must_use]
    pub fn seal_key(&self) -> &[u8; 32] {
        &self.seal
    }

    /// The digest of a code that was sent for `purpose`.
    #[must_use]
    pub fn code(&self, bound_to: Binding, purpose: &str, code: &str) -> CodeDigest {
        CodeDigest(keyed(
            &self.code,
            &[&bound_to.0, purpose.as_bytes(), code.as_bytes()],
        ))
    }

    /// The digest of a wizard's name.
    #[must_use]
    pub fn wizard(&self, name: &str) -> WizardDigest {
        WizardDigest(keyed(&self.wizard, &[name.as_bytes()]))
    }

    /// The digest of a user code, in capitals and without its hyphen.
    #[must_use]
    pub fn grant(&self, code: &str) -> GrantDigest {
        GrantDigest(keyed(&self.grant, &[code.as_bytes()]))
    }

    /// The digest of a refresh token.
    #[must_use]
    pub fn refresh(&self, token: &str) -> RefreshDigest {
        RefreshDigest(keyed(&self.refresh, &[token.as_bytes()]))
    }

    /// The digest of a success token.
    #[must_use]
    pub fn success(&self, token: &str) -> SuccessDigest {
        SuccessDigest(keyed(&self.success, &[token.as_bytes()]))
    }

    /// The digest of a passkey's identifier (a credential ID of WebAuthn), of one identity.
    #[must_use]
    pub fn passkey(&self, realm: &str, id: &[u8]) -> PasskeyDigest {
        PasskeyDigest(keyed(&self.passkey, &[b"credential", realm.as_bytes(), id]))
    }

    /// What stands for a user (of this number) on an authenticator, as a user handle of WebAuthn: it
    /// says nothing of who that is.
    #[must_use]
    pub fn user_handle(&self, user: i64) -> [u8; 32] {
        keyed(&self.passkey, &[b"user", &user.to_be_bytes()])
    }

    /// The digest of the secret by which a browser is remembered.
    #[must_use]
    pub fn browser(&self, secret: &str) -> BrowserDigest {
        BrowserDigest(keyed(&self.browser, &[secret.as_bytes()]))
    }

    /// What backup codes are hashed with besides their salt.
    #[must_use]
    pub fn backup_pepper(&self) -> &[u8; 32] {
        &self.pepper
    }

    /// The digest of a phone number (E.164) or email address.
    #[must_use]
    pub fn recipient(&self, recipient: &str) -> RecipientDigest {
        RecipientDigest(keyed(&self.recipient, &[recipient.as_bytes()]))
    }

    /// The digest of a failure's subject, e.g. `("address", "192.0.2.1")`.
    #[must_use]
    pub fn subject(&self, kind: &str, value: &str) -> SubjectDigest {
        SubjectDigest(keyed(&self.subject, &[kind.as_bytes(), value.as_bytes()]))
    }

    /// The digest that the forms of pages carry which are shown to this device.
    #[must_use]
    pub fn form(&self, device: &str) -> FormDigest {
        FormDigest(keyed(&self.form, &[device.as_bytes()]))
    }

    /// A short opaque name (16 hex digits) for a device, to show to upstreams and people.
    #[must_use]
    pub fn device_label(&self, device: &str) -> String {
        use std::fmt::Write as _;
        let digest = keyed(&self.label, &[device.as_bytes()]);
        digest
            .iter()
            .take(8)
            .fold(String::with_capacity(16), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            })
    }
}

/// The digest keys of one identity.
#[derive(Clone)]
pub struct RealmKeys {
    token: [u8; 32],
    session: [u8; 32],
}

impl fmt::Debug for RealmKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RealmKeys(***)")
    }
}

impl RealmKeys {
    /// The digest of a token.
    #[must_use]
    pub fn token(&self, token: &str) -> TokenDigest {
        TokenDigest(keyed(&self.token, &[token.as_bytes()]))
    }

    /// The digest of a (token, device) pair; `None` is the unnamed device. The one digest of the
    /// hot path: no allocation.
    #[must_use]
    pub fn session(&self, token: &str, device: Option<&str>) -> SessionKey {
        match device {
            Some(device) => {
                SessionKey(keyed(&self.session, &[token.as_bytes(), device.as_bytes()]))
            }
            None => SessionKey(keyed(&self.session, &[token.as_bytes()])),
        }
    }
}

/// Messages up to this length are put together on the stack and hashed in one call, which for a
/// common token and device is one BLAKE3 block: half the time of the incremental hasher.
const STACK_BYTES: usize = 192;

fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut message = [0; STACK_BYTES];
    if let Some(len) = joined(parts, &mut message) {
        let whole = message.get(..len).unwrap_or_default();
        return *blake3::keyed_hash(key, whole).as_bytes();
    }
    let mut hasher = blake3::Hasher::new_keyed(key);
    for part in parts {
        let (prefix, len) = length_prefix(part.len());
        hasher.update(prefix.get(..len).unwrap_or_default());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Every part after its length, in `out`; how many bytes that is. `None` if they do not fit.
fn joined(parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
    let mut at = 0_usize;
    for part in parts {
        let (prefix, len) = length_prefix(part.len());
        for bytes in [prefix.get(..len)?, part] {
            out.get_mut(at..at.checked_add(bytes.len())?)?
                .copy_from_slice(bytes);
            at += bytes.len();
        }
    }
    Some(at)
}

/// LEB128: seven bits a byte, the lowest first, the high bit where more follow. One byte for all
/// that is shorter than 128.
fn length_prefix(mut len: usize) -> ([u8; 10], usize) {
    let mut out = [0; 10];
    let mut used = 0;
    for slot in &mut out {
        *slot = (len & 0x7f) as u8;
        len >>= 7;
        used += 1;
        if len == 0 {
            break;
        }
        *slot |= 0x80;
    }
    (out, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let realm = DigestKeys::derive(&[7; 32]).realm("files");
        assert_ne!(
            realm.session("ab", Some("c")),
            realm.session("a", Some("bc"))
        );
        assert_ne!(realm.session("a", None), realm.session("a", Some("")));
    }

    #[test]
    fn both_ways_to_hash_agree() {
        for lens in [
            [0, 0],
            [43, 16],
            [127, 60],
            [128, 40],
            [200, 300],
            [20_000, 1],
        ] {
            let parts: Vec<Vec<u8>> = lens.iter().map(|len| vec![7; *len]).collect();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let mut whole = vec![0; 30_000];
            let len = joined(&parts, &mut whole).unwrap();
            let expected = *blake3::keyed_hash(&[9; 32], &whole[..len]).as_bytes();
            assert_eq!(keyed(&[9; 32], &parts), expected, "{lens:?}");
        }
    }

    #[test]
    fn lengths_are_prefix_free() {
        assert_eq!(length_prefix(0), ([0; 10], 1));
        assert_eq!(&length_prefix(127).0[..2], &[127, 0]);
        assert_eq!(&length_prefix(300).0[..2], &[0xac, 2]);
        assert_eq!(length_prefix(usize::MAX).1, 10);
    }

    #[test]
    fn realms_and_purposes_are_apart() {
        let keys = DigestKeys::derive(&[7; 32]);
        assert_ne!(keys.realm("a").token("t"), keys.realm("b").token("t"));
        assert_ne!(
            keys.realm("a").token("t").0,
            keys.realm("a").session("t", None).0
        );
    }

    #[test]
    fn debug_shows_no_key_and_only_the_head_of_a_digest() {
        let keys = DigestKeys::derive(&[7; 32]);
        assert_eq!(format!("{keys:?}"), "DigestKeys(***)");
        assert!(format!("{:?}", keys.recipient("+4512345678")).len() < 32);
    }
}
