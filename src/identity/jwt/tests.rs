//! Good tokens, and every way to forge one that we know of.

use super::*;
use crate::config::model::{Claims, JwtKeys};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair,
};
use aws_lc_rs::{encoding::AsDer as _, hmac};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);

/// The issuer's keys, and another's. Made once: an RSA key takes a while.
struct Signers {
    rsa: RsaKeyPair,
    foreign_rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

static SIGNERS: LazyLock<Signers> = LazyLock::new(|| Signers {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    foreign_rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    ed: Ed25519KeyPair::generate().unwrap(),
});

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_sign(key: &RsaKeyPair, how: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    let rng = SystemRandom::new();
    key.sign(how, &rng, message, &mut signature).unwrap();
    signature
}

fn sign(alg: &str, message: &str) -> Vec<u8> {
    let (s, message) = (&*SIGNERS, message.as_bytes());
    match alg {
        "RS256" => rsa_sign(&s.rsa, &signature::RSA_PKCS1_SHA256, message),
        "RS512" => rsa_sign(&s.rsa, &signature::RSA_PKCS1_SHA512, message),
        "PS256" => rsa_sign(&s.rsa, &signature::RSA_PSS_SHA256, message),
        "ES256" => {
            let signed = s.ec.sign(&SystemRandom::new(), message);
            signed.unwrap().as_ref().to_vec()
        }
        "EdDSA" => s.ed.sign(message).as_ref().to_vec(),
        _ => panic!("{alg}"),
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64(header.to_string()), b64(claims.to_string()))
}

fn signed(alg: &str, header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = b64(sign(alg, &message));
    format!("{message}.{signature}")
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.org/", "aud": "files", "sub": "ann", "exp": NOW.0 + 300,
        "iat": NOW.0, "nbf": NOW.0, "phone_number": "+4512345678", "email": "ann@example.org",
    })
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"})
}

fn rsa_jwk(key: &RsaKeyPair) -> Value {
    let public = key.public_key();
    let modulus = public.modulus().big_endian_without_leading_zero();
    let exponent = public.exponent().big_endian_without_leading_zero();
    json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(modulus), "e": b64(exponent)})
}

fn jwks() -> Value {
    let s = &*SIGNERS;
    let point = s.ec.public_key().as_ref();
    json!({"keys": [
        rsa_jwk(&s.rsa),
        {"kty": "EC", "kid": "ec", "crv": "P-256", "alg": "ES256", "x": b64(&point[1..33]), "y": b64(&point[33..])},
        {"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": b64(s.ed.public_key().as_ref())},
        {"kty": "oct", "kid": "secret", "k": b64("hunter2")},
        {"kty": "quantum", "kid": "tomorrow"},
    ]})
}

fn keys(set: &Value) -> KeySet {
    KeySet::from_jwks(set.to_string().as_bytes()).unwrap()
}

fn rules(algorithms: &[VerificationAlgorithm]) -> Jwt {
    Jwt {
        keys: JwtKeys::Set(String::new()),
        issuer: "https://login.example.org/".to_owned(),
        audience: "files".to_owned(),
        algorithms: algorithms.to_vec(),
        leeway: Duration::from_secs(30),
        claims: Claims {
            user: "sub".to_owned(),
            phone: Some("phone_number".to_owned()),
            email: Some("email".to_owned()),
            groups: None,
        },
    }
}

fn all() -> Jwt {
    rules(&VerificationAlgorithm::ALL)
}

fn judged(token: &str) -> Result<Word, Refused> {
    verify(&all(), &keys(&jwks()), token, NOW)
}

/// The verdict on a token that is good but for one claim.
fn with_claim(name: &str, value: Value) -> Result<Word, Refused> {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    judged(&signed("RS256", &header(), &claims))
}

fn with_header(name: &str, value: Value) -> Result<Word, Refused> {
    let mut header = header();
    header[name] = value;
    judged(&signed("RS256", &header, &claims()))
}

