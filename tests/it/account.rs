//! A person looks after the own account in a browser: sets factors up, ends sessions, removes a factor.

use crate::support::browser::totp;
use crate::support::{Gateway, PASSWORD, PHONE, Site, form_of, secret};
use reqwest::Response;
use tokio::task::JoinSet;

const ACCOUNT: &str = "/.vestibule/account";
const TOTP: &str = "/.vestibule/enrol/totp?return_to=/file";
const SMS: &str = "/.vestibule/enrol/sms";
const BACKUP: &str = "/.vestibule/backup-codes";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE_CHROME: &str = "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like \
                            Gecko) Chrome/140.0.0.0 Mobile Safari/537.36";

/// A browser: it has a token, keeps its device cookie, and follows no redirect by itself.
struct Browser<'g> {
    gateway: &'g Gateway,
    agent: &'static str,
    token: String,
    cookie: Option<String>,
}

impl<'g> Browser<'g> {
    fn new(gateway: &'g Gateway, agent: &'static str, token: &str) -> Self {
        Self {
            gateway,
            agent,
            token: token.to_owned(),
            cookie: None,
        }
    }

    fn dressed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = request
            .bearer_auth(&self.token)
            .header("user-agent", self.agent)
            .header("accept", "text/html");
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    fn keep_cookie(&mut self, answer: &Response) {
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let cookie = cookie.to_str().expect("text").split(';').next();
            self.cookie = Some(secret(cookie.expect("a cookie")));
        }
    }

    async fn get(&mut self, path: &str) -> Response {
        let request = self.gateway.http.get(self.gateway.url(path));
        let answer = self.dressed(request).send().await.expect("answer");
        self.keep_cookie(&answer);
        answer
    }

    async fn page(&mut self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.expect("a page")
    }

    /// A form of the page at `path`, filled in.
    async fn form(&mut self, path: &str, fields: &str) -> reqwest::RequestBuilder {
        let digest = form_of(&self.page(path).await);
        let request = self.gateway.http.post(self.gateway.url(path));
        let request = self
            .dressed(request)
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("{fields}&form={digest}"))
    }

    /// Sends a form; where it leads to.
    async fn post(&mut self, path: &str, fields: &str) -> String {
        let answer = self.form(path, fields).await.send().await.expect("answer");
        self.keep_cookie(&answer);
        let status = answer.status();
        let to = answer.headers().get("location").cloned();
        assert_eq!(status, 303, "{}", answer.text().await.expect("a page"));
        to.expect("a location").to_str().expect("text").to_owned()
    }

    /// Sets an authenticator app up; its key.
    async fn sets_up_an_app(&mut self) -> String {
        assert_eq!(self.post(TOTP, "action=begin").await, TOTP);
        let page = self.page(TOTP).await;
        let key = key_on(&page);
        let code = totp(&key, 0);
        let onward = self.post(TOTP, &format!("action=verify&code={code}")).await;
        assert_eq!(onward, format!("{BACKUP}?return_to=/file"));
        key
    }

    /// Passes the challenge with a code of the app.
    async fn passes(&mut self, code: &str) {
        let page = "/.vestibule/challenge?return_to=/file&by=app";
        assert_eq!(
            self.post(page, &format!("action=verify&code={code}")).await,
            "/file"
        );
    }

    async fn status_of_a_file(&mut self) -> u16 {
        let request = self.gateway.http.get(self.gateway.url("/file"));
        let mut request = request.bearer_auth(&self.token);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request.send().await.expect("answer").status().as_u16()
    }
}

/// The key on a page, as it would be typed.
fn key_on(page: &str) -> String {
    let (_, rest) = page.split_once("<code class=\"key\">").expect("a key");
    secret(&rest.split('<').next().expect("a key").replace(' ', ""))
}

/// The number of the session that a page shows for a client.
fn session_of(page: &str, client: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("<strong>{client}</strong>"))
        .expect("it");
    let (_, rest) = rest
        .split_once("name=\"session\" value=\"")
        .expect("a form");
    rest.split('"').next().expect("a number").to_owned()
}

async fn site() -> Site {
    Site::accounts_with(|setup| {
        setup.with(
            "dialects: [iogates]",
            "dialects: [iogates]\n    self_enrolment: true",
        )
    })
    .await
}

