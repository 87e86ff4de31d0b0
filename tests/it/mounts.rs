//! Clients that cannot show a page: WebDAV mounts and sync clients with a name and a password.

use crate::support::webdav::{WebDav, rclone, said, typed};
use crate::support::{Gateway, Inbox, PASSWORD, PHONE, Setup, form_of, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

struct World {
    _dir: TempDir,
    files: WebDav,
    inbox: Inbox,
    gateway: Gateway,
}

impl World {
    async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    /// Accounts of Vestibule's own, one of them anna's, in front of a WebDAV server.
    async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let files = WebDav::start(dir.path()).await;
        let inbox = Inbox::start().await;
        let setup =
            Setup::accounts(files.address, inbox.address).with("[bearer, ", "[bearer, basic, ");
        let gateway = Gateway::start(&change(setup));
        gateway.add_user("anna", PASSWORD, PHONE);
        Self {
            _dir: dir,
            files,
            inbox,
            gateway,
        }
    }

    fn rclone(&self, password: &str, args: &[&str]) -> std::process::Output {
        rclone(&self.gateway.url("/"), "anna", password, args)
    }

    async fn get(&self, path: &str, password: &str) -> reqwest::Response {
        let request = self.gateway.http.get(self.gateway.url(path));
        let request = request.basic_auth("anna", Some(password));
        request.send().await.expect("answer")
    }
}

/// A person with a browser, at the page that a client has named.
struct Person<'a> {
    world: &'a World,
    url: String,
    device: String,
    page: String,
    /// Where the browser is, for the gateway behind a trusted proxy.
    from: &'static str,
}

impl<'a> Person<'a> {
    async fn at(world: &'a World, url: &str) -> Self {
        Self::at_from(world, url, "127.0.0.1").await
    }

    async fn at_from(world: &'a World, url: &str, from: &'static str) -> Self {
        let request = world.gateway.http.get(url).header("x-forwarded-for", from);
        let answer = request.header("sec-fetch-mode", "navigate").send().await;
        let answer = answer.expect("answer");
        let cookie = answer.headers()["set-cookie"].to_str().expect("text");
        let (cookie, _) = cookie.split_once(';').expect("a cookie");
        let (_, value) = cookie.split_once('=').expect("a cookie");
        secret(value);
        Self {
            world,
            url: url.to_owned(),
            device: cookie.to_owned(),
            page: answer.text().await.expect("text"),
            from,
        }
    }

    /// Sends one of the page's forms.
    async fn send(&self, fields: &[(&str, &str)]) -> reqwest::Response {
        let form = form_of(&self.page);
        let mut all = vec![("form", form.as_str())];
        all.extend(fields);
        let request = self.world.gateway.http.post(&self.url);
        let request = request
            .header("cookie", &self.device)
            .header("x-forwarded-for", self.from)
            .header("sec-fetch-site", "same-origin")
            .form(&all);
        request.send().await.expect("answer")
    }

    /// Asks for a code by SMS and types it.
    async fn approve(&self) -> reqwest::Response {
        let sent = self.send(&[("action", "send"), ("factor", "sms")]).await;
        assert_eq!(sent.status(), 303, "{}", sent.text().await.expect("text"));
        let code = self.world.inbox.code_for(PHONE);
        self.send(&[("action", "verify"), ("code", &code)]).await
    }
}

/// The address in what a client has said.
fn url_in(said: &str) -> String {
    let (_, rest) = said.split_once("Open http").expect("an address to open");
    let end = rest.find([' ', '"']).expect("its end");
    format!("http{}", &rest[..end])
}

/// The challenges of a 401, in their order.
fn challenges(answer: &reqwest::Response) -> Vec<String> {
    let all = answer.headers().get_all("www-authenticate").iter();
    all.map(|one| one.to_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn a_password_is_a_first_factor_where_the_account_is_vestibules_own() {
    let world = World::start().await;
    let listed = world.rclone(PASSWORD, &["lsf", ":webdav:half"]);
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "plan.txt\n",
        "{}",
        said(&listed)
    );
    let copied = world.rclone(
        PASSWORD,
        &["copyto", ":webdav:half/plan.txt", ":webdav:half/copy.txt"],
    );
    assert!(copied.status.success(), "{}", said(&copied));
    let copy = std::fs::read_to_string(world.files.root.join("half/copy.txt"));
    assert_eq!(copy.expect("file"), "half the plan\n");
    let refused = world.rclone(PASSWORD, &["lsf", ":webdav:"]);
    assert!(!refused.status.success(), "the second factor is missing");

    let answer = world.get("/plan.txt", PASSWORD).await;
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["auth_required"], true, "{body}");

    let wrong = world.get("/half/plan.txt", "wrong-password").await;
    assert_eq!(wrong.status(), 401);
    assert_eq!(
        challenges(&wrong),
        [
            "Basic realm=\"files\", charset=\"UTF-8\"",
            "Bearer realm=\"files\", error=\"invalid_token\"",
        ]
    );
}

