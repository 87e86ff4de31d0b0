//! B2Core's "Two-factor authentication".
//!
//! | call | test |
//! |---|---|
//! | `GET /api/v2/my/signin`, `POST /api/v2/my/signin` | `a_user_signs_in_by_sms` |
//! | `POST /api/v2/my/signin/2fa` | `a_user_with_both_methods_chooses` |
//! | `POST /api/v2/my/2fa/google` | `a_user_with_both_methods_chooses` |
//! | `POST /api/v2/my/2fa/sms` | `a_user_signs_in_by_sms` |
//! | `GET /api/v2/my/2fa/challenge` | `a_token_confirms_an_operation_by_mail` |
//! | `GET /api/v2/my/2fa/unauthorized/challenge` | `without_a_token_an_address_confirms_an_operation` |
//! | `POST /api/v2/my/2fa/challenge` | both of these |
//! | `GET /api/v2/my/2fa`, `GET /api/v2/my/2fa/{type}` | `the_methods_are_told` |
//! | `GET /api/v2/my/2fa/{type}/enable/wizard`, `POST /api/v2/my/2fa/wizard` | `google_is_enabled_and_disabled`, `sms_is_enabled_and_disabled` |
//! | `GET /api/v2/my/2fa/{type}/disable/wizard` | the same two |
//! | `GET /api/v2/my/2fa/changes`, `GET /api/v2/my/2fa/changes/{changeId}` | `changes_are_logged_for_their_user` |

use super::tools::{add_user, app_code};
use super::{Answer, World, read, wrong};
use crate::support::{PASSWORD, Setup, secret};
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};
use std::collections::HashSet;

const PHONE: &str = "+79994445561";
const EMAIL: &str = "ann@example.org";
const OVER: &str = "B2B\\TCA\\Wizards\\Workflow\\TerminateWorkflow";
/// A path that asks for the second factor, and nothing more.
const FILE: &str = "/file";

async fn world() -> World {
    World::start("b2core", with_password_rule).await
}

/// A change of the password asks for a success token.
fn with_password_rule(setup: Setup) -> Setup {
    setup.with(
        "    rules:\n",
        "    rules:\n      - {methods: [POST], paths: [/api/password], require: success_token}\n",
    )
}

fn step(code: u16, data: &Value, workflow: &str) -> Value {
    json!({
        "code": code, "data": data, "done": code == 202, "uuid": "<uuid>", "workflow": workflow,
    })
}

/// The documented end of a sign-in.
fn signed_in() -> Value {
    let token = json!({"token": "<JWT>", "createdAt": "<time>", "expiresAt": "<time>"});
    step(
        202,
        &json!({"accessToken": token, "refreshToken": token}),
        "login",
    )
}

fn is_field_error(answer: &Answer, status: u16, field: &str) {
    let message = answer.refuses(status).to_owned();
    let documented = json!({"code": status, "message": message, "errors": {field: [message]}});
    answer.is(status, &documented);
}

impl World {
    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, None).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call("POST", path, token, Some(body)).await
    }

    /// Opens the sign-in wizard and passes the password; the answer, with its uuid.
    async fn password(&self, name: &str) -> (Answer, String) {
        let opened = self.get("/api/v2/my/signin", "").await;
        opened.is(200, &step(200, &Value::Null, "login"));
        let uuid = secret(&opened.text("/uuid"));
        let body = json!({"uuid": uuid, "username": name, "password": PASSWORD});
        (self.post("/api/v2/my/signin", "", body).await, uuid)
    }

    /// The access token of a user without a factor.
    async fn bare_token(&self, name: &str) -> String {
        let (answer, _) = self.password(name).await;
        answer.is(202, &signed_in());
        secret(&answer.text("/data/accessToken/token"))
    }

    async fn code_step(&self, method: &str, uuid: &str, code: &str) -> Answer {
        let path = format!("/api/v2/my/2fa/{method}");
        let body = json!({"uuid": uuid, "code": code});
        self.post(&path, "", body).await
    }

    async fn wizard(&self, token: &str, body: Value) -> Answer {
        self.post("/api/v2/my/2fa/wizard", token, body).await
    }

    /// Signs in with a code by SMS.
    async fn sms_token(&self, name: &str) -> String {
        let (asked, uuid) = self.password(name).await;
        asked.is(200, &step(200, &Value::Null, "2fa_sms_auth"));
        let code = self.inbox.code_for(PHONE);
        let answer = self.code_step("sms", &uuid, &code).await;
        secret(&answer.text("/data/accessToken/token"))
    }

    /// Enables an authenticator with the code of the step before this one; its key.
    async fn enable_google(&self, token: &str) -> String {
        let opened = self.get("/api/v2/my/2fa/google/enable/wizard", token).await;
        opened.is(200, &step(200, &json!({"key": "<base32>"}), "2fa_google"));
        let (uuid, key) = (opened.text("/uuid"), secret(&opened.text("/data/key")));
        let code = app_code(&key, -1).await;
        let body = json!({"uuid": uuid, "action": "code", "code": code, "key": key});
        let done = self.wizard(token, body).await;
        done.is(202, &step(202, &json!([]), OVER));
        key
    }

    async fn opens(&self, path: &str, token: &str) -> u16 {
        self.get(path, token).await.status
    }
}

