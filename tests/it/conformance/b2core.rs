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

mod mail;
mod methods;
mod sign_in;

use super::tools::{add_user, app_code};
use super::{Answer, CURL_BODY, World, read, wrong};
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
