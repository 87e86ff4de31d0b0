//! Share links from outside, as browsers and the clients of an API meet them.

mod devices;

use crate::support::smtpd::Smtpd;
use crate::support::{Gateway, PASSWORD, PHONE, Setup, Site, form_of, secret, wait_for};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const BOB: &str = "+4587654321";
const BOBS_MAIL: &str = "bob@example.org";
const LIMIT: Duration = Duration::from_secs(10);

/// A browser without script: it keeps cookies, and goes where it is led only when it is told.
struct Browser<'a> {
    gateway: &'a Gateway,
    cookies: BTreeMap<String, String>,
}

struct Page {
    status: u16,
    location: String,
    text: String,
    headers: reqwest::header::HeaderMap,
}

impl<'a> Browser<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            cookies: BTreeMap::new(),
        }
    }

    fn jar(&self) -> String {
        let cookies = self.cookies.iter();
        let cookies: Vec<_> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        cookies.join("; ")
    }

    fn token(&self) -> String {
        self.cookies
            .get("vestibule_token")
            .cloned()
            .unwrap_or_default()
    }

    async fn keep(&mut self, answer: Response) -> Page {
        for line in answer.headers().get_all("set-cookie") {
            let cookie = line
                .to_str()
                .expect("cookie")
                .split(';')
                .next()
                .expect("cookie");
            let (name, value) = cookie.split_once('=').expect("cookie");
            match value {
                "" => self.cookies.remove(name),
                _ => self.cookies.insert(name.to_owned(), secret(value)),
            };
        }
        let location = answer.headers().get("location");
        Page {
            status: answer.status().as_u16(),
            location: location
                .map_or("", |it| it.to_str().expect("text"))
                .to_owned(),
            headers: answer.headers().clone(),
            text: answer.text().await.expect("text"),
        }
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = self.gateway.http.get(self.gateway.url(path));
        let request = request
            .header("sec-fetch-mode", "navigate")
            .header("cookie", self.jar());
        let answer = request.send().await.expect("answer");
        self.keep(answer).await
    }

    /// What a page of the folder fetches for itself.
    async fn fetch(&mut self, path: &str) -> Page {
        let request = self.gateway.http.get(self.gateway.url(path));
        let request = request
            .header("sec-fetch-mode", "no-cors")
            .header("cookie", self.jar());
        let answer = request.send().await.expect("answer");
        self.keep(answer).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = self.gateway.http.post(self.gateway.url(path));
        let request = request.header("cookie", self.jar()).form(form);
        let answer = request.send().await.expect("answer");
        self.keep(answer).await
    }

    /// Presses the button of a recipient on the link's page.
    async fn press(&mut self, link: &str, nth: &str, factor: &str) -> Page {
        let page = self.get(link).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let form = form_of(&page.text);
        let fields = [
            ("form", form.as_str()),
            ("recipient", nth),
            ("factor", factor),
        ];
        self.post(link, &fields).await
    }

    /// Goes to where the code is typed, and types it.
    async fn confirm(&mut self, page: &str, code: &str) -> Page {
        let shown = self.get(page).await;
        assert_eq!(shown.status, 200, "{}", shown.text);
        assert!(shown.text.contains("one-time-code"), "{}", shown.text);
        let form = form_of(&shown.text);
        let fields = [
            ("form", form.as_str()),
            ("action", "verify"),
            ("code", code),
        ];
        self.post(page, &fields).await
    }
}

/// A link as `share add` prints it: its path, and its number.
fn link(gateway: &Gateway, more: &[&str]) -> (String, i64) {
    let mut args = vec!["share", "add", "--path", "/docs/", "--json"];
    args.extend(more);
    let made = gateway.cli_json(&args);
    let token = secret(made["token"].as_str().expect("token"));
    let url = made["url"].as_str().expect("url");
    assert!(url.ends_with(&format!("/share/{token}")), "{url}");
    (format!("/share/{token}"), made["id"].as_i64().expect("id"))
}

fn listed(gateway: &Gateway, id: i64) -> Value {
    let shares = gateway.cli_list(&["share", "list", "--json"]);
    shares
        .into_iter()
        .find(|it| it["id"] == id)
        .unwrap_or_default()
}