#[tokio::test]
async fn clients_are_asked_for_a_password_and_browsers_are_not() {
    let world = World::start().await;
    for method in ["OPTIONS", "PROPFIND", "GET"] {
        let url = world.gateway.url("/plan.txt");
        let bare = || {
            let method = method.parse().expect("method");
            world.gateway.http.request(method, &url)
        };
        let answer = bare().send().await.expect("answer");
        assert_eq!(answer.status(), 401);
        assert_eq!(challenges(&answer).len(), 2, "{method}");
        let script = bare().header("sec-fetch-mode", "cors").send().await;
        let script = challenges(&script.expect("answer"));
        assert_eq!(script, ["Bearer realm=\"files\""], "{method}");
    }
}

#[tokio::test]
async fn wrong_passwords_earn_a_wait_over_every_way_in() {
    let world = World::start().await;
    for guess in 0..5 {
        let wrong = world.get("/half/plan.txt", &format!("wrong-{guess}")).await;
        assert_eq!(wrong.status(), 401);
    }
    let right = world.get("/half/plan.txt", PASSWORD).await;
    assert_eq!(right.status(), 429);
    assert!(right.headers().contains_key("retry-after"));
    let body = serde_json::json!({"username": "anna", "password": PASSWORD, "deviceId": "d"});
    let sign_in = world.gateway.http.post(world.gateway.url("/api/authtoken"));
    let sign_in = sign_in.body(body.to_string()).send().await;
    assert_eq!(sign_in.expect("answer").status(), 429);
}

#[tokio::test]
async fn malformed_credentials_are_refused_before_anybody_is_asked() {
    let world = World::start().await;
    let secret_text = secret("anna-without-a-colon");
    for (value, status) in [
        ("Basic".to_owned(), 400),
        ("Basic !!!!".to_owned(), 400),
        (format!("Basic {}", "A".repeat(2_000)), 400),
        (format!("Basic {}", STANDARD.encode(&secret_text)), 401),
        (format!("Basic {}", STANDARD.encode("anna:a\u{7}b")), 401),
        (
            format!("Basic {}", STANDARD.encode([0xff, b':', 0xfe])),
            401,
        ),
    ] {
        let request = world.gateway.http.get(world.gateway.url("/half/plan.txt"));
        let answer = request.header("authorization", &value).send().await;
        assert_eq!(answer.expect("answer").status(), status, "{value:.40}");
    }
}

#[tokio::test]
async fn a_backend_is_asked_whether_a_password_is_right() {
    let dir = tempfile::tempdir().expect("folder");
    let account = ("bob", secret(PASSWORD));
    let files = WebDav::start_with(dir.path(), Some((account.0, &account.1))).await;
    let inbox = Inbox::start().await;
    let setup = Setup::learn(files.address, inbox.address)
        .with("[bearer, ", "[bearer, basic, ")
        .with("/api/profile", "/plan.txt");
    let gateway = Gateway::start(&setup);
    let url = gateway.url("/");
    let listed = rclone(&url, "bob", PASSWORD, &["cat", ":webdav:half/plan.txt"]);
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "half the plan\n",
        "the backend is sent the password: {}",
        said(&listed)
    );
    for guess in 0..5 {
        let refused = rclone(
            &url,
            "bob",
            &format!("wrong-{guess}"),
            &["lsf", ":webdav:half"],
        );
        assert!(!refused.status.success());
    }
    let other = gateway.http.get(gateway.url("/half/plan.txt"));
    let other = other.basic_auth("Bob", Some(PASSWORD)).send().await;
    assert_eq!(
        other.expect("answer").status(),
        429,
        "however it is spelled"
    );
    let known = rclone(&url, "bob", PASSWORD, &["lsf", ":webdav:half"]);
    assert!(known.status.success(), "{}", said(&known));
}

