//! Browsers that are remembered, on the pages.

use super::*;
use crate::auth::fixture::START;
use crate::auth::ports::Sessions as _;
use crate::clock::Timestamp;
use crate::config::model::Remember;
use crate::factor::passkey::soft::Soft;
use std::collections::BTreeMap;

const CHALLENGE: &str = "/.vestibule/challenge?return_to=/docs/";
const SIGN_IN: &str = "/.vestibule/sign-in?return_to=/docs/";
const ACCOUNT: &str = "/.vestibule/account";
const BROWSER: &str = "__Host-vestibule_browser";
const TICKED: &str = "name=\"remember\" value=\"yes\"";
const MONTH: Remember = Remember::For(Duration::from_secs(30 * 86_400));

/// A browser that keeps its cookies.
struct Browser<'s> {
    site: &'s Site,
    jar: BTreeMap<String, String>,
}

impl<'s> Browser<'s> {
    fn new(site: &'s Site) -> Self {
        Self {
            site,
            jar: BTreeMap::new(),
        }
    }

    async fn send(&mut self, call: Call) -> Answer {
        let jar = self.jar.iter().map(|(name, it)| format!("{name}={it}"));
        let jar: Vec<_> = jar.collect();
        let call = match jar.is_empty() {
            true => call,
            false => call.header("cookie", &jar.join("; ")),
        };
        let answer = self.site.answer(call).await;
        for line in answer.0.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, rest) = line.split_once('=').unwrap();
            let (value, _) = rest.split_once(';').unwrap();
            match line.contains("Max-Age=0;") {
                true => self.jar.remove(name),
                false => self.jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    async fn get(&mut self, target: &str) -> Answer {
        self.send(self.site.call(Method::GET, target)).await
    }

    async fn post(&mut self, target: &str, form: &str) -> Answer {
        let device = self.jar.get("__Host-vestibule_device");
        let device = device.expect("a page was shown before");
        let digest = self.site.world().auth.keys.form(device).text();
        let call = self.site.call(Method::POST, target);
        let call = call
            .header("origin", "https://files.example.org")
            .header("sec-fetch-site", "same-origin")
            .header(
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            );
        self.send(call.form(&format!("{form}&form={digest}"))).await
    }

    /// Signs in as ann; where that leads to.
    async fn signs_in(&mut self, name: &str, password: &str) -> String {
        self.get(SIGN_IN).await;
        let form = format!("username={name}&password={password}");
        let answer = self.post(SIGN_IN, &form).await;
        answer.header("location").unwrap_or("nowhere").to_owned()
    }

    /// Passes the second factor by a message; `more` goes with the form.
    async fn passes(&mut self, more: &str) -> Answer {
        self.site.world().advance(60);
        self.post(CHALLENGE, "action=send&factor=sms").await;
        let code = self.site.world().inbox.code();
        let form = format!("action=verify&code={code}{more}");
        self.post(CHALLENGE, &form).await
    }

    async fn signs_out(&mut self) {
        let out = self.post("/.vestibule/sign-out", "").await;
        assert_eq!(out.status(), 303);
        assert!(!self.jar.contains_key("__Host-vestibule_token"));
    }

    fn secret(&self) -> Option<&str> {
        self.jar.get(BROWSER).map(String::as_str)
    }

    /// When the pair that it sends was verified, if it is.
    async fn verified_at(&self) -> Option<Timestamp> {
        let token = self.jar.get("__Host-vestibule_token")?;
        let device = self.jar.get("__Host-vestibule_device")?;
        let key = self.site.route.keys.session(token, Some(device));
        let now = self.site.world().clock.now();
        let found = self.site.world().store.session(key, now).await.unwrap();
        found.map(|session| session.verified_at)
    }
}

async fn site_with(remember: Remember) -> Site {
    let site = Site::with(World::new(), |config| config.remember = remember);
    site.world().user("ann", "right", Some(PHONE)).await;
    site.world().user("bob", "bobs", Some("+4587654321")).await;
    site
}

/// Ann in a browser that is remembered, signed in.
async fn remembered(site: &Site) -> Browser<'_> {
    let mut browser = Browser::new(site);
    assert_eq!(browser.signs_in("ann", "right").await, CHALLENGE);
    let passed = browser.passes("&remember=yes").await;
    assert_eq!(passed.header("location"), Some("/docs/"));
    browser
}

