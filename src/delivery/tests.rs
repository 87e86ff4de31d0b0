//! The providers against local doubles that speak their protocols.

use super::*;
use crate::factor::one_time;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

const TEXT: &str = "Files: your code is 123456 & no \"other\" {phone} ø";
const NUMBER: &str = "+4512345678";
const SID: &str = "AC0123456789abcdef0123456789abcdef";

/// What a double was sent.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn pairs(encoded: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(encoded.as_bytes())
            .into_owned()
            .collect()
    }

    fn form(&self) -> Vec<(String, String)> {
        Self::pairs(&self.body)
    }

    fn query(&self) -> Vec<(String, String)> {
        Self::pairs(self.uri.query().unwrap_or_default())
    }
}

/// A server that answers every request alike.
struct Double {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Script {
    status: u16,
    answer: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    async fn answering(status: u16, answer: &'static str) -> Self {
        async fn reply(
            State(script): State<Script>,
            method: Method,
            uri: Uri,
            headers: HeaderMap,
            body: String,
        ) -> axum::response::Response {
            script.seen.lock().unwrap().push(Seen {
                method,
                uri,
                headers,
                body,
            });
            axum::response::Response::builder()
                .status(script.status)
                .header("location", "/elsewhere")
                .body(Bytes::from_static(script.answer.as_bytes()).into())
                .unwrap()
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Script {
            status,
            answer,
            seen: Arc::clone(&seen),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(reply).with_state(script);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn twilio(url: &str) -> model::SmsProvider {
    model::SmsProvider::Twilio(model::Twilio {
        account_sid: SID.to_owned(),
        auth_token: Secret::new("twilio-token"),
        from: "+15005550006".to_owned(),
        url: url.to_owned(),
        timeout: Duration::from_secs(10),
    })
}

fn kannel_like(url: &str) -> model::HttpSms {
    let pair = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    model::HttpSms {
        url: format!("{url}/cgi-bin/sendsms"),
        method: Method::GET,
        query: vec![
            pair("password", "pa&ss"),
            pair("to", "{phone}"),
            pair("text", "{text}"),
        ],
        form: Vec::new(),
        json: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
    }
}

fn http(url: &str) -> model::SmsProvider {
    model::SmsProvider::Http(kannel_like(url))
}

fn delivery(sms: Vec<model::SmsProvider>) -> model::Delivery {
    model::Delivery { sms, email: None }
}

type Outcomes = Arc<Mutex<Vec<(&'static str, &'static str)>>>;

fn providers(sms: Vec<model::SmsProvider>) -> (Providers, Outcomes) {
    let outcomes = Outcomes::default();
    let told = Arc::clone(&outcomes);
    let observer: Observer = Arc::new(move |provider, outcome| {
        told.lock().unwrap().push((provider, outcome));
    });
    let providers = Providers::new(&delivery(sms), observer).unwrap();
    (providers, outcomes)
}

async fn send(providers: &Providers) -> Result<&'static str, DeliveryError> {
    let to = Phone::from_e164(NUMBER).unwrap();
    providers.sms(&to, &Secret::new(TEXT)).await
}

/// Sends over these providers; the answer and what the observer was told.
async fn send_over(
    sms: Vec<model::SmsProvider>,
) -> (
    Result<&'static str, DeliveryError>,
    Vec<(&'static str, &'static str)>,
) {
    let (providers, outcomes) = providers(sms);
    let answer = send(&providers).await;
    let outcomes = outcomes.lock().unwrap().clone();
    (answer, outcomes)
}

/// A port that nobody listens on.
async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A server that reads a request, says so, and then does what it is told when it is told.
async fn held(answer: Option<&'static str>) -> (String, mpsc::Receiver<()>, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, arrivals) = mpsc::channel(1);
    let (release, released) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head: Vec<u8> = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).await.unwrap();
            head.extend(&piece[..read]);
        }
        arrived.send(()).await.unwrap();
        let _ = released.await;
        if let Some(answer) = answer {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, arrivals, release)
}

#[tokio::test]
async fn twilio_gets_its_own_protocol() {
    let double = Double::answering(201, r#"{"sid":"SM1","status":"queued"}"#).await;
    let (answer, outcomes) = send_over(vec![twilio(&double.url)]).await;
    assert_eq!(answer, Ok("twilio"));
    assert_eq!(outcomes, [("twilio", "accepted")]);
    let [seen] = double.seen().try_into().unwrap();
    assert_eq!(seen.method, Method::POST);
    assert_eq!(
        seen.uri.to_string(),
        format!("/2010-04-01/Accounts/{SID}/Messages.json")
    );
    let basic = base64::prelude::BASE64_STANDARD.encode(format!("{SID}:twilio-token"));
    assert_eq!(seen.headers["authorization"], format!("Basic {basic}"));
    assert_eq!(
        seen.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = [
        field("To", NUMBER),
        field("From", "+15005550006"),
        field("Body", TEXT),
    ];
    assert_eq!(seen.form(), fields);
}

#[tokio::test]
async fn a_messaging_service_of_twilio_is_no_from() {
    let double = Double::answering(201, "{}").await;
    let model::SmsProvider::Twilio(mut config) = twilio(&double.url) else {
        unreachable!()
    };
    config.from = "MG0123".to_owned();
    let (answer, _) = send_over(vec![model::SmsProvider::Twilio(config)]).await;
    assert_eq!(answer, Ok("twilio"));
    let form = double.seen()[0].form();
    assert!(form.contains(&("MessagingServiceSid".to_owned(), "MG0123".to_owned())));
    assert!(!form.iter().any(|(name, _)| name == "From"));
}

#[tokio::test]
async fn a_bad_recipient_is_not_tried_elsewhere() {
    for answer in [
        r#"{"code":21211,"message":"Invalid 'To' Phone Number","status":400}"#,
        r#"{"code":21614,"message":"","status":400}"#,
        r#"{"code":21610,"message":"","status":400}"#,
        r#"{"code":21408,"message":"","status":400}"#,
        r#"{"code":21612,"message":"","status":400}"#,
    ] {
        let (first, second) = (
            Double::answering(400, answer).await,
            Double::answering(202, "").await,
        );
        let (result, outcomes) = send_over(vec![twilio(&first.url), http(&second.url)]).await;
        assert_eq!(result, Err(DeliveryError::BadRecipient), "{answer}");
        assert_eq!(outcomes, [("twilio", "refused")]);
        assert_eq!(second.seen().len(), 0);
    }
}

#[tokio::test]
async fn what_a_provider_refuses_goes_to_the_next() {
    for (status, answer) in [
        (
            401,
            r#"{"code":20003,"message":"Authenticate","status":401}"#,
        ),
        (
            429,
            r#"{"code":20429,"message":"Too Many Requests","status":429}"#,
        ),
        (429, ""),
        (400, r#"{"code":21606,"message":"","status":400}"#),
        (400, "not json"),
        (302, ""),
        (404, ""),
        (500, ""),
        (503, ""),
    ] {
        let (first, second) = (
            Double::answering(status, answer).await,
            Double::answering(202, "").await,
        );
        let (result, outcomes) = send_over(vec![twilio(&first.url), http(&second.url)]).await;
        assert_eq!(result, Ok("http"), "{status} {answer}");
        assert_eq!(outcomes, [("twilio", "refused"), ("http", "accepted")]);
        assert_eq!(
            (first.seen().len(), second.seen().len()),
            (1, 1),
            "each is asked once"
        );
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_passed_over() {
    for url in [closed().await, "http://sms.invalid".to_owned()] {
        let second = Double::answering(201, "{}").await;
        let (result, outcomes) = send_over(vec![http(&url), twilio(&second.url)]).await;
        assert_eq!(result, Ok("twilio"), "{url}");
        assert_eq!(outcomes, [("http", "unreachable"), ("twilio", "accepted")]);
        assert_eq!(second.seen().len(), 1);
    }
}

#[tokio::test]
async fn after_a_timeout_nobody_is_asked() {
    let (url, mut arrivals, _release) = held(None).await;
    let second = Double::answering(201, "{}").await;
    let mut config = kannel_like(&url);
    config.timeout = Duration::from_secs(4);
    let first = model::SmsProvider::Http(config);
    let (result, outcomes) = send_over(vec![first, twilio(&second.url)]).await;
    assert_eq!(arrivals.recv().await, Some(()), "the message was written");
    assert_eq!(result, Err(DeliveryError::NotAccepted));
    assert_eq!(outcomes, [("http", "timeout")]);
    assert_eq!(second.seen().len(), 0);
}

#[tokio::test]
async fn after_a_lost_connection_nobody_is_asked() {
    for answer in [None, Some("HTTP/1.1 2"), Some("garbage\r\n\r\n")] {
        let (url, _arrivals, release) = held(answer).await;
        release.send(()).unwrap();
        let second = Double::answering(201, "{}").await;
        let (result, outcomes) = send_over(vec![http(&url), twilio(&second.url)]).await;
        assert_eq!(result, Err(DeliveryError::NotAccepted), "{answer:?}");
        assert_eq!(outcomes, [("http", "lost")]);
        assert_eq!(second.seen().len(), 0);
    }
}

#[tokio::test]
async fn a_gateway_timeout_is_not_a_refusal() {
    let (first, second) = (
        Double::answering(504, "").await,
        Double::answering(201, "{}").await,
    );
    let (result, outcomes) = send_over(vec![http(&first.url), twilio(&second.url)]).await;
    assert_eq!(result, Err(DeliveryError::NotAccepted));
    assert_eq!(outcomes, [("http", "timeout")]);
    assert_eq!(second.seen().len(), 0);
}

#[tokio::test]
async fn if_all_refuse_nothing_was_accepted() {
    let first = Double::answering(500, "").await;
    let (result, outcomes) = send_over(vec![http(&first.url), twilio(&closed().await)]).await;
    assert_eq!(result, Err(DeliveryError::NotAccepted));
    assert_eq!(outcomes, [("http", "refused"), ("twilio", "unreachable")]);
    assert_eq!(
        send_over(Vec::new()).await.0,
        Err(DeliveryError::NotConfigured)
    );
}

#[tokio::test]
async fn query_form_json_and_headers_are_filled() {
    let pair = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let double = Double::answering(202, "0: Accepted for delivery").await;

    let (answer, _) = send_over(vec![http(&format!("{}/x?a=b&c=", double.url))]).await;
    assert_eq!(answer, Ok("http"));

    let mut form = kannel_like(&double.url);
    form.method = Method::POST;
    form.query = Vec::new();
    form.form = vec![pair("to", "tel:{phone}"), pair("text", "{text}")];
    form.headers = vec![pair("x-key", "key-{phone}"), pair("user-agent", "mine")];
    assert_eq!(
        send_over(vec![model::SmsProvider::Http(form)]).await.0,
        Ok("http")
    );

    let mut json = kannel_like(&double.url);
    json.method = Method::PUT;
    json.json = Some(Secret::new(
        r#"{"messages":[{"to":"{phone}","text":"{text}"}]}"#,
    ));
    assert_eq!(
        send_over(vec![model::SmsProvider::Http(json)]).await.0,
        Ok("http")
    );

    let [query, form, json] = double.seen().try_into().unwrap();
    assert_eq!(query.method, Method::GET);
    let filled = [
        field("password", "pa&ss"),
        field("to", NUMBER),
        field("text", TEXT),
    ];
    assert!(query.query().ends_with(&filled), "{query:?}");
    assert_eq!(
        form.form(),
        [field("to", "tel:+4512345678"), field("text", TEXT)]
    );
    assert_eq!(form.headers["x-key"], "key-+4512345678");
    assert_eq!(form.headers["user-agent"], "mine");
    assert_eq!(json.headers["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(body["messages"][0]["to"], NUMBER);
    assert_eq!(body["messages"][0]["text"], TEXT);
}

#[tokio::test]
async fn a_text_that_no_header_can_hold_is_never_sent() {
    let double = Double::answering(202, "").await;
    let mut config = kannel_like(&double.url);
    config.headers = vec![("x-text".to_owned(), Secret::new("{text}\n"))];
    let (answer, outcomes) = send_over(vec![model::SmsProvider::Http(config)]).await;
    assert_eq!(answer, Err(DeliveryError::NotAccepted));
    assert_eq!(outcomes, [("http", "refused")]);
    assert_eq!(double.seen().len(), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_a_message() {
    let (url, mut arrivals, release) =
        held(Some("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")).await;
    let (told, mut outcomes) = mpsc::unbounded_channel();
    let observer: Observer = Arc::new(move |provider, outcome| {
        told.send((provider, outcome)).unwrap();
    });
    let sms = vec![http(&url)];
    let providers = Providers::new(&delivery(sms), observer).unwrap();
    let caller = tokio::spawn(async move { send(&providers).await });
    assert_eq!(arrivals.recv().await, Some(()));
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    release.send(()).unwrap();
    assert_eq!(outcomes.recv().await, Some(("http", "accepted")));
}

#[tokio::test]
async fn a_full_outbox_says_so() {
    let (url, mut arrivals, _release) = held(None).await;
    let (mut providers, _) = providers(vec![http(&url)]);
    providers.outbox = Outbox::new(1, Duration::from_millis(10));
    let providers = Arc::new(providers);
    let first = Arc::clone(&providers);
    let first = tokio::spawn(async move { send(&first).await });
    assert_eq!(arrivals.recv().await, Some(()));
    assert_eq!(send(&providers).await, Err(DeliveryError::Busy));
    first.abort();
}

#[tokio::test]
async fn a_mail_server_that_hangs_holds_up_neither_much_mail_nor_sms() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = model::Smtp {
        host: "127.0.0.1".to_owned(),
        port: silent.local_addr().unwrap().port(),
        tls: model::SmtpTls::IfOffered,
        from: model::Sender {
            name: None,
            address: "files@example.org".to_owned(),
        },
        login: None,
        timeout: Duration::from_secs(60),
        ca: Vec::new(),
    };
    let double = Double::answering(202, "").await;
    let mut config = delivery(vec![http(&double.url)]);
    config.email = Some(smtp);
    let mut providers = Providers::new(&config, Arc::new(|_, _| {})).unwrap();
    providers.mail_outbox = Outbox::new(1, Duration::from_millis(10));
    let providers = Arc::new(providers);
    let to = Secret::new("anna@example.org");
    let wording = one_time::Wording {
        words: crate::words::Words::default(),
        service: "Files",
        lifetime: Duration::from_secs(600),
    };
    let mail = wording.mail("123456");
    let first = {
        let (providers, to, mail) = (Arc::clone(&providers), to.clone(), mail.clone());
        tokio::spawn(async move { providers.email(&to, &mail).await })
    };
    // It is on its way, and the server says nothing.
    let _connection = silent.accept().await.unwrap();
    let second = providers.email(&to, &mail).await;
    assert_eq!(second, Err(DeliveryError::Busy));
    assert_eq!(send(&providers).await, Ok("http"));
    first.abort();
}

#[test]
fn a_bad_configuration_is_told() {
    let observer: Observer = Arc::new(|_, _| {});
    let setup = |sms| Providers::new(&delivery(sms), Arc::clone(&observer)).map(|_| ());
    for url in ["", "sms.example.org", "ftp://sms.example.org"] {
        let error = setup(vec![http("http://127.0.0.1"), http(url)]);
        assert_eq!(error, Err(SetupError::Url { at: 1 }), "{url}");
    }
    let mut config = kannel_like("http://127.0.0.1");
    config.headers = vec![("bad name".to_owned(), Secret::new(""))];
    let error = setup(vec![model::SmsProvider::Http(config)]);
    assert!(matches!(
        error,
        Err(SetupError::Header {
            at: 0,
            header: 1,
            total: 1
        })
    ));
}

#[test]
fn logs_hold_no_number_text_or_password() {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&printed);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Printer(Arc::clone(&writer)))
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let bad = Double::answering(400, r#"{"code":21211,"message":"+4512345678"}"#).await;
            let sms = vec![
                http(&closed().await),
                http(&Double::answering(500, "").await.url),
                twilio(&bad.url),
            ];
            let _ = send_over(sms).await;
        });
    });
    let printed = String::from_utf8(printed.lock().unwrap().clone()).unwrap();
    assert!(
        printed.contains("unreachable") && printed.contains("500"),
        "{printed}"
    );
    for secret in [
        "12345678",
        "123456",
        "pa&ss",
        "pa%26ss",
        "twilio-token",
        "your code",
    ] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[derive(Clone)]
struct Printer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