fn with_mail(setup: Setup, mails: &Smtpd) -> Setup {
    let email = format!(
        "delivery:\n  email: {{smtp: \"smtp://127.0.0.1:{}\", from: files@files.example}}",
        mails.port
    );
    setup.with("delivery:", &email)
}

fn code_in(mail: &str) -> String {
    let digits = |it: &&str| it.len() == 6 && it.bytes().all(|byte| byte.is_ascii_digit());
    let word = mail
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(digits);
    secret(word.expect("a code"))
}

#[tokio::test]
async fn a_recipient_opens_a_link_on_a_phone_once() {
    let site = Site::accounts().await;
    let (link, id) = link(&site.gateway, &["--phone", PHONE, "--expires", "7d"]);
    // What looks at a link before its recipient does uses nothing up.
    for _ in 0..3 {
        let head = site.gateway.http.head(site.gateway.url(&link)).send().await;
        assert_eq!(head.expect("answer").status(), 200);
    }
    let mut phone = Browser::new(&site.gateway);
    let page = phone.get(&link).await;
    assert!(page.text.contains("+45******78") && page.text.contains("<dd>docs</dd>"));
    assert_eq!(page.headers["referrer-policy"], "strict-origin");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(site.inbox.messages().is_empty());
    assert_eq!(listed(&site.gateway, id)["devices"], 0);

    let sent = phone.press(&link, "0", "sms").await;
    assert_eq!(
        (sent.status, sent.location.as_str()),
        (303, "/.vestibule/challenge?return_to=/docs/")
    );
    let code = site.inbox.code_for(PHONE);
    let inside = phone.confirm(&sent.location, &code).await;
    assert_eq!(
        (inside.status, inside.location.as_str()),
        (303, "/docs/"),
        "{}",
        inside.text
    );
    let folder = phone.get("/docs/").await;
    assert_eq!(
        (folder.status, folder.text.as_str()),
        (200, "GET /docs/ 0 bytes\n")
    );
    assert_eq!(phone.fetch("/docs/a.css").await.status, 200);
    let seen = site.backend.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|it| !it.headers.contains_key("cookie")));
    assert!(
        seen.iter()
            .all(|it| it.headers["x-vestibule-user"] == format!("share:{id}"))
    );

    let again = phone.get(&link).await;
    assert_eq!((again.status, again.location.as_str()), (303, "/docs/"));
    assert_eq!(site.inbox.messages().len(), 1);
    let line = listed(&site.gateway, id);
    assert_eq!(line["devices"], 1);
    assert!(line["last_opened_at"].is_string(), "{line}");
}

#[tokio::test]
async fn several_recipients_are_users_of_their_own() {
    let mails = Smtpd::start(&[]);
    let site = Site::accounts_with(|setup| with_mail(setup, &mails)).await;
    let both = format!("{BOB},{BOBS_MAIL}");
    let (link, id) = link(&site.gateway, &["--phone", PHONE, "--recipient", &both]);
    let (mut anna, mut bob) = (Browser::new(&site.gateway), Browser::new(&site.gateway));
    let asked = bob.press(&link, "1", "email").await;
    let bobs = code_in(&mails.next().text);
    let to_code = asked.location.clone();
    anna.press(&link, "0", "sms").await;
    // Bob's code is Bob's.
    let annas = site.inbox.code_for(PHONE);
    if bobs != annas {
        let wrong = anna.confirm(&to_code, &bobs).await;
        assert_eq!(wrong.status, 401, "{}", wrong.text);
    }
    assert_eq!(bob.confirm(&to_code, &bobs).await.status, 303);
    assert_eq!(anna.confirm(&to_code, &annas).await.status, 303);
    for browser in [&mut anna, &mut bob] {
        assert_eq!(browser.get("/docs/plan.txt").await.status, 200);
        assert_eq!(browser.fetch("/hello.txt").await.status, 403);
    }
    let seen = site.backend.seen();
    let users: Vec<_> = seen
        .iter()
        .map(|it| it.headers["x-vestibule-user"].clone())
        .collect();
    assert_eq!(users, [format!("share:{id}/1"), format!("share:{id}/2")]);
    let line = listed(&site.gateway, id);
    let devices = [0, 1].map(|n| line["recipients"][n]["devices"].clone());
    assert_eq!(
        (devices, &line["devices"]),
        ([json!(1), json!(1)], &json!(2))
    );

    // The link is nobody's token: not in a path, not as a bearer, not in an API's sign-in.
    let token = link.trim_start_matches("/share/").to_owned();
    let below = Browser::new(&site.gateway)
        .get(&format!("{link}/plan.txt"))
        .await;
    assert_eq!((below.status, below.location), (303, link.clone()));
    let bearer = site
        .gateway
        .get("/docs/plan.txt", &token, "phone")
        .send()
        .await;
    assert_eq!(bearer.expect("answer").status(), 401);
    let body = json!({"URL": link, "deviceId": "phone"}).to_string();
    let api = site
        .gateway
        .http
        .post(site.gateway.url("/api/authtoken"))
        .body(body);
    let api = api.send().await.expect("answer");
    assert_eq!(api.status(), 400);
    let body: Value = api.json().await.expect("JSON");
    assert!(
        body["message"]
            .as_str()
            .expect("text")
            .contains("several people"),
        "{body}"
    );
}