#[tokio::test]
async fn rclone_says_where_to_go_and_is_in_once_a_person_has_been_there() {
    let world = World::start().await;
    let refused = world.rclone(PASSWORD, &["lsf", ":webdav:"]);
    assert!(!refused.status.success());
    let url = url_in(&said(&refused));
    let again = world.rclone(PASSWORD, &["lsf", ":webdav:"]);
    assert_eq!(url_in(&said(&again)), url, "the same code while it lives");

    let person = Person::at(&world, &url).await;
    for shown in [
        "rclone",
        "127.0.0.1",
        "the network that you are on now",
        "a****",
        "Only go on if you started this yourself just now.",
        "This is not mine",
    ] {
        assert!(person.page.contains(shown), "{shown}: {}", person.page);
    }
    assert!(!person.page.contains("anna"), "{}", person.page);
    // Looking at the page approves nothing.
    let refused = world.rclone(PASSWORD, &["lsf", ":webdav:"]);
    assert!(!refused.status.success());

    let done = person.approve().await;
    assert_eq!(done.status(), 303);
    let message = world.inbox.messages().pop().expect("a message").1;
    assert!(message.contains("lets a program in"), "{message}");
    assert!(
        done.headers().get("set-cookie").is_none(),
        "the browser gets nothing"
    );
    let location = done.headers()["location"].to_str().expect("text");
    let page = world.gateway.http.get(world.gateway.url(location)).send();
    let page = page.await.expect("answer").text().await.expect("text");
    assert!(page.contains("The program is in"), "{page}");

    let listed = world.rclone(PASSWORD, &["lsf", ":webdav:"]);
    assert_eq!(
        String::from_utf8_lossy(&listed.stdout),
        "half/\nplan.txt\n",
        "{}",
        said(&listed)
    );
    let used = world.gateway.http.get(&url).send().await.expect("answer");
    assert_eq!(used.status(), 404);
    let used = used.text().await.expect("text");
    assert!(
        used.contains("No program is waiting with this code"),
        "{used}"
    );
}

#[tokio::test]
async fn an_api_client_is_told_the_code_too() {
    let world = World::start().await;
    let token = world.gateway.sign_in("anna", PASSWORD, "phone").await;
    let refused = async |device: &str| {
        let request = world.gateway.get("/plan.txt", &token, device);
        let answer = request.send().await.expect("answer");
        assert_eq!(answer.status(), 401);
        answer.json::<Value>().await.expect("JSON")
    };
    let (phone, tablet) = (refused("phone").await, refused("tablet").await);
    let code = phone["user_code"].as_str().expect("a code");
    assert_ne!(phone["user_code"], tablet["user_code"]);
    let page = phone["verification_uri"].as_str().expect("an address");
    assert!(page.ends_with("/.vestibule/device"), "{page}");
    let whole = phone["verification_uri_complete"].as_str().expect("text");
    assert_eq!(whole, format!("{page}?code={code}"));
    let left = phone["expires_in"].as_u64().expect("a number");
    assert!((1..=600).contains(&left), "{left}");
    assert!(phone["detail"].as_str().expect("text").contains(whole));

    // Typed by hand, in any way.
    let typed = format!("{page}?code={}", code.to_lowercase().replace('-', "+"));
    assert_eq!(
        Person::at(&world, &typed).await.approve().await.status(),
        303
    );
    let open = world.gateway.get("/plan.txt", &token, "phone").send().await;
    assert_eq!(open.expect("answer").status(), 200);
    let other = world
        .gateway
        .get("/plan.txt", &token, "tablet")
        .send()
        .await;
    assert_eq!(other.expect("answer").status(), 401, "its own device alone");
    let script = world.gateway.get("/plan.txt", &token, "other");
    let script = script.header("sec-fetch-mode", "cors").send().await;
    let script: Value = script.expect("answer").json().await.expect("JSON");
    assert!(script.get("user_code").is_none(), "{script}");
}

