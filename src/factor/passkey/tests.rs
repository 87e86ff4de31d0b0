//! What a passkey must show, and what is refused: a software authenticator against the library.

use super::soft::{BE, BS, Soft, UP, UV};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::json;

const ORIGIN: &str = "https://files.example.org";
const HANDLE: [u8; 32] = [7; 32];
const ID: PasskeyId = PasskeyId(3);

fn at<'a>(host: &'a str, origin: &'a str) -> Site<'a> {
    let service = "Files";
    Site {
        host,
        origin,
        service,
    }
}

fn site() -> Site<'static> {
    at("files.example.org", ORIGIN)
}

fn begin_register(site: Site<'_>) -> Begun {
    let account = Account {
        handle: &HANDLE,
        name: "ann",
    };
    site.register(account, &[]).unwrap()
}

fn enrolled(soft: &Soft) -> Secret {
    let begun = begin_register(site());
    let new = site().registered(&soft.create(&begun.options), &begun.state);
    new.unwrap().credential
}

fn answered(soft: &Soft, credential: &Secret) -> Result<Answered, Unfit> {
    let begun = site().ask(&[credential]).unwrap();
    let answer = soft.get(&begun.options);
    site().answered(&answer, &begun.state, &HANDLE, [(ID, credential)])
}

#[test]
fn a_passkey_is_registered_and_answers() {
    let mut soft = Soft::new(ORIGIN);
    soft.sign_count = 8;
    let begun = begin_register(site());
    let new = site().registered(&soft.create(&begun.options), &begun.state);
    let new = new.unwrap();
    assert_eq!((new.id, new.sign_count), (soft.id.clone(), 8));
    soft.sign_count = 9;
    soft.handle = Some(HANDLE.to_vec());
    let right = answered(&soft, &new.credential).unwrap();
    assert_eq!((right.passkey, right.sign_count), (ID, 9));
    // What the store keeps of it answers again, and the counter is the store's to judge.
    soft.sign_count = 2;
    let again = answered(&soft, &right.credential).unwrap();
    assert_eq!(again.sign_count, 2);
}

#[test]
fn a_browser_is_asked_for_a_discoverable_passkey_of_a_verified_user() {
    let known = enrolled(&Soft::new(ORIGIN));
    let account = Account {
        handle: &HANDLE,
        name: "ann",
    };
    let begun = site().register(account, &[&known]).unwrap();
    let asked = &begun.options["publicKey"];
    assert_eq!(
        asked["rp"],
        json!({ "id": "files.example.org", "name": "Files" })
    );
    assert_eq!(asked["user"]["id"], json!(BASE64URL.encode(HANDLE)));
    assert_eq!(asked["user"]["name"], "ann");
    assert_eq!(asked["attestation"], "none");
    assert_eq!(asked["timeout"], 300_000);
    let selection = &asked["authenticatorSelection"];
    assert_eq!(selection["residentKey"], "preferred");
    assert_eq!(selection["userVerification"], "required");
    assert_eq!(
        asked["excludeCredentials"].as_array().map(Vec::len),
        Some(1)
    );
    let algorithms = asked["pubKeyCredParams"].as_array().unwrap();
    let algorithms: Vec<_> = algorithms.iter().map(|one| &one["alg"]).collect();
    assert_eq!(algorithms, [-7, -35, -257], "ES256, ES384, RS256");

    let begun = site().ask(&[&known]).unwrap();
    let asked = &begun.options["publicKey"];
    assert_eq!(asked["rpId"], "files.example.org");
    assert_eq!(asked["userVerification"], "required");
    assert_eq!(asked["allowCredentials"].as_array().map(Vec::len), Some(1));
    let other = site().ask(&[&known]).unwrap();
    assert_ne!(asked["challenge"], other.options["publicKey"]["challenge"]);
    assert_eq!(format!("{begun:?}").matches("***").count(), 1);
}