#[tokio::test]
async fn a_user_signs_in_by_sms() {
    for algorithm in ["EdDSA", "RS256"] {
        let change = |setup: Setup| {
            let tokens = "delivery:\n  email";
            let with = format!(
                "tokens: {{issuer: \"https://files.example.org\", algorithm: {algorithm}}}\n{tokens}"
            );
            with_password_rule(setup).with(tokens, &with)
        };
        let world = World::start("b2core", change).await;
        add_user(&world.gateway, "ann", &["--phone", PHONE, "--email", EMAIL]);
        let opened = world.get("/api/v2/my/signin", "").await;
        let uuid = secret(
            opened.is(200, &step(200, &Value::Null, "login"))["uuid"]
                .as_str()
                .expect("uuid"),
        );
        let body = json!({"uuid": uuid, "email": "Ann@Example.org", "password": PASSWORD});
        let asked = world.post("/api/v2/my/signin", "", body).await;
        asked.is(200, &step(200, &Value::Null, "2fa_sms_auth"));
        assert_eq!(asked.text("/uuid"), uuid);
        assert_eq!(asked.headers["cache-control"], "no-store");
        let code = world.inbox.code_for(PHONE);
        is_field_error(
            &world.code_step("sms", &uuid, &wrong(&code)).await,
            422,
            "code",
        );
        let done = world.code_step("sms", &uuid, &code).await;
        done.is(202, &signed_in());
        assert_eq!(done.text("/uuid"), uuid);
        let token = secret(&done.text("/data/accessToken/token"));
        assert_eq!(world.opens(FILE, &token).await, 200, "born verified");
        world.code_step("sms", &uuid, &code).await.refuses(404);
        let refresh = secret(&done.text("/data/refreshToken/token"));
        assert_eq!(world.opens(FILE, &refresh).await, 401);
        for token in [&token, &refresh] {
            is_signed(&world, token, algorithm).await;
        }
    }
}

/// Whether a token verifies against the published keys, as whoever is behind the gateway does it.
async fn is_signed(world: &World, token: &str, algorithm: &str) {
    let keys = world.get("/.vestibule/jwks.json", "").await;
    let keys: JwkSet = serde_json::from_value(keys.body).expect("a JWKS");
    let header = jsonwebtoken::decode_header(token).expect("a header");
    let algorithm = algorithm.parse().expect("an algorithm");
    assert_eq!(header.alg, algorithm);
    let key = keys.find(&header.kid.expect("kid")).expect("its key");
    let key = jsonwebtoken::DecodingKey::from_jwk(key).expect("a key");
    let mut rules = jsonwebtoken::Validation::new(algorithm);
    rules.set_issuer(&["https://files.example.org"]);
    rules.set_required_spec_claims(&["exp", "iss", "sub"]);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)
        .expect("a signature")
        .claims;
    for claim in ["sub", "iat", "exp", "iss", "jti"] {
        assert!(claims.get(claim).is_some(), "{claim} in {claims}");
    }
}