/// Bob, who has no factor, signed in on two devices.
async fn bob(gateway: &Gateway) -> [Browser<'_>; 2] {
    gateway.add_user_with("bob", PASSWORD, &[]);
    let laptop = gateway.sign_in("bob", PASSWORD, "laptop").await;
    let phone = gateway.sign_in("bob", PASSWORD, "phone").await;
    [
        Browser::new(gateway, FIREFOX, &laptop),
        Browser::new(gateway, PHONE_CHROME, &phone),
    ]
}

#[tokio::test]
async fn a_person_enrols_an_app_ends_another_devices_session_and_removes_a_factor() {
    let Site { gateway, inbox, .. } = site().await;
    let [mut laptop, mut phone] = bob(&gateway).await;
    assert_eq!(laptop.status_of_a_file().await, 401);
    // A navigation is led to the challenge, and from there to where the first factor is set up.
    let led = laptop.get("/.vestibule/challenge?return_to=/file").await;
    assert_eq!(
        led.headers()["location"],
        "/.vestibule/enrol?return_to=/file"
    );
    let key = laptop.sets_up_an_app().await;
    assert_eq!(laptop.status_of_a_file().await, 200);
    phone.passes(&totp(&key, 30)).await;
    assert_eq!(phone.status_of_a_file().await, 200);

    let page = laptop.page(ACCOUNT).await;
    assert!(page.contains("<strong>Firefox on Linux</strong> <span class=\"badge\">"));
    assert!(page.contains("Address: 127.0.0.1"));
    let sessions = gateway.cli_list(&["session", "list", "--user", "bob", "--json"]);
    let clients: Vec<_> = sessions.iter().collect();
    assert_eq!(
        clients.len(),
        2,
        "a browser's old name ends with its new one"
    );
    assert_eq!(clients[0]["client"], "Chrome on Android");
    assert_eq!(clients[1]["address"], "127.0.0.1");
    let id = session_of(&page, "Chrome on Android");
    let ended = laptop
        .post(ACCOUNT, &format!("action=end&session={id}"))
        .await;
    assert_eq!(ended, format!("{ACCOUNT}?done=session"));
    assert_eq!(phone.status_of_a_file().await, 401);
    assert_eq!(laptop.status_of_a_file().await, 200);

    assert_eq!(laptop.post(SMS, "action=begin&to=%2B4512345678").await, SMS);
    let code = inbox.code_for(PHONE);
    let done = laptop
        .post(SMS, &format!("action=verify&code={code}"))
        .await;
    assert_eq!(done, format!("{BACKUP}?return_to={ACCOUNT}"));
    let removed = laptop.post(ACCOUNT, "action=remove&factor=totp").await;
    assert_eq!(removed, format!("{ACCOUNT}?done=removed"));
    let page = laptop.page(ACCOUNT).await;
    assert!(page.contains("+45******78") && !page.contains("value=\"totp\""));
    // The app's codes are worth nothing now: the phone is offered the message alone.
    let challenge = phone.page("/.vestibule/challenge?return_to=/file").await;
    assert!(challenge.contains("+45******78"));
    assert!(!challenge.contains("by=app"));
}

#[tokio::test]
async fn of_two_removals_at_once_one_factor_stays_where_nobody_could_enrol_another() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    for round in 0..5 {
        let (name, number) = (format!("user{round}"), format!("+451234567{round}"));
        gateway.add_user(&name, PASSWORD, &number);
        let token = gateway.sign_in(&name, PASSWORD, "laptop").await;
        let mut browser = Browser::new(&gateway, FIREFOX, &token);
        let challenge = "/.vestibule/challenge?return_to=/file";
        browser.post(challenge, "action=send&factor=sms").await;
        let code = inbox.code_for(&number);
        let form = format!("action=verify&code={code}");
        assert_eq!(browser.post(challenge, &form).await, "/file");
        browser.sets_up_an_app().await;
        let one = browser.form(ACCOUNT, "action=remove&factor=sms").await;
        let other = browser.form(ACCOUNT, "action=remove&factor=totp").await;
        let (one, other) = tokio::join!(one.send(), other.send());
        let mut statuses = [one, other].map(|it| it.expect("answer").status().as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 409], "round {round}");
        let page = browser.page(ACCOUNT).await;
        assert_eq!(page.matches("value=\"remove\"").count(), 1);
    }
}

