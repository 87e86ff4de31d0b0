//! `GET|POST /share/{token}`.

use super::browser::TOKEN;
use super::*;
use crate::auth::DeliveryError;
use crate::auth::fixture::{START, contact};
use crate::auth::ports::{Contact, Share, Shares as _, Tokens as _};
use crate::id::ShareId;

const BOB: &str = "+4587654321";
const BOBS_MAIL: &str = "bob@example.org";

fn people() -> Vec<Contact> {
    vec![
        contact(Some(PHONE), None),
        contact(Some(BOB), Some(BOBS_MAIL)),
    ]
}

impl Browser<'_> {
    /// Asks for the code of a recipient; where it leads.
    async fn ask(&mut self, nth: usize, factor: &str) -> Answer {
        self.get("/share/link").await;
        let form = format!("recipient={nth}&factor={factor}");
        self.post("/share/link", &form).await
    }

    /// Types the newest code.
    async fn confirm(&mut self, page: &str) -> Answer {
        let code = self.site.world().inbox.code();
        let form = format!("action=verify&code={code}");
        self.post(page, &form).await
    }
}

async fn for_two(site: &Site) -> ShareId {
    let (id, _) = site.world().share_for("link", people(), None, None).await;
    id
}

async fn share(site: &Site) -> Share {
    let shares = site.world().store.shares().await.unwrap();
    shares.into_iter().next().unwrap()
}

const CODE_PAGE: &str = "/.vestibule/challenge?return_to=/dir/";

#[tokio::test]
async fn one_press_one_code_and_in() {
    let site = Site::new();
    site.world().set(|settings| settings.sends_mail = false);
    let end = START.after(Duration::from_secs(3600));
    site.world().share("link", Some(PHONE), Some(end)).await;
    let mut phone = Browser::new(&site);
    let page = phone.get("/share/link").await;
    assert_eq!(page.status(), 200, "{}", page.text());
    for part in [
        "A folder is shared with you",
        "<dd>dir</dd>",
        "2027-01-15 09:00 UTC",
        "We will send it to +45******78",
        "action=\"/share/link\"",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains(PHONE));
    assert_eq!(page.header("referrer-policy"), Some("strict-origin"));
    assert!(phone.token.is_none(), "looking gives nothing");
    let planted = phone.device.clone();

    let sent = phone.post("/share/link", "recipient=0&factor=sms").await;
    assert_eq!(sent.status(), 303, "{}", sent.text());
    assert_eq!(sent.header("location"), Some(CODE_PAGE));
    assert_ne!(phone.device, planted, "a new name with the new token");
    let token = phone.token.clone().unwrap();
    assert_ne!(token, "link");
    let lines: Vec<_> = sent.0.headers().get_all("set-cookie").iter().collect();
    let line = format!("{TOKEN}={token}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure");
    assert_eq!(lines[0], line.as_str());
    let inside = phone.confirm(CODE_PAGE).await;
    assert_eq!(inside.status(), 303, "{}", inside.text());
    assert_eq!(inside.header("location"), Some("/dir/"));

    let again = phone.get("/share/link").await;
    assert_eq!(again.status(), 303);
    assert_eq!(again.header("location"), Some("/dir/"), "straight on");
    assert_eq!(site.world().inbox.count(), 1);
    assert_eq!(share(&site).await.devices(), 1);
}

#[tokio::test]
async fn several_are_asked_who_they_are() {
    let site = Site::new();
    for_two(&site).await;
    let mut laptop = Browser::new(&site);
    let page = laptop.get("/share/link").await;
    for part in [
        "Who are you?",
        "<strong>+45******78</strong>",
        "<strong>+45******21</strong>",
        "<strong>b****@example.org</strong>",
        "name=\"recipient\" value=\"1\"",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    for whole in [PHONE, BOB, BOBS_MAIL] {
        assert!(!page.text().contains(whole));
    }
    let asked = laptop.ask(1, "email").await;
    assert_eq!(asked.status(), 303, "{}", asked.text());
    assert_eq!(site.world().inbox.last().0, BOBS_MAIL);
    assert_eq!(laptop.confirm(CODE_PAGE).await.status(), 303);
    let devices: Vec<_> = (share(&site).await.recipients.iter())
        .map(|one| one.devices)
        .collect();
    assert_eq!(devices, [0, 1]);
}

#[tokio::test]
async fn looking_and_previews_use_nothing_up() {
    let site = Site::new();
    let new = (people(), Some(1), None);
    site.world().share_for("link", new.0, new.1, new.2).await;
    for method in [Method::GET, Method::HEAD] {
        for _ in 0..60 {
            let answer = site.answer(site.call(method.clone(), "/share/link")).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.cookie(TOKEN), None);
        }
    }
    assert_eq!(site.world().inbox.count(), 0);
    assert_eq!(share(&site).await.devices(), 0);
    assert_eq!(Browser::new(&site).ask(0, "sms").await.status(), 303);
}

