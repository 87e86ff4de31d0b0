//! One client connection, between the socket and Pingora.
//!
//! What it adds to a bare stream:
//! - **A head is read whole and checked before Pingora sees a byte of it** ([`Conn::read_head`]):
//!   one deadline for all of it, bounds, and the strictness of [`super::scan`]. Pingora's parser is
//!   handed exactly that head, never more, so no head escapes the check. What follows a request
//!   without a body is held back for the next one. Bytes behind a body may be read by Pingora; it
//!   then closes the connection after the answer and never parses them.
//! - An idle connection holds no buffers.
//! - Small writes are joined until a flush; a client that takes nothing for `timeouts.write` is cut.
//! - Closing lingers: what the client is still sending is read and dropped for a moment, because
//!   closing over unread bytes resets the connection and the client may lose its answer.
//!
//! It never looks into bodies and never changes a byte.

use super::scan::{BadHead, HeadBounds, HeadScan, Scanned};
use bytes::{Buf, BytesMut};
use pingora::protocols::l4::ext::{TcpKeepalive, set_tcp_keepalive};
use pingora::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::server::ShutdownWatch;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Read at once while a head is awaited; lives on the stack, so that waiting costs nothing.
const READ_BYTES: usize = 4096;
/// Pipelined bytes held for the next request; then the client has to wait.
const HELD_BYTES_MAX: usize = 16 << 10;
/// Joined before they are written: an answer's head with a small body.
const JOINED_BYTES_MAX: usize = 2048;
/// Slices in one vectored write.
const SLICES_MAX: usize = 8;
/// How long a closed connection still takes what the client sends.
const LINGER: Duration = Duration::from_secs(5);

/// A client that has vanished is noticed after two to three minutes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(120),
    interval: Duration::from_secs(15),
    count: 4,
    user_timeout: Duration::ZERO,
};

/// What is known of a connection before its first request.
pub(crate) struct About {
    pub(crate) peer: SocketAddr,
    pub(crate) fd: UniqueIDType,
    pub(crate) socket: Arc<SocketDigest>,
    /// `None`: plain TCP.
    pub(crate) tls: Option<Arc<SslDigest>>,
    pub(crate) is_h2: bool,
}

impl About {
    /// Of a connection that has just been accepted; the kernel is told to look whether its client is there.
    pub(crate) fn of(stream: &TcpStream, peer: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        // A WebSocket has no read timeout: a client that vanished is found by the kernel.
        set_tcp_keepalive(stream, &KEEPALIVE).map_err(io::Error::other)?;
        let fd = stream.as_raw_fd();
        let socket = SocketDigest::from_raw_fd(fd);
        // Set now: Pingora would ask the descriptor later, when it may belong to another connection.
        let _ = socket.peer_addr.set(Some(PingoraAddr::Inet(peer)));
        let _ = socket
            .local_addr
            .set(Some(PingoraAddr::Inet(stream.local_addr()?)));
        Ok(Self {
            peer,
            fd,
            socket: Arc::new(socket),
            tls: None,
            is_h2: false,
        })
    }
}

/// A connection over `S`, a TCP or a TLS stream.
pub(crate) struct Conn<S> {
    inner: S,
    about: About,
    /// Read from the client and not handed on.
    input: BytesMut,
    /// How much of `input` is the head of the request that runs now.
    head_left: usize,
    /// Behind the head comes the next request: hand nothing more on.
    hold: bool,
    /// Written by Pingora and not sent.
    out: BytesMut,
    stall: Stall,
    /// Set once the sending side is shut down: how long to linger.
    linger: Option<Pin<Box<Sleep>>>,
}

/// How long the first byte and the rest of a head may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadDeadlines {
    pub(crate) first_byte: Instant,
    /// Until when the first byte is awaited although the gateway stops.
    pub(crate) after_stop: Instant,
    /// Counted from the first byte.
    pub(crate) head: Duration,
}

/// A client that has just connected, or was just answered, may have sent a request that is not here
/// yet: closing now would lose it. So long it still may come.
const LAST_WORD: Duration = Duration::from_secs(1);

impl HeadDeadlines {
    pub(crate) fn from_now(first_byte: Duration, head: Duration) -> Self {
        let now = Instant::now();
        Self {
            first_byte: now + first_byte,
            after_stop: now + LAST_WORD,
            head,
        }
    }

