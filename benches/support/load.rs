//! Clients: `wrk` for load, plain sockets for connections that idle.

use super::process::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// What one spell of load cost and brought.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    pub cpu_secs_per_million: f64,
    pub requests_per_sec: f64,
}

/// Loads `server` from `core` with GETs of `path` over 64 kept-alive connections. An answer that is
/// not 2xx makes the spell worthless, and an error.
pub fn spell(
    core: usize,
    server: &Server,
    path: &str,
    headers: &[String],
    secs: u32,
) -> Result<Spell, String> {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "wrk", "-t1", "-c64"]);
    command.arg(format!("-d{secs}s"));
    for header in headers {
        command.args(["-H", header]);
    }
    command.arg(format!("http://{}{path}", server.address));
    let before = server.cpu_secs();
    let output = command
        .output()
        .map_err(|error| format!("wrk does not start: {error}"))?;
    let cpu_secs = server.cpu_secs() - before;
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(bad) = said
        .lines()
        .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
    {
        return Err(format!("{}: {}", server.address, bad.trim()));
    }
    // "  123456 requests in 2.00s, 150.00MB read"
    let requests = said
        .lines()
        .find_map(|line| {
            line.trim()
                .split_once(" requests in ")?
                .0
                .parse::<f64>()
                .ok()
        })
        .filter(|requests| *requests > 0.0)
        .ok_or_else(|| format!("wrk did not say what it did: {said}"))?;
    Ok(Spell {
        cpu_secs_per_million: cpu_secs / requests * 1e6,
        requests_per_sec: requests / f64::from(secs),
    })
}

/// Opens `count` connections, each of which makes one request and then stays open.
pub fn idle_connections(
    server: &Server,
    path: &str,
    headers: &[String],
    count: usize,
) -> Result<Vec<TcpStream>, String> {
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", server.address);
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    (0..count)
        .map(|n| {
            one_request(&server.address, &head)
                .map_err(|error| format!("connection {n} of {count}: {error}"))
        })
        .collect()
}

fn one_request(address: &str, head: &str) -> Result<TcpStream, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(text)?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(text)?;
    stream.write_all(head.as_bytes()).map_err(text)?;
    let mut reader = BufReader::new(&stream);
    let mut status = String::new();
    reader.read_line(&mut status).map_err(text)?;
    if !status.starts_with("HTTP/1.1 200") {
        return Err(format!("answered {}", status.trim()));
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).map_err(text)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value
                .parse()
                .map_err(|_| "a bad Content-Length".to_owned())?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).map_err(text)?;
    Ok(stream)
}