#[test]
fn what_is_wrong_at_registration_is_refused() {
    let refused = |wrong: &dyn Fn(&mut Soft), change: &dyn Fn(&mut Value)| {
        let mut soft = Soft::new(ORIGIN);
        wrong(&mut soft);
        let begun = begin_register(site());
        let mut answer = soft.create(&begun.options);
        change(&mut answer);
        site().registered(&answer, &begun.state).unwrap_err()
    };
    let as_it_is = |_: &mut Value| {};
    let soft = |wrong: &dyn Fn(&mut Soft)| refused(wrong, &as_it_is);
    assert_eq!(soft(&|it| it.flags = UP), Unfit::NotVerified);
    assert_eq!(soft(&|it| it.flags = UV), Unfit::NotVerified);
    assert_eq!(soft(&|it| it.cross_origin = true), Unfit::OtherSite);
    for origin in [
        "https://evil.example",
        "http://files.example.org",
        "https://files.example.org:8443",
        "https://a.files.example.org",
    ] {
        assert_eq!(
            soft(&|it| it.origin = origin.to_owned()),
            Unfit::OtherSite,
            "{origin}"
        );
    }
    let json = |change: &dyn Fn(&mut Value)| refused(&|_| {}, change);
    assert_eq!(json(&|it| *it = json!(null)), Unfit::Unreadable);
    assert_eq!(json(&|it| it["response"] = json!({})), Unfit::Unreadable);
    let cut = |it: &mut Value| {
        let object = it["response"]["attestationObject"].as_str().unwrap();
        it["response"]["attestationObject"] = json!(object[..object.len() - 8]);
    };
    assert_eq!(json(&cut), Unfit::Unreadable);

    // Another ceremony's answer, and one of the other kind.
    let (begun, other) = (begin_register(site()), begin_register(site()));
    let answer = Soft::new(ORIGIN).create(&other.options);
    let late = site().registered(&answer, &begun.state);
    assert_eq!(late.unwrap_err(), Unfit::OtherCeremony);
    // On another host, of which the answer may be right.
    let elsewhere = at("media.example.org", "https://media.example.org");
    let right = Soft::new(ORIGIN).create(&begun.options);
    let moved = elsewhere.registered(&right, &begun.state);
    assert_eq!(moved.unwrap_err(), Unfit::OtherSite);
}

#[test]
fn what_is_wrong_in_an_answer_is_refused() {
    let soft = Soft::new(ORIGIN);
    let credential = enrolled(&soft);
    let wrong = |change: &dyn Fn(&mut Soft)| {
        let mut soft = Soft::new(ORIGIN);
        let credential = enrolled(&soft);
        change(&mut soft);
        answered(&soft, &credential).unwrap_err()
    };
    assert_eq!(wrong(&|it| it.flags = UP), Unfit::NotVerified);
    assert_eq!(wrong(&|it| it.flags = UV), Unfit::NotVerified);
    assert_eq!(wrong(&|it| it.flags |= BE), Unfit::BackupChanged);
    assert_eq!(wrong(&|it| it.flags |= BS), Unfit::BackupChanged);
    assert_eq!(wrong(&|it| it.cross_origin = true), Unfit::OtherSite);
    let evil = |it: &mut Soft| it.origin = "https://evil.example".to_owned();
    assert_eq!(wrong(&evil), Unfit::OtherSite);
    assert_eq!(wrong(&|it| it.handle = Some(vec![8; 32])), Unfit::OtherUser);
    assert_eq!(wrong(&|it| it.id = vec![1; 32]), Unfit::Unknown);

    // Another key under the right identifier.
    let mut forger = Soft::new(ORIGIN);
    forger.id.clone_from(&soft.id);
    assert_eq!(
        answered(&forger, &credential).unwrap_err(),
        Unfit::BadSignature
    );
    // Another ceremony's answer.
    let (begun, other) = (site().ask(&[&credential]), site().ask(&[&credential]));
    let (begun, other) = (begun.unwrap(), other.unwrap());
    let answer = soft.get(&other.options);
    let late = site().answered(&answer, &begun.state, &HANDLE, [(ID, &credential)]);
    assert_eq!(late.unwrap_err(), Unfit::OtherCeremony);
    // A passkey that is not the user's any more.
    let answer = soft.get(&begun.options);
    let gone = site().answered(&answer, &begun.state, &HANDLE, []);
    assert_eq!(gone.unwrap_err(), Unfit::Unknown);
}

#[test]
fn what_may_be_backed_up_goes_on_saying_so() {
    let mut soft = Soft::new(ORIGIN);
    soft.flags |= BE;
    let credential = enrolled(&soft);
    soft.flags |= BS;
    let now_backed_up = answered(&soft, &credential).unwrap().credential;
    assert_ne!(now_backed_up, credential);
    soft.flags = UP | UV;
    let changed = answered(&soft, &now_backed_up).unwrap_err();
    assert_eq!(changed, Unfit::BackupChanged);
}

#[test]
fn an_authenticator_that_has_one_makes_no_second() {
    let soft = Soft::new(ORIGIN);
    let known = enrolled(&soft);
    let account = Account {
        handle: &HANDLE,
        name: "ann",
    };
    let begun = site().register(account, &[&known]).unwrap();
    let again = site().registered(&soft.create(&begun.options), &begun.state);
    assert_eq!(again.unwrap_err(), Unfit::NotSupported);
}

