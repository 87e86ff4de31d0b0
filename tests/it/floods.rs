//! Clients that attack HTTP/2 itself, in raw frames (RFC 9113): each connection is ended, memory
//! stays bounded, and others are served meanwhile. The bounds are those of `src/edge/h2.rs`.

use crate::support::tls::{certificate, client_config};
use crate::support::{Gateway, Site};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

const HOST: &str = "files.test";
/// Far above anything a passing test needs, even on a busy machine.
const GENEROUS: Duration = Duration::from_secs(60);
/// What an attack may make the process grow by. Each sends or asks for far more.
const GROWTH_KIB_MAX: u64 = 16 << 10;

// Frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;
const WINDOW_MAX: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
const CANCEL: [u8; 4] = [0, 0, 0, 8];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("length").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A literal field that is kept in no table (RFC 7541 section 6.2.2), of fewer than 127 bytes each.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        out.push(u8::try_from(text.len()).expect("length"));
        out.extend(text.bytes());
    }
    out
}

/// A request's head, without any escape from the static table.
fn head(method: &str) -> Vec<u8> {
    [
        field(":method", method),
        field(":scheme", "https"),
        field(":authority", HOST),
        field(":path", "/x"),
    ]
    .concat()
}

/// The ids that a client gives its streams.
fn streams() -> impl Iterator<Item = u32> {
    (1_u32..).step_by(2).take_while(|id| *id < 1 << 31)
}

/// Pieces that are sent at once, so that the server meets many frames in one look.
fn together(frames: impl Iterator<Item = Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    let mut frames = frames.peekable();
    std::iter::from_fn(move || {
        frames.peek()?;
        Some(frames.by_ref().take(400).flatten().collect())
    })
}

/// How a connection came to its end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Told, with the error's code.
    GoAway(u32),
    /// Closed without a word.
    Cut,
}

/// A gateway with a listener for TLS, and the folder of its certificate.
struct Target {
    gateway: Gateway,
    _dir: TempDir,
}

impl Target {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        certificate(dir.path(), HOST);
        // A trace of each frame would be what is measured.
        let site = Site::accounts_with(|setup| {
            setup
                .with_tls(dir.path(), &[HOST])
                .with("level: trace", "level: info")
                .with("keepalive: 75s", "keepalive: 3s, write: 2s")
        })
        .await;
        Self {
            gateway: site.gateway,
            _dir: dir,
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().expect("socket");
        // Small, so that a client that reads nothing is soon felt by the server.
        socket.set_recv_buffer_size(16 << 10).expect("buffer");
        let tcp = socket.connect(self.gateway.listeners[1]).await;
        let mut config = client_config();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(HOST.try_into().expect("name"), tcp.expect("connect"))
            .await
            .expect("handshake");
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .expect("preface");
        tls.write_all(&frame(SETTINGS, 0, 0, &[]))
            .await
            .expect("settings");
        tls
    }