#[tokio::test]
async fn a_person_who_ticks_the_box_is_not_asked_again() {
    let site = site_with(MONTH).await;
    let mut browser = Browser::new(&site);
    browser.signs_in("ann", "right").await;
    browser.post(CHALLENGE, "action=send&factor=sms").await;
    let page = browser.get(CHALLENGE).await;
    assert!(page.text().contains("Remember this browser for 30 days"));
    assert!(page.text().contains(&format!("{TICKED}>")), "not ticked");
    let wrong = site.world().inbox.wrong_code();
    let form = format!("action=verify&code={wrong}&remember=yes");
    let page = browser.post(CHALLENGE, &form).await;
    assert_eq!(page.status(), 401);
    assert!(page.text().contains(&format!("{TICKED} checked>")), "still");
    assert_eq!(browser.secret(), None);
    let passed = browser.passes("&remember=yes").await;
    let cookie = passed.0.headers().get_all("set-cookie").iter();
    let cookie: Vec<_> = cookie.map(|it| it.to_str().unwrap().to_owned()).collect();
    let secret = browser.secret().unwrap().to_owned();
    assert_eq!(secret.len(), 43);
    let expected =
        format!("{BROWSER}={secret}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure");
    assert!(cookie.contains(&expected), "{cookie:?}");
    let verified_at = browser.verified_at().await.unwrap();

    browser.signs_out().await;
    assert_eq!(browser.secret(), Some(secret.as_str()), "it stays");
    site.world().advance(20 * 86_400);
    let count = site.world().inbox.count();
    assert_eq!(browser.signs_in("ann", "right").await, "/docs/");
    assert_eq!(browser.verified_at().await, Some(verified_at));
    assert_eq!(browser.secret(), Some(secret.as_str()));
    let on = browser.get(CHALLENGE).await;
    assert_eq!(on.header("location"), Some("/docs/"));
    // What asks for a newer proof asks.
    let fresh = browser.get(&format!("{CHALLENGE}&fresh=true")).await;
    assert_eq!(fresh.status(), 200);
    let account = browser.get(ACCOUNT).await;
    assert_eq!(account.status(), 200);
    let forget = browser.post(ACCOUNT, "action=end-others").await;
    assert_eq!(
        forget.header("location"),
        Some("/.vestibule/challenge?return_to=/.vestibule/account&fresh=true")
    );
    assert_eq!(site.world().inbox.count(), count, "no code was sent");
    site.world().advance(10 * 86_400);
    browser.signs_out().await;
    assert_eq!(browser.signs_in("ann", "right").await, CHALLENGE);
}

#[tokio::test]
async fn without_the_box_nothing_is_remembered() {
    let site = site_with(MONTH).await;
    for more in ["", "&remember=", "&remember=no"] {
        let mut browser = Browser::new(&site);
        browser.signs_in("ann", "right").await;
        browser.passes(more).await;
        assert_eq!(browser.secret(), None, "{more}");
        browser.signs_out().await;
        assert_eq!(browser.signs_in("ann", "right").await, CHALLENGE);
    }
}

#[tokio::test]
async fn a_route_that_never_remembers_offers_takes_and_believes_nothing() {
    let site = site_with(Remember::Never).await;
    let mut browser = Browser::new(&site);
    browser.signs_in("ann", "right").await;
    browser.post(CHALLENGE, "action=send&factor=sms").await;
    assert!(!browser.get(CHALLENGE).await.text().contains(TICKED));
    browser.passes("&remember=yes").await;
    assert_eq!(browser.secret(), None);
    // Nor does it believe what another route of the identity has promised.
    let world = site.world();
    let other = Route {
        config: model::Route {
            remember: MONTH,
            ..site.route.config.clone()
        },
        keys: site.route.keys.clone(),
        identity: Identity::Accounts,
        portal: Arc::default(),
    };
    let device = browser.jar["__Host-vestibule_device"].clone();
    let token = browser.jar["__Host-vestibule_token"].clone();
    world.advance(60);
    browser
        .post(&format!("{CHALLENGE}&fresh=true"), "action=send&factor=sms")
        .await;
    let form = format!("action=verify&code={}&remember=yes", world.inbox.code());
    let digest = world.auth.keys.form(&device).text();
    let call = site
        .call(Method::POST, CHALLENGE)
        .header(
            "cookie",
            &format!("__Host-vestibule_device={device}; __Host-vestibule_token={token}"),
        )
        .header("origin", "https://files.example.org")
        .header("sec-fetch-site", "same-origin")
        .form(&format!("{form}&form={digest}"));
    let call = Call {
        route: Arc::new(other),
        ..call
    };
    let passed = site.answer(call).await;
    let secret = passed.cookie(BROWSER).unwrap().to_owned();
    let mut browser = Browser::new(&site);
    browser.jar.insert(BROWSER.to_owned(), secret);
    assert_eq!(browser.signs_in("ann", "right").await, CHALLENGE);
}

