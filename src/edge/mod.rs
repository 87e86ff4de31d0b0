//! The only folder that imports Pingora: sockets, TLS, and the hardened HTTP framework.
//!
//! A connection: [`sockets`] → [`listen`] → `conn` and `scan` (heads, before Pingora's parser), [`tls`], [`h2`] (bounds).
//! A request: [`lane`], if it is simple; else [`stall`] → [`proxy`] (phases) → `harden`. Both: `admit`
//! (head to permit, with `head`) → `exchange` (what is told and heard), `headers`, [`upstream`];
//! Pingora's alone: `body` and [`watch`] on the way through, or `bridge` to a local endpoint.
//! `failure` and `access` at its end. A question of another proxy about a request, on a listener for
//! such: [`stall`] → [`proxy`] → `forward_auth`, which asks `admit` as the others do. What goes on after it
//! (WebSockets, event streams) is `tunnel`'s.

pub mod h2;
pub mod lane;
pub mod listen;
pub mod proxy;
pub mod sockets;
pub mod stall;
pub mod tls;
mod trace;
pub mod upstream;
pub mod watch;

mod access;
mod admit;
mod body;
mod bridge;
mod conn;
mod exchange;
mod failure;
mod forward;
mod forward_auth;
mod harden;
mod head;
mod headers;
mod scan;
#[cfg(test)]
mod tests;
mod tunnel;
mod upgrade;