#[tokio::test]
async fn unknown_expired_and_revoked_links_are_one_page() {
    let site = Site::new();
    let end = START.after(Duration::from_secs(60));
    site.world().share("old", Some(PHONE), Some(end)).await;
    let (revoked, _) = site.world().share("revoked", Some(PHONE), None).await;
    let now = site.world().clock.now();
    site.world().store.revoke_share(revoked, now).await.unwrap();
    site.world().advance(60);
    let mut texts = Vec::new();
    for link in ["unknown", "old", "revoked", "%ff", "a%20b"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = site
                .answer(site.call(method, &format!("/share/{link}")))
                .await;
            assert_eq!(answer.status(), 404, "{link}");
            assert_eq!(answer.header("set-cookie"), None);
            texts.push(answer.text().to_owned());
        }
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].contains("This link does not work"));
    for _ in 10..50 {
        site.answer(site.call(Method::GET, "/share/unknown")).await;
    }
    let throttled = site.answer(site.call(Method::GET, "/share/unknown")).await;
    assert_eq!(throttled.status(), 429);
    assert!(throttled.header("retry-after").is_some());
    assert!(throttled.text().contains("Wait a while"));
}

#[tokio::test]
async fn the_press_comes_from_the_page_and_names_one_of_its_recipients() {
    let site = Site::new();
    for_two(&site).await;
    let mut browser = Browser::new(&site);
    let bare = browser.post("/share/link", "recipient=0&factor=sms").await;
    assert_eq!(bare.status(), 400, "no cookie yet");
    browser.get("/share/link").await;
    for form in [
        "",
        "recipient=2&factor=sms",
        "recipient=-1&factor=sms",
        "recipient=99999999999999999999999&factor=sms",
        "recipient=&factor=sms",
        "recipient=0",
        "recipient=0&factor=fax",
        "recipient=0&recipient=1&factor=sms",
    ] {
        let answer = browser.post("/share/link", form).await;
        assert_eq!(answer.status(), 400, "{form}: {}", answer.text());
    }
    for form in ["recipient=0&factor=email", "recipient=0&factor=totp"] {
        let answer = browser.post("/share/link", form).await;
        assert_eq!(answer.status(), 400, "{form}");
        assert!(answer.text().contains("role=\"alert\""), "{form}");
    }
    let digest = site.world().auth.keys.form("other").text();
    let stale = browser.call(Method::POST, "/share/link");
    let stale = stale.form(&format!("recipient=0&factor=sms&form={digest}"));
    assert_eq!(site.answer(stale).await.status(), 403);
    let digest = site
        .world()
        .auth
        .keys
        .form(browser.device.as_ref().unwrap());
    let foreign = browser.call(Method::POST, "/share/link");
    let foreign = foreign
        .header("origin", "https://evil.example")
        .form(&format!("recipient=0&factor=sms&form={}", digest.text()));
    assert_eq!(site.answer(foreign).await.status(), 403);
    assert_eq!(site.world().inbox.count(), 0);
    assert!(browser.token.is_none());
}

#[tokio::test]
async fn whoever_presses_twice_goes_on_to_the_first_code() {
    let site = Site::new();
    for_two(&site).await;
    let mut browser = Browser::new(&site);
    assert_eq!(browser.ask(0, "sms").await.status(), 303);
    let (token, device) = (browser.token.clone(), browser.device.clone());
    let again = browser.ask(0, "sms").await;
    assert_eq!(again.status(), 303);
    assert_eq!(again.header("location"), Some(CODE_PAGE));
    assert_eq!((&browser.token, &browser.device), (&token, &device));
    assert_eq!(site.world().inbox.count(), 1);
    // Another browser's press does not get one.
    let mut other = Browser::new(&site);
    let refused = other.ask(0, "sms").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert!(refused.text().contains("Wait 30 seconds"));
    assert!(other.token.is_none());
    // Whoever chose the wrong person chooses again.
    assert_eq!(browser.ask(1, "sms").await.status(), 303);
    assert_ne!(browser.token, token);
    assert_eq!(browser.confirm(CODE_PAGE).await.status(), 303);
}

