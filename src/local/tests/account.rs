//! The account, the setting up of factors, and backup codes, as a browser goes through them.

use super::*;
use crate::auth::fixture::START;
use crate::auth::ports::{FactorKind, Factors as _, Sessions as _};
use crate::factor::passkey::soft::Soft;
use crate::factor::totp::TotpSecret;
use crate::id::UserId;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const ACCOUNT: &str = "/.vestibule/account";
const ENROL: &str = "/.vestibule/enrol";
const TOTP: &str = "/.vestibule/enrol/totp";
const SMS: &str = "/.vestibule/enrol/sms";
const EMAIL: &str = "/.vestibule/enrol/email";
const PASSKEYS: &str = "/.vestibule/enrol/passkey";
const BACKUP: &str = "/.vestibule/backup-codes";

impl Browser<'_> {
    /// Passes the second factor with the user's authenticator, which has a new code by then.
    async fn passes(&mut self, secret: &TotpSecret) {
        self.site.world().advance(30);
        let code = secret.code_at(self.site.world().auth.clock.now());
        let form = format!("action=verify&code={code}");
        let page = "/.vestibule/challenge?return_to=/dir/";
        Self::is_led(&self.post(page, &form).await, "/dir/");
    }

    /// Sets up an authenticator on the page, and returns its key.
    async fn sets_up_an_app(&mut self, onward: &str) -> TotpSecret {
        let page = format!("{TOTP}?return_to={onward}");
        Self::is_led(&self.post(&page, "action=begin").await, &page);
        let shown = self.get(&page).await;
        assert_eq!(shown.status(), 200);
        let secret = shown_key(&shown);
        let code = secret.code_at(self.site.world().auth.clock.now());
        let done = self
            .post(&page, &format!("action=verify&code={code}"))
            .await;
        assert_eq!(done.status(), 303, "{}", done.text());
        secret
    }
}

/// The key as it stands on the page, for typing.
fn shown_key(page: &Answer) -> TotpSecret {
    let (_, rest) = page.text().split_once("<code class=\"key\">").unwrap();
    let (key, _) = rest.split_once("</code>").unwrap();
    assert!(key.split(' ').all(|group| group.len() == 4), "{key}");
    assert_eq!(key.split(' ').count(), 8, "{key}");
    TotpSecret::parse(key).unwrap()
}

/// The numbers of the sessions that a page shows, and how many are this device.
fn shown_sessions(page: &Answer) -> Vec<String> {
    let forms = page.text().split("name=\"session\" value=\"").skip(1);
    forms
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

async fn factors(site: &Site, user: UserId) -> Vec<FactorKind> {
    let factors = site.world().store.factors(user).await.unwrap();
    let kinds = factors.enrolled.iter().map(|one| one.value.kind());
    kinds.collect()
}

fn user_of(site: &Site, token: &str) -> impl Future<Output = UserId> {
    let digest = site.route.keys.token(token);
    let (store, now) = (
        Arc::clone(&site.world().store),
        site.world().auth.clock.now(),
    );
    async move { store.token(digest, now).await.unwrap().unwrap().0.user }
}

/// Bob with an authenticator, passed in a browser just now.
async fn of_bob_verified<'s>(site: &'s Site, token: &str) -> (Browser<'s>, TotpSecret) {
    let user = user_of(site, token).await;
    let secret = site.world().authenticator(user).await;
    site.world()
        .store
        .revoke(crate::gate::session::Which::User(user), START)
        .await
        .unwrap();
    let mut browser = Browser::of(site, token, "abc");
    browser.passes(&secret).await;
    (browser, secret)
}

