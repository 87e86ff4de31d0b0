//! The operator's commands and the API behind them, with a running gateway and without one.

use crate::support::gateway::command;
use crate::support::{Gateway, PASSWORD, PHONE, Site, secret, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};
use std::time::Duration;

/// Runs a command in the folder of a gateway, which may have ended.
fn cli(dir: &std::path::Path, args: &[&str]) -> Output {
    let args = [args, &["--config", "vestibule.yaml"]].concat();
    command(dir, &args).output().expect("vestibule")
}

fn cli_json(dir: &std::path::Path, args: &[&str]) -> Value {
    let output = cli(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The items of a list, of which this is all.
fn cli_list(dir: &std::path::Path, args: &[&str]) -> Vec<Value> {
    let list = cli_json(dir, args);
    assert_eq!(list["next"], Value::Null, "{args:?}: {list}");
    list["items"].as_array().expect("items").clone()
}

/// What a command prints for people.
fn text(dir: &std::path::Path, args: &[&str]) -> String {
    let output = cli(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// A command that must fail, with `--json` and without: the exit code and what it says.
fn refused(dir: &std::path::Path, args: &[&str]) -> (i32, String) {
    let plain = cli(dir, args);
    let json = cli(dir, &[args, &["--json"]].concat());
    let code = plain.status.code().expect("exit code");
    assert_eq!(json.status.code(), Some(code), "{args:?}");
    assert!(code == 1 || code == 2, "{args:?}: {code}");
    assert!(
        plain.stdout.is_empty() && json.stdout.is_empty(),
        "{args:?}"
    );
    let said = String::from_utf8(plain.stderr).expect("text");
    let answer: Value = serde_json::from_slice(&json.stderr)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {json:?}"));
    let error = answer["error"].as_str().expect("error");
    assert!(!error.is_empty() && !said.trim().is_empty(), "{args:?}");
    (code, error.to_owned())
}

/// Every command once, on a store in which nobody is called `name`.
async fn walk(dir: &std::path::Path, name: &str) {
    let user = cli_json(dir, &["user", "add", name, "--phone", PHONE, "--json"]);
    let id = user["id"].as_i64().expect("id");
    assert_eq!(user["name"], name);
    let of_id = format!("id:{id}");
    let shown = cli_json(dir, &["user", "show", &of_id, "--json"]);
    assert_eq!(shown["phone"], "+45******78");
    assert_eq!(shown, user, "what was made is what is shown");
    assert!(cli_list(dir, &["user", "list", "--json"]).contains(&shown));
    let set = [
        "user",
        "set",
        name,
        "--email",
        "anna@example.org",
        "--can-edit-users",
        "true",
        "--json",
    ];
    let set = cli_json(dir, &set);
    assert_eq!(
        (&set["can_edit_users"], &set["phone"]),
        (&json!(true), &json!("+45******78"))
    );
    let set = cli_json(dir, &["user", "set", name, "--no-email", "--json"]);
    assert_eq!(set["email"], Value::Null);

    let set = [
        "user", "set", name, "--group", "b", "--group", "a", "--json",
    ];
    assert_eq!(cli_json(dir, &set)["groups"], json!(["a", "b"]));
    let set = cli_json(dir, &["user", "set", name, "--no-groups", "--json"]);
    assert_eq!(set["groups"], json!([]));

    let factors = cli_json(dir, &["factor", "list", name, "--json"]);
    assert_eq!(factors["items"][0]["id"], "sms");
    assert!(text(dir, &["factor", "list", name]).contains("+45******78"));
    let removed = cli_json(dir, &["factor", "remove", name, "sms", "--json"]);
    assert_eq!(removed, json!({ "id": "sms" }));
    assert_eq!(refused(dir, &["factor", "remove", name, "sms"]).0, 1);
    let reset = cli_json(dir, &["user", "reset-2fa", name, "--json"]);
    assert_eq!(reset, set, "the user as it is then");

    let path = format!("/{name}/");
    let share = cli_json(
        dir,
        &[
            "share",
            "add",
            "--path",
            &path,
            "--email",
            "b@example.org",
            "--json",
        ],
    );
    secret(share["token"].as_str().expect("token"));
    let number = share["id"].to_string();
    assert!(text(dir, &["share", "list"]).contains(&path));
    let guest = share["recipients"][0]["user"].to_string();
    let (code, said) = refused(dir, &["user", "remove", &guest]);
    assert!(code == 1 && said.contains("share revoke"), "{said}");
    assert_eq!(
        cli_json(dir, &["share", "revoke", &number, "--json"])["id"],
        share["id"]
    );

    let live = cli_list(dir, &["session", "list", "--user", name, "--json"]);
    assert!(live.is_empty(), "{live:?}");
    let none = cli_json(dir, &["session", "revoke", "--user", name, "--json"]);
    assert_eq!(none, json!({ "revoked": 0 }));
    let locked = cli_list(dir, &["lockout", "list", "--json"]);
    assert!(locked.is_empty(), "{locked:?}");
    let cleared = cli_json(dir, &["lockout", "clear", name, "--json"]);
    assert_eq!(cleared, json!({ "cleared": 0 }));
    assert_eq!(cli_list(dir, &["key", "rotate", "--json"]).len(), 1);

    assert_eq!(cli_json(dir, &["user", "remove", name, "--json"])["id"], id);
    assert_eq!(refused(dir, &["user", "show", name]).0, 1);
    // All of it is in the trail, of the removed user too, with who did it.
    wait_in_trail(dir, id).await;
    let trail = cli_list(
        dir,
        &[
            "audit", "search", "--user", &of_id, "--since", "2h", "--json",
        ],
    );
    let mut kinds: Vec<_> = trail
        .iter()
        .map(|event| event["kind"].as_str().expect("kind"))
        .collect();
    kinds.reverse();
    let done = [
        "enrolled", "changed", "changed", "changed", "changed", "removed", "reset", "revoked",
        "cleared", "removed",
    ];
    assert_eq!(kinds, done, "{trail:?}");
    for event in &trail {
        let detail = event["detail"].as_str().expect("detail");
        assert!(detail.contains(", by uid "), "{event}");
        assert_eq!(event["route"], "operator");
    }
    let last = text(dir, &["audit", "tail", "--lines", "1"]);
    assert!(
        last.contains("removed") && last.lines().count() == 1,
        "{last}"
    );
    let kind = cli_list(
        dir,
        &[
            "audit", "search", "--user", &of_id, "--kind", "reset", "--json",
        ],
    );
    assert_eq!(kind.len(), 1);
}

/// Events reach the store a moment after what they tell of.
async fn wait_in_trail(dir: &std::path::Path, user: i64) {
    let args = [
        "audit",
        "search",
        "--user",
        &format!("id:{user}"),
        "--kind",
        "removed",
        "--json",
    ];
    wait_for("the last event", Duration::from_secs(10), async || {
        // A factor was removed, and the user.
        (cli_list(dir, &args).len() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_with_a_running_gateway_and_without() {
    let Site { gateway, .. } = Site::accounts().await;
    walk(gateway.dir.path(), "anna").await;
    let dir = gateway.kill();
    walk(dir.path(), "bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_says_what_is_wrong_as_json_too() {
    let Site { gateway, .. } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mistakes: [(&[&str], i32, &str); 22] = [
        (&["user", "show", "nobody"], 1, "no user `nobody`"),
        (&["user", "add", "anna"], 1, "already"),
        (&["user", "add", "12"], 2, "cannot be a user's name"),
        (&["user", "add", "bob", "--phone", "12"], 2, "phone number"),
        (
            &["user", "add", "bob", "--identity", "none"],
            2,
            "no identity `none`",
        ),
        (
            &["user", "add", "bob", "--password-file", "none"],
            1,
            "none",
        ),
        (
            &["user", "set", "anna", "--email", "anna"],
            2,
            "email address",
        ),
        (&["user", "set", "anna"], 2, "required"),
        (&["user", "remove", "nobody"], 1, "no user"),
        (&["factor", "remove", "anna", "totp"], 1, "no factor `totp`"),
        (&["share", "add", "--path", "docs"], 2, "not a path"),
        (&["share", "revoke", "99"], 1, "no share 99"),
        (&["share", "revoke", "x"], 2, "not a share's number"),
        (
            &["session", "revoke", "--id", "99"],
            1,
            "no live session 99",
        ),
        (
            &["session", "revoke", "--device", "none"],
            1,
            "device `none`",
        ),
        (
            &["session", "revoke", "--token-file", "store.key"],
            1,
            "no identity knows this token",
        ),
        (
            &["session", "revoke", "--token-file", "none"],
            1,
            "token cannot be read",
        ),
        (
            &["session", "revoke", "--all", "--id", "4"],
            2,
            "cannot be used with",
        ),
        (&["lockout", "clear", "--id", "99"], 1, "nobody is delayed"),
        (&["lockout", "clear", "--address", "here"], 2, "here"),
        (&["audit", "search", "--since", "tomorrow"], 2, "no moment"),
        (
            &["audit", "search", "--kind", "nonsense"],
            2,
            "no such events",
        ),
    ];
    for (args, code, part) in mistakes {
        let (found, said) = refused(gateway.dir.path(), args);
        assert_eq!(found, code, "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
    // What the gateway refused is told with its code and place.
    let args = ["user", "set", "anna", "--phone", "12", "--json"];
    let said: Value = serde_json::from_slice(&gateway.cli(&args).stderr).expect("JSON");
    let told = (&said["code"], &said["status"], &said["where"]);
    assert_eq!(told, (&json!("invalid"), &json!(422), &json!("body/phone")));
    let args = ["user", "show", "nobody", "--json"];
    let said: Value = serde_json::from_slice(&gateway.cli(&args).stderr).expect("JSON");
    let told = (&said["code"], &said["status"], &said["where"]);
    let wanted = (&json!("no_such_user"), &json!(404), &json!("path/user"));
    assert_eq!(told, wanted);
    // What stands behind `--` is no option.
    let output = gateway.cli(&["user", "show"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error:"));
    let help = gateway.cli(&["user", "--help", "--json"]);
    assert!(help.status.success() && !help.stdout.is_empty());
}

fn with_stdin(gateway: &Gateway, args: &[&str], text: &str) -> Output {
    let args = [args, &["--config", "vestibule.yaml"]].concat();
    let mut child = command(gateway.dir.path(), &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vestibule");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(text.as_bytes()).expect("token");
    drop(stdin);
    child.wait_with_output().expect("vestibule")
}

#[tokio::test]
async fn a_device_and_a_token_end_at_once() {
    let Site { gateway, inbox, .. } = Site::accounts().await;
    gateway.add_user("anna", PASSWORD, PHONE);
    let mut tokens = Vec::new();
    for device in ["laptop", "phone"] {
        let token = gateway.sign_in("anna", PASSWORD, device).await;
        gateway.verify(&inbox, &token, device, PHONE).await;
        tokens.push(token);
    }
    let status = async |token: &str, device: &str| {
        let answer = gateway.get("/x", token, device).send().await;
        answer.expect("answer").status().as_u16()
    };
    assert_eq!(status(&tokens[0], "laptop").await, 200);
    assert_eq!(status(&tokens[1], "phone").await, 200);
    // By what the client calls itself.
    let ended = gateway.cli_json(&["session", "revoke", "--device", "laptop", "--json"]);
    assert!(ended["revoked"].as_u64() >= Some(1), "{ended}");
    assert_eq!(status(&tokens[0], "laptop").await, 401);
    assert_eq!(status(&tokens[1], "phone").await, 200);
    // By what the list shows.
    let list = gateway.cli_list(&["session", "list", "--user", "anna", "--json"]);
    let label = list[0]["device"].as_str().expect("device").to_owned();
    let of_label = gateway.cli_list(&["session", "list", "--device", &label, "--json"]);
    assert_eq!(of_label, list);
    let args = ["session", "revoke", "--device", &label, "--user", "anna"];
    assert!(gateway.cli(&args).status.success());
    assert_eq!(status(&tokens[1], "phone").await, 401);

    gateway.verify(&inbox, &tokens[1], "phone", PHONE).await;
    assert_eq!(status(&tokens[1], "phone").await, 200);
    let args = ["session", "revoke", "--token-file", "-"];
    let output = with_stdin(&gateway, &args, &format!("{}\n", tokens[1]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.starts_with("token revoked, "),
        "{said}"
    );
    assert_eq!(status(&tokens[1], "phone").await, 401);
    let again = with_stdin(&gateway, &args, &tokens[1]);
    assert_eq!(again.status.code(), Some(1));
    // The token is known no more, not only its session.
    let path = format!("/api/apiauth/twofactorsms/{}", tokens[1]);
    let asked = gateway.get(&path, &tokens[1], "phone").send().await;
    assert_eq!(asked.expect("answer").status(), 401);
}

#[tokio::test]
async fn who_is_locked_out_is_shown_and_cleared_with_factors_and_all() {
    let Site { gateway, inbox, .. } = Site::accounts_with(|setup| {
        let lockout =
            "lockout: {delay_every: 3, first_delay: 60s, max_delay: 60s, lock_at: 100}\ncodes:";
        setup.with("codes:", lockout)
    })
    .await;
    let id = gateway.add_user("anna", PASSWORD, PHONE);
    let token = gateway.sign_in("anna", PASSWORD, "laptop").await;
    let path = format!("/api/apiauth/twofactorsms/{token}");
    let ask = async |code: Option<&str>| {
        let request = gateway.get(&path, &token, "laptop");
        let request = match code {
            Some(code) => request.query(&[("authcode", code)]),
            None => request,
        };
        request.send().await.expect("answer").status().as_u16()
    };
    assert_eq!(ask(None).await, 200);
    for wrong in ["000001", "000002", "000003"] {
        assert_eq!(ask(Some(wrong)).await, 401);
    }
    assert_eq!(ask(Some("000004")).await, 429, "delayed");
    let list = gateway.cli_list(&["lockout", "list", "--json"]);
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!(
        (&list[0]["kind"], &list[0]["user"], &list[0]["name"]),
        (&json!("user"), &json!(id), &json!("anna"))
    );
    assert_eq!(
        (&list[0]["failures"], &list[0]["locked"]),
        (&json!(3), &json!(false))
    );
    assert!(list[0]["delayed_until"].is_string());
    let cleared = text(gateway.dir.path(), &["lockout", "clear", "anna"]);
    assert_eq!(cleared, "1 lockouts cleared\n");
    gateway.verify(&inbox, &token, "laptop", PHONE).await;

    // A name that nobody has, and the address that guesses at it.
    let guess = json!({"username": "nobody", "password": "wrong-password", "deviceId": "x"});
    for _ in 0..3 {
        let answer = gateway.http.post(gateway.url("/api/authtoken"));
        let answer = answer.body(guess.to_string()).send().await.expect("answer");
        assert_eq!(answer.status(), 401);
    }
    let list = gateway.cli_list(&["lockout", "list", "--json"]);
    assert_eq!(
        (&list[0]["kind"], &list[0]["name"]),
        (&json!("account"), &json!("nobody"))
    );
    let id = list[0]["id"].as_str().expect("id");
    let cleared = gateway.cli_json(&["lockout", "clear", "--id", id, "--json"]);
    assert_eq!(cleared, json!({ "id": id }));
    let left = gateway.cli_list(&["lockout", "list", "--json"]);
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_is_followed_until_the_gateway_stops() {
    let Site { mut gateway, .. } = Site::accounts().await;
    let args = [
        "audit",
        "tail",
        "--lines",
        "0",
        "--follow",
        "--json",
        "--config",
        "vestibule.yaml",
    ];
    let mut tail = command(gateway.dir.path(), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vestibule");
    let mut lines = BufReader::new(tail.stdout.take().expect("stdout")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    // The first line may be one from before it followed, on a slow machine.
    let id = gateway.add_user("anna", PASSWORD, PHONE);
    let event = next();
    assert_eq!(
        (&event["kind"], &event["user"]),
        (&json!("enrolled"), &json!(id))
    );
    gateway.add_user("bob", PASSWORD, PHONE);
    assert_eq!(next()["kind"], "enrolled");
    gateway.signal("TERM");
    wait_for("the gateway's end", Duration::from_secs(10), async || {
        gateway.child.try_wait().expect("wait")
    })
    .await;
    let output = tail.wait_with_output().expect("tail");
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert!(
        said["error"]
            .as_str()
            .is_some_and(|it| it.contains("stops")),
        "{said}"
    );
}

#[tokio::test]
async fn the_socket_answers_a_program_as_its_document_says() {
    let Site { gateway, .. } = Site::accounts().await;
    let http = reqwest::Client::builder()
        .unix_socket(gateway.dir.path().join("admin/admin.sock"))
        .build()
        .expect("client");
    let url = |path: &str| format!("http://vestibule{path}");
    let document: Value = http
        .get(url("/v1/openapi.json"))
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let made = http
        .post(url("/v1/users"))
        .json(&json!({ "name": "anna", "password": secret("correct horse") }))
        .send()
        .await
        .expect("answer");
    assert_eq!(made.status(), 201);
    gateway.sign_in("anna", "correct horse", "laptop").await;
    let long = "x".repeat(100_000);
    for (body, status) in [
        ("{".to_owned(), 400),
        (json!({ "name": "bob", "surprise": 1 }).to_string(), 422),
        (json!({ "name": long }).to_string(), 413),
        (json!({ "name": "anna" }).to_string(), 409),
    ] {
        let answer = http.post(url("/v1/users")).body(body).send().await;
        let answer = answer.expect("answer");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let gone = http.post(url("/v1/command")).send().await.expect("answer");
    assert_eq!(gone.status(), 404);
}
