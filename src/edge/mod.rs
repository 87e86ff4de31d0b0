//! The only folder that imports Pingora: sockets, TLS, and the hardened HTTP framework.

mod conn;
pub mod h2;
pub mod listen;
pub mod proxy;
mod scan;
pub mod stall;
pub mod tls;
pub mod upstream;
pub mod watch;

mod admit;
mod body;
mod bridge;
mod harden;
mod head;
mod headers;