#[tokio::test]
async fn somebody_without_a_factor_sets_one_up_and_goes_on() {
    let (site, token) = Site::of_bob().await;
    let user = user_of(&site, &token).await;
    let mut browser = Browser::of(&site, &token, "abc");
    let challenge = browser.get("/.vestibule/challenge?return_to=/dir/").await;
    Browser::is_led(&challenge, &format!("{ENROL}?return_to=/dir/"));
    let choice = browser.get(&format!("{ENROL}?return_to=/dir/")).await;
    assert_eq!(choice.status(), 200, "{}", choice.text());
    for kind in ["totp", "sms", "email"] {
        let link = format!("href=\"{ENROL}/{kind}?return_to=/dir/\"");
        assert!(choice.text().contains(&link), "{link}: {}", choice.text());
    }
    let page = format!("{TOTP}?return_to=/dir/");
    let first = browser.get(&page).await;
    assert!(first.text().contains("value=\"begin\""));
    assert!(
        !first.text().contains("class=\"key\""),
        "not before it is asked for"
    );
    Browser::is_led(&browser.post(&page, "action=begin").await, &page);
    let shown = browser.get(&page).await;
    let secret = shown_key(&shown);
    for part in [
        "src=\"data:image/png;base64,",
        "alt=\"QR code with the key",
        "autocomplete=\"one-time-code\"",
    ] {
        assert!(shown.text().contains(part), "{part}");
    }
    let again = browser.get(&page).await;
    assert_eq!(shown_key(&again), secret, "looking changes nothing");

    let wrong = browser.post(&page, "action=verify&code=000000").await;
    assert_eq!(wrong.status(), 401);
    assert_eq!(shown_key(&wrong), secret);
    assert!(factors(&site, user).await.is_empty() && !browser.is_open().await);

    let code = secret.code_at(START);
    let before = browser.device.clone();
    let done = browser
        .post(&page, &format!("action=verify&code={code}"))
        .await;
    Browser::is_led(&done, &format!("{BACKUP}?return_to=/dir/"));
    assert_ne!(browser.device, before, "it changes at verification");
    assert!(browser.is_open().await);
    assert_eq!(factors(&site, user).await, [FactorKind::Totp]);
    // A link back to a page that is done with says so, and needs no harm.
    let over = browser
        .post(&page, &format!("action=verify&code={code}"))
        .await;
    assert_eq!(over.status(), 404);
}

#[tokio::test]
async fn backup_codes_are_shown_once_and_each_lets_in_once() {
    let (site, token) = Site::of_bob().await;
    let (mut browser, _) = of_bob_verified(&site, &token).await;
    let page = format!("{BACKUP}?return_to=/dir/");
    let before = browser.get(&page).await;
    assert!(before.text().contains("You have no backup codes."));
    let made = browser.post(&page, "").await;
    assert_eq!(made.status(), 200, "{}", made.text());
    let list = made.text().split("<ol class=\"codes\"").nth(1).unwrap();
    let list = list.split("</ol>").next().unwrap();
    let codes: Vec<_> = list
        .split("<li>")
        .skip(1)
        .map(|item| item.split('<').next().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 9), "{codes:?}");
    for part in [
        "href=\"/dir/\"",
        "data-print",
        "data-download=\"#codes\"",
        "data-script hidden",
        "Print this page",
    ] {
        assert!(made.text().contains(part), "{part}");
    }
    let after = browser.get(&page).await;
    assert!(after.text().contains("10 codes are left."));
    assert!(!codes.iter().any(|code| after.text().contains(code)));

    let mut other = Browser::of(&site, &token, "other");
    let code = codes[0].replace(' ', "+");
    let challenge = "/.vestibule/challenge?return_to=/dir/";
    let form = format!("action=recover&code={code}");
    Browser::is_led(&other.post(challenge, &form).await, "/dir/");
    let again = Browser::of(&site, &token, "third")
        .post(challenge, &form)
        .await;
    assert_eq!(again.status(), 401, "each once");
    assert!(other.get(&page).await.text().contains("9 codes are left."));
    let newer = browser.post(&page, "").await;
    assert!(!codes.iter().any(|code| newer.text().contains(code)));
    assert!(
        browser
            .get(&page)
            .await
            .text()
            .contains("10 codes are left.")
    );
}

