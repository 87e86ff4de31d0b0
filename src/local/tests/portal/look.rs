//! The page's languages and look.

use super::*;

#[tokio::test]
async fn a_page_speaks_the_browsers_language() {
    let site = site().await;
    for (asked, tag, title) in [
        ("de-AT, en;q=0.5", "de", "Bestätigen Sie, dass Sie es sind"),
        ("da", "da", "Bekræft, at det er dig"),
        ("es-MX", "es", "Confirme que es usted"),
        ("fr", "fr", "Confirmez que c’est bien vous"),
        ("nl", "en", "Confirm that it is you"),
    ] {
        let page = site
            .answer(get(&site).header("accept-language", asked))
            .await;
        assert!(page.text().contains(&format!("<html lang=\"{tag}\">")));
        assert!(
            page.text().contains(&format!("<h1>{title}</h1>")),
            "{asked}"
        );
        assert!(!page.text().contains("{$") && !page.text().contains("{ $"));
    }
}

#[tokio::test]
async fn a_message_is_in_the_language_of_the_page_that_asks_for_it() {
    for (asked, says) in [
        (
            "da, en;q=0.5",
            " er din kode til Files. Den udløber om 10 minutter.",
        ),
        ("es", " es su clave para Files. Caduca en 10 minutos."),
        ("nl", " is your code for Files. It expires in 10 minutes."),
    ] {
        let site = site().await;
        let send = post(&site, "abc", "action=send&factor=sms");
        let sent = site.answer(send.header("accept-language", asked)).await;
        assert_eq!(sent.status(), 303, "{}", sent.text());
        let (_, text) = site.world().inbox.last();
        assert!(text.ends_with(says), "{text}");
    }
}

#[tokio::test]
async fn the_look_is_served_to_everybody() {
    let site = site().await;
    let ask = |name: &str| site.call(Method::GET, &format!("/.vestibule/assets/{name}"));
    let answer = async |call: Call| {
        let endpoint = table::find(&site.route, &call.path).unwrap();
        Answer(site.local.answer(endpoint, call).await)
    };
    for (name, kind) in [
        ("style.css", "text/css; charset=utf-8"),
        ("theme.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
    ] {
        let first = answer(ask(name)).await;
        assert_eq!(
            (first.status(), first.header("content-type")),
            (200, Some(kind))
        );
        assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(first.header("set-cookie"), None);
        let tag = first.header("etag").unwrap();
        for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = answer(ask(name).header("if-none-match", &known)).await;
            assert_eq!((again.status(), again.text()), (304, ""), "{known}");
            assert_eq!(again.header("etag"), Some(tag));
        }
        let other = answer(ask(name).header("if-none-match", "\"x\"")).await;
        assert_eq!(other.status(), 200);
    }
    for missing in ["logo", "other", "style.css%2F..", "..%2Fbase.html"] {
        assert_eq!(answer(ask(missing)).await.status(), 404, "{missing}");
    }
}

#[tokio::test]
async fn the_operators_look_is_on_the_page() {
    let mut site = site().await;
    site.world()
        .set(|settings| settings.service_name = "Example & Sons".to_owned());
    let color = |text| model::Color::parse(text).unwrap();
    let mut portal = model::Portal {
        prefix: "/door".to_owned(),
        name: None,
        logo: Some(model::Logo {
            kind: model::LogoKind::Svg,
            bytes: b"<svg/>".to_vec(),
        }),
        support: Some(model::Support::Mail("help@example.org".to_owned())),
        colors: model::Colors::default(),
    };
    portal.colors.light.accent = color("#ffff00");
    site.route = Arc::new(Route {
        config: site.route.config.clone(),
        keys: site.route.keys.clone(),
        identity: Identity::Accounts,
        portal: Arc::new(portal),
    });
    assert!(table::find(&site.route, "/.vestibule/challenge").is_none());
    let page = "/door/challenge?return_to=/share/link/";
    let page = site.answer(site.call(Method::GET, page)).await;
    for part in [
        "– Example &#38; Sons</title>",
        "src=\"/door/assets/logo\"",
        "href=\"/door/assets/theme.css\"",
        "<a href=\"mailto:help@example.org\" rel=\"noreferrer\">help@example.org</a>",
        "action=\"/door/challenge?return_to=/share/link/\"",
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.text().contains(".vestibule/"));
    let asset = async |name: &str| {
        let call = site.call(Method::GET, &format!("/door/assets/{name}"));
        let endpoint = table::find(&site.route, &call.path).unwrap();
        Answer(site.local.answer(endpoint, call).await)
    };
    let theme = asset("theme.css").await;
    assert!(theme.text().contains("--act: #ffff00; --on-act: #000000;"));
    let logo = asset("logo").await;
    assert_eq!(logo.header("content-type"), Some("image/svg+xml"));
    assert_eq!(logo.text(), "<svg/>");
    let policy = logo.header("content-security-policy").unwrap();
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"));
}
