//! Connections to a backend for WebSocket upgrades.
//!
//! Works around a race in pingora-proxy 0.9.1 (`proxy_h1.rs`, `proxy_handle_upstream`): the end of
//! the upgrade request's empty body waits in a queue while the backend's answer is read. If a
//! backend is so quick that its 101 is read first, the queued end is taken for the end of the
//! tunnel, which closes at once. Here the first look for an answer after something was written
//! always says "not yet", so that the queue is emptied before. Goes when Pingora is mended.

use async_trait::async_trait;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, OrErr as _, Result};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Connects for an upgrade.
#[derive(Debug)]
pub(super) struct UpgradeConnect {
    pub(super) timeout: Duration,
}

#[async_trait]
impl L4Connect for UpgradeConnect {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let address = address
            .as_inet()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "not an internet address"))?;
        let tcp = tokio::time::timeout(self.timeout, TcpStream::connect(address))
            .await
            .or_err(ErrorType::ConnectTimedout, "connecting for an upgrade")?
            .or_err(ErrorType::ConnectRefused, "connecting for an upgrade")?;
        tcp.set_nodelay(true)
            .or_err(ErrorType::ConnectError, "connecting for an upgrade")?;
        let socket = TurnTaking { tcp, wrote: false };
        Ok(VirtualSocketStream::new(Box::new(socket)).into())
    }
}

/// A socket whose first read after a write gives way once.
#[derive(Debug)]
struct TurnTaking {
    tcp: TcpStream,
    wrote: bool,
}

impl AsyncRead for TurnTaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.wrote) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for TurnTaking {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl VirtualSocket for TurnTaking {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        // Set at connect; the kernel's own keepalive settings do.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn an_answer_that_is_there_already_waits_for_one_turn() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = SocketAddr::Inet(address);
        let connect = UpgradeConnect {
            timeout: Duration::from_secs(5),
        };
        let (stream, accepted) = tokio::join!(connect.connect(&target), listener.accept());
        let (mut stream, (mut backend, _)) = (stream.unwrap(), accepted.unwrap());
        backend.write_all(b"101").await.unwrap();
        stream.write_all(b"GET").await.unwrap();
        stream.flush().await.unwrap();
        backend.read_exact(&mut [0; 3]).await.unwrap();
        // Both are ready; the one that is asked second wins, whichever way round they are asked.
        let mut answer = [0; 3];
        let first = tokio::select! {
            biased;
            _ = stream.read_exact(&mut answer) => "answer",
            () = std::future::ready(()) => "queue",
        };
        assert_eq!(first, "queue");
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"101");
    }
}