#[tokio::test]
async fn a_phone_is_set_up_by_a_message() {
    let (site, token) = Site::of_bob_with(|config| {
        config.phone_region = Some("DK".to_owned());
    })
    .await;
    let user = user_of(&site, &token).await;
    let mut browser = Browser::of(&site, &token, "abc");
    assert!(
        browser
            .get(SMS)
            .await
            .text()
            .contains("autocomplete=\"tel\"")
    );
    for bad in ["", "12", "not+a+number", "%3Cscript%3E"] {
        let refused = browser.post(SMS, &format!("action=begin&to={bad}")).await;
        assert_eq!(refused.status(), 400, "{bad}");
        assert!(refused.text().contains("not a mobile number"), "{bad}");
        assert!(!refused.text().contains("<script>"));
    }
    assert_eq!(site.world().inbox.count(), 0);
    // A number of the route's region needs no country code.
    let sent = browser.post(SMS, "action=begin&to=12+34+56+78").await;
    Browser::is_led(&sent, SMS);
    let page = browser.get(SMS).await;
    assert!(page.text().contains("We have sent a code to +45******78."));
    assert!(!page.text().contains("12345678"));
    assert_eq!(site.world().inbox.last().0, PHONE);
    let hurry = browser.post(SMS, "action=again").await;
    assert_eq!(hurry.status(), 429);
    assert!(hurry.header("retry-after").is_some());
    site.world().advance(60);
    Browser::is_led(&browser.post(SMS, "action=again").await, SMS);
    assert_eq!(site.world().inbox.count(), 2);
    let code = site.world().inbox.code();
    let done = browser
        .post(SMS, &format!("action=verify&code={code}"))
        .await;
    Browser::is_led(&done, &format!("{BACKUP}?return_to={ACCOUNT}"));
    assert_eq!(factors(&site, user).await, [FactorKind::Sms]);
    assert!(browser.is_open().await);
}

#[tokio::test]
async fn an_address_is_set_up_by_mail_and_only_what_can_be_sent_is_offered() {
    let (site, token) = Site::of_bob().await;
    let user = user_of(&site, &token).await;
    let mut browser = Browser::of(&site, &token, "abc");
    let refused = browser.post(EMAIL, "action=begin&to=nobody").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().contains("value=\"nobody\""), "to be mended");
    let sent = browser
        .post(EMAIL, "action=begin&to=bob%40example.org")
        .await;
    Browser::is_led(&sent, EMAIL);
    let form = format!("action=verify&code={}", site.world().inbox.code());
    assert_eq!(browser.post(EMAIL, &form).await.status(), 303);
    assert_eq!(factors(&site, user).await, [FactorKind::Email]);

    site.world().set(|settings| {
        settings.sends_mail = false;
        settings.sends_sms = false;
    });
    let choice = browser.get(ENROL).await;
    assert!(choice.text().contains(TOTP));
    for page in [
        SMS,
        EMAIL,
        "/.vestibule/enrol/fax",
        "/.vestibule/enrol/backup_code",
    ] {
        assert!(!choice.text().contains(page));
        assert_eq!(browser.get(page).await.status(), 404, "{page}");
        let posted = browser.post(page, "action=begin&to=a%40example.org").await;
        assert_eq!(posted.status(), 404, "{page}");
    }
}

