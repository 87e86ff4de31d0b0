//! The account, as a browser goes through it: its sessions, and whom it is shown to.

mod factors;
mod guards;

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
