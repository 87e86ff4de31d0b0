//! portal stub
use super::{Call, Local, Reply, encode};
use http::StatusCode;
pub(super) fn page_url(return_to: &str) -> String {
    return_to.to_owned()
}
pub(super) fn notice(status: StatusCode, title: &str, detail: &str) -> Reply {
    let _ = title;
    encode::reply(status, "text/html; charset=utf-8", detail.to_owned())
}
impl Local {
    pub(super) async fn portal_challenge(&self, call: &Call) -> Reply {
        let _ = call;
        todo!()
    }
}
