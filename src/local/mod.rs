//! The endpoints Vestibule answers itself: decode → one use case → encode. No decisions here.

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// A request to a local endpoint, read whole by the edge (64 KiB at most).
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// Canonical; see [`crate::request::RequestHead`].
    pub path: String,
    pub query: Option<String>,
    /// Canonical host, without port.
    pub host: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The client's address.
    pub address: IpAddr,
    /// Whether the client's connection is TLS.
    pub tls: bool,
    pub route: Arc<crate::route::Route>,
}

/// What the edge writes back.
pub type Reply = Response<Bytes>;

pub mod refusal;
pub mod table;

use crate::auth::Auth;
use crate::gate::Gate;

/// The local endpoints with what they need.
pub struct Local {
    pub auth: Arc<Auth>,
    pub gate: Arc<Gate>,
    pub witness: Arc<dyn crate::gate::Witness>,
}

impl Local {
    /// Answers one call that [`table::find`] has placed.
    pub async fn answer(&self, endpoint: &'static table::Endpoint, call: Call) -> Reply {
        let _ = (endpoint, call);
        todo!()
    }
}