    /// Waits until the gateway stops and nothing more can be on its way.
    pub(crate) async fn stopped(&self, shutdown: &mut ShutdownWatch) {
        // An error means that the sender is gone, which is a stop as well.
        let _ = shutdown.wait_for(|stop| *stop).await;
        tokio::time::sleep_until(self.after_stop).await;
    }
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoHead {
    /// Gone, or idle for too long, or the gateway shuts down: nothing to answer.
    Closed,
    Bad(BadHead),
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Conn<S> {
    pub(crate) fn new(inner: S, about: About, write_timeout: Duration) -> Self {
        Self {
            inner,
            about,
            input: BytesMut::new(),
            head_left: 0,
            hold: false,
            out: BytesMut::new(),
            stall: Stall::new(write_timeout),
            linger: None,
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.about.peer
    }

    /// Waits for the next request and reads its whole head. The wait ends when the gateway stops, a
    /// moment later if the connection was just in use.
    pub(crate) async fn read_head(
        &mut self,
        deadlines: HeadDeadlines,
        bounds: HeadBounds,
        shutdown: &mut ShutdownWatch,
    ) -> Result<(), NoHead> {
        self.become_idle();
        if self.input.is_empty() {
            tokio::select! {
                biased;
                filled = self.fill() => filled?,
                () = deadlines.stopped(shutdown) => return Err(NoHead::Closed),
                () = tokio::time::sleep_until(deadlines.first_byte) => return Err(NoHead::Closed),
            }
        }
        match tokio::time::timeout(deadlines.head, self.fill_head(bounds)).await {
            Ok(read) => read,
            // Stray line ends after a body are no request.
            Err(_) if !self.drop_empty_lines() => Err(NoHead::Closed),
            Err(_) => Err(NoHead::Bad(BadHead::TooSlow)),
        }
    }

    /// The head that was read last, if nothing but the next request can follow it.
    pub(crate) fn bodiless_head(&self) -> Option<&[u8]> {
        self.input.get(..self.head_left).filter(|_| self.hold)
    }

    /// The head that [`Self::bodiless_head`] shows is done with.
    pub(crate) fn skip_head(&mut self) {
        self.input.advance(self.head_left.min(self.input.len()));
        self.head_left = 0;
    }

    /// Whether it is not plain TCP.
    pub(crate) fn is_tls(&self) -> bool {
        self.about.tls.is_some()
    }

    /// Waits until the client has sent `len` bytes, which stay to be read.
    pub(crate) async fn await_bytes(&mut self, len: usize) -> Result<(), NoHead> {
        while self.input.len() < len {
            self.fill().await?;
        }
        Ok(())
    }

    /// Answers a head that Pingora will not see, and closes.
    pub(crate) async fn refuse(mut self, bad: BadHead) {
        let (status, reason) = bad.status();
        let answer =
            format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        if AsyncWriteExt::write_all(&mut self, answer.as_bytes())
            .await
            .is_ok()
        {
            Shutdown::shutdown(&mut self).await;
        }
    }

    /// Gives back what only a running request needs.
    fn become_idle(&mut self) {
        self.hold = false;
        self.stall.sleep = None;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
    }

    async fn fill_head(&mut self, bounds: HeadBounds) -> Result<(), NoHead> {
        let mut scan = HeadScan::default();
        loop {
            if self.drop_empty_lines() {
                match scan.advance(&self.input, bounds).map_err(NoHead::Bad)? {
                    Scanned::More => {}
                    Scanned::Complete { len, bodiless } => {
                        self.head_left = len;
                        self.hold = bodiless;
                        return Ok(());
                    }
                }
            }
            self.fill().await?;
        }
    }

    /// Drops empty lines before a request line (RFC 9112 section 2.2). Whether one has begun.
    fn drop_empty_lines(&mut self) -> bool {
        while self.input.starts_with(b"\r\n") {
            self.input.advance(2);
        }
        !self.input.is_empty() && self.input.as_ref() != b"\r"
    }

    async fn fill(&mut self) -> Result<(), NoHead> {
        match poll_fn(|cx| self.poll_fill(cx)).await {
            Ok(0) | Err(_) => Err(NoHead::Closed),
            Ok(_) => Ok(()),
        }
    }

    /// Reads once into `input`; 0 is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut space = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut space))?;
        self.input.extend_from_slice(space.filled());
        Poll::Ready(Ok(space.filled().len()))
    }

    /// Ready only when the client has gone: what it sends meanwhile is the next request's.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The head that was read is not one of those bytes.
        while self.input.len() < self.head_left + HELD_BYTES_MAX {
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    fn poll_send_joined(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let sent = Pin::new(&mut self.inner).poll_write(cx, &self.out);
            let sent = ready!(self.stall.watch(cx, sent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes `out` and `bufs` together; how much of `bufs` has gone, at least one byte.
    fn poll_write_through(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let joined = std::iter::once(IoSlice::new(&self.out)).chain(bufs.iter().copied());
            for (slot, slice) in slices.iter_mut().zip(joined) {
                *slot = slice;
            }
            let sent = Pin::new(&mut self.inner).poll_write_vectored(cx, &slices);
            let sent = ready!(self.stall.watch(cx, sent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let joined = sent.min(self.out.len());
            self.out.advance(joined);
            if sent > joined {
                return Poll::Ready(Ok(sent - joined));
            }
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.linger.as_mut() else {
            return Poll::Ready(());
        };
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        loop {
            let mut space = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut space)) {
                Ok(()) if !space.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> AsyncRead for Conn<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.head_left == 0 && this.hold {
            return this.poll_gone(cx);
        }
        if this.input.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let most = if this.head_left > 0 {
            this.head_left
        } else {
            this.input.len()
        };
        let taken = this
            .input
            .split_to(most.min(buf.remaining()).min(this.input.len()));
        buf.put_slice(&taken);
        this.head_left = this.head_left.saturating_sub(taken.len());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> AsyncWrite for Conn<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let len: usize = bufs.iter().map(|buf| buf.len()).sum();
        if this.out.len() + len > JOINED_BYTES_MAX {
            return this.poll_write_through(cx, bufs);
        }
        for buf in bufs {
            this.out.extend_from_slice(buf);
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_joined(cx))?;
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.stall.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(this.poll_send_joined(cx))?;
            let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
            ready!(this.stall.watch(cx, shut))?;
            this.linger = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        this.poll_linger(cx).map(Ok)
    }
}

/// Ends reads or writes that make no progress.
pub(crate) struct Stall {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    /// The last one could not go on: `sleep` runs.
    stuck: bool,
}

impl Stall {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: None,
            stuck: false,
        }
    }

    pub(crate) fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stuck = false;
            return polled;
        }
        let deadline = Instant::now() + self.limit;
        let fresh = self.sleep.is_none();
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.stuck && !fresh {
            sleep.as_mut().reset(deadline);
        }
        self.stuck = true;
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "nothing has gone on for the time that it may take",
        )))
    }
}

impl<S> std::fmt::Debug for Conn<S> {
    // Never the buffers: they hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn")
            .field("peer", &self.about.peer)
            .finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Shutdown for Conn<S> {
    async fn shutdown(&mut self) {
        // The connection ends either way.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl<S> UniqueID for Conn<S> {
    fn id(&self) -> UniqueIDType {
        self.about.fd
    }
}

impl<S> Ssl for Conn<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.about.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.about.is_h2.then_some(ALPN::H2)
    }
}

impl<S> GetTimingDigest for Conn<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl<S> GetProxyDigest for Conn<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl<S> GetSocketDigest for Conn<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.about.socket.clone())
    }
}

