//! The only folder that imports Pingora: sockets, TLS, and the hardened HTTP framework.

pub mod proxy;
pub mod stall;
pub mod upstream;
pub mod watch;

mod admit;
mod body;
mod bridge;
mod harden;
mod head;
mod headers;