#[tokio::test]
async fn a_user_with_both_methods_chooses() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--phone", PHONE]);
    let token = world.sms_token("ann").await;
    let key = world.enable_google(&token).await;

    let (asked, uuid) = world.password("ann").await;
    asked.is(200, &step(200, &Value::Null, "2fa_choose"));
    let sent = world.inbox.messages().len();
    let choose = async |kind: &str| {
        let body = json!({"uuid": uuid, "type": kind});
        world.post("/api/v2/my/signin/2fa", "<token>", body).await
    };
    is_field_error(&choose("email").await, 422, "type");
    world
        .code_step("google", &uuid, "123456")
        .await
        .refuses(422);
    choose("sms")
        .await
        .is(200, &step(200, &Value::Null, "2fa_sms_auth"));
    assert_eq!(world.inbox.messages().len(), sent + 1);
    choose("google")
        .await
        .is(200, &step(200, &Value::Null, "2fa_google_auth"));
    assert_eq!(
        world.inbox.messages().len(),
        sent + 1,
        "an app is sent nothing"
    );
    let code = app_code(&key, 0).await;
    is_field_error(&world.code_step("sms", &uuid, &code).await, 422, "uuid");
    is_field_error(
        &world.code_step("google", &uuid, &wrong(&code)).await,
        422,
        "code",
    );
    let done = world.code_step("google", &uuid, &code).await;
    done.is(202, &signed_in());
    let token = secret(&done.text("/data/accessToken/token"));
    assert_eq!(world.opens(FILE, &token).await, 200);
    choose("google").await.refuses(404);
}

#[tokio::test]
async fn of_fifty_that_send_the_code_one_signs_in() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--phone", PHONE]);
    let (_, uuid) = world.password("ann").await;
    let code = world.inbox.code_for(PHONE);
    let tries = (0..50).map(|_| world.code_step("sms", &uuid, &code));
    let answers = futures(tries).await;
    let done = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(done, 1);
    let others: HashSet<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(
        others.is_subset(&HashSet::from([202, 404, 422])),
        "{others:?}"
    );
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| Some(Box::pin(one))).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        for slot in &mut all {
            if let Some(one) = slot
                && let std::task::Poll::Ready(value) = one.as_mut().poll(cx)
            {
                done.push(value);
                *slot = None;
            }
        }
        match all.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done
}

#[tokio::test]
async fn a_wrong_password_is_refused_alike_and_throttled() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--phone", PHONE, "--email", EMAIL]);
    let opened = world.get("/api/v2/my/signin", "").await;
    let uuid = opened.text("/uuid");
    let sign_in = async |who: Value| {
        let mut body = json!({"uuid": uuid, "password": "not-the-password"});
        let members = body.as_object_mut().expect("object");
        members.extend(who.as_object().expect("object").clone());
        world.post("/api/v2/my/signin", "", body).await
    };
    let known = sign_in(json!({"username": "ann"})).await;
    known.refuses(401);
    assert!(known.headers.contains_key("www-authenticate"));
    for who in [
        json!({"username": "nobody"}),
        json!({"email": EMAIL}),
        json!({"email": "nobody@example.org"}),
    ] {
        assert_eq!(sign_in(who).await.body, known.body);
    }
    // However the address is written, it is the same account.
    for email in [
        "ANN@example.org",
        "aNN@example.org",
        "anN@example.org",
        "Ann@example.org",
    ] {
        sign_in(json!({"email": email})).await.refuses(401);
    }
    let throttled = sign_in(json!({"email": "anN@Example.org"})).await;
    throttled.refuses(429);
    assert!(throttled.headers.contains_key("retry-after"));
    is_field_error(&sign_in(json!({})).await, 422, "email");
    let body = json!({"uuid": "36f59381-5b54-48bd-a0c7-3b908c476732", "username": "ann", "password": PASSWORD});
    world.post("/api/v2/my/signin", "", body).await.refuses(404);
}

#[tokio::test]
async fn a_sign_in_goes_on_with_the_device_that_opened_it() {
    let world = world().await;
    add_user(&world.gateway, "ann", &[]);
    let opened = world.get("/api/v2/my/signin?deviceId=phone", "").await;
    let uuid = opened.text("/uuid");
    let sign_in = async |query: &str| {
        let body = json!({"uuid": uuid, "username": "ann", "password": PASSWORD});
        world
            .post(&format!("/api/v2/my/signin{query}"), "", body)
            .await
    };
    sign_in("").await.refuses(404);
    sign_in("?deviceId=laptop").await.refuses(404);
    sign_in("?deviceId=phone").await.is(202, &signed_in());
}

