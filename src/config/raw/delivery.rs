//! The shapes of `delivery`: SMS providers and the mail server. Checks are in `lift`.

use crate::config::values::{Period, SecretSource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How codes reach people.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Delivery {
    /// SMS providers, tried in order.
    pub(in crate::config) sms: Vec<SmsProvider>,
    pub(in crate::config) email: Option<Email>,
}

/// An SMS provider: one of the two keys.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(in crate::config) struct SmsProvider {
    pub(in crate::config) twilio: Option<Twilio>,
    pub(in crate::config) http: Option<HttpSms>,
}

/// Twilio's Messages API.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Twilio {
    #[schemars(required, regex(pattern = "^AC[0-9a-fA-F]{32}$"))]
    pub(in crate::config) account_sid: Option<String>,
    #[schemars(required)]
    pub(in crate::config) auth_token: Option<SecretSource>,
    /// The sender: an E.164 number, or the SID of a messaging service.
    #[schemars(required, regex(pattern = "^(\\+[1-9][0-9]{6,14}|MG[0-9a-fA-F]{32})$"))]
    #[schemars(extend("examples" = ["+15005550006"]))]
    pub(in crate::config) from: Option<String>,
    /// Another address of the API, for a proxy or a test.
    #[serde(default = "twilio_url")]
    pub(in crate::config) url: String,
    #[serde(default = "timeout")]
    pub(in crate::config) timeout: Period,
}

fn twilio_url() -> String {
    "https://api.twilio.com".to_owned()
}

fn timeout() -> Period {
    Period::secs(10)
}

/// Any provider that takes one HTTP request for a message. `{phone}` and `{text}` are filled into the
/// values of `query`, `form`, `json` and `headers`, escaped for where they stand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct HttpSms {
    /// Without the parameters, which go to `query`.
    #[schemars(required, extend("examples" = ["http://127.0.0.1:13013/cgi-bin/sendsms"]))]
    pub(in crate::config) url: Option<String>,
    #[serde(default)]
    pub(in crate::config) method: SmsMethod,
    #[serde(default)]
    #[schemars(extend("examples" = [{"to": "{phone}", "text": "{text}"}]))]
    pub(in crate::config) query: BTreeMap<String, SecretSource>,
    /// A body of form fields.
    #[serde(default)]
    pub(in crate::config) form: BTreeMap<String, SecretSource>,
    /// A JSON body, as a text.
    #[schemars(extend("examples" = ["{\"to\": \"{phone}\", \"message\": \"{text}\"}"]))]
    pub(in crate::config) json: Option<SecretSource>,
    #[serde(default)]
    pub(in crate::config) headers: BTreeMap<String, SecretSource>,
    #[serde(default = "timeout")]
    pub(in crate::config) timeout: Period,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::config) enum SmsMethod {
    Get,
    #[default]
    Post,
    Put,
}

/// Mail, by a server that takes it (SMTP). It takes codes to users who verify by mail, and B2Core's challenges.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Email {
    /// The server. `smtps://HOST`: TLS from the first byte (port 465). `smtp+starttls://HOST`: TLS
    /// before anything is said (STARTTLS, port 587). `smtp://HOST`: the same (port 25), but on this
    /// machine itself TLS is used only where the server offers it, whatever its certificate.
    #[schemars(required, regex(pattern = "^(smtps|smtp\\+starttls|smtp)://[^/?#@]+$"))]
    #[schemars(extend("examples" = ["smtps://mail.example.org", "smtp+starttls://mail.example.org:587", "smtp://127.0.0.1:25"]))]
    pub(in crate::config) smtp: Option<String>,
    /// The sender, with or without a name.
    #[schemars(required, extend("examples" = ["Files <no-reply@example.org>"]))]
    pub(in crate::config) from: Option<String>,
    /// Sign in with this name and `password`; without them, not at all.
    pub(in crate::config) username: Option<String>,
    pub(in crate::config) password: Option<SecretSource>,
    /// For a whole message; half of it for all that comes before the message itself.
    #[serde(default = "timeout")]
    pub(in crate::config) timeout: Period,
    /// A PEM file of certificates that vouch for the server, besides the system's.
    pub(in crate::config) ca: Option<String>,
}