#[tokio::test]
async fn the_link_alone_opens_nothing_on_a_second_device() {
    let site = Site::new();
    for_two(&site).await;
    let mut owner = Browser::new(&site);
    owner.ask(0, "sms").await;
    assert_eq!(owner.confirm(CODE_PAGE).await.status(), 303);
    // Somebody who has the link, and even the first device's name or token, but not both.
    for (device, token) in [
        (None, None),
        (owner.device.clone(), None),
        (Some("other".to_owned()), owner.token.clone()),
        (None, owner.token.clone()),
    ] {
        let mut thief = Browser::new(&site);
        (thief.device, thief.token) = (device, token);
        let page = thief.get("/share/link").await;
        assert_eq!(page.status(), 200, "asked like anybody");
    }
    assert_eq!(owner.get("/share/link").await.status(), 303);
}

#[tokio::test]
async fn a_used_up_link_says_so_and_goes_on_working_where_it_was_opened() {
    let site = Site::new();
    site.world()
        .share_for("link", people(), Some(1), None)
        .await;
    let mut late = Browser::new(&site);
    late.ask(1, "email").await;
    let lates = site.world().inbox.code();
    let mut first = Browser::new(&site);
    first.ask(0, "sms").await;
    assert_eq!(first.confirm(CODE_PAGE).await.status(), 303);

    let refused = late
        .post(CODE_PAGE, &format!("action=verify&code={lates}"))
        .await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().contains("opened on as many devices"));
    let mut third = Browser::new(&site);
    let page = third.get("/share/link").await;
    assert_eq!(page.status(), 403);
    assert!(page.text().contains("This link is used up"));
    third.device = Some("third".to_owned());
    let pressed = third.post("/share/link", "recipient=0&factor=sms").await;
    assert_eq!(pressed.status(), 403);
    assert_eq!(site.world().inbox.count(), 2);
    assert_eq!(
        first.get("/share/link").await.header("location"),
        Some("/dir/")
    );
}

#[tokio::test]
async fn an_account_goes_to_the_folder_and_another_share_is_replaced() {
    let site = Site::new();
    for_two(&site).await;
    let world = site.world();
    world.user("ann", "right", Some("+4512345679")).await;
    let mut ann = Browser::new(&site);
    ann.device = Some("d1".to_owned());
    ann.token = Some(site.token("d1").await);
    let kept = ann.token.clone();
    for method in [Method::GET, Method::POST] {
        let answer = match method {
            Method::POST => ann.post("/share/link", "recipient=0&factor=sms").await,
            _ => ann.get("/share/link").await,
        };
        assert_eq!(answer.status(), 303, "{method}");
        assert_eq!(answer.header("location"), Some("/dir/"));
    }
    assert_eq!(ann.token, kept);
    assert_eq!(world.inbox.count(), 0);

    world.share("other", Some("+4511111111"), None).await;
    let mut guest = Browser::new(&site);
    guest.get("/share/other").await;
    guest.post("/share/other", "recipient=0&factor=sms").await;
    guest.confirm(CODE_PAGE).await;
    let of_other = guest.token.clone();
    assert_eq!(guest.ask(0, "sms").await.status(), 303);
    assert_ne!(guest.token, of_other);
    let ended = site.route.keys.token(of_other.as_ref().unwrap());
    let ended = world.store.token(ended, world.clock.now()).await.unwrap();
    assert!(ended.is_none(), "nobody has it any more");
}

#[tokio::test]
async fn where_nobody_can_be_reached_the_page_says_so() {
    let site = Site::new();
    site.world().set(|settings| settings.sends_mail = false);
    let by_mail = vec![contact(None, Some(BOBS_MAIL))];
    site.world().share_for("link", by_mail, None, None).await;
    let mut browser = Browser::new(&site);
    let page = browser.get("/share/link").await;
    assert_eq!(page.status(), 200);
    assert!(
        page.text()
            .contains("there is nowhere that we could send one")
    );
    assert!(!page.text().contains("<form"));
    let pressed = browser
        .post("/share/link", "recipient=0&factor=email")
        .await;
    assert_eq!(pressed.status(), 400);
    assert!(browser.token.is_none());
}

#[tokio::test]
async fn what_goes_wrong_is_said_on_the_page() {
    let site = Site::new();
    for_two(&site).await;
    let world = site.world();
    let mut browser = Browser::new(&site);
    world.inbox.fail_with(Some(DeliveryError::NotAccepted));
    let answer = browser.ask(0, "sms").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("could not be sent"));
    assert!(answer.header("retry-after").is_some());
    world.inbox.fail_with(None);
    for verb in ["share_of_link", "factors", "blocked"] {
        world.store.break_verb(Some(verb));
        let answer = browser.get("/share/link").await;
        assert_eq!(answer.status(), 503, "{verb}");
        let answer = browser.post("/share/link", "recipient=0&factor=sms").await;
        assert_eq!(answer.status(), 503, "{verb}");
    }
    assert!(browser.token.is_none());
}

