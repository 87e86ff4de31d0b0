//! A backend whose answers go on: a WebSocket that echoes, and streams of events. And a client for it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{Stream, unfold};
use futures_util::{SinkExt as _, StreamExt as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, handshake};

/// Any path that ends in `/ws` echoes messages. `/endless` says one thing and is silent for ever after;
/// other paths say three things and end. PUT is answered when its body is whole, with its length.
pub(crate) async fn backend() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("backend");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(stream: tokio::net::TcpStream) {
    let mut head = [0; 256];
    let read = stream.peek(&mut head).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    if !target
        .split('?')
        .next()
        .is_some_and(|path| path.ends_with("/ws"))
    {
        let app = axum::Router::new().fallback(answer);
        return serve_one(stream, app).await;
    }
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() || socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn answer(request: Request) -> Response {
    if request.method() == Method::PUT {
        let body = axum::body::to_bytes(request.into_body(), 1 << 30).await;
        return body
            .expect("a whole body")
            .len()
            .to_string()
            .into_response();
    }
    let path = request.uri().path().to_owned();
    let kind = [("content-type", "text/event-stream")];
    (kind, Body::from_stream(events(path.ends_with("/endless")))).into_response()
}

fn events(is_endless: bool) -> impl Stream<Item = io::Result<String>> {
    unfold(0_u8, move |n| async move {
        match (is_endless, n) {
            (true, 1) => std::future::pending().await,
            (false, 3) => return None,
            (true, _) => {}
            (false, _) => tokio::time::sleep(Duration::from_millis(1300)).await,
        }
        Some((Ok(format!("data: {n}\n\n")), n + 1))
    })
}

/// Opens `/ws` of the host `files` for a token.
pub(crate) async fn websocket<S>(
    stream: S,
    token: &str,
    device: &str,
) -> Result<WebSocketStream<S>, tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bearer = format!("Bearer {token}");
    let by = [("authorization", &*bearer), ("x-device-id", device)];
    let named = if device.is_empty() { 1 } else { 2 };
    websocket_by(stream, "files", &by[..named]).await
}

/// Opens `/ws` of a host with headers that say who asks.
pub(crate) async fn websocket_by<S>(
    stream: S,
    host: &str,
    by: &[(&str, &str)],
) -> Result<WebSocketStream<S>, tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = http::Request::builder()
        .uri(format!("ws://{host}/ws"))
        .header("host", host)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", handshake::client::generate_key());
    let add = |request: http::request::Builder, (name, value): &(&str, &str)| {
        request.header(*name, *value)
    };
    let request = by.iter().fold(request, add).body(()).expect("request");
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

async fn serve_one(stream: tokio::net::TcpStream, app: axum::Router) {
    let (say, mut heard) = tokio::sync::mpsc::channel(1);
    let _ = say.send(stream).await;
    let listener = OneConnection {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        next: heard.recv().await,
    };
    let _ = axum::serve(listener, app).await;
}

/// A listener that gives one connection and then none.
struct OneConnection {
    address: SocketAddr,
    next: Option<tokio::net::TcpStream>,
}

impl axum::serve::Listener for OneConnection {
    type Io = tokio::net::TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.next.take() {
            Some(stream) => (stream, self.address),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}
