//! The only folder that imports Pingora: sockets, TLS, and the hardened HTTP framework.

mod conn;
pub mod h2;
pub mod listen;
mod scan;
pub mod tls;