#[test]
fn there_are_passkeys_where_browsers_have_them() {
    for (host, origin, has) in [
        ("files.example.org", "https://files.example.org", true),
        ("files.example.org", "https://files.example.org:8443", true),
        ("localhost", "http://localhost:8080", true),
        ("a.localhost", "http://a.localhost", true),
        ("files.example.org", "http://files.example.org", false),
        ("192.0.2.7", "https://192.0.2.7", false),
        ("[2001:db8::7]", "https://[2001:db8::7]", false),
        ("files.example.org", "https://other.example.org", false),
        ("files.example.org", "", false),
    ] {
        assert_eq!(at(host, origin).has_passkeys(), has, "{origin}");
    }
}

#[test]
fn names_are_short_and_printable() {
    assert_eq!(name(" Ann's phone\n"), Some("Ann's phone".to_owned()));
    assert_eq!(name(&"å".repeat(60)), Some("å".repeat(60)));
    for bad in ["", "  ", "a\tb", "a\u{7}b", &"x".repeat(61)] {
        assert_eq!(name(bad), None, "{bad:?}");
    }
}

/// Bytes of the test vectors of WebAuthn Level 3, section 16.2 ("ES256 Credential with No
/// Attestation"): RP ID `example.org`, origin `https://example.org`. Its user is not verified.
mod of_the_standard {
    pub(super) const CREATE_CHALLENGE: &str =
        "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130";
    pub(super) const CREATE_CLIENT_DATA: &str = concat!(
        "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2241",
        "4d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f75565734",
        "5441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73",
        "734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a53",
        "4f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c64",
        "7320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354",
        "427258426941774a544c453551227d",
    );
    pub(super) const ATTESTATION_OBJECT: &str = concat!(
        "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360",
        "d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff",
        "6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a50102",
        "03262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df6122",
        "5820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
    );
    pub(super) const ID: &str = "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4";
    pub(super) const GET_CHALLENGE: &str =
        "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408";
    pub(super) const GET_CLIENT_DATA: &str = concat!(
        "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e",
        "55685158756c5455506f334a5558543049393770767a7a59425039745a6368587961763031416722",
        "2c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f72",
        "6967696e223a66616c73657d",
    );
    pub(super) const AUTHENTICATOR_DATA: &str =
        "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000";
    pub(super) const SIGNATURE: &str = concat!(
        "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd38022100",
        "8480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87",
    );
}

fn base64url(hex: &str) -> String {
    let digits = hex.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16));
    BASE64URL.encode(bytes.collect::<Result<Vec<_>, _>>().unwrap())
}

/// The state of a ceremony, with another challenge and policy.
fn altered(state: &Secret, challenge: &str, policy: &str) -> Secret {
    let mut state: Value = serde_json::from_str(state.expose()).unwrap();
    for (name, value) in [
        ("challenge", base64url(challenge)),
        ("policy", policy.to_owned()),
    ] {
        assert!(state[name].is_string(), "{name}");
        state[name] = json!(value);
    }
    Secret::new(state.to_string())
}

#[test]
fn the_vectors_of_the_standard() {
    use of_the_standard::*;
    let site = at("example.org", "https://example.org");
    let begun = begin_register(site);
    let created = json!({
        "id": base64url(ID),
        "rawId": base64url(ID),
        "type": "public-key",
        "response": {
            "clientDataJSON": base64url(CREATE_CLIENT_DATA),
            "attestationObject": base64url(ATTESTATION_OBJECT),
        },
    });
    let ours = altered(&begun.state, CREATE_CHALLENGE, "required");
    let unverified = site.registered(&created, &ours).unwrap_err();
    assert_eq!(unverified, Unfit::NotVerified);
    let lenient = altered(&begun.state, CREATE_CHALLENGE, "discouraged");
    let new = site.registered(&created, &lenient).unwrap();
    assert_eq!(
        (BASE64URL.encode(&new.id), new.sign_count),
        (base64url(ID), 0)
    );

    let begun = site.ask(&[&new.credential]).unwrap();
    let mut answer = json!({
        "id": base64url(ID),
        "rawId": base64url(ID),
        "type": "public-key",
        "response": {
            "clientDataJSON": base64url(GET_CLIENT_DATA),
            "authenticatorData": base64url(AUTHENTICATOR_DATA),
            "signature": base64url(SIGNATURE),
        },
    });
    let judged = |answer: &Value, policy| {
        let state = altered(&begun.state, GET_CHALLENGE, policy);
        let known = [(super::tests::ID, &new.credential)];
        site.answered(answer, &state, &HANDLE, known)
    };
    assert_eq!(judged(&answer, "required").unwrap_err(), Unfit::NotVerified);
    assert_eq!(judged(&answer, "discouraged").unwrap().sign_count, 0);
    let forged = SIGNATURE.replace("e331e87", "e331e86");
    answer["response"]["signature"] = json!(base64url(&forged));
    let forged = judged(&answer, "discouraged").unwrap_err();
    assert_eq!(forged, Unfit::BadSignature);
}