#[test]
fn a_good_token_says_who_its_user_is_and_until_when() {
    for (alg, kid) in [
        ("RS256", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ] {
        for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg})] {
            let word = judged(&signed(alg, &header, &claims())).unwrap();
            assert_eq!(word.profile.user, "ann", "{header}");
            assert_eq!(word.profile.phone.as_deref(), Some("+4512345678"));
            assert_eq!(word.expires_at, Some(Timestamp(NOW.0 + 300)));
        }
    }
}

#[test]
fn the_algorithm_is_the_configs() {
    let token = signed("RS512", &json!({"alg": "RS512"}), &claims());
    let only = rules(&[VerificationAlgorithm::Rs256, VerificationAlgorithm::Es256]);
    let verdict = verify(&only, &keys(&jwks()), &token, NOW);
    assert_eq!(verdict, Err(Refused::Algorithm));
    for alg in [
        "none", "None", "NONE", "nOnE", "HS256", "RS256 ", "rs256", "",
    ] {
        let message = message(&json!({"alg": alg}), &claims());
        for signature in ["", "AA"] {
            let verdict = judged(&format!("{message}.{signature}"));
            assert_eq!(verdict, Err(Refused::Algorithm), "{alg}");
        }
    }
    for alg in [json!(null), json!(["RS256"]), json!(256)] {
        let verdict = with_header("alg", alg.clone());
        assert_eq!(verdict, Err(Refused::Algorithm), "{alg}");
    }
    let none = json!({"kid": "rsa"});
    assert_eq!(
        judged(&signed("RS256", &none, &claims())),
        Err(Refused::Algorithm)
    );
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let s = &*SIGNERS;
    let der = s.rsa.public_key().as_der().unwrap();
    let pem = pem("PUBLIC KEY", der.as_ref());
    let jwk = rsa_jwk(&s.rsa).to_string();
    let secrets: [&[u8]; 4] = [der.as_ref(), pem.as_bytes(), jwk.as_bytes(), b"hunter2"];
    for secret in secrets {
        // As HS256 says, and as a signature of the kind that is allowed.
        for alg in ["HS256", "RS256"] {
            for kid in ["rsa", "secret"] {
                let message = message(&json!({"alg": alg, "kid": kid}), &claims());
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                let tag = hmac::sign(&key, message.as_bytes());
                let verdict = judged(&format!("{message}.{}", b64(tag.as_ref())));
                assert!(verdict.is_err(), "{alg} {kid}");
            }
        }
    }
}

#[test]
fn a_key_is_good_for_its_own_kind_alone() {
    // The name of one key, the signature of another.
    let token = signed("ES256", &json!({"alg": "ES256", "kid": "rsa"}), &claims());
    assert_eq!(judged(&token), Err(Refused::Algorithm));
    let token = signed("EdDSA", &json!({"alg": "RS256", "kid": "ed"}), &claims());
    assert_eq!(judged(&token), Err(Refused::Algorithm));
    let token = signed("RS256", &json!({"alg": "PS256", "kid": "rsa"}), &claims());
    assert_eq!(judged(&token), Err(Refused::Signature));
    // A key that its issuer made for one algorithm is for that one.
    let mut set = jwks();
    set["keys"][0]["alg"] = json!("RS512");
    let token = signed("RS256", &header(), &claims());
    let verdict = verify(&all(), &keys(&set), &token, NOW);
    assert_eq!(verdict, Err(Refused::Algorithm));
}

#[test]
fn a_key_that_is_not_there_may_be_a_new_one() {
    assert_eq!(with_header("kid", json!("new")), Err(Refused::UnknownKey));
    assert_eq!(with_header("kid", json!("RSA")), Err(Refused::UnknownKey));
    assert_eq!(
        with_header("kid", json!("secret")),
        Err(Refused::UnknownKey)
    );
    assert_eq!(with_header("kid", json!(7)), Err(Refused::Malformed));
    let foreign = |header: &Value| {
        let message = message(header, &claims());
        let signed = rsa_sign(
            &SIGNERS.foreign_rsa,
            &signature::RSA_PKCS1_SHA256,
            message.as_bytes(),
        );
        judged(&format!("{message}.{}", b64(signed)))
    };
    assert_eq!(foreign(&header()), Err(Refused::Signature));
    assert_eq!(foreign(&json!({"alg": "RS256"})), Err(Refused::UnknownKey));
}

