//! Listening sockets: those that came with the process, and new ones.
//!
//! A restart under systemd refuses nobody. Each socket that is bound here is handed to the service
//! manager (`FDSTORE=1` of sd_notify(3), with `FileDescriptorStoreMax=` in the unit), which keeps it
//! while no gateway runs and passes it to the next one (`LISTEN_FDS`, sd_listen_fds(3)): connections
//! wait in it meanwhile. What a socket unit has bound comes the same way. Sockets and the config's
//! addresses are put together by address.
//!
//! It never accepts a connection.

use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::SockRef;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use tokio::net::{TcpListener, TcpSocket};

/// Connections the kernel holds while they wait to be accepted.
const BACKLOG: u32 = 1024;
/// How the names of kept sockets begin; the address follows.
const KEPT: &str = "vestibule-";

/// Sockets that came with the process and that nobody has asked for yet.
#[derive(Debug, Default)]
pub struct Sockets {
    passed: Vec<Passed>,
}

#[derive(Debug)]
struct Passed {
    /// As `FDNAME=` or `FileDescriptorName=` say; `unknown` without names.
    name: String,
    address: SocketAddr,
    socket: std::net::TcpListener,
}

/// Why what was passed to the process cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    #[error("the sockets passed to Vestibule (LISTEN_FDS) cannot be taken over: {0}")]
    Environment(io::Error),
    #[error(
        "socket {number} (`{name}`) of those passed to Vestibule (LISTEN_FDS) is not a listening TCP \
         socket ({cause}): in a socket unit, use ListenStream= with an address and Accept=no"
    )]
    NotAListener {
        number: usize,
        name: String,
        cause: io::Error,
    },
    #[error(
        "Vestibule was passed a socket on {address} (LISTEN_FDS), where its config does not listen \
         (but on {listeners}): ListenStream= of the socket unit and `listeners` must name the same \
         addresses"
    )]
    Unwanted {
        address: SocketAddr,
        listeners: String,
    },
}

impl Sockets {
    /// Takes the sockets that the environment names, and the names out of it: once, and before there
    /// is a second thread.
    pub fn of_process() -> Result<Self, PassedError> {
        let names: Vec<String> = sd_notify::listen_fds_with_names()
            .map_err(PassedError::Environment)?
            .map(|(_, name)| name)
            .collect();
        let mut sockets = ListenFd::from_env();
        let passed = names.into_iter().enumerate().map(|(at, name)| {
            listener(&mut sockets, at)
                .map(|(address, socket)| Passed {
                    name: name.clone(),
                    address,
                    socket,
                })
                .map_err(|cause| PassedError::NotAListener {
                    number: at + 1,
                    name,
                    cause,
                })
        });
        let passed = passed.collect::<Result<_, _>>()?;
        Ok(Self { passed })
    }

    /// Keeps those on `addresses`. Others are an error; but those that an earlier gateway left, on an
    /// address that the config no longer has, are closed.
    pub fn only(&mut self, addresses: &[SocketAddr]) -> Result<(), PassedError> {
        let (wanted, others) = std::mem::take(&mut self.passed)
            .into_iter()
            .partition::<Vec<_>, _>(|it| addresses.contains(&it.address));
        self.passed = wanted;
        for other in others {
            if !other.name.starts_with(KEPT) {
                let named: BTreeSet<_> = addresses.iter().map(ToString::to_string).collect();
                return Err(PassedError::Unwanted {
                    address: other.address,
                    listeners: named.into_iter().collect::<Vec<_>>().join(", "),
                });
            }
            forget(&other.name);
        }
        Ok(())
    }

    /// The socket that was passed for `address`, or a new one. Inside a Tokio runtime.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let passed = self.passed.iter().position(|it| it.address == address);
        if let Some(at) = passed {
            let socket = self.passed.swap_remove(at).socket;
            set_options(&SockRef::from(&socket))?;
            socket.set_nonblocking(true)?;
            tracing::info!(%address, "listening on a socket that was passed");
            return TcpListener::from_std(socket);
        }
        let socket = bind(address)?;
        // Of port 0 nobody would know the next time.
        if address.port() != 0 {
            keep(&socket, address);
        }
        Ok(socket)
    }
}

fn listener(from: &mut ListenFd, at: usize) -> io::Result<(SocketAddr, std::net::TcpListener)> {
    let socket = from.take_tcp_listener(at)?.ok_or(io::ErrorKind::NotFound)?;
    if !SockRef::from(&socket).is_listener()? {
        return Err(io::Error::other("it is a connection"));
    }
    Ok((socket.local_addr()?, socket))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    set_options(&SockRef::from(&socket))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What accepted sockets inherit.
fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    // Finds peers that vanished under a silent WebSocket.
    socket.set_keepalive(true)
}

/// Hands the socket to the service manager, if there is one.
fn keep(socket: &TcpListener, address: SocketAddr) {
    let name = kept_name(address);
    let states = [NotifyState::FdStore, NotifyState::FdName(&name)];
    if let Err(error) = sd_notify::notify_with_fds(&states, &[socket.as_fd()]) {
        tracing::warn!(%address, %error, "systemd could not be given the socket: a restart will refuse connections");
    }
}

fn forget(name: &str) {
    let states = [NotifyState::FdStoreRemove, NotifyState::FdName(name)];
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(name, %error, "systemd could not be told to close a socket");
    }
}

/// A name without `:`, which parts the names in `LISTEN_FDNAMES`.
fn kept_name(address: SocketAddr) -> String {
    format!("{KEPT}{address}").replace(':', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(name: &str) -> (Sockets, SocketAddr) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let passed = vec![Passed {
            name: name.to_owned(),
            address,
            socket,
        }];
        (Sockets { passed }, address)
    }

    #[test]
    fn without_the_environment_there_are_none() {
        assert!(Sockets::of_process().unwrap().passed.is_empty());
    }

    #[tokio::test]
    async fn a_passed_socket_is_taken_once_and_accepts() {
        let (mut sockets, address) = passed("unknown");
        let early = std::net::TcpStream::connect(address).unwrap();
        sockets.only(&[address]).unwrap();
        let socket = sockets.listen(address).unwrap();
        let (_stream, peer) = socket.accept().await.unwrap();
        assert_eq!(peer, early.local_addr().unwrap());
        let again = sockets.listen(address).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_socket_on_another_address_is_an_error_that_names_both() {
        let (mut sockets, address) = passed("vestibule.socket");
        let other = "192.0.2.1:443".parse().unwrap();
        let error = sockets.only(&[other]).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("192.0.2.1:443"), "{error}");
    }

    #[tokio::test]
    async fn one_that_an_earlier_gateway_left_is_closed() {
        let (mut sockets, address) = passed("vestibule-127.0.0.1-1");
        sockets.only(&[]).unwrap();
        assert!(sockets.passed.is_empty());
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn names_can_stand_in_the_environment() {
        let name = |address: &str| kept_name(address.parse().unwrap());
        assert_eq!(name("127.0.0.1:8080"), "vestibule-127.0.0.1-8080");
        assert_eq!(name("[::1]:443"), "vestibule-[--1]-443");
    }
}