#[tokio::test]
async fn the_account_shows_sessions_and_factors_and_ends_one_session() {
    let (site, token) = Site::of_bob().await;
    let (mut laptop, secret) = of_bob_verified(&site, &token).await;
    let user = user_of(&site, &token).await;
    site.world().caller(user, "d2").await;
    let mut phone = Browser::of(&site, "token-of-d2", "xyz");
    phone.agent = "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) \
                   Chrome/140.0.0.0 Mobile Safari/537.36";
    phone.passes(&secret).await;
    let page = laptop.get(ACCOUNT).await;
    assert_eq!(page.status(), 200, "{}", page.text());
    for part in [
        "<strong>Firefox on Linux</strong> <span class=\"badge\">this device</span>",
        "<strong>Chrome on Android</strong>",
        "Address: 192.0.2.1",
        "Authenticator app",
        "You have no backup codes.",
        "value=\"end-others\"",
        "<time datetime=\"2027-01-15T08:00:",
        ">2027-01-15 08:00 UTC</time>",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert_eq!(page.text().matches("this device").count(), 1);
    let german = laptop
        .call(Method::GET, ACCOUNT)
        .header("accept-language", "de");
    let german = site.answer(german).await;
    assert!(german.text().contains("Chrome auf Android"));

    let [of_phone, of_laptop] = &shown_sessions(&page)[..] else {
        panic!("{}", page.text())
    };
    assert!(phone.is_open().await);
    let ended = laptop
        .post(ACCOUNT, &format!("action=end&session={of_phone}"))
        .await;
    Browser::is_led(&ended, &format!("{ACCOUNT}?done=session"));
    assert!(!phone.is_open().await, "at once");
    assert!(laptop.is_open().await);
    let page = laptop.get(&format!("{ACCOUNT}?done=session")).await;
    assert!(page.text().contains("The session has ended."));
    assert_eq!(
        shown_sessions(&page).as_slice(),
        std::slice::from_ref(of_laptop)
    );
    assert!(page.text().contains(&format!("action=\"{ACCOUNT}\"")));
    let twice = laptop
        .post(ACCOUNT, &format!("action=end&session={of_phone}"))
        .await;
    assert_eq!(twice.status(), 404);
    assert!(twice.text().contains("already ended"));
    let odd = laptop.get(&format!("{ACCOUNT}?done=%3Cb%3E")).await;
    assert!(!odd.text().contains("role=\"status\""));

    // The own session too: then nothing is shown but the challenge.
    let ended = laptop
        .post(ACCOUNT, &format!("action=end&session={of_laptop}"))
        .await;
    assert_eq!(ended.status(), 303);
    let page = laptop.get(ACCOUNT).await;
    Browser::is_led(&page, &format!("/.vestibule/challenge?return_to={ACCOUNT}"));
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let (site, token) = Site::of_bob().await;
    let (mut laptop, secret) = of_bob_verified(&site, &token).await;
    let mut phone = Browser::of(&site, &token, "phone");
    phone.passes(&secret).await;
    let mut tablet = Browser::of(&site, &token, "tablet");
    tablet.passes(&secret).await;
    let ended = laptop.post(ACCOUNT, "action=end-others").await;
    Browser::is_led(&ended, &format!("{ACCOUNT}?done=others"));
    assert!(laptop.is_open().await);
    assert!(!phone.is_open().await && !tablet.is_open().await);
    let page = laptop.get(&format!("{ACCOUNT}?done=others")).await;
    assert_eq!(shown_sessions(&page).len(), 1);
    assert!(!page.text().contains("end-others"), "there are none");
}

#[tokio::test]
async fn factors_are_added_replaced_and_removed() {
    let (site, token) = Site::of_bob().await;
    let (mut browser, first) = of_bob_verified(&site, &token).await;
    let user = user_of(&site, &token).await;
    let sent = browser.post(SMS, "action=begin&to=%2B4512345678").await;
    Browser::is_led(&sent, SMS);
    let code = site.world().inbox.code();
    let done = browser
        .post(SMS, &format!("action=verify&code={code}"))
        .await;
    assert_eq!(done.status(), 303);
    assert_eq!(
        factors(&site, user).await,
        [FactorKind::Sms, FactorKind::Totp]
    );
    let page = browser.get(ACCOUNT).await;
    assert!(page.text().contains("+45******78"));
    let second = browser.sets_up_an_app(ACCOUNT).await;
    assert_ne!(first, second, "replaced");
    let removed = browser.post(ACCOUNT, "action=remove&factor=sms").await;
    Browser::is_led(&removed, &format!("{ACCOUNT}?done=removed"));
    let twice = browser.post(ACCOUNT, "action=remove&factor=sms").await;
    assert_eq!(twice.status(), 303, "it is what was asked for");
    assert_eq!(factors(&site, user).await, [FactorKind::Totp]);
    let unknown = browser.post(ACCOUNT, "action=remove&factor=fax").await;
    assert_eq!(unknown.status(), 400);

    // The last one, since here another one can be enrolled.
    browser.post(BACKUP, "").await;
    let last = browser.post(ACCOUNT, "action=remove&factor=totp").await;
    Browser::is_led(&last, &format!("{ACCOUNT}?done=removed"));
    let left = site.world().store.factors(user).await.unwrap();
    assert_eq!((left.enrolled.len(), left.backup_codes_left), (0, 0));
    let page = browser.get(ACCOUNT).await;
    assert!(page.text().contains("You have no second factor yet."));
    assert!(
        page.text()
            .contains(&format!("href=\"{ENROL}?return_to={ACCOUNT}\""))
    );
}

#[tokio::test]
async fn where_only_the_operator_enrols_the_last_factor_stays() {
    let (site, token) = Site::of_bob_with(|config| config.self_enrolment = false).await;
    let user = user_of(&site, &token).await;
    let mut browser = Browser::of(&site, &token, "abc");
    for page in [ENROL, TOTP, SMS] {
        let refused = browser.get(page).await;
        assert_eq!(refused.status(), 403, "{page}");
        assert!(refused.text().contains("Ask for a second factor"));
    }
    let challenge = browser.get("/.vestibule/challenge?return_to=/dir/").await;
    assert_eq!(challenge.status(), 200, "nothing to be led to");
    let (mut browser, _) = of_bob_verified(&site, &token).await;
    let refused = browser.post(ACCOUNT, "action=remove&factor=totp").await;
    assert_eq!(refused.status(), 409);
    assert!(refused.text().contains("last second factor"));
    assert_eq!(factors(&site, user).await, [FactorKind::Totp]);
    // With a verified pair more may be added all the same.
    browser.post(SMS, "action=begin&to=%2B4512345678").await;
    let form = format!("action=verify&code={}", site.world().inbox.code());
    assert_eq!(browser.post(SMS, &form).await.status(), 303);
    let removed = browser.post(ACCOUNT, "action=remove&factor=totp").await;
    assert_eq!(removed.status(), 303);
}

/// Every form of these pages, with what it would change.
const FORMS: [(&str, &str); 9] = [
    (ACCOUNT, "action=end&session=1"),
    (ACCOUNT, "action=end-others"),
    (ACCOUNT, "action=remove&factor=totp"),
    (TOTP, "action=begin"),
    (TOTP, "action=verify&code=123456"),
    (SMS, "action=begin&to=%2B4587654321"),
    (SMS, "action=again"),
    (EMAIL, "action=begin&to=eve%40example.org"),
    (BACKUP, ""),
];

/// All that these pages could change.
async fn state(site: &Site, user: UserId) -> String {
    let store = &site.world().store;
    let now = site.world().auth.clock.now();
    let sessions = store.sessions(None, now).await.unwrap();
    let ids: Vec<_> = sessions.iter().map(|row| row.session.id).collect();
    format!(
        "{:?} {ids:?} {:?} {}",
        store.factors(user).await.unwrap(),
        store.backup_salt(user).await.unwrap(),
        site.world().inbox.count()
    )
}

#[tokio::test]
async fn with_the_token_alone_or_without_sudo_no_form_changes_anything() {
    let (site, token) = Site::of_bob().await;
    let (mut verified, _) = of_bob_verified(&site, &token).await;
    let user = user_of(&site, &token).await;
    // Past the time of sudo: verified, but not lately.
    site.world().advance(601);
    let before = state(&site, user).await;
    let mut thief = Browser::of(&site, &token, "thief");
    for (page, form) in FORMS {
        for browser in [&mut thief, &mut verified] {
            let refused = browser.post(page, form).await;
            assert_eq!(refused.status(), 303, "{page} {form}");
            let to = refused.header("location").unwrap();
            assert!(to.starts_with("/.vestibule/challenge?return_to="), "{to}");
            assert_eq!(refused.header("set-cookie"), None);
        }
    }
    for page in [ACCOUNT, ENROL, TOTP, SMS, EMAIL, BACKUP] {
        let shown = thief.get(page).await;
        assert_eq!(shown.status(), 303, "{page}");
        assert!(!shown.text().contains("192.0.2.1"));
    }
    assert_eq!(state(&site, user).await, before);
}

#[tokio::test]
async fn no_form_of_another_page_or_browser_is_taken_and_no_get_changes_anything() {
    let (site, token) = Site::of_bob().await;
    let (mut browser, _) = of_bob_verified(&site, &token).await;
    let user = user_of(&site, &token).await;
    let before = state(&site, user).await;
    let foreign = site.world().auth.keys.form("another browser").text();
    for (page, form) in FORMS {
        for (digest, header, value, status) in [
            ("".to_owned(), "accept", "text/html", 403),
            (foreign.clone(), "accept", "text/html", 403),
            (
                site.world().auth.keys.form(browser.device()).text(),
                "origin",
                "https://evil.example",
                403,
            ),
            (
                site.world().auth.keys.form(browser.device()).text(),
                "sec-fetch-site",
                "cross-site",
                403,
            ),
        ] {
            let call = browser
                .call(Method::POST, page)
                .header(header, value)
                .form(&format!("{form}&form={digest}"));
            let refused = site.answer(call).await;
            assert_eq!(refused.status(), status, "{page} {form} {header}");
        }
        // The same as a link.
        let digest = site.world().auth.keys.form(browser.device()).text();
        let link = format!("{page}?{form}&form={digest}");
        assert_eq!(browser.get(&link).await.status(), 200, "{link}");
    }
    for page in [ACCOUNT, ENROL, TOTP, SMS, EMAIL, BACKUP] {
        assert_eq!(browser.get(page).await.status(), 200, "{page}");
    }
    assert_eq!(state(&site, user).await, before);
}

#[tokio::test]
async fn nobody_ends_a_foreign_session_or_guesses_which_there_are() {
    let (site, token) = Site::of_bob().await;
    let eve = site.world().bare_user("eve").await;
    let of_eve = site.world().authenticator(eve).await;
    let (mut bob, _) = of_bob_verified(&site, &token).await;
    site.world().caller(eve, "e1").await;
    let mut eve = Browser::of(&site, "token-of-e1", "eves");
    eve.passes(&of_eve).await;
    let foreign = shown_sessions(&eve.get(ACCOUNT).await)[0].clone();
    let mut answers = Vec::new();
    for id in [
        foreign.as_str(),
        "99999",
        "-1",
        "",
        "1%27--",
        "9223372036854775808",
    ] {
        let refused = bob.post(ACCOUNT, &format!("action=end&session={id}")).await;
        assert_eq!(refused.status(), 404, "{id}");
        answers.push(refused.text().to_owned());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "alike");
    bob.post(ACCOUNT, "action=end-others").await;
    assert!(eve.is_open().await);
}

#[tokio::test]
async fn a_share_link_has_no_account() {
    let (site, _) = Site::of_bob().await;
    let (_, recipient) = site.world().share("link", None, None).await;
    let mut guest = Browser::of(&site, "link", "guest");
    for page in [ACCOUNT, ENROL, TOTP, SMS, EMAIL, BACKUP] {
        assert_eq!(guest.get(page).await.status(), 403, "{page}");
    }
    let before = state(&site, recipient).await;
    for (page, form) in FORMS {
        assert_eq!(guest.post(page, form).await.status(), 403, "{page} {form}");
    }
    assert_eq!(state(&site, recipient).await, before);
}

#[tokio::test]
async fn strangers_are_led_to_the_sign_in_and_back() {
    let (site, _) = Site::of_bob().await;
    let pages = [ACCOUNT, "/.vestibule/enrol/totp?return_to=/dir/", BACKUP];
    for ended in ["", "; __Host-vestibule_token=unknown"] {
        for page in pages {
            let cookies = format!("__Host-vestibule_device=abc{ended}");
            let call = site.call(Method::GET, page).header("cookie", &cookies);
            let led = site.answer(call).await;
            assert_eq!(led.status(), 303, "{page}");
            let to = led.header("location").unwrap();
            assert!(to.starts_with("/.vestibule/sign-in?return_to="), "{to}");
        }
    }
    // Another cookie that is not known would be in the way of the one of a sign-in too.
    let mut other = Browser::of(&site, "unknown", "abc");
    for page in pages {
        assert_eq!(other.get(page).await.status(), 401, "{page}");
    }
    assert_eq!(other.post(ACCOUNT, "action=end-others").await.status(), 401);
}

#[tokio::test]
async fn whoever_has_nothing_but_a_passkey_is_asked_for_it() {
    let (site, token) = Site::of_bob().await;
    let mut first = Browser::of(&site, &token, "first");
    let asked = first.post(PASSKEYS, "action=ask-passkey").await;
    assert_eq!(asked.status(), 200, "{}", asked.text());
    let answer = Soft::new("https://files.example.org").create(&asked.json());
    let answer = utf8_percent_encode(&answer.to_string(), NON_ALPHANUMERIC).to_string();
    let form = format!("action=add&name=Phone&answer={answer}");
    let added = first.post(PASSKEYS, &form).await;
    assert_eq!(added.status(), 303, "{}", added.text());

    let mut other = Browser::of(&site, &token, "other");
    let challenge = "/.vestibule/challenge?return_to=/dir/";
    let shown = other.get(challenge).await;
    assert_eq!(shown.status(), 200);
    assert!(shown.text().contains("data-passkey=\"get\""));
    // Where there are none to be asked for, it says so, and leads nowhere.
    let mut elsewhere = other.call(Method::GET, challenge);
    elsewhere.host = "192.0.2.1".to_owned();
    let shown = site.answer(elsewhere).await;
    assert_eq!(shown.status(), 200);
    assert!(shown.text().contains("files.example.org"));
    for page in [&format!("{ENROL}?return_to=/dir/"), TOTP, PASSKEYS, BACKUP] {
        let led = other.get(page).await;
        let to = led.header("location").unwrap_or_default();
        assert!(to.starts_with("/.vestibule/challenge?"), "{page}: {to}");
        assert_eq!(other.get(to).await.status(), 200, "{page}: {to}");
    }
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let (site, token) = Site::of_bob().await;
    let (mut browser, _) = of_bob_verified(&site, &token).await;
    for elsewhere in ["//evil.example", "https://evil.example", "/%5Cevil.example"] {
        for page in [ENROL, BACKUP] {
            let shown = browser.get(&format!("{page}?return_to={elsewhere}")).await;
            assert_eq!(shown.status(), 200);
            assert!(!shown.text().contains("evil"), "{page} {elsewhere}");
        }
    }
}

#[tokio::test]
async fn two_first_factors_at_once_are_not_both_confirmed_by_the_token() {
    let (site, token) = Site::of_bob().await;
    let user = user_of(&site, &token).await;
    let mut one = Browser::of(&site, &token, "one");
    let mut two = Browser::of(&site, &token, "two");
    one.post(TOTP, "action=begin").await;
    two.post(TOTP, "action=begin").await;
    let code = shown_key(&one.get(TOTP).await).code_at(START);
    let form_one = format!("action=verify&code={code}");
    let code = shown_key(&two.get(TOTP).await).code_at(START);
    let form_two = format!("action=verify&code={code}");
    let (first, second) = tokio::join!(one.post(TOTP, &form_one), two.post(TOTP, &form_two));
    let led = [&first, &second].map(|it| it.header("location").unwrap_or_default().to_owned());
    let won = led.iter().filter(|to| to.starts_with(BACKUP)).count();
    assert_eq!(won, 1, "{led:?}");
    let asked = |to: &&String| to.starts_with("/.vestibule/challenge?");
    assert_eq!(led.iter().filter(asked).count(), 1, "{led:?}");
    assert_eq!(factors(&site, user).await, [FactorKind::Totp]);
    let open = [one.is_open().await, two.is_open().await];
    assert_eq!(open.iter().filter(|open| **open).count(), 1);
}

#[tokio::test]
async fn an_address_makes_nobody_act_for_anothers_account() {
    let (site, bobs) = Site::of_bob().await;
    site.world().user("ann", "right", Some(PHONE)).await;
    let anns = site.token("d1").await;
    let leads = async |target: &str, cookies: &str| {
        let call = site.call(Method::GET, target);
        let call = call.header("cookie", &format!("__Host-vestibule_device=own{cookies}"));
        let answer = site.answer(call).await;
        let location = answer.header("location").unwrap_or_default();
        let page = location.split('?').next().unwrap().to_owned();
        (answer.status(), page)
    };
    let sign_in = (303, "/.vestibule/sign-in".to_owned());
    let back = |token: &str| format!("return_to=/f%3Ftoken%3D{token}");
    for page in ["account", "backup-codes"] {
        for query in [back(&bobs), format!("token={bobs}")] {
            let target = format!("/.vestibule/{page}?{query}");
            assert_eq!(leads(&target, "").await, sign_in, "{target}");
        }
    }
    // Whoever has a factor is not given another one by a link; the first one has nobody to protect yet.
    let enrol = |token: &str| format!("/.vestibule/enrol/sms?{}", back(token));
    assert_eq!(leads(&enrol(&anns), "").await, sign_in);
    assert_eq!(leads(&enrol(&bobs), "").await, (200, String::new()));
    // Ann is signed in: she stays herself, and has to pass before she changes anything of her own.
    let signed_in = format!("; __Host-vestibule_token={anns}");
    let challenge = (303, "/.vestibule/challenge".to_owned());
    assert_eq!(leads(&enrol(&bobs), &signed_in).await, challenge);
}