#[tokio::test]
async fn the_methods_are_told() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--phone", PHONE]);
    let token = world.sms_token("ann").await;
    let sms = json!({"caption": "SMS Confirmation", "isEnabled": true, "name": "sms"});
    let google = json!({"caption": "Google Authenticator", "isEnabled": false, "name": "google"});
    let all = world.get("/api/v2/my/2fa?limit=10&offset=0", &token).await;
    all.is(200, &json!({"total": 2, "data": [sms, google]}));
    let second = world.get("/api/v2/my/2fa?limit=1&offset=1", &token).await;
    second.is(200, &json!({"total": 2, "data": [google]}));
    let one = world
        .get("/api/v2/my/2fa/google?limit=10&offset=0", &token)
        .await;
    one.is(200, &google);
    world.get("/api/v2/my/2fa/sms", &token).await.is(200, &sms);
    world
        .get("/api/v2/my/2fa/telegram", &token)
        .await
        .refuses(404);
    let nobody = world.get("/api/v2/my/2fa", "").await;
    nobody.is(401, &json!({"code": 401, "message": nobody.refuses(401)}));
    world.get("/api/v2/my/2fa", "garbage").await.refuses(401);
    let wrong_method = world.call("DELETE", "/api/v2/my/2fa", &token, None).await;
    wrong_method.refuses(405);
    assert_eq!(wrong_method.headers["allow"], "GET, HEAD");
    let head = world
        .call("HEAD", "/api/v2/my/2fa/google/enable/wizard", &token, None)
        .await;
    assert_eq!(head.status, 405, "it would open a wizard");
}

#[tokio::test]
async fn google_is_enabled_and_disabled() {
    let world = world().await;
    add_user(&world.gateway, "ann", &[]);
    let token = world.bare_token("ann").await;
    assert_eq!(
        world.opens(FILE, &token).await,
        401,
        "no factor is no way in"
    );
    let opened = world
        .get("/api/v2/my/2fa/google/enable/wizard", &token)
        .await;
    let (uuid, key) = (opened.text("/uuid"), secret(&opened.text("/data/key")));
    let code = app_code(&key, -1).await;
    let finish = async |uuid: &str, action: &str, code: &str, key: &str| {
        let body = json!({"uuid": uuid, "action": action, "code": code, "key": key});
        world.wizard(&token, body).await
    };
    is_field_error(
        &finish(&uuid, "code", &wrong(&code), &key).await,
        422,
        "code",
    );
    is_field_error(
        &finish(&uuid, "code", &code, "TPYXG33M4LOHFJHB").await,
        422,
        "key",
    );
    is_field_error(&finish(&uuid, "phone", &code, &key).await, 422, "action");
    let unknown = "36f59381-5b54-48bd-a0c7-3b908c476732";
    finish(unknown, "code", &code, &key).await.refuses(404);
    // Another user's, and another kind's.
    add_user(&world.gateway, "bob", &[]);
    let bobs = world.bare_token("bob").await;
    let body = json!({"uuid": uuid, "action": "code", "code": code, "key": key});
    world.wizard(&bobs, body).await.refuses(404);
    world.code_step("google", &uuid, &code).await.refuses(404);
    let done = finish(&uuid, "code", &code, &key).await;
    done.is(202, &step(202, &json!([]), OVER));
    assert_eq!(world.opens(FILE, &token).await, 200, "it verifies the pair");
    finish(&uuid, "code", &code, &key).await.refuses(404);

    // Another token of the user has shown no second factor.
    let other = world.gateway.sign_in("ann", PASSWORD, "laptop").await;
    world
        .get("/api/v2/my/2fa/google/disable/wizard", &other)
        .await
        .refuses(403);
    world
        .get("/api/v2/my/2fa/sms/enable/wizard", &other)
        .await
        .refuses(403);
    world
        .get("/api/v2/my/2fa/google/enable/wizard", &other)
        .await
        .refuses(403);
    world
        .get("/api/v2/my/2fa/sms/disable/wizard", &token)
        .await
        .refuses(422);

    let opened = world
        .get("/api/v2/my/2fa/google/disable/wizard", &token)
        .await;
    opened.is(200, &step(200, &Value::Null, "2fa_google"));
    let body =
        json!({"uuid": opened.text("/uuid"), "action": "code", "code": app_code(&key, 0).await});
    world.wizard(&other, body.clone()).await.refuses(404);
    let done = world.wizard(&token, body).await;
    done.is(202, &step(202, &json!([]), OVER));
    let now = world.get("/api/v2/my/2fa/google", &token).await;
    assert_eq!(now.body["isEnabled"], false);
}

