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

pub mod b2core;
mod caller;
pub mod conduit;
mod decode;
mod encode;
pub mod iogates;
mod offer;
mod openapi;
pub(crate) mod origin;
mod portal;
mod signed;
mod target;
pub mod tokens;
mod trouble;
pub mod ziik;

pub use offer::Offer;

use crate::auth::Auth;
use crate::gate::Gate;
use http::StatusCode;
use http::header::ALLOW;
use table::{Endpoint, Handler};

/// The local endpoints with what they need.
pub struct Local {
    pub auth: Arc<Auth>,
    pub gate: Arc<Gate>,
    pub witness: Arc<dyn crate::gate::Witness>,
}

impl Local {
    /// Answers one call that [`table::find`] has placed. The method is looked at before anything
    /// else of the call. HEAD is answered as GET, with the body that the edge leaves out.
    pub async fn answer(&self, endpoint: &'static Endpoint, call: Call) -> Reply {
        if !endpoint.methods.contains(&call.method.as_str()) {
            return method_not_allowed(endpoint);
        }
        match endpoint.handler {
            Handler::IoGatesAuthToken => self.iogates_auth_token(&call).await,
            Handler::IoGatesTwoFactorSms => self.iogates_two_factor(&call).await,
            Handler::Ziik(step) => self.ziik(step, &call).await,
            Handler::B2Core(step) => self.b2core(step, &call).await,
            Handler::Conduit(step) => self.conduit(step, &call).await,
            Handler::Tokens(step) => self.tokens(step, &call).await,
            Handler::OpenApi => self.openapi(&call),
            Handler::Portal(step) => self.portal(step, &call).await,
        }
    }
}

fn method_not_allowed(endpoint: &Endpoint) -> Reply {
    let allow = endpoint.methods.join(", ");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let text = format!("this path takes {allow}");
    let reply = match endpoint.handler {
        Handler::IoGatesAuthToken | Handler::IoGatesTwoFactorSms => iogates::message(status, &text),
        Handler::Ziik(_) => ziik::message(status, &text),
        Handler::B2Core(_) => b2core::message(status, &text),
        Handler::Conduit(_) => conduit::message(status, &text),
        Handler::Tokens(_) => tokens::error(status, "invalid_request", &text),
        Handler::Portal(_) | Handler::OpenApi => {
            refusal::problem(status, "Method not allowed", &text)
        }
    };
    encode::header(reply, ALLOW, &allow)
}

#[cfg(test)]
mod tests;
