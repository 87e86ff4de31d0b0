//! The admin socket: the operator's door into the running gateway.
//!
//! Behind it is the operator's API and nothing else. Three things keep others out, and each would do alone:
//! the directory is 0700, the socket is 0600, and the kernel says whose process is at the other end
//! (`SO_PEERCRED`): only root's and the gateway's own user's are heard.

use crate::operator::audit::Stopping;
use crate::operator::problem::OperatorError;
use crate::operator::{self, Caller, Operator};
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::serve::IncomingStream;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

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
        let own_uid = own_uid().map_err(fail)?;
        Ok(Self {
            listener,
            file,
            own_uid,
        })
    }

    /// Answers until `stop` is done.
    pub async fn serve(
        self,
        operator: Operator,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        // Whoever follows the audit trail would keep the gateway from ending.
        let (serving, stopping) = watch::channel(());
        let router = router(operator, self.own_uid).layer(Extension(Stopping(stopping)));
        let service = router.into_make_service_with_connect_info::<Peer>();
        let served = axum::serve(self.listener, service)
            .with_graceful_shutdown(async move {
                stop.await;
                drop(serving);
            })
            .await;
        drop(self.file);
        served
    }
}

/// The user id of this process. Within a tokio runtime only.
pub(super) fn own_uid() -> io::Result<u32> {
    // Both ends of a pair are this process: its credentials are our own.
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
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
    /// The operator behind it, if it is one.
    fn operator(self, own_uid: u32) -> Option<Caller> {
        let uid = self.0.filter(|uid| *uid == ROOT || *uid == own_uid)?;
        Some(Caller { uid })
    }
}

fn router(operator: Operator, own_uid: u32) -> Router {
    // Around every route, also those that do not exist.
    operator::router(operator).layer(from_fn_with_state(own_uid, operators_only))
}

async fn operators_only(
    State(own_uid): State<u32>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = peer.operator(own_uid) else {
        tracing::warn!(uid = peer.0, "the admin socket refused another user");
        return OperatorError::NotOperator.into_response();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Client;
    use crate::operator::Page;
    use crate::operator::table::RESOURCES;
    use crate::operator::tests::operator;
    use crate::operator::users::UserLine;
    use axum::body::Body;
    use axum::extract::connect_info::MockConnectInfo;
    use tower::ServiceExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_root_and_the_own_user_are_operators() {
        let uid = |peer: Option<u32>, own| Peer(peer).operator(own).map(|it| it.uid);
        assert_eq!(uid(Some(0), 1000), Some(0));
        assert_eq!(uid(Some(1000), 1000), Some(1000));
        assert_eq!(uid(Some(1001), 1000), None);
        assert_eq!(uid(None, 0), None);
    }

    #[tokio::test]
    async fn a_foreign_user_gets_403_on_every_path() {
        let foreign = MockConnectInfo(Peer(Some(1001)));
        let router = router(operator(), 1000).layer(foreign);
        let endpoints = RESOURCES.iter().flat_map(|resource| resource.endpoints);
        let known = endpoints.map(|endpoint| (endpoint.method, endpoint.path));
        let mut seen = 0;
        for (method, path) in
            known.chain([("GET", "/"), ("POST", "/v1/command"), ("PUT", "/v1/users")])
        {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::from("{}")).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 403, "{method} {path}");
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
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
        let client = Client::of_gateway(&path).unwrap();
        let users: Page<UserLine> = client.all("/v1/users", &[]).await.unwrap();
        assert_eq!(users.items, []);
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