#[tokio::test]
async fn of_fifty_confirmations_of_one_enrolment_one_wins() {
    let Site { gateway, .. } = site().await;
    let [mut laptop, _] = bob(&gateway).await;
    laptop.post(TOTP, "action=begin").await;
    let key = key_on(&laptop.page(TOTP).await);
    let form = format!("action=verify&code={}", totp(&key, 0));
    let request = laptop.form(TOTP, &form).await;
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = request.try_clone().expect("a form");
        tries.spawn(async move { request.send().await.expect("answer") });
    }
    let backup = |it: &Response| {
        let to = it.headers().get("location");
        to.is_some_and(|to| to.to_str().expect("text").starts_with(BACKUP))
    };
    let answers = tries.join_all().await;
    assert_eq!(answers.iter().filter(|it| backup(it)).count(), 1);
    let named = answers
        .iter()
        .filter(|it| it.headers().contains_key("set-cookie"));
    assert_eq!(named.count(), 1, "only the winner gets a new device");
    let sessions = gateway.cli_list(&["session", "list", "--user", "bob", "--json"]);
    assert_eq!(sessions.len(), 1);
}

#[tokio::test]
async fn of_fifty_ends_of_one_session_one_ends_it() {
    let Site { gateway, .. } = site().await;
    let [mut laptop, mut phone] = bob(&gateway).await;
    let key = laptop.sets_up_an_app().await;
    phone.passes(&totp(&key, 30)).await;
    let id = session_of(&laptop.page(ACCOUNT).await, "Chrome on Android");
    let form = format!("action=end&session={id}");
    let request = laptop.form(ACCOUNT, &form).await;
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = request.try_clone().expect("a form");
        tries.spawn(async move { request.send().await.expect("answer").status().as_u16() });
    }
    let statuses = tries.join_all().await;
    let ended = statuses.iter().filter(|status| **status == 303).count();
    assert_eq!(ended, 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 404].contains(status)));
    assert_eq!(laptop.status_of_a_file().await, 200);
}

/// The first backup code on the page that shows a new set.
fn first_backup_code(page: &str) -> String {
    let (_, rest) = page
        .split_once("<ol class=\"codes\" id=\"codes\">")
        .expect("the codes");
    let (_, rest) = rest.split_once("<li>").expect("a code");
    secret(rest.split('<').next().expect("a code"))
}

#[tokio::test]
async fn of_fifty_sets_of_backup_codes_made_at_once_one_is_good() {
    let Site { gateway, .. } = Site::accounts_with(|setup| {
        setup
            .with(
                "dialects: [iogates]",
                "dialects: [iogates]\n    self_enrolment: true",
            )
            .with("codes:", "lockout: {delay_every: 0, lock_at: 0}\ncodes:")
    })
    .await;
    let [mut laptop, mut phone] = bob(&gateway).await;
    laptop.sets_up_an_app().await;
    let request = laptop.form(BACKUP, "action=make").await;
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let request = request.try_clone().expect("a form");
        tries.spawn(async move {
            let answer = request.send().await.expect("answer");
            (
                answer.status().as_u16(),
                answer.text().await.expect("a page"),
            )
        });
    }
    let mut codes = Vec::new();
    for (status, page) in tries.join_all().await {
        // Hashing is bounded: who does not get a turn is told to come again, and has changed nothing.
        assert!([200, 429, 503].contains(&status), "{status}: {page}");
        if status == 200 {
            codes.push(first_backup_code(&page));
        }
    }
    assert!(!codes.is_empty(), "somebody gets codes");
    let page = laptop.page(BACKUP).await;
    assert!(page.contains("10"), "{page}");
    let challenge = "/.vestibule/challenge?return_to=/file";
    let mut good = 0;
    for code in &codes {
        let form = format!("action=recover&code={}", code.replace(' ', "+"));
        let answer = phone.form(challenge, &form).await.send().await;
        good += usize::from(answer.expect("answer").status() == 303);
    }
    assert_eq!(good, 1, "of {} sets", codes.len());
}