#[tokio::test]
async fn forever_is_as_long_as_browsers_keep_a_cookie() {
    let site = site_with(Remember::Forever).await;
    let mut browser = Browser::new(&site);
    browser.signs_in("ann", "right").await;
    browser.post(CHALLENGE, "action=send&factor=sms").await;
    let page = browser.get(CHALLENGE).await;
    assert!(page.text().contains("Remember this browser <span"));
    let passed = browser.passes("&remember=yes").await;
    let days_400 = 400 * 86_400;
    let lines: Vec<_> = passed.0.headers().get_all("set-cookie").iter().collect();
    let is_kept = |line: &&&HeaderValue| {
        let line = line.to_str().unwrap();
        line.starts_with(BROWSER) && line.contains(&format!("Max-Age={days_400};"))
    };
    assert!(lines.iter().any(|line| is_kept(&line)), "{lines:?}");
    let page = browser.get(ACCOUNT).await;
    assert!(page.text().contains("Remembered without an end"));
    // Use keeps the cookie, so that it goes on.
    for _ in 0..3 {
        browser.signs_out().await;
        site.world().advance(399 * 86_400);
        assert_eq!(browser.signs_in("ann", "right").await, "/docs/");
    }
}

#[tokio::test]
async fn another_user_in_the_same_browser_is_asked_and_remembered_instead() {
    let site = site_with(MONTH).await;
    let mut browser = remembered(&site).await;
    let first = browser.secret().unwrap().to_owned();
    browser.signs_out().await;
    assert_eq!(browser.signs_in("bob", "bobs").await, CHALLENGE);
    browser.passes("&remember=yes").await;
    assert_ne!(browser.secret(), Some(first.as_str()), "a new secret");
    browser.signs_out().await;
    assert_eq!(browser.signs_in("bob", "bobs").await, "/docs/");
    // Not by a secret that is Bob's.
    browser.signs_out().await;
    assert_eq!(browser.signs_in("ann", "right").await, CHALLENGE);
    // What the browser was known by before, and might have been planted, is worth nothing.
    let mut thief = Browser::new(&site);
    thief.jar.insert(BROWSER.to_owned(), first);
    assert_eq!(thief.signs_in("bob", "bobs").await, CHALLENGE);
}

#[tokio::test]
async fn a_cookie_without_the_password_or_twice_is_worth_nothing() {
    let site = site_with(MONTH).await;
    let browser = remembered(&site).await;
    let secret = browser.secret().unwrap().to_owned();
    let mut thief = Browser::new(&site);
    thief.jar.insert(BROWSER.to_owned(), secret.clone());
    assert_eq!(thief.signs_in("ann", "guess").await, "nowhere");
    let on = thief.get(CHALLENGE).await;
    assert!(on.header("location").unwrap().contains("/sign-in?"));
    // Somebody else has put one beside it: nobody can tell which one is ours.
    let mut two = Browser::new(&site);
    two.jar
        .insert(BROWSER.to_owned(), format!("{secret}; {BROWSER}=other"));
    assert_eq!(two.signs_in("ann", "right").await, CHALLENGE);
    let mut plain = Browser::new(&site);
    plain.jar.insert("vestibule_browser".to_owned(), secret);
    assert_eq!(plain.signs_in("ann", "right").await, CHALLENGE, "over TLS");
}

#[tokio::test]
async fn apis_share_links_and_named_devices_do_not_remember() {
    let site = site_with(MONTH).await;
    let browser = remembered(&site).await;
    let cookie = format!("{BROWSER}={}", browser.secret().unwrap());
    // A sign-in by an API is asked for its second factor, whatever cookie comes with it.
    site.world().advance(60);
    let body = r#"{"username": "ann", "password": "right", "deviceId": "d"}"#;
    let call = site.call(Method::POST, "/api/authtoken").json(body);
    let answer = site.answer(call.header("cookie", &cookie)).await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let two_factor = format!("/api/apiauth/twofactorsms/{token}?deviceId=d");
    let call = site.call(Method::GET, &two_factor).bearer(&token);
    let asked = site.answer(call.header("cookie", &cookie)).await;
    assert_eq!(asked.json()["auth_required"], true, "{}", asked.text());
    // Nor is one that a link has let in with such a token.
    for target in [
        format!("/.vestibule/challenge?return_to=/docs/%3Ftoken%3D{token}"),
        format!("/.vestibule/challenge?return_to=/docs/%3Ftoken%3D{token}%26deviceId%3Dd"),
    ] {
        let mut linked = Browser::new(&site);
        linked.get(&target).await;
        let page = linked.get(&format!("{target}&by=other")).await;
        assert_eq!(page.status(), 200);
        assert!(!page.text().contains(TICKED), "{target}");
    }
    site.world().share("link", Some(PHONE), None).await;
    let mut guest = Browser::new(&site);
    guest.get("/share/link").await;
    site.world().advance(60);
    let opened = guest.post("/share/link", "recipient=0&factor=sms").await;
    assert_eq!(opened.status(), 303, "{}", opened.text());
    let page = guest.get("/.vestibule/challenge?return_to=/dir/").await;
    assert!(page.text().contains("name=\"code\""), "{}", page.text());
    assert!(!page.text().contains(TICKED));
    let form = format!(
        "action=verify&code={}&remember=yes",
        site.world().inbox.code()
    );
    guest
        .post("/.vestibule/challenge?return_to=/dir/", &form)
        .await;
    assert_eq!(guest.secret(), None);
}

