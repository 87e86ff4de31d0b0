//! The SMS providers; [`super::mail`] is beside them.

use super::Lift;
use super::syntax;
use crate::config::model::{Delivery, HttpSms, SmsProvider, Twilio};
use crate::config::raw;
use crate::config::tree::At;
use crate::config::values::SecretSource;
use crate::secret::Secret;
use std::collections::BTreeMap;

/// What a template must name, or every message would be the same.
const PLACEHOLDERS: [&str; 2] = ["{phone}", "{text}"];

impl Lift<'_> {
    pub(super) fn delivery(&mut self, raw: &raw::Delivery, at: At<'_>) -> Option<Delivery> {
        let email = raw.email.as_ref();
        let email = email.map(|email| self.email(email, at.key("email")));
        let at = at.key("sms");
        let lifted: Vec<_> = raw
            .sms
            .iter()
            .enumerate()
            .map(|(index, provider)| self.sms_provider(provider, at.index(index)))
            .collect();
        let sms = lifted.into_iter().collect::<Option<_>>()?;
        let email = match email {
            Some(email) => Some(email?),
            None => None,
        };
        Some(Delivery { sms, email })
    }

    fn sms_provider(&mut self, raw: &raw::SmsProvider, at: At<'_>) -> Option<SmsProvider> {
        match (&raw.twilio, &raw.http) {
            (Some(twilio), None) => {
                let twilio = self.twilio(twilio, at.key("twilio"))?;
                Some(SmsProvider::Twilio(twilio))
            }
            (None, Some(http)) => Some(SmsProvider::Http(self.http_sms(http, at.key("http"))?)),
            (None, None) if self.is_incomplete(at) => None,
            _ => {
                self.error(
                    at,
                    "write either `twilio: {…}` or `http: {…}`; each provider is an item",
                );
                None
            }
        }
    }

    fn twilio(&mut self, raw: &raw::Twilio, at: At<'_>) -> Option<Twilio> {
        let at_sid = at.key("account_sid");
        let sid = self.required(
            raw.account_sid.as_ref(),
            at_sid,
            "it is on Twilio's console",
        );
        let sid = sid.filter(|sid| {
            let valid = syntax::is_sid(sid, "AC");
            if !valid {
                self.error(
                    at_sid,
                    format!("{sid:?} is not an account SID: AC and 32 hex digits"),
                );
            }
            valid
        });
        let at_token = at.key("auth_token");
        let token = self.required(
            raw.auth_token.as_ref(),
            at_token,
            "it is on Twilio's console",
        );
        let token = token.and_then(|token| {
            self.warn_of_plain(token, at_token);
            self.secret(token, at_token)
        });
        let at_from = at.key("from");
        let mend = "write a number of your account, like \"+15005550006\"";
        let from = self.required(raw.from.as_ref(), at_from, mend).filter(|from| {
            let valid = syntax::is_e164(from) || syntax::is_sid(from, "MG");
            if !valid {
                let text = format!(
                    "{from:?} is neither an E.164 number, like \"+15005550006\", nor a messaging service (MG…)"
                );
                self.error(at_from, text);
            }
            valid
        });
        self.provider_url(&raw.url, at.key("url"));
        Some(Twilio {
            timeout: self.period(raw.timeout, at.key("timeout")),
            account_sid: sid?.clone(),
            auth_token: token?,
            from: from?.clone(),
            url: raw.url.trim_end_matches('/').to_owned(),
        })
    }

    fn provider_url(&mut self, url: &str, at: At<'_>) {
        if self.checked(syntax::url(url), at) == Some(true) {
            self.warn(at, "codes cross the network in the clear: write https://");
        }
    }

    fn http_sms(&mut self, raw: &raw::HttpSms, at: At<'_>) -> Option<HttpSms> {
        let at_url = at.key("url");
        let mend = "write the address that takes a message";
        let url = self.required(raw.url.as_ref(), at_url, mend);
        if let Some(url) = url {
            self.provider_url(url, at_url);
        }
        self.http_sms_body(raw, at);
        let query = self.values(&raw.query, at.key("query"));
        let form = self.values(&raw.form, at.key("form"));
        let headers = self.values(&raw.headers, at.key("headers"));
        for name in raw.headers.keys() {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.error(
                    at.key("headers").key(name),
                    format!("{name:?} is not a header name"),
                );
            }
        }
        let json = raw.json.as_ref();
        let json = json.map(|json| self.json_body(json, at.key("json")));
        let timeout = self.period(raw.timeout, at.key("timeout"));
        let complete = query.len() == raw.query.len()
            && form.len() == raw.form.len()
            && headers.len() == raw.headers.len();
        let json = match json {
            Some(json) => Some(json?),
            None => None,
        };
        if complete {
            let all = query
                .iter()
                .chain(&form)
                .chain(&headers)
                .map(|(_, value)| value);
            let all: Vec<&Secret> = all.chain(&json).collect();
            for placeholder in PLACEHOLDERS {
                if !all.iter().any(|value| value.expose().contains(placeholder)) {
                    let text = format!("no value has {placeholder}: without it nobody gets a code");
                    self.error(at, text);
                }
            }
        }
        let method = match raw.method {
            raw::SmsMethod::Get => http::Method::GET,
            raw::SmsMethod::Post => http::Method::POST,
            raw::SmsMethod::Put => http::Method::PUT,
        };
        complete.then_some(HttpSms {
            url: url?.clone(),
            method,
            query,
            form,
            json,
            headers,
            timeout,
        })
    }

    fn http_sms_body(&mut self, raw: &raw::HttpSms, at: At<'_>) {
        let has_form = !raw.form.is_empty();
        if has_form && raw.json.is_some() {
            self.error(
                at.key("json"),
                "a request has one body: write either `form` or `json`",
            );
        }
        if raw.method == raw::SmsMethod::Get && (has_form || raw.json.is_some()) {
            self.error(
                at.key("method"),
                "a GET has no body: write POST, or use `query`",
            );
        }
    }

    fn values(
        &mut self,
        raw: &BTreeMap<String, SecretSource>,
        at: At<'_>,
    ) -> Vec<(String, Secret)> {
        let mut values = Vec::new();
        for (key, source) in raw {
            let at = at.key(key);
            if is_secret_name(key) {
                self.warn_of_plain(source, at);
            }
            values.extend(self.secret(source, at).map(|value| (key.clone(), value)));
        }
        values
    }

    fn json_body(&mut self, source: &SecretSource, at: At<'_>) -> Option<Secret> {
        let template = self.secret(source, at)?;
        let filled = PLACEHOLDERS
            .iter()
            .fold(template.expose().to_owned(), |text, placeholder| {
                text.replace(placeholder, "1")
            });
        // serde_json's message has a position and no text of the document.
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&filled) {
            self.error(
                at,
                format!("is not JSON once {{phone}} and {{text}} are filled in: {error}"),
            );
            return None;
        }
        Some(template)
    }
}

/// Whether a value under this name is likely to be a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "auth", "cookie"]
        .iter()
        .any(|part| name.contains(part))
}