impl<S> Peek for Conn<S> {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::sync::watch;

    const GENEROUS: Duration = Duration::from_secs(30);

    fn pair(room: usize) -> (Conn<DuplexStream>, DuplexStream) {
        let (inner, client) = duplex(room);
        let about = About {
            peer: "192.0.2.1:9".parse().unwrap(),
            fd: 0,
            socket: Arc::new(SocketDigest::from_raw_fd(0)),
            tls: None,
            is_h2: false,
        };
        (Conn::new(inner, about, GENEROUS), client)
    }

    async fn head(conn: &mut Conn<DuplexStream>) -> Result<(), NoHead> {
        let deadlines = HeadDeadlines::from_now(GENEROUS, GENEROUS);
        let bounds = HeadBounds {
            bytes_max: 1024,
            headers_max: 16,
        };
        let (_stop, mut shutdown) = watch::channel(false);
        conn.read_head(deadlines, bounds, &mut shutdown).await
    }

    async fn reads(conn: &mut Conn<DuplexStream>, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        conn.read_exact(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    fn poll_once(conn: &mut Conn<DuplexStream>) -> Poll<usize> {
        let mut space = [0; 64];
        let mut space = ReadBuf::new(&mut space);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(conn)
            .poll_read(&mut cx, &mut space)
            .map(|read| read.map(|()| space.filled().len()).unwrap())
    }

    #[tokio::test]
    async fn a_bodiless_request_reads_its_head_and_then_nothing() {
        let (mut conn, mut client) = pair(4096);
        let (first, second) = ("GET /1 HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\n\r\n");
        let both = format!("{first}{second}");
        client.write_all(both.as_bytes()).await.unwrap();
        head(&mut conn).await.unwrap();
        reads(&mut conn, first).await;
        assert_eq!(poll_once(&mut conn), Poll::Pending);
        // More of it, and the end of the stream, come while the first request runs.
        client.write_all(second.as_bytes()).await.unwrap();
        assert_eq!(poll_once(&mut conn), Poll::Pending);
        drop(client);
        assert_eq!(poll_once(&mut conn), Poll::Ready(0));
        for _ in 0..2 {
            head(&mut conn).await.unwrap();
            reads(&mut conn, second).await;
        }
        assert_eq!(head(&mut conn).await, Err(NoHead::Closed));
    }

    #[tokio::test]
    async fn a_client_that_pipelines_without_end_has_to_wait() {
        let (mut conn, mut client) = pair(4 * HELD_BYTES_MAX);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        head(&mut conn).await.unwrap();
        reads(&mut conn, "GET / HTTP/1.1\r\n\r\n").await;
        client.write_all(&[b'x'; 3 * HELD_BYTES_MAX]).await.unwrap();
        assert_eq!(poll_once(&mut conn), Poll::Pending);
        assert!(conn.input.len() < HELD_BYTES_MAX + READ_BYTES);
    }

    #[tokio::test]
    async fn a_body_and_an_upgrade_are_handed_on() {
        for request in [
            "PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\nbody",
        ] {
            let (mut conn, mut client) = pair(4096);
            client.write_all(request.as_bytes()).await.unwrap();
            head(&mut conn).await.unwrap();
            reads(&mut conn, request).await;
            // Past what came with the head, too.
            client.write_all(b"more").await.unwrap();
            reads(&mut conn, "more").await;
        }
    }

    #[tokio::test]
    async fn small_writes_are_sent_together() {
        let (mut conn, mut client) = pair(4096);
        conn.write_all(b"head ").await.unwrap();
        conn.write_all(b"body").await.unwrap();
        let mut bytes = [0; 64];
        let early = tokio::time::timeout(Duration::ZERO, client.read(&mut bytes)).await;
        assert!(early.is_err(), "sent before the flush");
        conn.flush().await.unwrap();
        assert_eq!(client.read(&mut bytes).await.unwrap(), 9);
    }

    #[tokio::test]
    async fn writes_of_all_sizes_keep_their_order() {
        // A narrow pipe, so that every vectored write is cut somewhere.
        let (mut conn, mut client) = pair(700);
        let sizes = [1, 2000, 1, 2048, 2049, 500, 10_000, 3, 0, 1];
        let sent: Vec<Vec<u8>> = (1..).zip(sizes).map(|(n, size)| vec![n; size]).collect();
        let expected = sent.concat();
        let writer = tokio::spawn(async move {
            for piece in &sent {
                conn.write_all(piece).await.unwrap();
            }
            let mut chunk = Buf::chain(&b"4\r\n"[..], &[b'y'; 5000][..]).chain(&b"\r\n"[..]);
            conn.write_all_buf(&mut chunk).await.unwrap();
            AsyncWriteExt::shutdown(&mut conn).await.unwrap();
        });
        let mut received = Vec::new();
        // Bounded: bytes that were sent twice would never come to an end.
        let mut bounded = (&mut client).take(64 << 10);
        bounded.read_to_end(&mut received).await.unwrap();
        drop(client);
        writer.await.unwrap();
        let chunk = [&b"4\r\n"[..], &[b'y'; 5000], b"\r\n"].concat();
        assert!(received == [expected, chunk].concat());
    }

    #[test]
    fn debug_shows_no_buffers() {
        let (mut conn, _client) = pair(64);
        conn.input.extend_from_slice(b"Bearer secret");
        assert_eq!(format!("{conn:?}"), "Conn { peer: 192.0.2.1:9, .. }");
    }
}
