//! A backend with accounts of its own that speaks the ioGates auth token API.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What the backend received, for tests of what is forwarded.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: axum::http::HeaderMap,
}

#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

/// The backend's one user, and where codes for them go.
pub(crate) const USER: &str = "uploadappadmin";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const PHONE: &str = "+4520304050";

impl Backend {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("backend");
        let address = listener.local_addr().expect("address");
        let backend = Self {
            address,
            seen: Arc::default(),
            tokens: Arc::default(),
        };
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(backend.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        backend
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("seen").clone()
    }

    /// Every request since the last call.
    pub(crate) fn forget(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("seen"))
    }

    /// A token that the backend knows and Vestibule has never seen issued.
    pub(crate) fn issue_unseen(&self, token: &str) {
        self.tokens
            .lock()
            .expect("tokens")
            .push(super::secret(token));
    }
}

fn profile() -> Value {
    json!({
        "username": USER, "realname": "Upload App", "accountname": "Upload App Account", "email": "",
        "address": null, "mobile": PHONE, "expires": null, "status": "Active", "logo": ""
    })
}

async fn answer(State(backend): State<Backend>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 30)
        .await
        .unwrap_or_default();
    backend.seen.lock().expect("seen").push(Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers.clone(),
    });
    let bearer = parts
        .headers
        .get("authorization")
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let bearer = bearer
        .strip_prefix("Bearer ")
        .unwrap_or_default()
        .to_owned();
    match parts.uri.path() {
        "/api/authtoken" => sign_in(&backend, &body),
        "/api/profile" if backend.tokens.lock().expect("tokens").contains(&bearer) => {
            json_answer(200, &profile())
        }
        "/api/profile" => json_answer(401, &json!({"message": "who?"})),
        path => format!("{} {path} {} bytes\n", parts.method, body.len()).into_response(),
    }
}

fn sign_in(backend: &Backend, body: &[u8]) -> Response {
    let fields: Value = serde_json::from_slice(body).unwrap_or_default();
    if fields["username"] != USER || fields["password"] != PASSWORD {
        return json_answer(401, &json!({"message": "wrong"}));
    }
    let mut tokens = backend.tokens.lock().expect("tokens");
    let token = super::secret(&format!(
        "33c666119-{}-{}",
        std::process::id(),
        tokens.len()
    ));
    tokens.push(token.clone());
    json_answer(
        200,
        &json!({"token": token, "profile": profile(), "max_file_size": 0, "available_storage": 29_301_996_265_u64}),
    )
}

fn json_answer(status: u16, body: &Value) -> Response {
    (
        StatusCode::from_u16(status).expect("status"),
        [("content-type", "application/json")],
        body.to_string(),
    )
        .into_response()
}