#[test]
fn a_key_in_the_tokens_own_header_is_not_looked_at() {
    let foreign = &SIGNERS.foreign_rsa;
    let set = json!({"keys": [rsa_jwk(foreign)]});
    let header = json!({
        "alg": "RS256", "kid": "rsa", "jwk": set["keys"][0], "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert", "x5c": ["AAAA"],
    });
    let message = message(&header, &claims());
    let signed = rsa_sign(foreign, &signature::RSA_PKCS1_SHA256, message.as_bytes());
    let verdict = judged(&format!("{message}.{}", b64(signed)));
    assert_eq!(verdict, Err(Refused::Signature));
}

#[test]
fn a_token_is_of_this_issuer_for_this_service_and_valid_now() {
    use Refused::{Audience, Expired, Issuer, Malformed, NoUser, NotYet};
    let now = NOW.0;
    for (name, value, verdict) in [
        ("iss", json!("https://login.example.org"), Err(Issuer)),
        ("iss", json!(["https://login.example.org/"]), Err(Issuer)),
        ("iss", json!(null), Err(Issuer)),
        ("aud", json!("mail"), Err(Audience)),
        ("aud", json!(["mail", "files"]), Ok(())),
        ("aud", json!(["mail"]), Err(Audience)),
        ("aud", json!(null), Err(Audience)),
        ("exp", json!(now + 1), Ok(())),
        ("exp", json!(now), Err(Expired)),
        ("exp", json!(now - 1), Err(Expired)),
        ("exp", json!(0), Err(Expired)),
        ("exp", json!(null), Err(Malformed)),
        ("exp", json!("2027"), Err(Malformed)),
        ("nbf", json!(now + 30), Ok(())),
        ("nbf", json!(now + 31), Err(NotYet)),
        ("nbf", json!("soon"), Err(Malformed)),
        ("nbf", json!(null), Ok(())),
        ("iat", json!(now + 30), Ok(())),
        ("iat", json!(now + 31), Err(NotYet)),
        ("iat", json!(null), Ok(())),
        ("sub", json!(null), Err(NoUser)),
        ("sub", json!(""), Err(NoUser)),
        ("phone_number", json!(null), Ok(())),
        ("email", json!(null), Ok(())),
    ] {
        let found = with_claim(name, value.clone()).map(|_| ());
        assert_eq!(found, verdict, "{name} {value}");
    }
}

#[test]
fn what_a_header_would_change_is_refused() {
    assert_eq!(with_header("crit", json!(["b64"])), Err(Refused::Critical));
    assert_eq!(with_header("crit", json!(["exp"])), Err(Refused::Critical));
    assert_eq!(with_header("crit", json!([])), Err(Refused::Critical));
    assert_eq!(with_header("crit", json!(null)), Err(Refused::Critical));
    for typ in [
        "logout+jwt",
        "secevent+jwt",
        "application/dpop+jwt",
        "LOGOUT+JWT",
    ] {
        assert_eq!(
            with_header("typ", json!(typ)),
            Err(Refused::Malformed),
            "{typ}"
        );
    }
    for typ in ["at+jwt", "application/at+JWT", "jwt", "JWT"] {
        assert!(with_header("typ", json!(typ)).is_ok(), "{typ}");
    }
    assert_eq!(with_header("typ", json!(1)), Err(Refused::Malformed));
}

