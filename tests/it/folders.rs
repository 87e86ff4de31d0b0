//! Whole folders: who copies, moves or deletes one is asked for what is below it.

use crate::support::nginx::Nginx;
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup};

/// The status of `METHOD path[ destination]`, sent with a token.
async fn sent(gateway: &Gateway, token: &str, line: &str) -> u16 {
    let words: Vec<&str> = line.split(' ').collect();
    let method = words[0].parse().expect("method");
    let request = gateway.http.request(method, gateway.url(words[1]));
    let request = request.bearer_auth(token).header("x-device-id", "laptop");
    let request = match words.get(2) {
        Some(to) => request.header("destination", *to),
        None => request,
    };
    request.send().await.expect("answer").status().as_u16()
}

#[tokio::test]
async fn a_folder_is_no_way_around_the_rules_below_it() {
    let dir = tempfile::tempdir().expect("folder");
    let nginx = Nginx::start(dir.path()).await;
    for (file, text) in [
        ("docs/plan.txt", "the plan\n"),
        ("docs/secret/x", "the secret\n"),
        ("internal/y", "nobody's\n"),
        ("public/mine/secret/x", "another\n"),
    ] {
        let file = nginx.root.join(file);
        std::fs::create_dir_all(file.parent().expect("folder")).expect("folder");
        std::fs::write(file, text).expect("file");
    }
    let inbox = Inbox::start().await;
    let setup = Setup::accounts(nginx.address, inbox.address).with(
        "    rules:\n",
        "    rules:\n      - {paths: [/internal/], require: deny}\n      - {paths: [/docs/secret/], \
         require: two_factor}\n      - {paths: [/docs/], require: token}\n",
    );
    let gateway = Gateway::start(&setup);
    gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let secret_is_safe = || {
        let text = std::fs::read_to_string(nginx.root.join("docs/secret/x")).expect("file");
        assert_eq!(text, "the secret\n");
        assert!(!nginx.root.join("public/d").exists());
    };

    assert_eq!(sent(&gateway, &token, "GET /docs/secret/x").await, 401);
    for line in [
        "COPY /docs/ /public/d/",
        "COPY /docs /public/d",
        "MOVE /docs/ /public/d/",
        "COPY /public/mine/ /docs/",
        "MOVE /public/mine/ /docs",
        "DELETE /docs/",
        "DELETE /docs",
        "DELETE /docs/secret",
        "PROPFIND /docs/",
    ] {
        assert_eq!(sent(&gateway, &token, line).await, 401, "{line}");
        secret_is_safe();
    }
    let leaked = gateway.http.get(gateway.url("/public/d/secret/x")).send();
    assert_eq!(leaked.await.expect("answer").status(), 404);
    // Files, and a look at the folder, ask what they always asked.
    let line = "COPY /docs/plan.txt /docs/copy.txt";
    assert_eq!(sent(&gateway, &token, line).await, 204);
    assert_eq!(sent(&gateway, &token, "DELETE /docs/copy.txt").await, 204);
    let look = reqwest::Method::from_bytes(b"PROPFIND").expect("method");
    let look = gateway.http.request(look, gateway.url("/docs/"));
    let look = look.bearer_auth(&token).header("depth", "1");
    // The server's own word: it knows no PROPFIND.
    assert_eq!(look.send().await.expect("answer").status(), 405);

    gateway.verify(&inbox, &token, "laptop", PHONE).await;
    for line in [
        "COPY / /public/all/",
        "DELETE /",
        "MOVE /docs/ /internal/d/",
    ] {
        assert_eq!(sent(&gateway, &token, line).await, 403, "{line}");
    }
    assert!(!nginx.root.join("public/all").exists());
    assert!(nginx.root.join("internal/y").exists());
    let line = "COPY /docs/ /public/d/";
    assert_eq!(sent(&gateway, &token, line).await, 201);
    assert!(nginx.root.join("public/d/secret/x").exists());
    assert_eq!(sent(&gateway, &token, "DELETE /docs/").await, 204);
    assert!(!nginx.root.join("docs").exists());

    let url = gateway.url("/docs");
    let line = ["explain", "--url", &url, "--method", "DELETE"];
    let told = gateway.cli_json(&[&line[..], &["--user", "anna", "--json"]].concat());
    assert_eq!(told["asks"]["require"], "two_factor", "{told}");
    let below = told["readings"][0]["below"].as_array().expect("list");
    assert_eq!(below.len(), 1, "{told}");
    let text = String::from_utf8(gateway.cli(&line).stdout).expect("text");
    assert!(
        text.contains("below it, which is taken along: asks for more"),
        "{text}"
    );
}