#[tokio::test]
async fn sms_is_enabled_and_disabled() {
    let world = world().await;
    add_user(&world.gateway, "ann", &[]);
    let token = world.bare_token("ann").await;
    let opened = world.get("/api/v2/my/2fa/sms/enable/wizard", &token).await;
    opened.is(200, &step(200, &Value::Null, "2fa_sms_phone_create"));
    let uuid = opened.text("/uuid");
    let early = json!({"uuid": uuid, "action": "code", "code": "123456"});
    is_field_error(&world.wizard(&token, early).await, 422, "uuid");
    let no_number = json!({"uuid": uuid, "phone": "not a number"});
    is_field_error(&world.wizard(&token, no_number).await, 422, "phone");
    let sent = world
        .wizard(&token, json!({"uuid": uuid, "phone": PHONE}))
        .await;
    let recipient = json!({
        "class": "B2B\\TCA\\Confirmations\\Recipients\\PhoneRecipient",
        "phone": PHONE, "template": "default", "data": null, "type": 2, "method": "phone",
    });
    let data = json!({
        "status": 0, "sent": "<integer>", "expiredAt": "<time in microseconds>",
        "sentAt": "<time in microseconds>", "recipient": recipient,
    });
    sent.is(200, &step(200, &data, "phone"));
    assert!(sent.text("/data/sentAt") < sent.text("/data/expiredAt"));
    let code = world.inbox.code_for(PHONE);
    let finish = async |code: &str| {
        let body = json!({"uuid": uuid, "action": "code", "code": code});
        world.wizard(&token, body).await
    };
    is_field_error(&finish(&wrong(&code)).await, 422, "code");
    finish(&code).await.is(202, &step(202, &json!([]), OVER));
    assert_eq!(world.opens(FILE, &token).await, 200);

    let opened = world.get("/api/v2/my/2fa/sms/disable/wizard", &token).await;
    opened.is(200, &step(200, &Value::Null, "2fa_sms"));
    let newest = world.inbox.code_for(PHONE);
    let body = json!({"uuid": opened.text("/uuid"), "action": "code", "code": newest});
    let done = world.wizard(&token, body).await;
    done.is(202, &step(202, &json!([]), OVER));
    assert_eq!(
        world.get("/api/v2/my/2fa/sms", &token).await.body["isEnabled"],
        false
    );
}

#[tokio::test]
async fn numbers_of_json_are_taken_as_text_and_a_form_as_well() {
    let world = world().await;
    add_user(&world.gateway, "ann", &[]);
    let token = world.bare_token("ann").await;
    let opened = world.get("/api/v2/my/2fa/sms/enable/wizard", &token).await;
    let uuid = opened.text("/uuid");
    let danish = json!({"uuid": uuid, "phone": 12_345_678});
    let sent = world.wizard(&token, danish).await;
    assert_eq!(sent.text("/data/recipient/phone"), "+4512345678");
    let code = world.inbox.code_for("+4512345678");
    let form = format!("uuid={uuid}&action=code&code={}+{}", &code[..3], &code[3..]);
    let request = world
        .gateway
        .http
        .post(world.gateway.url("/api/v2/my/2fa/wizard"));
    let request = request
        .bearer_auth(&token)
        .header("content-type", super::CURL_BODY);
    let done = read(request.body(form)).await;
    done.is(202, &step(202, &json!([]), OVER));
    // The documents' stray commas are misprints.
    let request = world
        .gateway
        .http
        .post(world.gateway.url("/api/v2/my/2fa/wizard"));
    let stray = format!("{{\"uuid\": \"{uuid}\", \"phone\": \"{PHONE}\",}}");
    let refused = read(request.bearer_auth(&token).body(stray)).await;
    refused.is(400, &json!({"code": 400, "message": refused.refuses(400)}));
}

