//! Each documented call of a dialect, sent as its document sends it, against the real binary; what
//! comes back is compared with the documented answer field by field.

mod b2core;
mod conduit;
pub(crate) mod tools;
mod ziik;

use crate::support::iogates::Backend;
use crate::support::smtpd::Smtpd;
use crate::support::{Gateway, Inbox, Setup, secret};
use serde_json::{Value, json};

/// What the documents' `curl -d` says that its body is, whatever it is.
const CURL_BODY: &str = "application/x-www-form-urlencoded";

/// A gateway that speaks a dialect over accounts of its own, with SMS and mail that arrive.
struct World {
    gateway: Gateway,
    backend: Backend,
    inbox: Inbox,
    mail: Smtpd,
}

/// An answer, read.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl World {
    async fn start(dialect: &str, change: impl FnOnce(Setup) -> Setup) -> Self {
        let (inbox, backend) = (Inbox::start().await, Backend::start().await);
        let mail = Smtpd::start(&[]);
        let smtp = format!(
            "delivery:\n  email: {{smtp: \"smtp://127.0.0.1:{}\", from: \"no-reply@files.example\"}}\n",
            mail.port
        );
        let dialects = format!("dialects: [{dialect}]\n    self_enrolment: true");
        let setup = Setup::accounts(backend.address, inbox.address)
            .with("delivery:\n", &smtp)
            .with("dialects: [iogates]", &dialects);
        Self {
            gateway: Gateway::start(&change(setup)),
            backend,
            inbox,
            mail,
        }
    }

    /// Sends a call as curl does: `token` as bearer, `body` as JSON that calls itself a form.
    async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        let method = method.parse().expect("method");
        let mut request = self.gateway.http.request(method, self.gateway.url(path));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let body = serde_json::to_string_pretty(&body).expect("JSON");
            request = request.header("content-type", CURL_BODY).body(body);
        }
        read(request).await
    }

    /// The code in the next mail, which must be to this address.
    fn mailed_code(&self, to: &str) -> String {
        let mail = self.mail.next();
        assert_eq!(mail.recipients, [to]);
        let code: String = mail.text.chars().take_while(char::is_ascii_digit).collect();
        secret(&code)
    }
}

impl Answer {
    /// Asserts the status and that the body is of the documented form: see [`differs`].
    #[track_caller]
    fn is(&self, status: u16, documented: &Value) -> &Value {
        assert_eq!(self.status, status, "{}", self.body);
        if let Some(difference) = differs("", &self.body, documented) {
            panic!("{difference}\n in {}\n not {documented}", self.body);
        }
        &self.body
    }

    /// Asserts an error of the dialect by its status.
    #[track_caller]
    fn refuses(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        self.body["message"].as_str().expect("a message")
    }

    fn text(&self, pointer: &str) -> String {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        let text = text.unwrap_or_else(|| panic!("no {pointer} in {}", self.body));
        text.to_owned()
    }
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("body");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer {
        status,
        headers,
        body,
    }
}

/// How a value differs from the documented form: the same members, the same constants, and in the
/// place of what changes a text in brackets that says what stands there.
fn differs(at: &str, value: &Value, documented: &Value) -> Option<String> {
    match (documented, value) {
        (Value::Object(wanted), Value::Object(found)) => {
            let (names, found_names): (Vec<_>, Vec<_>) =
                (wanted.keys().collect(), found.keys().collect());
            if names != found_names {
                return Some(format!("{at}: {found_names:?} instead of {names:?}"));
            }
            wanted
                .iter()
                .find_map(|(name, wanted)| differs(&format!("{at}/{name}"), &found[name], wanted))
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.find_map(|(n, (wanted, found))| differs(&format!("{at}/{n}"), found, wanted))
        }
        (Value::String(kind), _) if kind.starts_with('<') => {
            (!is_a(kind, value)).then(|| format!("{at}: {value} is no {kind}"))
        }
        (wanted, found) => (wanted != found).then(|| format!("{at}: {found} instead of {wanted}")),
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    match kind {
        "<integer>" => value.is_u64(),
        "<uuid>" => follows(text, "xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx"),
        "<time>" => follows(text, "dddd-dd-ddTdd:dd:dd+00:00"),
        "<time in microseconds>" => follows(text, "dddd-dd-ddTdd:dd:dd.000000Z"),
        "<base32>" => {
            let is_digit = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
            text.len() >= 16 && text.bytes().all(is_digit)
        }
        "<JWT>" => {
            let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            text.split('.').count() == 3 && text.bytes().all(is_digit)
        }
        _ => panic!("{kind} is nothing"),
    }
}

/// `x`: a lower-case hexadecimal digit; `d`: a decimal one; anything else: itself.
fn follows(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|pair| match pair {
            (byte, b'x') => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            (byte, b'd') => byte.is_ascii_digit(),
            (byte, wanted) => byte == wanted,
        })
}

/// A code that is not this one.
fn wrong(code: &str) -> String {
    let first = if code.starts_with('9') { "0" } else { "9" };
    format!("{first}{}", &code[1..])
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    let documented = json!({"a": [{"at": "<time>"}], "b": null, "n": 2});
    let good = json!({"a": [{"at": "2022-01-01T00:00:00+00:00"}], "b": null, "n": 2});
    assert_eq!(differs("", &good, &documented), None);
    for bad in [
        json!({"a": [{"at": "2022-01-01T00:00:00Z"}], "b": null, "n": 2}),
        json!({"a": [], "b": null, "n": 2}),
        json!({"a": [{"at": "2022-01-01T00:00:00+00:00"}], "b": null, "n": 3}),
        json!({"a": [{"at": "2022-01-01T00:00:00+00:00"}], "b": null, "n": "2"}),
        json!({"a": [{"at": "2022-01-01T00:00:00+00:00"}], "n": 2}),
        json!({"a": [{"at": "2022-01-01T00:00:00+00:00"}], "b": null, "c": 1, "n": 2}),
    ] {
        assert!(differs("", &bad, &documented).is_some(), "{bad}");
    }
}
