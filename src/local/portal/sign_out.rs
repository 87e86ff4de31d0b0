//! The sign-out page: ends the token that the sign-in page gave out, with its sessions, and takes both
//! cookies away.

use super::super::{Call, Local, Reply, encode};
use super::form::Visit;
use super::page::{self, Frame};
use super::sign_in::context;
use super::{cookie, said, said::Stop};
use crate::gate::session::Which;
use askama::Template;
use http::{HeaderName, Method, StatusCode};

/// What browsers must not show again (W3C Clear Site Data). Cookies are the backend's too, and are
/// taken away one by one.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

#[derive(Template)]
#[template(path = "sign_out.html")]
struct Page<'a> {
    t: &'a Frame<'a>,
    /// There is something to end.
    is_signed_in: bool,
}

impl Local {
    /// `GET|POST /.vestibule/sign-out`.
    pub(super) async fn sign_out(&self, visit: &Visit<'_>) -> Result<Reply, Stop> {
        let call = visit.call;
        if call.method == Method::POST {
            if let Some(token) = cookie::token(call) {
                self.end_token(call, &token).await?;
            }
            let reply = said::go_to(&call.route.address("/.vestibule/sign-out"));
            let reply = encode::header(reply, CLEAR_SITE_DATA, "\"cache\"");
            return Ok(cookie::clear(reply, call));
        }
        let page = Page {
            t: &visit.frame,
            is_signed_in: cookie::has_token(call),
        };
        Ok(page::html(StatusCode::OK, &page))
    }

    /// Ends a token of this route's realm with its sessions, here and in the store.
    pub(super) async fn end_token(&self, call: &Call, token: &str) -> Result<(), Stop> {
        let ended = self.auth.sign_out(context(call, None), token).await?;
        for session in ended {
            self.forget(Which::Session(session)).await;
        }
        Ok(())
    }
}