#[tokio::test]
async fn a_link_that_is_over_says_so_wherever_its_guest_is() {
    let site = Site::accounts().await;
    let (revoked, id) = link(&site.gateway, &["--phone", PHONE]);
    let (expiring, _) = link(&site.gateway, &["--phone", BOB, "--expires", "5s"]);
    let (mut anna, mut bob) = (Browser::new(&site.gateway), Browser::new(&site.gateway));
    for (browser, link, phone) in [(&mut bob, &expiring, BOB), (&mut anna, &revoked, PHONE)] {
        let sent = browser.press(link, "0", "sms").await;
        let code = site.inbox.code_for(phone);
        let inside = browser.confirm(&sent.location, &code).await;
        assert_eq!(inside.status, 303, "{}", inside.text);
    }
    assert_eq!(anna.get("/docs/plan.txt").await.status, 200);
    let id = id.to_string();
    assert!(site.gateway.cli(&["share", "revoke", &id]).status.success());
    for browser in [&mut anna, &mut bob] {
        let over = wait_for("the end", LIMIT, async || {
            let page = browser.get("/docs/plan.txt").await;
            (page.status != 200).then_some(page)
        });
        let over = over.await;
        assert_eq!(over.status, 401, "{}", over.location);
        assert!(
            over.text.contains("This link does not work"),
            "{}",
            over.text
        );
    }
    let mut pages = Vec::new();
    for link in [&revoked, &expiring, &"/share/unknown".to_owned()] {
        let page = anna.get(link).await;
        pages.push((page.status, page.text));
        let api = site.gateway.http.post(site.gateway.url("/api/authtoken"));
        let body = json!({"URL": link, "deviceId": "phone"}).to_string();
        let api = api.body(body).send().await.expect("answer");
        assert_eq!(api.status(), 401);
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "one page for all");
    assert_eq!(pages[0].0, 404);
}

#[tokio::test]
async fn fifty_presses_at_once_send_one_code() {
    let site =
        Site::accounts_with(|setup| setup.with("resend_after: 0s", "resend_after: 30s")).await;
    let (link, id) = link(&site.gateway, &["--phone", PHONE, "--phone", BOB]);
    let mut browser = Browser::new(&site.gateway);
    let page = browser.get(&link).await;
    let form = form_of(&page.text);
    let presses = (0..50).map(|_| {
        let request = site.gateway.http.post(site.gateway.url(&link));
        let fields = [
            ("form", form.as_str()),
            ("recipient", "0"),
            ("factor", "sms"),
        ];
        tokio::spawn(request.header("cookie", browser.jar()).form(&fields).send())
    });
    let mut statuses = Vec::new();
    for press in presses.collect::<Vec<_>>() {
        let answer = press.await.expect("task").expect("answer");
        if answer.status() == StatusCode::SEE_OTHER {
            browser.keep(answer).await;
            statuses.push(303);
        } else {
            statuses.push(answer.status().as_u16());
        }
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 303);
    assert!(statuses[1..].iter().all(|it| *it == 429), "{statuses:?}");
    assert_eq!(site.inbox.messages().len(), 1);
    // Pressed twice, the one who has the code goes on to it.
    let page = browser.get(&link).await;
    assert_eq!(page.status, 200);
    let again = browser.press(&link, "0", "sms").await;
    assert_eq!(again.status, 303);
    let code = site.inbox.code_for(PHONE);
    assert_eq!(browser.confirm(&again.location, &code).await.status, 303);
    assert_eq!(listed(&site.gateway, id)["devices"], 1);
}

