//! The e-mail challenge, with a token and without, and the success token that it leads to.

use super::sign_in::Device;
use crate::auth::Caller;
use crate::auth::challenge::VerifyError;
use crate::auth::confirm::Named;
use crate::auth::wizard::WizardError;
use crate::local::decode::Fields;
use crate::local::trouble::{ONLY_PASSKEYS, Trouble};
use crate::local::{Call, Local, Reply, encode};
use http::StatusCode;
use serde_json::json;

const NO_ADDRESS: Trouble =
    Trouble::Nothing("no email address is known for you: ask who gave you this access to add one");

fn named(named: &Named) -> Reply {
    let body = json!({
        "token": named.name.expose(),
        "expiresAt": named.expires_at.iso8601(),
    });
    encode::json(StatusCode::OK, &body)
}

impl Local {
    pub(super) async fn b2core_challenge(&self, call: &Call) -> Result<Reply, Trouble> {
        let by = self.signed(call, &Fields::body(call)?).await?;
        let realm = &call.route.config.identity;
        let opened = self.auth.open_challenge(&by.caller, realm).await;
        match opened {
            Ok(opened) => Ok(named(&opened)),
            Err(WizardError::NotEnabled) => Err(self.no_address(&by.caller).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// What somebody without an address is told.
    async fn no_address(&self, caller: &Caller) -> Result<Trouble, Trouble> {
        let factors = self.auth.factors(caller.holder.user).await?;
        Ok(match factors.has_only_passkeys() {
            true => ONLY_PASSKEYS,
            false => NO_ADDRESS,
        })
    }

    pub(super) async fn b2core_challenge_unauthorized(
        &self,
        call: &Call,
    ) -> Result<Reply, Trouble> {
        let fields = Fields::query(call).and(Fields::body(call)?);
        let device = Device::of(self, call, &Fields::default())?;
        let email = fields.required("email")?;
        let place = device.place(call);
        let opened = self.auth.open_challenge_unauthorized(place, &email).await?;
        Ok(named(&opened))
    }

    pub(super) async fn b2core_confirm(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let by = match self.signed(call, &body).await {
            Ok(by) => Some(by),
            // Who restores a password has none, or one that has ended.
            Err(Trouble::NoToken | Trouble::UnknownToken) => None,
            Err(trouble) => return Err(trouble),
        };
        let device = Device::of(self, call, &body)?;
        let token = body.required("token")?;
        let code = self.typed_code(&body, "code")?;
        let caller = by.as_ref().map(|by| &by.caller);
        let place = device.place(call);
        let confirming = self.auth.confirm(place, caller, &token, &code);
        let confirmed = confirming.await.map_err(alike)?;
        if let (Some(by), Some(session)) = (&by, &confirmed.session) {
            self.remember(call, by.presented(), by.caller.pair, session)
                .await;
        }
        Ok(named(&confirmed.success))
    }
}

/// One answer to every code that is not good: how many tries are left, or that a code has expired,
/// could tell a challenge of somebody from one of nobody.
fn alike(error: WizardError) -> Trouble {
    match error {
        WizardError::Code(
            VerifyError::Wrong { .. } | VerifyError::Gone | VerifyError::NeverSent,
        ) => Trouble::field(
            "code",
            "the code is wrong or has expired: try the newest one, or begin again",
        ),
        error => error.into(),
    }
}
