//! Vestibule's own tokens from outside: the published keys, their rotation, the refresh of tokens, and
//! what a backend is told.

use crate::support::iogates::{Backend, Seen};
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, Site, program, secret};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn jwks(gateway: &Gateway) -> JwkSet {
    let url = gateway.url("/.vestibule/jwks.json");
    let answer = gateway.http.get(url).send().await.expect("answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let text = answer.text().await.expect("text");
    assert!(!text.contains("\"d\""), "a private key: {text}");
    serde_json::from_str(&text).expect("a JWKS")
}

/// The claims of a token for `audience`, checked as a backend does it.
async fn checked(gateway: &Gateway, token: &str, audience: &str) -> Value {
    let header = jsonwebtoken::decode_header(token).expect("a JWT");
    let keys = jwks(gateway).await;
    let key = keys
        .find(&header.kid.expect("kid"))
        .expect("a published key");
    let mut rules = Validation::new(header.alg);
    rules.set_audience(&[audience]);
    rules.set_issuer(&["https://files.example.org"]);
    let key = DecodingKey::from_jwk(key).expect("key");
    jsonwebtoken::decode(token, &key, &rules)
        .expect("a good signature")
        .claims
}

async fn site(change: impl FnOnce(Setup) -> Setup) -> (Gateway, Backend, Inbox, String) {
    let Site {
        backend,
        gateway,
        inbox,
        ..
    } = Site::accounts_with(|setup| {
        change(
            setup
                .with(
                    "delivery:\n",
                    "tokens: {issuer: https://files.example.org}\ndelivery:\n",
                )
                .with("dialects: [iogates]", "dialects: [iogates, conduit]"),
        )
    })
    .await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    (gateway, backend, inbox, token)
}

/// Verifies a pair by the Conduit API; the access and the refresh token that it gives.
async fn tokens(gateway: &Gateway, inbox: &Inbox, token: &str) -> (String, String) {
    let post = |path: &str| {
        let url = gateway.url(&format!("/authentication/twoFa/{path}"));
        let request = gateway.http.post(url).bearer_auth(token);
        request.header("x-device-id", "laptop")
    };
    let asked = post("authorize").send().await.expect("answer");
    assert_eq!(asked.status(), 200);
    let code = inbox.code_for(PHONE);
    let body = json!({"code": code}).to_string();
    let answer = post("verify").body(body).send().await.expect("answer");
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    let text = |name: &str| secret(body[name].as_str().expect("token"));
    (text("accessToken"), text("refreshToken"))
}

async fn refresh(gateway: &Gateway, form: &[(&str, &str)], device: &str) -> (StatusCode, Value) {
    let url = gateway.url("/.vestibule/token");
    let mut request = gateway.http.post(url).form(form);
    if !device.is_empty() {
        request = request.header("x-device-id", device);
    }
    let answer = request.send().await.expect("answer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let status = answer.status();
    (status, answer.json().await.expect("JSON"))
}

fn bearer(seen: &Seen) -> Option<&str> {
    let line = seen.headers.get("authorization")?.to_str().expect("text");
    Some(line.strip_prefix("Bearer ").expect("Bearer"))
}

#[tokio::test]
async fn the_keys_are_published_on_every_host_and_check_with_openssl() {
    let (gateway, backend, inbox, token) = site(|setup| {
        setup.with(
            "    phone_region: DK\n",
            "    phone_region: DK\n    token_algorithm: RS256\n    forward: {token: vestibule}\n",
        )
    })
    .await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    let answer = gateway.get("/x", &token, "laptop").send().await;
    assert_eq!(answer.expect("answer").status(), 200);
    let seen = backend.seen().pop().expect("seen");
    let signed = secret(bearer(&seen).expect("a token of Vestibule's"));
    let keys = jwks(&gateway).await;
    let kid = jsonwebtoken::decode_header(&signed).expect("a JWT").kid;
    let key = serde_json::to_value(keys.find(&kid.expect("kid"))).expect("JSON");
    assert_eq!(
        (&key["kty"], &key["alg"], &key["use"]),
        (&json!("RSA"), &json!("RS256"), &json!("sig"))
    );
    openssl(gateway.dir.path(), &key, &signed);

    let elsewhere = gateway.http.get(gateway.url("/.vestibule/jwks.json"));
    let elsewhere = elsewhere.header("host", "other.example.org");
    assert_eq!(elsewhere.send().await.expect("answer").status(), 200);
    let wrong = gateway.http.post(gateway.url("/.vestibule/jwks.json"));
    let wrong = wrong.send().await.expect("answer");
    assert_eq!(wrong.status(), 405);
    assert_eq!(wrong.headers()["allow"], "GET, HEAD");
}

/// Checks an RS256 signature with another program than the one that made it.
fn openssl(dir: &std::path::Path, key: &Value, token: &str) {
    use base64::Engine as _;
    let decode = |text: &str| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text)
            .expect("base64url")
    };
    let hex = |name: &str| {
        let bytes = decode(key[name].as_str().expect("text"));
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let asn1 = format!(
        "asn1=SEQUENCE:key\n[key]\nalgorithm=SEQUENCE:algorithm\nkey=BITWRAP,SEQUENCE:rsa\n\
         [algorithm]\nname=OID:rsaEncryption\nparameter=NULL\n[rsa]\nn=INTEGER:0x{}\ne=INTEGER:0x{}\n",
        hex("n"),
        hex("e")
    );
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    std::fs::write(dir.join("key.conf"), asn1).expect("file");
    std::fs::write(dir.join("message"), message).expect("file");
    std::fs::write(dir.join("signature"), decode(signature)).expect("file");
    let run = |args: &[&str]| {
        let output = std::process::Command::new(program("openssl"))
            .args(args)
            .current_dir(dir)
            .output()
            .expect("openssl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    run(&[
        "asn1parse",
        "-genconf",
        "key.conf",
        "-noout",
        "-out",
        "key.der",
    ]);
    run(&[
        "pkey", "-pubin", "-inform", "DER", "-in", "key.der", "-out", "key.pem",
    ]);
    let said = run(&[
        "dgst",
        "-sha256",
        "-verify",
        "key.pem",
        "-signature",
        "signature",
        "message",
    ]);
    assert!(said.contains("Verified OK"), "{said}");
}

#[tokio::test]
async fn keys_are_rotated_with_overlap() {
    let (gateway, backend, inbox, token) = site(|setup| {
        setup.with(
            "    phone_region: DK\n",
            "    phone_region: DK\n    forward: {assertion: true}\n",
        )
    })
    .await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    let kid = async || {
        let answer = gateway.get("/x", &token, "laptop").send().await;
        assert_eq!(answer.expect("answer").status(), 200);
        let seen = backend.seen().pop().expect("seen");
        let assertion = seen.headers["x-vestibule-assertion"]
            .to_str()
            .expect("text");
        let header = jsonwebtoken::decode_header(assertion).expect("a JWT");
        header.kid.expect("kid")
    };
    let first = kid().await;
    let later = gateway.cli_list(&["key", "rotate", "--json"]);
    let second = later[0]["kid"].as_str().expect("kid");
    assert_eq!(later[0]["algorithm"], "EdDSA");
    assert!(later[0]["signs_from"].as_str() < later[0]["others_end_at"].as_str());
    let published = jwks(&gateway).await;
    assert!(published.find(&first).is_some() && published.find(second).is_some());
    assert_eq!(kid().await, first, "the new one is not used yet");
    let now = gateway.cli_list(&["key", "rotate", "--now", "--json"]);
    assert_eq!(kid().await, now[0]["kid"].as_str().expect("kid"));
    assert_eq!(jwks(&gateway).await.keys.len(), 3);
    let text = gateway.cli(&["key", "rotate"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.starts_with("KEY ") && text.contains("EdDSA"), "{text}");
}

#[tokio::test]
async fn a_backend_is_told_under_signature_and_nobody_else_can() {
    let (gateway, backend, inbox, token) = site(|setup| {
        setup.with(
            "    phone_region: DK\n",
            "    phone_region: DK\n    forward: {token: none, assertion: true}\n  - {name: media, hosts: [media.example.org], upstream: files, identity: users, forward: {token: vestibule, audience: media-backend}}\n",
        )
    })
    .await;
    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    let ask = async |host: &str, path: &str, forged: &str| {
        let request = gateway.get(path, &token, "laptop").header("host", host);
        let request = request.header("x-vestibule-assertion", forged);
        let answer = request.header("x_vestibule_assertion", forged).send().await;
        assert_eq!(answer.expect("answer").status(), 200);
        backend.seen().pop().expect("seen")
    };
    let seen = ask("files.example.org", "/x", "forged").await;
    assert_eq!(
        seen.headers.get_all("x-vestibule-assertion").iter().count(),
        1
    );
    assert!(seen.headers.get("x_vestibule_assertion").is_none());
    assert_eq!(bearer(&seen), None);
    let assertion = secret(
        seen.headers["x-vestibule-assertion"]
            .to_str()
            .expect("text"),
    );
    let said = checked(&gateway, &assertion, "files").await;
    assert_eq!(
        (&said["name"], &said["amr"]),
        (&json!("anna"), &json!(["sms"]))
    );
    assert!(said["auth_time"].is_i64() && said["sub"].is_string());
    assert_eq!(
        said["device"].as_str(),
        seen.headers["x-vestibule-device"].to_str().ok()
    );
    assert_eq!(said["exp"].as_i64(), said["iat"].as_i64().map(|at| at + 60));

    let seen = ask("media.example.org", "/x", &assertion).await;
    assert!(seen.headers.get("x-vestibule-assertion").is_none());
    let signed = secret(bearer(&seen).expect("a token of Vestibule's"));
    assert_ne!(signed, token);
    assert_eq!(
        checked(&gateway, &signed, "media-backend").await["name"],
        "anna"
    );
    // What is signed for a backend opens nothing here.
    let replayed = gateway.get("/x", &signed, "laptop").send().await;
    assert_eq!(replayed.expect("answer").status(), 401);

    let open = gateway.http.get(gateway.url("/public/x"));
    let open = open
        .header("x-vestibule-assertion", &assertion)
        .send()
        .await;
    assert_eq!(open.expect("answer").status(), 200);
    let seen = backend.seen().pop().expect("seen");
    assert!(seen.headers.get("x-vestibule-assertion").is_none());
}

#[tokio::test]
async fn a_token_that_stands_for_another_reaches_the_backend_as_that_one() {
    let (gateway, backend, inbox, root) = site(|setup| setup).await;
    let (access, _) = tokens(&gateway, &inbox, &root).await;
    let answer = gateway.get("/x", &access, "laptop").send().await;
    assert_eq!(answer.expect("answer").status(), 200);
    let seen = backend.seen().pop().expect("seen");
    assert_eq!(bearer(&seen), Some(root.as_str()));

    let request = gateway
        .http
        .get(gateway.url(&format!("/x?a=1&token={access}&b=2")));
    let cookie = format!("c=d; IOGATES={access}; e=f");
    let request = request
        .header("cookie", cookie)
        .header("x-device-id", "laptop");
    assert_eq!(request.send().await.expect("answer").status(), 200);
    let seen = backend.seen().pop().expect("seen");
    assert_eq!(seen.target, format!("/x?a=1&token={root}&b=2"));
    assert_eq!(seen.headers["cookie"], format!("c=d; IOGATES={root}; e=f"));
    assert_eq!(bearer(&seen), None);

    // After a restart, out of the store, and on a path that asks for a token alone.
    let setup = Setup {
        yaml: std::fs::read_to_string(gateway.dir.path().join("vestibule.yaml")).expect("config"),
    };
    let gateway = Gateway::start_in(gateway.kill(), &setup);
    for path in ["/x", "/half/x"] {
        let answer = gateway.get(path, &access, "laptop").send().await;
        assert_eq!(answer.expect("answer").status(), 200);
        let seen = backend.seen().pop().expect("seen");
        assert_eq!(bearer(&seen), Some(root.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_refresh_rotates_and_reuse_ends_the_family() {
    let (gateway, _backend, inbox, root) = site(|setup| setup).await;
    let (access, first) = tokens(&gateway, &inbox, &root).await;
    let status = async |token: &str| {
        let answer = gateway.get("/x", token, "laptop").send().await;
        answer.expect("answer").status().as_u16()
    };
    assert_eq!(status(&access).await, 200);
    let grant = |token| vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    let (code, body) = refresh(&gateway, &grant(&first), "laptop").await;
    assert_eq!(code, 200, "{body}");
    assert_eq!(
        (&body["token_type"], &body["expires_in"]),
        (&json!("Bearer"), &json!(3600))
    );
    let text = |name: &str| secret(body[name].as_str().expect("token"));
    let (new, second) = (text("access_token"), text("refresh_token"));
    assert_eq!((status(&new).await, status(&access).await), (200, 200));

    let (code, body) = refresh(&gateway, &grant(&first), "laptop").await;
    assert_eq!(
        (code.as_u16(), &body["error"]),
        (400, &json!("invalid_grant"))
    );
    let ended = crate::support::wait_for(
        "the family to end",
        std::time::Duration::from_secs(5),
        async || (status(&new).await == 401 && status(&access).await == 401).then_some(()),
    );
    ended.await;
    let (code, _) = refresh(&gateway, &grant(&second), "laptop").await;
    assert_eq!(code, 400);
    assert_eq!(status(&root).await, 200, "what it stood for goes on");
}

#[tokio::test]
async fn a_bad_refresh_is_told_as_the_standard_says() {
    let (gateway, _backend, inbox, root) = site(|setup| setup).await;
    let (access, token) = tokens(&gateway, &inbox, &root).await;
    for (form, error) in [
        (vec![], "invalid_request"),
        (vec![("refresh_token", token.as_str())], "invalid_request"),
        (vec![("grant_type", "refresh_token")], "invalid_request"),
        (
            vec![("grant_type", "refresh_token"), ("refresh_token", "")],
            "invalid_request",
        ),
        (
            vec![
                ("grant_type", "password"),
                ("refresh_token", token.as_str()),
            ],
            "unsupported_grant_type",
        ),
        (
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", "no such"),
            ],
            "invalid_grant",
        ),
        (
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", access.as_str()),
            ],
            "invalid_grant",
        ),
    ] {
        let (status, body) = refresh(&gateway, &form, "laptop").await;
        assert_eq!(
            (status.as_u16(), &body["error"]),
            (400, &json!(error)),
            "{form:?}"
        );
        assert!(body["error_description"].is_string());
    }
    let good = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str()),
    ];
    for device in ["", "phone"] {
        let (status, body) = refresh(&gateway, &good, device).await;
        assert_eq!(
            (status.as_u16(), &body["error"]),
            (400, &json!("invalid_grant"))
        );
    }
    // JSON is read whatever its type says.
    let json = json!({"grant_type": "refresh_token", "refresh_token": token, "deviceId": "laptop"});
    let url = gateway.url("/.vestibule/token");
    let answer = gateway.http.post(url).body(json.to_string()).send().await;
    assert_eq!(answer.expect("answer").status(), 200);
}