    /// Sends the attack until it is over or the connection is; somebody else asks meanwhile.
    async fn meets(&self, attack: impl Iterator<Item = Vec<u8>>, reading: Reading) -> End {
        self.answers_others().await;
        let before = self.gateway.memory_kib("VmRSS");
        let (read, write) = tokio::io::split(self.connect().await);
        let flood = async {
            match reading {
                Reading::AtOnce => tokio::join!(end_of(read), send(write, attack)).0,
                Reading::AfterAll => {
                    let write = send(write, attack).await;
                    let end = end_of(read).await;
                    drop(write);
                    end
                }
            }
        };
        let mut flood = std::pin::pin!(tokio::time::timeout(GENEROUS, flood));
        let end = loop {
            tokio::select! {
                end = &mut flood => break end.expect("the connection is ended"),
                () = self.answers_others() => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        self.answers_others().await;
        let growth = self.gateway.memory_kib("VmHWM").saturating_sub(before);
        assert!(growth < GROWTH_KIB_MAX, "grew by {growth} KiB");
        end
    }

    /// A client of its own, with a connection of its own.
    async fn answers_others(&self) {
        let url = format!("https://{}/x", self.gateway.listeners[1]);
        let answer = crate::support::client().get(url).send();
        let answer = tokio::time::timeout(GENEROUS / 2, answer).await;
        let answer = answer.expect("others are served").expect("answer");
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        assert_eq!(answer.status(), 401);
    }
}

/// When the attacker takes what the gateway sends.
#[derive(Clone, Copy)]
enum Reading {
    AtOnce,
    AfterAll,
}

/// Sends until the attack or the connection is over. The half comes back: dropping it says goodbye.
async fn send(
    mut write: WriteHalf<TlsStream<TcpStream>>,
    attack: impl Iterator<Item = Vec<u8>>,
) -> WriteHalf<TlsStream<TcpStream>> {
    for piece in attack {
        if write.write_all(&piece).await.is_err() || write.flush().await.is_err() {
            break;
        }
    }
    write
}

/// Reads frames to the end of the connection.
async fn end_of(mut read: ReadHalf<TlsStream<TcpStream>>) -> End {
    let mut end = End::Cut;
    loop {
        let mut head = [0; 9];
        if read.read_exact(&mut head).await.is_err() {
            return end;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if read.read_exact(&mut payload).await.is_err() {
            return end;
        }
        if head[3] == GOAWAY {
            let code = payload[4..8].try_into().expect("code");
            end = End::GoAway(u32::from_be_bytes(code));
        }
    }
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let target = Target::start().await;
    // CVE-2023-44487: each request is taken back at once, so that none counts as open.
    let attack = streams().map(|id| {
        let request = frame(HEADERS, END_HEADERS | END_STREAM, id, &head("GET"));
        [request, frame(RST_STREAM, 0, id, &CANCEL)].concat()
    });
    let end = target.meets(together(attack), Reading::AtOnce).await;
    assert_eq!(end, End::GoAway(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn resets_that_the_server_is_made_to_send_end_the_connection() {
    let target = Target::start().await;
    // CVE-2025-8671: the server resets each stream itself, whose window would overflow.
    let attack = streams().map(|id| {
        let request = frame(HEADERS, END_HEADERS, id, &head("POST"));
        [request, frame(WINDOW_UPDATE, 0, id, &WINDOW_MAX)].concat()
    });
    let end = target.meets(together(attack), Reading::AtOnce).await;
    assert_eq!(end, End::GoAway(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let target = Target::start().await;
    // CVE-2024-27316: the head goes on and on, in frames of every size.
    let full = field("a", &"x".repeat(100)).repeat(157);
    for filler in [&[][..], &[0], &full] {
        let first = frame(HEADERS, END_STREAM, 1, &head("GET"));
        let more = frame(CONTINUATION, 0, 1, filler);
        let attack = std::iter::once(first).chain(std::iter::repeat(more));
        let end = target.meets(together(attack), Reading::AtOnce).await;
        assert_eq!(
            end,
            End::GoAway(ENHANCE_YOUR_CALM),
            "frames of {}",
            filler.len()
        );
    }
}

#[tokio::test]
async fn a_head_that_unpacks_to_megabytes_is_not_unpacked() {
    let target = Target::start().await;
    // A field of 4,000 bytes goes into the table, then each byte names it once more (0xbe is
    // index 62, the newest entry): 60 MB from 16 KiB.
    let mut bomb = head("GET");
    bomb.extend([0x40, 1, b'a', 0x7f]);
    // 4,000 as an integer with a prefix of 7 bits (RFC 7541 section 5.1): 127 + 33 + 30 * 128.
    bomb.extend([0x80 | 33, 30]);
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 12_000]);
    let first = frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    let end = target.meets([first].into_iter(), Reading::AtOnce).await;
    assert_eq!(end, End::GoAway(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn pings_and_settings_keep_no_connection_open() {
    let target = Target::start().await;
    for attack in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        for reading in [Reading::AtOnce, Reading::AfterAll] {
            let attack = std::iter::repeat(attack.clone());
            // Without a request it is idle, however busy.
            let end = target.meets(together(attack), reading).await;
            assert_eq!(end, End::Cut);
        }
    }
}

#[tokio::test]
async fn empty_frames_of_a_body_end_the_connection() {
    let target = Target::start().await;
    let first = frame(HEADERS, END_HEADERS, 1, &head("POST"));
    let attack = std::iter::once(first).chain(std::iter::repeat(frame(DATA, 0, 1, &[])));
    let end = target.meets(together(attack), Reading::AtOnce).await;
    assert_eq!(end, End::GoAway(ENHANCE_YOUR_CALM));
}