#[test]
fn garbage_is_malformed() {
    let good = signed("RS256", &header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
    let array = b64("[1]");
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "garbage",
        &long,
        &format!("{header}.{claims}"),
        &format!("{array}.{claims}.{signature}"),
        &format!("{}.{claims}.{signature}", b64("{")),
        &format!("{header}=.{claims}.{signature}"),
    ] {
        assert_eq!(judged(token), Err(Refused::Malformed), "{}", token.len());
    }
    for token in [
        format!("{header}.{claims}.{signature}."),
        format!("{header}.{claims}.{signature}.x"),
        format!("{good}=="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{header}.{claims}."),
    ] {
        assert!(judged(&token).is_err(), "{token}");
    }
    // Signed well, but no claims.
    let message = format!("{header}.{array}");
    let signature = b64(sign("RS256", &message));
    let verdict = judged(&format!("{message}.{signature}"));
    assert_eq!(verdict, Err(Refused::Malformed));
}

#[test]
fn sets_without_a_usable_key_are_refused() {
    let read = |text: &str| KeySet::from_jwks(text.as_bytes()).err();
    for text in ["", "[]", "{}", "<html>", r#"{"keys": {}}"#] {
        assert_eq!(read(text), Some(KeyError::NotASet), "{text}");
    }
    let rsa = rsa_jwk(&SIGNERS.rsa);
    let with = |key: &str, value: Value| {
        let mut jwk = rsa.clone();
        jwk[key] = value;
        json!({"keys": [jwk]}).to_string()
    };
    for unusable in [
        json!({"keys": []}).to_string(),
        json!({"keys": [1, {}, {"kty": "oct", "k": "AAAA"}]}).to_string(),
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("alg", json!("HS256")),
        with("alg", json!("RSA-OAEP")),
        with("n", json!(b64([0xff; 128]))),
        with("n", json!("!")),
        json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}).to_string(),
        json!({"keys": [{"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]}).to_string(),
    ] {
        assert_eq!(read(&unusable), Some(KeyError::NoKey), "{unusable}");
    }
    assert!(read(&with("key_ops", json!(["verify"]))).is_none());
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[test]
fn keys_in_pem_are_for_one_algorithm_each() {
    let s = &*SIGNERS;
    let key = |der: &[u8], algorithm, kid: Option<&str>| PemKey {
        pem: pem("PUBLIC KEY", der),
        algorithm,
        kid: kid.map(str::to_owned),
    };
    let rsa = s.rsa.public_key().as_der().unwrap();
    let ec = s.ec.public_key().as_der().unwrap();
    let ed = s.ed.public_key().as_der().unwrap();
    let set = KeySet::from_pem(&[
        key(rsa.as_ref(), VerificationAlgorithm::Rs256, Some("rsa")),
        key(ec.as_ref(), VerificationAlgorithm::Es256, None),
        key(ed.as_ref(), VerificationAlgorithm::EdDsa, None),
    ])
    .unwrap();
    let judged = |alg: &str, kid: &str| {
        let token = signed(alg, &json!({"alg": alg, "kid": kid}), &claims());
        verify(&all(), &set, &token, NOW).map(|_| ())
    };
    assert_eq!(judged("RS256", "rsa"), Ok(()));
    assert_eq!(judged("RS512", "rsa"), Err(Refused::Algorithm));
    assert_eq!(judged("RS256", "other"), Err(Refused::UnknownKey));
    assert_eq!(judged("ES256", "any"), Ok(()), "a key without a name");
    assert_eq!(judged("EdDSA", "any"), Ok(()));
    let wrong = [
        key(rsa.as_ref(), VerificationAlgorithm::Rs256, None),
        key(rsa.as_ref(), VerificationAlgorithm::Es256, None),
    ];
    assert_eq!(KeySet::from_pem(&wrong).err(), Some(KeyError::Pem(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_changed_token_verifies(kind in 0..3usize, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        static TOKENS: LazyLock<[String; 3]> = LazyLock::new(|| {
            ["RS256", "ES256", "EdDSA"].map(|alg| signed(alg, &json!({"alg": alg}), &claims()))
        });
        let good = &TOKENS[kind];
        prop_assert!(judged(good).is_ok());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte % 0x80;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(&changed != good);
        prop_assert!(judged(&changed).is_err(), "{changed}");
        let mut shorter = good.clone();
        shorter.remove(at);
        prop_assert!(judged(&shorter).is_err());
    }
}