#[tokio::test]
async fn changes_are_logged_for_their_user() {
    let world = world().await;
    add_user(&world.gateway, "ann", &[]);
    add_user(&world.gateway, "bob", &[]);
    let token = world.bare_token("ann").await;
    let key = world.enable_google(&token).await;
    let opened = world
        .get("/api/v2/my/2fa/google/disable/wizard", &token)
        .await;
    let body =
        json!({"uuid": opened.text("/uuid"), "action": "code", "code": app_code(&key, 0).await});
    assert_eq!(world.wizard(&token, body).await.status, 202);

    let get = async |query: &str| {
        world
            .get(&format!("/api/v2/my/2fa/changes{query}"), &token)
            .await
    };
    let row = |is_enabled: bool| json!({"id": "<integer>", "provider": "google", "isEnabled": is_enabled, "time": "<time>"});
    let all = get("").await;
    all.is(200, &json!({"total": 2, "data": [row(false), row(true)]}));
    let rising = get("?limit=10&offset=0&sort_order=asc&sort_by=time").await;
    rising.is(200, &json!({"total": 2, "data": [row(true), row(false)]}));
    let page = get("?limit=1&offset=1&sort_order=desc&sort_by=time").await;
    page.is(200, &json!({"total": 2, "data": [row(true)]}));
    let on = get("?filter[isEnabled]=true").await;
    on.is(200, &json!({"total": 1, "data": [row(true)]}));
    // The document's own example: an empty filter filters nothing.
    let example = get("?limit=10&offset=0&sort_order=desc&sort_by=time&filter[isEnabled]=&filter[timeFrom]=2022-12-01T07:23:59%2B00:00&filter[timeTo]=2099-12-01T07:23:59%2B00:00&filter[provider]=google").await;
    example.is(200, &json!({"total": 2, "data": [row(false), row(true)]}));
    for nothing in [
        "?filter[provider]=sms",
        "?filter[timeTo]=2022-12-01T07:23:59%2B00:00",
        "?filter[timeFrom]=2099-12-01T07:23:59+00:00",
    ] {
        get(nothing).await.is(200, &json!({"total": 0, "data": []}));
    }
    for (bad, field) in [
        ("?sort_by=id", "sort_by"),
        ("?sort_order=up", "sort_order"),
        ("?limit=many", "limit"),
        ("?filter[isEnabled]=perhaps", "filter[isEnabled]"),
        ("?filter[provider]=telegram", "filter[provider]"),
        ("?filter[timeFrom]=yesterday", "filter[timeFrom]"),
    ] {
        is_field_error(&get(bad).await, 422, field);
    }
    let id = all.body["data"][0]["id"].as_u64().expect("id");
    let one = get(&format!("/{id}?limit=10&offset=0")).await;
    one.is(200, &row(false));
    let bobs = world.bare_token("bob").await;
    let path = format!("/api/v2/my/2fa/changes/{id}");
    world.get(&path, &bobs).await.refuses(404);
    let none = world.get("/api/v2/my/2fa/changes", &bobs).await;
    none.is(200, &json!({"total": 0, "data": []}));
    get("/999999").await.refuses(404);
    get("/one").await.refuses(404);
}

fn named() -> Value {
    json!({"token": "<uuid>", "expiresAt": "<time>"})
}

impl World {
    /// A change of the password, which the backend answers if it is let through.
    async fn change_password(&self, token: &str, success: &[&str]) -> Answer {
        let mut request = self.gateway.http.post(self.gateway.url("/api/password"));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for success in success {
            request = request.header("X-2FA-Success-Token", *success);
        }
        read(request.body("new=password")).await
    }

    fn passwords_changed(&self) -> usize {
        let seen = self.backend.seen();
        let changes = seen.iter().filter(|seen| seen.target == "/api/password");
        for change in changes.clone() {
            assert!(!change.headers.contains_key("x-2fa-success-token"));
        }
        changes.count()
    }

    async fn confirm(&self, token: &str, challenge: &str, code: &str) -> Answer {
        let body = json!({"token": challenge, "code": code});
        self.post("/api/v2/my/2fa/challenge", token, body).await
    }
}

