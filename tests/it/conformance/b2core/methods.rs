//! What is enabled, the wizards that enable and disable it, and the log of changes.

use super::*;

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
        .header("content-type", CURL_BODY);
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