#[tokio::test]
async fn a_stolen_password_is_asked_again_elsewhere() {
    let world =
        World::with(|setup| setup.with("codes:", "trusted_proxies: [127.0.0.1/32]\ncodes:")).await;
    let get = async |from: &str| {
        let request = world.gateway.http.get(world.gateway.url("/plan.txt"));
        let request = request.basic_auth("anna", Some(PASSWORD));
        let answer = request.header("x-forwarded-for", from).send().await;
        answer.expect("answer")
    };
    let refused: Value = get("203.0.113.7").await.json().await.expect("JSON");
    let url = refused["verification_uri_complete"].as_str().expect("text");
    let elsewhere = Person::at_from(&world, url, "198.51.100.1").await;
    assert!(elsewhere.page.contains("203.0.113.7"), "{}", elsewhere.page);
    assert!(
        elsewhere
            .page
            .contains("not the network that you are on now")
    );
    assert_eq!(elsewhere.approve().await.status(), 303);
    assert_eq!(get("203.0.113.7").await.status(), 200);
    for thief in ["203.0.113.8", "198.51.100.1", "2001:db8::1"] {
        assert_eq!(get(thief).await.status(), 401, "{thief}");
    }
    // The owner's network is no name that a thief could send.
    let claimed = world.gateway.http.get(world.gateway.url("/plan.txt"));
    let claimed = claimed
        .basic_auth("anna", Some(PASSWORD))
        .header("x-forwarded-for", "203.0.113.8")
        .header("x-device-id", "203.0.113.7");
    assert_eq!(claimed.send().await.expect("answer").status(), 401);

    let refused: Value = get("2001:db8:1:2::1").await.json().await.expect("JSON");
    let url = refused["verification_uri_complete"].as_str().expect("text");
    assert_eq!(Person::at(&world, url).await.approve().await.status(), 303);
    assert_eq!(get("2001:db8:1:2:9::9").await.status(), 200, "the same /64");
    assert_eq!(get("2001:db8:1:3::1").await.status(), 401);
}

#[tokio::test]
async fn who_says_not_me_keeps_it_out() {
    let world = World::start().await;
    let refused = world.get("/plan.txt", PASSWORD).await;
    let refused: Value = refused.json().await.expect("JSON");
    let url = refused["verification_uri_complete"].as_str().expect("text");
    let person = Person::at(&world, url).await;
    let sent = person.send(&[("action", "send"), ("factor", "sms")]).await;
    assert_eq!(sent.status(), 303);
    let code = world.inbox.code_for(PHONE);
    let kept_out = person.send(&[("action", "refuse")]).await;
    assert_eq!(kept_out.status(), 303);
    let location = kept_out.headers()["location"].to_str().expect("text");
    let page = world.gateway.http.get(world.gateway.url(location)).send();
    let page = page.await.expect("answer").text().await.expect("text");
    assert!(page.contains("change your password"), "{page}");
    let late = person.send(&[("action", "verify"), ("code", &code)]).await;
    assert_eq!(late.status(), 404);
    let again = world.get("/plan.txt", PASSWORD).await;
    assert_eq!(again.status(), 401);
    let again: Value = again.json().await.expect("JSON");
    assert!(again.get("user_code").is_none(), "{again}");
}

#[tokio::test]
async fn fifty_refusals_beside_an_approval_leave_it_in_or_out() {
    let world = World::start().await;
    let refused = world.get("/plan.txt", PASSWORD).await;
    let refused: Value = refused.json().await.expect("JSON");
    let url = refused["verification_uri_complete"].as_str().expect("text");
    let person = Person::at(&world, url).await;
    let sent = person.send(&[("action", "send"), ("factor", "sms")]).await;
    assert_eq!(sent.status(), 303);
    let code = world.inbox.code_for(PHONE);
    let refuse = async || {
        let answer = person.send(&[("action", "refuse")]).await;
        answer.status().as_u16()
    };
    let refusals = futures_util::future::join_all((0..50).map(|_| refuse()));
    let fields = [("action", "verify"), ("code", code.as_str())];
    let (statuses, approved) = tokio::join!(refusals, person.send(&fields));
    // The page takes so many a second from everybody: who comes beyond that has changed nothing.
    assert!(
        statuses
            .iter()
            .all(|status| [303, 404, 429].contains(status)),
        "{statuses:?}"
    );
    let is_in = world.get("/plan.txt", PASSWORD).await.status() == 200;
    assert_eq!(is_in, approved.status() == 303, "{statuses:?}");
    // Ended one way, it cannot end the other way.
    assert_eq!(is_in, !statuses.contains(&303), "{statuses:?}");
}

