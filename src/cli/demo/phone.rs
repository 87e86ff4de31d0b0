//! The demo's phone: takes what the SMS provider posts and shows it on the terminal.

use super::DemoError;
use crate::cli::say;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

#[derive(serde::Deserialize)]
struct Sms {
    to: String,
    text: String,
}

/// Listens on a free port, for as long as the runtime runs. With `log`, each message is also a line
/// of that file: number, tab, text.
pub(super) async fn start(log: Option<&Path>) -> Result<SocketAddr, DemoError> {
    let log = log
        .map(|path| {
            let opened = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(path);
            opened.map_err(|cause| DemoError::Write {
                path: path.to_owned(),
                cause,
            })
        })
        .transpose()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(DemoError::Phone)?;
    let address = listener.local_addr().map_err(DemoError::Phone)?;
    let router = Router::new()
        .route("/sms", axum::routing::post(receive))
        .with_state(Arc::new(Mutex::new(log)));
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

async fn receive(State(log): State<Arc<Mutex<Option<File>>>>, Json(sms): Json<Sms>) -> StatusCode {
    say(&format!("SMS to {}: {}\n", sms.to, sms.text));
    let kept = match log.lock() {
        Ok(mut log) => match &mut *log {
            Some(file) => writeln!(file, "{}\t{}", sms.to, sms.text.replace('\n', " ")),
            None => Ok(()),
        },
        Err(_) => Ok(()),
    };
    match kept {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_a_line_of_the_log() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tmp = tempfile::tempdir().unwrap();
        let log = tmp.path().join("sms.log");
        let phone = start(Some(&log)).await.unwrap();
        let sms = serde_json::json!({"to": "+4520123456", "text": "123456 is\nyour code"});
        let answer = reqwest::Client::new()
            .post(format!("http://{phone}/sms"))
            .json(&sms)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(
            std::fs::read_to_string(log).unwrap(),
            "+4520123456\t123456 is your code\n"
        );
    }
}