#[tokio::test]
async fn the_account_page_shows_and_forgets_it() {
    let site = site_with(MONTH).await;
    let mut browser = remembered(&site).await;
    let page = browser.get(ACCOUNT).await;
    for part in [
        "Remembered browsers",
        "<strong>Firefox on Linux</strong> <span class=\"badge\">this browser</span>",
        "Remembered until:",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let (_, rest) = page.text().split_once("name=\"browser\" value=\"").unwrap();
    let id = rest.split('"').next().unwrap().to_owned();
    for odd in ["", "x", "99"] {
        let form = format!("action=forget&browser={odd}");
        let answer = browser.post(ACCOUNT, &form).await;
        assert_eq!(answer.status(), 303, "{odd}");
    }
    assert!(
        browser
            .get(ACCOUNT)
            .await
            .text()
            .contains("Remembered browsers")
    );
    let form = format!("action=forget&browser={id}");
    let done = browser.post(ACCOUNT, &form).await;
    let to = "/.vestibule/account?done=forgotten";
    assert_eq!(done.header("location"), Some(to));
    let page = browser.get(to).await;
    assert!(page.text().contains("The browser is forgotten"));
    assert!(!page.text().contains("Remembered browsers"));
    browser.signs_out().await;
    assert_eq!(browser.signs_in("ann", "right").await, CHALLENGE);
}

#[tokio::test]
async fn passkeys_are_remembered_and_backup_codes_are_not() {
    let site = site_with(MONTH).await;
    let mut browser = remembered(&site).await;
    let page = "/.vestibule/enrol/passkey";
    let asked = browser.post(page, "action=ask-passkey").await;
    let mut soft = Soft::new("https://files.example.org");
    let said = soft.create(&asked.json()).to_string();
    let said = percent_encoding::utf8_percent_encode(&said, percent_encoding::NON_ALPHANUMERIC);
    let added = browser
        .post(page, &format!("action=add&name=Key&answer={said}"))
        .await;
    assert_eq!(added.status(), 303, "{}", added.text());
    let codes = browser.post("/.vestibule/backup-codes", "").await;
    let (_, rest) = codes.text().split_once("<li>").unwrap();
    let code = rest.split('<').next().unwrap().trim().to_owned();
    let shown = format!("{CHALLENGE}&by=backup");
    browser.jar.remove(BROWSER);
    browser.signs_out().await;
    browser.signs_in("ann", "right").await;
    let page = browser.get(CHALLENGE).await;
    assert_eq!(page.text().matches(TICKED).count(), 1, "with the passkey");
    assert!(!browser.get(&shown).await.text().contains(TICKED));
    let form = format!("action=recover&code={code}&remember=yes");
    let passed = browser.post(&shown, &form).await;
    assert_eq!(passed.status(), 303, "{}", passed.text());
    assert_eq!(browser.secret(), None);

    browser.signs_out().await;
    browser.signs_in("ann", "right").await;
    let asked = browser.post(CHALLENGE, "action=ask-passkey").await;
    soft.sign_count += 1;
    let said = soft.get(&asked.json()).to_string();
    let said = percent_encoding::utf8_percent_encode(&said, percent_encoding::NON_ALPHANUMERIC);
    let form = format!("action=passkey&remember=yes&answer={said}");
    let passed = browser.post(CHALLENGE, &form).await;
    assert_eq!(passed.status(), 303, "{}", passed.text());
    browser.signs_out().await;
    assert_eq!(browser.signs_in("ann", "right").await, "/docs/");
    assert!(browser.verified_at().await.unwrap() > START);
}
