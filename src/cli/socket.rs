//! The admin socket: the command line's door into the running gateway.
//!
//! HTTP with JSON bodies over a Unix socket. Three things keep others out, and each would do alone:
//! the directory is 0700, the socket is 0600, and the kernel says whose process is at the other end
//! (`SO_PEERCRED`): only root's and the gateway's own user's are heard.

use super::operator::command::Command;
use super::operator::{self, Operator};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State, rejection::JsonRejection};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Where commands are posted.
pub(super) const COMMAND_PATH: &str = "/v1/command";
/// The user id of root.
const ROOT: u32 = 0;

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "admin.socket: another gateway answers at {}: stop it, or give this one another socket",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("admin.socket: {} is there and is not a socket: remove it, or use another path", .0.display())]
    NotASocket(PathBuf),
    #[error(
        "admin.socket: the directory {} is open to other users (mode {mode:03o}): give the socket a \
         directory of its own with mode 700", path.display()
    )]
    OpenDirectory { path: PathBuf, mode: u32 },
    #[error("admin.socket: {} cannot be made: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
}

/// The answer when a command was not done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) error: String,
    /// Whether the command or the config must change.
    pub(super) usage: bool,
}

/// A bound admin socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
    own_uid: u32,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl AdminSocket {
    /// Binds the socket, making its directory if need be and replacing a file that a dead gateway
    /// left. Within a tokio runtime only.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let fail = |cause| SocketError::Io {
            path: path.to_owned(),
            cause,
        };
        private_directory(path)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(fail)?;
        let file = SocketFile(path.to_owned());
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
        // Both ends of a pair are this process: its credentials are our own.
        let own_uid = UnixStream::pair()
            .and_then(|(one, _other)| one.peer_cred())
            .map_err(fail)?
            .uid();
        Ok(Self {
            listener,
            file,
            own_uid,
        })
    }

    /// Answers commands until `stop` is done.
    pub async fn serve(
        self,
        operator: Operator,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let service = router(operator, self.own_uid).into_make_service_with_connect_info::<Peer>();
        let served = axum::serve(self.listener, service)
            .with_graceful_shutdown(stop)
            .await;
        drop(self.file);
        served
    }
}

fn private_directory(socket: &Path) -> Result<(), SocketError> {
    let path = match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let fail = |cause| SocketError::Io {
        path: path.to_owned(),
        cause,
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        Ok(()) | Err(_) => {}
    }
    let mode = fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SocketError::OpenDirectory {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let fail = |cause| SocketError::Io {
        path: path.to_owned(),
        cause,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fail)
        }
        Err(error) => Err(fail(error)),
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

/// The user id of the process at the other end; `None` if the kernel did not say.
#[derive(Clone, Copy, Debug)]
struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

impl Peer {
    fn is_operator(self, own_uid: u32) -> bool {
        self.0.is_some_and(|uid| uid == ROOT || uid == own_uid)
    }
}

fn router(operator: Operator, own_uid: u32) -> Router {
    Router::new()
        .route(COMMAND_PATH, axum::routing::post(command))
        .with_state(operator)
        // Around every route, also those that do not exist.
        .layer(from_fn_with_state(own_uid, operators_only))
}

async fn operators_only(
    State(own_uid): State<u32>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if peer.is_operator(own_uid) {
        return next.run(request).await;
    }
    tracing::warn!(uid = peer.0, "the admin socket refused another user");
    failure(
        StatusCode::FORBIDDEN,
        "only root and the gateway's own user may use the admin socket".to_owned(),
        false,
    )
}

async fn command(
    State(operator): State<Operator>,
    command: Result<Json<Command>, JsonRejection>,
) -> Response {
    let command = match command {
        Ok(Json(command)) => command,
        Err(error) => {
            let text = format!(
                "the running gateway does not understand this command ({}): is it another version?",
                error.body_text()
            );
            return failure(StatusCode::BAD_REQUEST, text, false);
        }
    };
    match operator::run(command, &operator).await {
        Ok(output) => Json(output).into_response(),
        Err(error) => failure(
            StatusCode::UNPROCESSABLE_ENTITY,
            error.to_string(),
            error.is_usage(),
        ),
    }
}

fn failure(status: StatusCode, error: String, usage: bool) -> Response {
    (status, Json(Failure { error, usage })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client;
    use crate::cli::operator::output::Output;
    use crate::cli::operator::tests::operator;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_root_and_the_own_user_are_operators() {
        assert!(Peer(Some(0)).is_operator(1000));
        assert!(Peer(Some(1000)).is_operator(1000));
        assert!(!Peer(Some(1001)).is_operator(1000));
        assert!(!Peer(None).is_operator(0));
    }

    #[tokio::test]
    async fn a_foreign_user_gets_403_on_every_path() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(operator(), 1000).layer(axum::extract::connect_info::MockConnectInfo(
            Peer(Some(1001)),
        ));
        tokio::spawn(axum::serve(listener, app).into_future());
        for path in [COMMAND_PATH, "/else"] {
            let answer = reqwest::Client::new()
                .post(format!("http://{address}{path}"))
                .json(&Command::UserList)
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 403, "{path}");
        }
    }

    #[tokio::test]
    async fn the_socket_is_private_and_answers_its_own_user() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("run/admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(socket.serve(operator(), async {
            let _ = stopped.await;
        }));
        let users = client::ask(&path, &Command::UserList).await.unwrap();
        assert_eq!(users, Output::Users(Vec::new()));
        assert!(matches!(
            AdminSocket::bind(&path),
            Err(SocketError::InUse(_))
        ));

        drop(stop);
        server.await.unwrap().unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_gateways_file_is_replaced_and_nothing_else_is() {
        let tmp = tempfile::tempdir().unwrap();
        fs::set_permissions(tmp.path(), Permissions::from_mode(0o700)).unwrap();
        let path = tmp.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(AdminSocket::bind(&path).unwrap());

        fs::write(&path, "precious").unwrap();
        let refused = AdminSocket::bind(&path);
        assert!(matches!(refused, Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_directory_that_others_can_enter_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        fs::set_permissions(tmp.path(), Permissions::from_mode(0o755)).unwrap();
        let refused = AdminSocket::bind(&tmp.path().join("admin.sock"));
        assert!(matches!(
            refused,
            Err(SocketError::OpenDirectory { mode: 0o755, .. })
        ));
    }
}
