//! An SMS provider at the network's edge: the generic HTTP kind, which keeps what it was sent.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub(crate) struct Inbox {
    pub(crate) address: SocketAddr,
    messages: Arc<Mutex<Vec<(String, String)>>>,
    status: Arc<AtomicU16>,
}

impl Inbox {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("inbox");
        let inbox = Self {
            address: listener.local_addr().expect("address"),
            messages: Arc::default(),
            status: Arc::new(AtomicU16::new(202)),
        };
        let app = axum::Router::new()
            .route("/send", axum::routing::get(receive))
            .with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        inbox
    }

    /// Every message so far, as (number, text).
    pub(crate) fn messages(&self) -> Vec<(String, String)> {
        self.messages.lock().expect("messages").clone()
    }

    /// The code in the newest message to `number`.
    pub(crate) fn code_for(&self, number: &str) -> String {
        let messages = self.messages();
        let (_, text) = messages
            .iter()
            .rev()
            .find(|(to, _)| to == number)
            .expect("a message to this number");
        let code: String = text.chars().take_while(char::is_ascii_digit).collect();
        assert!(code.len() >= 6, "the message starts with the code");
        super::secret(&code)
    }

    /// What the provider answers from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, &'static str) {
    let status = inbox.status.load(Ordering::SeqCst);
    if status < 300 {
        let field = |name: &str| query.get(name).cloned().unwrap_or_default();
        inbox
            .messages
            .lock()
            .expect("messages")
            .push((field("to"), field("text")));
    }
    (
        StatusCode::from_u16(status).expect("status"),
        "0: Accepted for delivery",
    )
}
