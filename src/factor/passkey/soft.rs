//! An authenticator in software, for tests: one ES256 key, with everything about it that a test may
//! want to be wrong. Writes the few shapes of CBOR that WebAuthn needs (section 6.5) by hand.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

/// User present.
pub(crate) const UP: u8 = 0x01;
/// User verified.
pub(crate) const UV: u8 = 0x04;
/// May be backed up.
pub(crate) const BE: u8 = 0x08;
/// Is backed up.
pub(crate) const BS: u8 = 0x10;
/// Has attested credential data.
const AT: u8 = 0x40;

/// One passkey, and how its authenticator and browser behave.
pub(crate) struct Soft {
    key: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    pub(crate) origin: String,
    pub(crate) flags: u8,
    pub(crate) sign_count: u32,
    pub(crate) cross_origin: bool,
    /// `None`: it is not said.
    pub(crate) handle: Option<Vec<u8>>,
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

impl Soft {
    /// A new passkey, used on a page of this origin.
    pub(crate) fn new(origin: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self {
            id: sha256(key.public_key().as_ref()),
            key,
            origin: origin.to_owned(),
            flags: UP | UV,
            sign_count: 1,
            cross_origin: false,
            handle: None,
        }
    }

    fn client_data(&self, of: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": of,
            "challenge": options["publicKey"]["challenge"],
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        });
        data.to_string().into_bytes()
    }

    fn data(&self, host: &str, more: u8) -> Vec<u8> {
        let counter = self.sign_count.to_be_bytes();
        [&sha256(host.as_bytes())[..], &[self.flags | more], &counter].concat()
    }

    /// The public key as COSE has it (RFC 9053 section 7.1.1).
    fn cose(&self) -> Vec<u8> {
        // Uncompressed: 4, x, y.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
        [&head, x, &[0x22, 0x58, 32], y].concat()
    }

    /// The answer to a `create` with these options.
    pub(crate) fn create(&self, options: &Value) -> Value {
        let host = options["publicKey"]["rp"]["id"].as_str().unwrap();
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let data = self.data(host, AT);
        let data = [&data, &[0; 16][..], &length, &self.id, &self.cose()].concat();
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let object = [
            &b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"[..],
            &length,
            &data,
        ];
        json!({
            "id": BASE64URL.encode(&self.id),
            "rawId": BASE64URL.encode(&self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64URL.encode(self.client_data("webauthn.create", options)),
                "attestationObject": BASE64URL.encode(object.concat()),
                "transports": ["internal", "hybrid", "of-the-future"],
            },
        })
    }

    /// The answer to a `get` with these options.
    pub(crate) fn get(&self, options: &Value) -> Value {
        let host = options["publicKey"]["rpId"].as_str().unwrap();
        let data = self.data(host, 0);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [&data[..], &sha256(&client_data)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": BASE64URL.encode(&self.id),
            "rawId": BASE64URL.encode(&self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": BASE64URL.encode(client_data),
                "authenticatorData": BASE64URL.encode(data),
                "signature": BASE64URL.encode(signature),
                "userHandle": self.handle.as_ref().map(|handle| BASE64URL.encode(handle)),
            },
        })
    }
}