#[tokio::test]
async fn a_token_confirms_an_operation_by_mail() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--email", EMAIL]);
    add_user(&world.gateway, "bob", &[]);
    let token = world.bare_token("ann").await;
    assert_eq!(
        world.opens(FILE, &token).await,
        401,
        "the mail factor is not passed"
    );
    let opened = world.get("/api/v2/my/2fa/challenge", &token).await;
    opened.is(200, &named());
    let challenge = secret(&opened.text("/token"));
    let code = world.mailed_code(EMAIL);
    let bobs = world.bare_token("bob").await;
    world
        .get("/api/v2/my/2fa/challenge", &bobs)
        .await
        .refuses(422);
    world.get("/api/v2/my/2fa/challenge", "").await.refuses(401);
    world.confirm(&bobs, &challenge, &code).await.refuses(404);
    world.confirm("", &challenge, &code).await.refuses(404);
    is_field_error(
        &world.confirm(&token, &challenge, &wrong(&code)).await,
        422,
        "code",
    );
    let confirmed = world.confirm(&token, &challenge, &code).await;
    confirmed.is(200, &named());
    world.confirm(&token, &challenge, &code).await.refuses(404);
    assert_eq!(
        world.opens(FILE, &token).await,
        200,
        "the pair is verified by it"
    );

    let success = secret(&confirmed.text("/token"));
    let missing = world.change_password(&token, &[]).await;
    assert_eq!(missing.status, 401);
    assert_eq!(missing.headers["content-type"], "application/problem+json");
    assert_eq!(missing.body["success_token_required"], true);
    assert_eq!(missing.body["challenge_url"], "/api/v2/my/2fa/challenge");
    for bad in [&[&*success, &*success][..], &["not a token"]] {
        assert_eq!(world.change_password(&token, bad).await.status, 400);
    }
    for other in ["", &bobs] {
        assert_eq!(world.change_password(other, &[&success]).await.status, 401);
    }
    assert_eq!(world.passwords_changed(), 0);
    let tries = (0..50).map(|_| async { world.change_password(&token, &[&success]).await.status });
    let statuses = futures(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 49);
    assert_eq!(world.passwords_changed(), 1);
}

#[tokio::test]
async fn without_a_token_an_address_confirms_an_operation() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--email", EMAIL]);
    let open = async |email: &str| {
        let path = format!("/api/v2/my/2fa/unauthorized/challenge?email={email}");
        world.get(&path, "").await
    };
    let nobodys = open("nobody@example.org").await;
    nobodys.is(200, &named());
    let opened = open("Ann@example.org").await;
    opened.is(200, &named());
    let names = |answer: &Answer| -> Vec<_> {
        let of = |name: &reqwest::header::HeaderName| name.to_string();
        answer.headers.keys().map(of).collect()
    };
    assert_eq!(names(&nobodys), names(&opened));
    let challenge = secret(&opened.text("/token"));
    let code = world.mailed_code(EMAIL);
    // Every code that is not good is refused in the same words, whose address ever it is.
    let foreign = world.confirm("", &nobodys.text("/token"), &code).await;
    is_field_error(&foreign, 422, "code");
    let wrong = world.confirm("", &challenge, &wrong(&code)).await;
    assert_eq!(wrong.body, foreign.body);
    let confirmed = world.confirm("", &challenge, &code).await;
    confirmed.is(200, &named());
    world.confirm("", &challenge, &code).await.refuses(404);

    let missing = world.change_password("", &[]).await;
    assert_eq!(missing.status, 401);
    assert_eq!(missing.body["success_token_required"], true);
    let success = secret(&confirmed.text("/token"));
    let token = world.bare_token("ann").await;
    assert_eq!(world.change_password(&token, &[&success]).await.status, 401);
    assert_eq!(world.change_password("", &[&success]).await.status, 200);
    assert_eq!(world.change_password("", &[&success]).await.status, 401);
    assert_eq!(world.passwords_changed(), 1);
    let changed = world.backend.seen();
    let changed = changed.iter().find(|seen| seen.target == "/api/password");
    assert_eq!(
        changed.expect("a change").headers["x-vestibule-user"],
        "ann"
    );
    is_field_error(
        &world.get("/api/v2/my/2fa/unauthorized/challenge", "").await,
        422,
        "email",
    );
    assert!(world.mail.rest().is_empty(), "nobody else was sent a mail");
}

