//! The wizard of the sign-in, with each kind of second factor.

use super::*;

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
