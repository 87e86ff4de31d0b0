//! The OpenAPI document against the program: schemathesis makes calls up out of it, good ones and bad
//! ones, and every answer must be one that the document names.

use crate::support::smtpd::Smtpd;
use crate::support::{PASSWORD, PHONE, Site, schemathesis};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use vestibule::local::table::ENDPOINTS;

const DEVICE: &str = "laptop";
const EMAIL: &str = "anna@files.example";
/// A gateway that speaks everything, and limits nothing: 429 would hide the other answers.
async fn site(mail: &Smtpd) -> Site {
    let email = format!(
        "delivery:\n  email: {{smtp: \"smtp://127.0.0.1:{}\", from: files@example.org}}",
        mail.port
    );
    Site::accounts_with(|setup| {
        setup
            .with("delivery:", &email)
            .with(
                "dialects: [iogates]",
                "dialects: [iogates, ziik, b2core, conduit]\n    self_enrolment: true",
            )
            .with("1000,", "1000000,")
            .with("10000,", "1000000,")
            .with(
                "delivery:",
                "lockout: {delay_every: 1000000, lock_at: 0}\ndelivery:",
            )
    })
    .await
}

fn run(dir: &Path, url: &str, token: Option<&str>, examples: &str) -> (bool, String) {
    let own = token.unwrap_or("a-token-of-nobody");
    let parameters = format!(
        "[parameters]\n\"path.token\" = \"{own}\"\n\"X-Device-Id\" = \"{DEVICE}\"\n\
         \"query.deviceId\" = \"{DEVICE}\"\n\"query.email\" = \"{EMAIL}\"\n"
    );
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let mut more = vec!["--max-examples", examples];
    if let Some(authorization) = &authorization {
        more.extend(["-H", authorization]);
    }
    let document = format!("{url}/.vestibule/openapi.json");
    let (is_good, said) = schemathesis::run(dir, &document, &parameters, &more);
    // The calls it shows to be repeated hold the token.
    (is_good, said.replace(own, "TOKEN"))
}

#[tokio::test]
async fn no_answer_is_one_that_the_document_does_not_name() {
    let mail = Smtpd::start(&[]);
    let site = site(&mail).await;
    let gateway = &site.gateway;
    gateway.add_user_with("anna", PASSWORD, &["--phone", PHONE, "--email", EMAIL]);
    let token = gateway.sign_in("anna", PASSWORD, DEVICE).await;
    gateway.verify(&site.inbox, &token, DEVICE, PHONE).await;
    let dir = tempfile::tempdir().expect("folder");
    let url = gateway.url("");
    for (token, examples) in [(Some(token), "15"), (None, "5")] {
        let (dir, url) = (dir.path().to_owned(), url.clone());
        let ran = tokio::task::spawn_blocking(move || run(&dir, &url, token.as_deref(), examples));
        let (is_good, said) = ran.await.expect("a run");
        assert!(is_good, "{said}");
    }
}

#[tokio::test]
async fn a_route_describes_what_it_has_and_nothing_else() {
    let four = "dialects: [iogates, ziik, b2core, conduit]";
    for (dialects, all) in [("dialects: [iogates]", false), (four, true)] {
        let site = Site::accounts_with(|it| it.with("dialects: [iogates]", dialects)).await;
        let url = site.gateway.url("/.vestibule/openapi.json");
        let answer = site.gateway.http.get(url).send().await.expect("answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let document: Value = answer.json().await.expect("JSON");
        let paths: BTreeSet<_> = document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .collect();
        let has = |path: &str| paths.iter().any(|it| *it == path);
        assert!(has("/api/authtoken") && has("/.vestibule/challenge"));
        for endpoint in ENDPOINTS {
            assert!(has(endpoint.path) || !all, "{}", endpoint.path);
        }
        assert_eq!(has("/api/two-factor"), all);
        assert_eq!(has("/api/v2/my/2fa/wizard"), all);
        assert_eq!(has("/authentication/twoFa/verify"), all);
    }
}
