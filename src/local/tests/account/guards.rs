//! What no form of the account can be made to do, and for whom.

use super::*;

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
