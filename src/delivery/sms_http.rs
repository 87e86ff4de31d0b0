//! Any provider that takes a message as one HTTP request, filled from a template (Kannel's `sendsms`
//! and most vendors' gateways). Every 2xx means that it has taken the message.

use super::client;
use super::{Attempt, SetupError};
use crate::config::model;
use crate::factor::phone::Phone;
use crate::secret::Secret;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Url};

/// A templated provider.
pub(super) struct SmsHttp {
    client: Client,
    url: Url,
    method: Method,
    query: Vec<(String, Secret)>,
    form: Vec<(String, Secret)>,
    json: Option<Secret>,
    headers: Vec<(HeaderName, Secret)>,
}

impl SmsHttp {
    /// `at` is the provider's place in the config.
    pub(super) fn new(config: &model::HttpSms, at: usize) -> Result<Self, SetupError> {
        let total = config.headers.len();
        let header = |(number, (name, value)): (usize, &(String, Secret))| {
            HeaderName::try_from(name)
                .map(|name| (name, value.clone()))
                .map_err(|_| SetupError::Header {
                    at,
                    header: number + 1,
                    total,
                })
        };
        Ok(Self {
            client: client::build(config.timeout, at)?,
            url: client::url(&config.url, at)?,
            method: config.method.clone(),
            query: config.query.clone(),
            form: config.form.clone(),
            json: config.json.clone(),
            headers: config
                .headers
                .iter()
                .enumerate()
                .map(header)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Where messages go.
    pub(super) fn address(&self) -> (&Client, &Url) {
        (&self.client, &self.url)
    }

    /// Asks the provider to take one message.
    pub(super) async fn send(&self, to: &Phone, text: &Secret) -> Attempt {
        let Some(request) = self.request(to.e164(), text.expose()) else {
            return Attempt::Refused(None);
        };
        match client::send(request).await {
            Ok(response) => client::judge(response.status()),
            Err(attempt) => attempt,
        }
    }

    /// The filled request; `None` if a header would hold what no header can.
    fn request(&self, phone: &str, text: &str) -> Option<RequestBuilder> {
        let plain = |template: &Secret| fill(template.expose(), phone, text);
        let mut request = self.client.request(self.method.clone(), self.url.clone());
        if !self.query.is_empty() {
            let query = self.query.iter().map(|(name, value)| (name, plain(value)));
            request = request.query(&query.collect::<Vec<_>>());
        }
        for (name, value) in &self.headers {
            let mut value = HeaderValue::try_from(plain(value)).ok()?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        if let Some(json) = &self.json {
            let body = fill(json.expose(), &in_json(phone), &in_json(text));
            return Some(request.header(CONTENT_TYPE, "application/json").body(body));
        }
        if !self.form.is_empty() {
            let form = self.form.iter().map(|(name, value)| (name, plain(value)));
            request = request.form(&form.collect::<Vec<_>>());
        }
        Some(request)
    }
}

/// Puts `phone` and `text` into a template in one pass, so that a text that holds `{phone}` is sent
/// as it stands.
fn fill(template: &str, phone: &str, text: &str) -> String {
    let mut out = String::with_capacity(template.len() + phone.len() + text.len());
    let mut rest = template;
    while let Some((before, from_brace)) = rest.find('{').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        rest = if let Some(after) = from_brace.strip_prefix("{phone}") {
            out.push_str(phone);
            after
        } else if let Some(after) = from_brace.strip_prefix("{text}") {
            out.push_str(text);
            after
        } else {
            out.push('{');
            from_brace.strip_prefix('{').unwrap_or_default()
        };
    }
    out.push_str(rest);
    out
}

/// A text as it stands between the quotes of a JSON string (RFC 8259 section 7).
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in_one_pass() {
        for (template, filled) in [
            ("", ""),
            ("{phone}", "P"),
            ("to {phone}: {text}!", "to P: a {phone} b!"),
            ("{text}{text}", "a {phone} ba {phone} b"),
            ("{other} {phone", "{other} {phone"),
            ("{{phone}}", "{P}"),
        ] {
            assert_eq!(fill(template, "P", "a {phone} b"), filled, "{template}");
        }
    }

    #[test]
    fn json_stays_json() {
        let text = "a \"quoted\" \\ line\nand ø";
        let body = fill(
            r#"{"to":"{phone}","text":"{text}"}"#,
            &in_json("+45"),
            &in_json(text),
        );
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["text"], text);
        assert_eq!(value["to"], "+45");
    }
}
