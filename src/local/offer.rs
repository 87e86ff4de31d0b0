//! What a refused client that cannot show a page is told besides: the user code under which a person
//! lets it in.

use super::{Local, origin};
use crate::auth::grants::{self, Refused};
use crate::auth::ports::Whence;
use crate::gate::{Known, Presented, Refusal};
use crate::identity::client;
use crate::request::RequestHead;
use crate::route::Route;

/// Where the code is typed.
pub(super) const PAGE: &str = "/.vestibule/device";

/// A user code, ready to be shown (RFC 8628 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// `WDJB-MJHT`
    pub user_code: String,
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: String,
    pub expires_in_secs: u64,
}

impl Local {
    /// The user code of a pair that lacks its second factor. None for browsers, which show pages, and
    /// none where the store has none to give: the refusal itself must not fail on it.
    pub async fn offer(
        &self,
        refusal: &Refusal,
        head: &RequestHead<'_>,
        route: &Route,
        presented: Option<Presented<'_>>,
    ) -> Option<Offer> {
        let Refusal::SecondFactorRequired { holder, .. } = refusal else {
            return None;
        };
        let presented = presented.filter(|_| !head.is_of_browser())?;
        let keys = &route.keys;
        let pair = match presented.device {
            Some(_) => keys.session(presented.token, presented.device),
            None => {
                let realm = &route.config.identity;
                match self.witness.holder(realm, presented.token).await {
                    Ok(Known::Yes { issued_pair, .. }) => {
                        issued_pair.unwrap_or_else(|| keys.session(presented.token, None))
                    }
                    Ok(Known::No) | Err(_) => return None,
                }
            }
        };
        let device = presented.device;
        let refused = Refused {
            user: holder.user,
            token: keys.token(presented.token),
            pair,
            device_label: device.map(|device| self.auth.keys.device_label(device)),
            whence: Whence {
                address: head.client.address,
                client: client::words(head.headers),
            },
            host: &head.host,
            route: &route.config.name,
        };
        let told = self.auth.offer_grant(refused).await?;
        let user_code = grants::readable(told.text.expose());
        let page = format!("{}{}", origin::of_head(head), route.address(PAGE));
        Some(Offer {
            verification_uri_complete: format!("{page}?code={user_code}"),
            verification_uri: page,
            expires_in_secs: told.expires_at.secs_since(self.auth.clock.now()),
            user_code,
        })
    }
}
