//! Connections to one server that wait for their next request.
//!
//! One is given out only if the server has neither closed it nor said anything on it since. Those
//! that nobody takes are closed after the upstream's `idle` time.

use pingora::protocols::l4::ext::{TcpKeepalive, set_tcp_keepalive};
use pingora::{Error, ErrorType, OrErr as _, Result};
use socket2::SockRef;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Kept at most, for each server; more are closed after their answer.
const KEPT_MAX: usize = 256;
/// How often connections are looked for that have waited too long.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// A server that went away without a word ends a silent event stream too.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    count: 4,
    user_timeout: Duration::ZERO,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Pool {
    idle_max: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The one that has waited the shortest is last.
    streams: Vec<(TcpStream, Instant)>,
    /// A task sweeps until there is nothing left.
    is_swept: bool,
}

impl Pool {
    pub(crate) fn new(idle_max: Duration) -> Self {
        Self {
            idle_max,
            waiting: Mutex::default(),
        }
    }

    /// A connection that was used before, if there is a sound one.
    pub(super) fn take(&self) -> Option<TcpStream> {
        let mut waiting = self.lock();
        loop {
            let (stream, since) = waiting.streams.pop()?;
            if since.elapsed() < self.idle_max && is_quiet(&stream) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn put(self: &Arc<Self>, stream: TcpStream) {
        let mut waiting = self.lock();
        if waiting.streams.len() >= KEPT_MAX {
            return;
        }
        waiting.streams.push((stream, Instant::now()));
        if !std::mem::replace(&mut waiting.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_max.min(SWEEP_EVERY)));
        }
    }

    /// Closes what has waited too long or was closed; whether anything is left.
    fn sweep(&self) -> bool {
        let mut waiting = self.lock();
        waiting
            .streams
            .retain(|(stream, since)| since.elapsed() < self.idle_max && is_quiet(stream));
        waiting.is_swept = !waiting.streams.is_empty();
        waiting.is_swept
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let is_done = pool.upgrade().is_none_or(|pool| !pool.sweep());
        if is_done {
            return;
        }
    }
}

/// Nothing can be read: no end of the stream, and no answer that nobody asked for. The kernel is
/// asked itself: what tokio knows of a socket may be older than what has just come.
fn is_quiet(stream: &TcpStream) -> bool {
    let read = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A new connection.
pub(super) async fn connect(server: &SocketAddr, limit: Duration) -> Result<TcpStream> {
    let connected = tokio::time::timeout(limit, TcpStream::connect(server)).await;
    let stream = connected
        .map_err(|_| Error::explain(ErrorType::ConnectTimedout, "connecting").into_up())?
        .or_err(ErrorType::ConnectRefused, "connecting")
        .map_err(|error| error.into_up())?;
    stream
        .set_nodelay(true)
        .or_err(ErrorType::ConnectError, "connecting")
        .map_err(|error| error.into_up())?;
    set_tcp_keepalive(&stream, &KEEPALIVE).map_err(|error| error.into_up())?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const LONG: Duration = Duration::from_secs(30);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(connect(&server, LONG), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    /// Waits until something can be read.
    async fn notice(pool: &Pool) {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let waiting = pool.lock();
            if waiting.streams.iter().any(|(stream, _)| !is_quiet(stream)) {
                return;
            }
        }
    }

    #[tokio::test]
    async fn the_connection_used_last_is_taken_first() {
        let pool = Arc::new(Pool::new(LONG));
        let ((first, _a), (second, _b)) = (pair().await, pair().await);
        let address = second.local_addr().unwrap();
        pool.put(first);
        pool.put(second);
        assert_eq!(pool.take().unwrap().local_addr().unwrap(), address);
        assert!(pool.take().is_some());
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_has_something_to_say_is_not_used() {
        let pool = Arc::new(Pool::new(LONG));
        let (closed, theirs) = pair().await;
        pool.put(closed);
        drop(theirs);
        notice(&pool).await;
        assert!(pool.take().is_none());
        let (chatty, mut theirs) = pair().await;
        pool.put(chatty);
        theirs.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        notice(&pool).await;
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_waited_too_long_is_closed() {
        let pool = Arc::new(Pool::new(Duration::from_millis(50)));
        let (ours, mut theirs) = pair().await;
        pool.put(ours);
        // The server sees it closed though nobody asks for it.
        let mut byte = [0];
        let end = tokio::time::timeout(LONG, theirs.read(&mut byte)).await;
        assert_eq!(end.unwrap().unwrap(), 0);
        assert!(pool.take().is_none());
        assert!(!pool.lock().is_swept, "somebody still looks after nothing");
        let (ours, _theirs) = pair().await;
        pool.put(ours);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn no_more_are_kept_than_the_bound() {
        let pool = Arc::new(Pool::new(LONG));
        let mut theirs = Vec::new();
        for _ in 0..=KEPT_MAX {
            let (ours, their) = pair().await;
            pool.put(ours);
            theirs.push(their);
        }
        assert_eq!(pool.lock().streams.len(), KEPT_MAX);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let (_, theirs) = pair().await;
        let nobody = theirs.local_addr().unwrap();
        drop(theirs);
        let error = connect(&nobody, LONG).await.unwrap_err();
        assert_eq!(*error.etype(), ErrorType::ConnectRefused);
        assert_eq!(*error.esource(), pingora::ErrorSource::Upstream);
    }
}