#[tokio::test]
async fn what_limits_mail_is_not_told_without_a_token() {
    let change =
        |setup: Setup| with_password_rule(setup).with("resend_after: 0s", "resend_after: 30s");
    let world = World::start("b2core", change).await;
    add_user(&world.gateway, "ann", &["--email", EMAIL]);
    for _ in 0..3 {
        let path = format!("/api/v2/my/2fa/unauthorized/challenge?email={EMAIL}");
        world.get(&path, "").await.is(200, &named());
    }
    world.mailed_code(EMAIL);
    let token = world.bare_token("ann").await;
    // Strangers have used up nothing of the user's own, who is told.
    let own = world.get("/api/v2/my/2fa/challenge", &token).await;
    own.is(200, &named());
    world.mailed_code(EMAIL);
    let limited = world.get("/api/v2/my/2fa/challenge", &token).await;
    limited.refuses(429);
    assert!(limited.headers.contains_key("retry-after"));
    assert!(world.mail.rest().is_empty());
}

/// A link's path means one in the share's folder: the success token is spent on that one, once.
#[tokio::test]
async fn a_share_link_spends_a_success_token_once() {
    let change = |setup: Setup| setup.with("require: two_factor", "require: success_token");
    let world = World::start("b2core", change).await;
    let add = [
        "share", "add", "--path", "/docs/", "--email", EMAIL, "--json",
    ];
    let share = world.gateway.cli_json(&add);
    let link = secret(share["token"].as_str().expect("token"));
    let opened = world.get("/api/v2/my/2fa/challenge", &link).await;
    opened.is(200, &named());
    let code = world.mailed_code(EMAIL);
    let confirmed = world.confirm(&link, &opened.text("/token"), &code).await;
    let success = secret(&confirmed.text("/token"));
    let fetch = async |path: &str| {
        let path = format!("/share/{link}/{path}");
        let request = world.gateway.http.get(world.gateway.url(&path));
        read(request.header("X-2FA-Success-Token", &success))
            .await
            .status
    };
    assert_eq!(fetch("plan.txt").await, 200);
    assert_eq!(fetch("plan.txt").await, 401);
    let seen = world.backend.seen();
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/docs/plan.txt"]);
}

/// Wrong codes of a sign-in count together with those of the other dialects, and the lock that they
/// earn holds on all of them.
#[tokio::test]
async fn wrong_codes_of_a_sign_in_count_on_every_dialect() {
    let lockout = "lockout: {delay_every: 0, lock_at: 4}\ncodes:";
    let change = |setup: Setup| setup.with("codes:", lockout);
    let world = World::start("iogates, ziik, b2core, conduit", change).await;
    add_user(&world.gateway, "ann", &["--phone", PHONE]);
    let (_, uuid) = world.password("ann").await;
    let code = world.inbox.code_for(PHONE);
    for _ in 0..2 {
        let answer = world.code_step("sms", &uuid, &wrong(&code)).await;
        is_field_error(&answer, 422, "code");
    }
    let token = world.gateway.sign_in("ann", PASSWORD, "phone").await;
    let send = "/api/two-factor/send-verification";
    assert_eq!(world.post(send, &token, json!({})).await.status, 204);
    let other = world.inbox.code_for(PHONE);
    let verify = "/api/two-factor/verify";
    for _ in 0..2 {
        let key = json!({"key": wrong(&other)});
        world.post(verify, &token, key).await.refuses(422);
    }
    // Right codes now, and a new sign-in.
    world.code_step("sms", &uuid, &code).await.refuses(403);
    let key = json!({"key": other});
    world.post(verify, &token, key).await.refuses(403);
    let of_conduit = json!({"code": other});
    let path = "/authentication/twoFa/verify";
    world.post(path, &token, of_conduit).await.refuses(403);
    let path = format!("/api/apiauth/twofactorsms/{token}?authcode={other}");
    world.get(&path, &token).await.refuses(403);
    world.password("ann").await.0.refuses(403);
    let freed = world.gateway.cli(&["user", "reset-2fa", "ann"]);
    assert!(freed.status.success(), "{freed:?}");
    let (_, uuid) = world.password("ann").await;
    let code = world.inbox.code_for(PHONE);
    world
        .code_step("sms", &uuid, &code)
        .await
        .is(202, &signed_in());
}
