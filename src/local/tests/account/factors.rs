//! Setting up, replacing and removing factors, and backup codes.

use super::*;

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