#[tokio::test]
async fn a_form_of_another_page_or_browser_approves_nothing() {
    let world = World::start().await;
    let refused = world.get("/plan.txt", PASSWORD).await;
    let refused: Value = refused.json().await.expect("JSON");
    let url = refused["verification_uri_complete"].as_str().expect("text");
    let person = Person::at(&world, url).await;
    let other = Person::at(&world, url).await;
    let post = |device: &str, form: &str, site: &'static str| {
        let request = world.gateway.http.post(url).header("cookie", device);
        let fields = [("form", form), ("action", "refuse")];
        request.header("sec-fetch-site", site).form(&fields).send()
    };
    let form = form_of(&person.page);
    let foreign = post(&person.device, &form, "cross-site").await;
    assert_eq!(foreign.expect("answer").status(), 403);
    let stale = post(&other.device, &form, "same-origin").await;
    assert_eq!(stale.expect("answer").status(), 403);
    let bare = post(&person.device, "", "same-origin").await;
    assert_eq!(bare.expect("answer").status(), 403);
    assert_eq!(person.approve().await.status(), 303);
}

#[tokio::test]
async fn guessed_user_codes_earn_a_wait_and_look_alike() {
    let world = World::start().await;
    let look = async |code: &str| {
        let path = format!("/.vestibule/device?code={code}");
        let answer = world
            .gateway
            .http
            .get(world.gateway.url(&path))
            .send()
            .await;
        let answer = answer.expect("answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let empty = look("").await;
    assert_eq!(empty.0, 200, "the field for a code");
    let (status, page) = look("BCDF-GHJK").await;
    assert_eq!(status, 404);
    assert!(page.contains("No program is waiting with this code"));
    assert_eq!(look("not-a-code").await.0, 404);
    let mut codes = (0..).map(|n: usize| {
        let letters: Vec<char> = "BCDFGHJKLM".chars().collect();
        (0..8)
            .map(|at| letters[n / 10_usize.pow(at % 3) % 10])
            .collect::<String>()
    });
    let mut waited = false;
    for _ in 0..100 {
        let (status, _) = look(&codes.next().expect("endless")).await;
        assert!(matches!(status, 404 | 429), "{status}");
        waited |= status == 429;
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    assert!(waited, "guessing is throttled");
}

#[tokio::test]
async fn cadaver_shows_the_address_and_then_lists() {
    let world = World::start().await;
    let dir = tempfile::tempdir().expect("folder");
    let netrc = format!("machine 127.0.0.1\nlogin anna\npassword {PASSWORD}\n");
    let file = dir.path().join(".netrc");
    std::fs::write(&file, netrc).expect("file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).expect("mode");
    let run = || {
        let url = world.gateway.url("/");
        said(&typed("cadaver", dir.path(), &[&url], "ls\nquit\n"))
    };
    let refused = run();
    let url = url_in(&refused);
    assert_eq!(Person::at(&world, &url).await.approve().await.status(), 303);
    let listed = run();
    assert!(listed.contains("plan.txt"), "{listed}");
}

#[tokio::test]
async fn litmus_finds_what_it_finds_without_the_gateway() {
    let world = World::start().await;
    let refused: Value = world
        .get("/plan.txt", PASSWORD)
        .await
        .json()
        .await
        .expect("JSON");
    let url = refused["verification_uri_complete"].as_str().expect("text");
    assert_eq!(Person::at(&world, url).await.approve().await.status(), 303);
    let dir = tempfile::tempdir().expect("folder");
    let run = |url: &str| {
        let output = typed("litmus", dir.path(), &["-k", url, "anna", PASSWORD], "");
        let lines = said(&output);
        let is_finding = |line: &&str| line.contains("...") || line.starts_with("<-");
        // The dots of a test are written twice, before and after it; addresses differ.
        let place = url.trim_end_matches('/');
        lines
            .lines()
            .filter(is_finding)
            .map(|line| line.replace(place, "http://server"))
            .collect::<Vec<_>>()
    };
    let straight = run(&format!("http://{}/", world.files.address));
    std::fs::remove_dir_all(world.files.root.join("litmus")).ok();
    let through = run(&world.gateway.url("/"));
    assert!(straight.len() > 80, "{straight:#?}");
    assert_eq!(through, straight);
}