#[tokio::test]
async fn a_folder_that_asks_no_code_opens_with_a_press() {
    let site = Site::with(World::new(), |route| route.require = Requirement::Token);
    site.world().share_for("link", people(), None, None).await;
    let mut browser = Browser::new(&site);
    let page = browser.get("/share/link").await;
    assert!(page.text().contains("Open the folder"), "{}", page.text());
    assert!(!page.text().contains("+45"), "nobody's number is asked for");
    let opened = browser.post("/share/link", "").await;
    assert_eq!(opened.status(), 303, "{}", opened.text());
    assert_eq!(opened.header("location"), Some("/dir/"));
    let token = browser.token.clone().unwrap();
    assert_eq!(site.world().inbox.count(), 0);
    // Who is in is led on, and gets no second token.
    for again in [
        browser.get("/share/link").await,
        browser.post("/share/link", "").await,
    ] {
        assert_eq!(again.header("location"), Some("/dir/"));
    }
    assert_eq!(browser.token, Some(token));
}

#[tokio::test]
async fn a_folder_that_asks_no_code_opens_on_so_many_devices_too() {
    let site = Site::with(World::new(), |route| route.require = Requirement::Token);
    site.world()
        .share_for("link", people(), Some(1), None)
        .await;
    let (mut first, mut late) = (Browser::new(&site), Browser::new(&site));
    late.get("/share/link").await;
    first.get("/share/link").await;
    let opened = first.post("/share/link", "").await;
    assert_eq!(opened.status(), 303, "{}", opened.text());
    assert_eq!(share(&site).await.devices(), 1);
    for answer in [
        late.post("/share/link", "").await,
        late.get("/share/link").await,
    ] {
        assert_eq!(answer.status(), 403, "{}", answer.text());
    }
    assert!(late.token.is_none());
    let again = first.get("/share/link").await;
    assert_eq!(again.header("location"), Some("/dir/"));
}

#[tokio::test]
async fn the_links_prefix_is_the_routes() {
    let site = Site::with(World::new(), |route| {
        route.credentials = vec![
            CredentialSource::OwnCookie,
            CredentialSource::Path("/d/links/".to_owned()),
            CredentialSource::Path("/s/".to_owned()),
        ];
    });
    site.world().share("link", Some(PHONE), None).await;
    for path in ["/d/links/link", "/s/link"] {
        let page = site.answer(site.call(Method::GET, path)).await;
        assert_eq!(page.status(), 200, "{path}");
        assert!(page.text().contains(&format!("action=\"{path}\"")));
    }
    for path in [
        "/share/link",
        "/s/",
        "/s",
        "/s/link/",
        "/s/link/a",
        "/d/link",
        "/x/s/link",
    ] {
        assert!(table::find(&site.route, path).is_none(), "{path}");
    }
    assert_eq!(site.route.address("/share/{token}"), "/d/links/{token}");
    let bare = Site::with(World::new(), |route| {
        route.credentials = vec![CredentialSource::Bearer];
    });
    assert!(
        table::find(&bare.route, "/share/link").is_none(),
        "the upstream's own"
    );
}

#[tokio::test]
async fn the_page_is_in_the_browsers_language() {
    let site = Site::new();
    for_two(&site).await;
    for (language, part) in [
        ("de-AT,de;q=0.9", "Wer sind Sie?"),
        ("da", "Hvem er du?"),
        ("es-MX", "¿Quién es usted?"),
        ("fr", "Qui êtes-vous\u{a0}?"),
        ("nl", "Who are you?"),
    ] {
        let call = site.call(Method::GET, "/share/link");
        let page = site.answer(call.header("accept-language", language)).await;
        assert!(page.text().contains(part), "{language}: {}", page.text());
    }
}

#[tokio::test]
async fn fifty_presses_at_once_send_one_code() {
    let site = Arc::new(Site::new());
    for_two(&site).await;
    let presses = (0..50).map(|n| {
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let mut browser = Browser::new(&site);
            browser.device = Some(format!("d{n}"));
            browser
                .post("/share/link", "recipient=0&factor=sms")
                .await
                .status()
        })
    });
    let mut statuses = Vec::new();
    for press in presses.collect::<Vec<_>>() {
        statuses.push(press.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 303);
    assert!(
        statuses[1..].iter().all(|status| *status == 429),
        "{statuses:?}"
    );
    assert_eq!(site.world().inbox.count(), 1);
}
