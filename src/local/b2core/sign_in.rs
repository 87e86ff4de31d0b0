//! The sign-in wizard: password, choice of a factor, code.

use super::{kind_named, step};
use crate::auth::ports::{FactorKind, User};
use crate::auth::tokens::{Drawn, IssueTo, RefreshForm};
use crate::auth::wizard::{Next, Place, Who};
use crate::clock::Timestamp;
use crate::config::model::Requirement;
use crate::gate::Presented;
use crate::identity::{client, device};
use crate::local::decode::Fields;
use crate::local::trouble::Trouble;
use crate::local::{Call, Local, Reply};
use crate::secret::Secret;
use crate::words::Words;
use http::StatusCode;
use serde_json::{Value, json};

const LOGIN: &str = "login";

/// The device that a call without a token names.
pub(super) struct Device {
    name: Option<String>,
    label: Option<String>,
    client: String,
    words: Words,
}

impl Device {
    pub(super) fn of(local: &Local, call: &Call, body: &Fields) -> Result<Self, Trouble> {
        let in_body = body.text("deviceId")?;
        let head = call.head();
        let name = device::find(&head, in_body.as_deref())?.map(std::borrow::Cow::into_owned);
        let label = name.as_deref();
        let label = label.map(|name| local.auth.keys.device_label(name));
        Ok(Self {
            name,
            label,
            client: client::words(&call.headers),
            words: Words::of(&call.headers),
        })
    }

    pub(super) fn place<'a>(&'a self, call: &'a Call) -> Place<'a> {
        Place {
            realm: &call.route.config.identity,
            route: &call.route.config.name,
            address: call.address,
            device_label: self.label.as_deref(),
            client: &self.client,
            words: self.words,
        }
    }

    fn issue_to<'a>(&'a self, call: &'a Call) -> IssueTo<'a> {
        IssueTo {
            realm: &call.route.config.identity,
            keys: &call.route.keys,
            device: self.name.as_deref(),
            algorithm: call.route.config.token_algorithm,
            refresh: RefreshForm::Jwt,
            stands_for: None,
        }
    }
}

impl Local {
    pub(super) async fn b2core_open_sign_in(&self, call: &Call) -> Result<Reply, Trouble> {
        let device = Device::of(self, call, &Fields::body(call)?)?;
        let uuid = self.auth.open_sign_in(device.place(call)).await?;
        Ok(step(StatusCode::OK, &Value::Null, &uuid, LOGIN))
    }

    pub(super) async fn b2core_sign_in(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let device = Device::of(self, call, &body)?;
        let uuid = body.required("uuid")?;
        let (email, name) = (body.filled("email")?, body.filled("username")?);
        let who = match (&email, &name) {
            (Some(email), None) => Who::Email(email),
            (None, Some(name)) => Who::Name(name),
            (None, None) => return Err(Trouble::missing("email")),
            (Some(_), Some(_)) => {
                let text = "send `email` or `username`, not both";
                return Err(Trouble::field("email", text));
            }
        };
        let password = Secret::new(body.required("password")?);
        let issue = device.issue_to(call);
        let at = device.place(call);
        let fresh = body.is_on("fresh");
        let most = |user: &User| match call.most_of(user) {
            Requirement::Nothing | Requirement::Token if fresh => Requirement::TWO_FACTOR,
            most => most,
        };
        let signing_in = self
            .auth
            .sign_in_password(at, &uuid, who, &password, &issue, most);
        let next = signing_in.await?;
        if let Next::Done(drawn) = &next {
            self.gate.token_issued(drawn.issue.access.digest);
        }
        Ok(answer(&next, &uuid))
    }

    pub(super) async fn b2core_choose(&self, call: &Call) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let device = Device::of(self, call, &body)?;
        let uuid = body.required("uuid")?;
        let kind = kind_named(&body.required("type")?);
        let kind =
            kind.map_err(|_| Trouble::field("type", "the type must be `google` or `sms`"))?;
        let place = device.place(call);
        let next = self.auth.sign_in_choose(place, &uuid, kind).await?;
        Ok(answer(&next, &uuid))
    }

    pub(super) async fn b2core_sign_in_code(
        &self,
        call: &Call,
        kind: FactorKind,
    ) -> Result<Reply, Trouble> {
        let body = Fields::body(call)?;
        let device = Device::of(self, call, &body)?;
        let uuid = body.required("uuid")?;
        let code = self.typed_code(&body, "code")?;
        let issue = device.issue_to(call);
        let place = device.place(call);
        let judging = self.auth.sign_in_code(place, &uuid, kind, &code, &issue);
        let (drawn, session) = judging.await?;
        self.gate.token_issued(drawn.issue.access.digest);
        let presented = Presented {
            token: drawn.access.expose(),
            device: device.name.as_deref(),
        };
        self.remember(call, presented, drawn.pair, &session).await;
        Ok(answer(&Next::Done(Box::new(drawn)), &uuid))
    }
}

fn answer(next: &Next, uuid: &str) -> Reply {
    let workflow = match next {
        Next::Done(drawn) => return step(StatusCode::ACCEPTED, &tokens(drawn), uuid, LOGIN),
        Next::Code(FactorKind::Totp) => "2fa_google_auth",
        Next::Code(_) => "2fa_sms_auth",
        Next::Choose => "2fa_choose",
    };
    step(StatusCode::OK, &Value::Null, uuid, workflow)
}

fn tokens(drawn: &Drawn) -> Value {
    let token = |token: &Secret, expires_at: Timestamp| {
        json!({
            "token": token.expose(),
            "createdAt": drawn.created_at.iso8601(),
            "expiresAt": expires_at.iso8601(),
        })
    };
    json!({
        "accessToken": token(&drawn.access, drawn.access_expires_at),
        "refreshToken": token(&drawn.refresh, drawn.refresh_expires_at),
    })
}