#[tokio::test]
async fn an_account_keeps_its_own_token_and_a_guest_has_none_of_its_pages() {
    let site = Site::accounts_with(|setup| {
        setup.with(
            "phone_region: DK",
            "phone_region: DK\n    self_enrolment: true",
        )
    })
    .await;
    site.gateway.add_user("anna", PASSWORD, BOB);
    let (link, _) = link(&site.gateway, &["--phone", PHONE]);
    let mut anna = Browser::new(&site.gateway);
    let page = anna.get("/.vestibule/sign-in").await;
    let form = form_of(&page.text);
    let fields = [
        ("form", form.as_str()),
        ("username", "anna"),
        ("password", PASSWORD),
    ];
    assert_eq!(anna.post("/.vestibule/sign-in", &fields).await.status, 303);
    let token = anna.token();
    let opened = anna.get(&link).await;
    assert_eq!((opened.status, opened.location.as_str()), (303, "/docs/"));
    assert_eq!(anna.token(), token);
    assert!(site.inbox.messages().is_empty());

    let mut guest = Browser::new(&site.gateway);
    let sent = guest.press(&link, "0", "sms").await;
    let code = site.inbox.code_for(PHONE);
    assert_eq!(guest.confirm(&sent.location, &code).await.status, 303);
    assert_eq!(
        guest.get("/.vestibule/sign-in").await.status,
        200,
        "nobody's account"
    );
    // Signing out ends it: the next one at this browser is asked.
    let page = guest.get("/.vestibule/sign-out").await;
    let form = form_of(&page.text);
    let token = guest.token();
    assert_eq!(
        guest
            .post("/.vestibule/sign-out", &[("form", form.as_str())])
            .await
            .status,
        303
    );
    let gone = site
        .gateway
        .get("/docs/plan.txt", &token, "phone")
        .send()
        .await;
    assert_eq!(gone.expect("answer").status(), 401);
}

/// Where others make the links, the token stays in the path.
#[tokio::test]
async fn a_backends_own_links_lead_to_the_page_and_back() {
    let site = Site::learn().await;
    site.backend.issue_unseen("the-backends-own-link");
    let mut phone = Browser::new(&site.gateway);
    let link = "/share/the-backends-own-link";
    let page = format!("{link}/album/?sort=name");
    let led = phone.get(&page).await;
    assert_eq!(led.status, 303, "{}", led.text);
    let shown = phone.get(&led.location).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    let form = form_of(&shown.text);
    let fields = [
        ("form", form.as_str()),
        ("action", "send"),
        ("factor", "sms"),
    ];
    let sent = phone.post(&led.location, &fields).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let code = site.inbox.code_for(crate::support::iogates::PHONE);
    let back = phone.confirm(&led.location, &code).await;
    assert_eq!((back.status, back.location.as_str()), (303, page.as_str()));
    assert_eq!(
        phone.get(&page).await.text,
        format!("GET {link}/album/ 0 bytes\n")
    );
    for below in ["/album/style.css", "/album/1.jpg?size=small"] {
        assert_eq!(
            phone.fetch(&format!("{link}{below}")).await.status,
            200,
            "{below}"
        );
    }
    // Somewhere else, or on another phone, it is asked again.
    let other = Browser::new(&site.gateway).get(&page).await;
    assert_eq!(other.status, 303);
    assert!(other.location.starts_with("/.vestibule/challenge"));
    assert!(phone.token().is_empty(), "the token is the address's");
    let pressed = phone.post(link, &[("recipient", "0")]).await;
    assert_eq!(
        pressed.text,
        format!("POST {link} 11 bytes\n"),
        "the backend's own"
    );
}
