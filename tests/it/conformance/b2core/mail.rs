//! Operations that are confirmed by mail, with a token and without one.

use super::*;

fn named() -> Value {
    json!({"token": "<uuid>", "expiresAt": "<time>"})
}

impl World {
    /// A change of the password, which the backend answers if it is let through.
    async fn change_password(&self, token: &str, success: &[&str]) -> Answer {
        let mut request = self.gateway.http.post(self.gateway.url("/api/password"));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for success in success {
            request = request.header("X-2FA-Success-Token", *success);
        }
        read(request.body("new=password")).await
    }

    fn passwords_changed(&self) -> usize {
        let seen = self.backend.seen();
        let changes = seen.iter().filter(|seen| seen.target == "/api/password");
        for change in changes.clone() {
            assert!(!change.headers.contains_key("x-2fa-success-token"));
        }
        changes.count()
    }

    async fn confirm(&self, token: &str, challenge: &str, code: &str) -> Answer {
        let body = json!({"token": challenge, "code": code});
        self.post("/api/v2/my/2fa/challenge", token, body).await
    }
}

#[tokio::test]
async fn a_token_confirms_an_operation_by_mail() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--email", EMAIL]);
    add_user(&world.gateway, "bob", &[]);
    let token = world.bare_token("ann").await;
    assert_eq!(
        world.opens(FILE, &token).await,
        401,
        "the mail factor is not passed"
    );
    let opened = world.get("/api/v2/my/2fa/challenge", &token).await;
    opened.is(200, &named());
    let challenge = secret(&opened.text("/token"));
    let code = world.mailed_code(EMAIL);
    let bobs = world.bare_token("bob").await;
    world
        .get("/api/v2/my/2fa/challenge", &bobs)
        .await
        .refuses(422);
    world.get("/api/v2/my/2fa/challenge", "").await.refuses(401);
    world.confirm(&bobs, &challenge, &code).await.refuses(404);
    world.confirm("", &challenge, &code).await.refuses(404);
    is_field_error(
        &world.confirm(&token, &challenge, &wrong(&code)).await,
        422,
        "code",
    );
    let confirmed = world.confirm(&token, &challenge, &code).await;
    confirmed.is(200, &named());
    world.confirm(&token, &challenge, &code).await.refuses(404);
    assert_eq!(
        world.opens(FILE, &token).await,
        200,
        "the pair is verified by it"
    );

    let success = secret(&confirmed.text("/token"));
    let missing = world.change_password(&token, &[]).await;
    assert_eq!(missing.status, 401);
    assert_eq!(missing.headers["content-type"], "application/problem+json");
    assert_eq!(missing.body["success_token_required"], true);
    assert_eq!(missing.body["challenge_url"], "/api/v2/my/2fa/challenge");
    for bad in [&[&*success, &*success][..], &["not a token"]] {
        assert_eq!(world.change_password(&token, bad).await.status, 400);
    }
    for other in ["", &bobs] {
        assert_eq!(world.change_password(other, &[&success]).await.status, 401);
    }
    assert_eq!(world.passwords_changed(), 0);
    let tries = (0..50).map(|_| async { world.change_password(&token, &[&success]).await.status });
    let statuses = futures(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 49);
    assert_eq!(world.passwords_changed(), 1);
}

#[tokio::test]
async fn without_a_token_an_address_confirms_an_operation() {
    let world = world().await;
    add_user(&world.gateway, "ann", &["--email", EMAIL]);
    let open = async |email: &str| {
        let path = format!("/api/v2/my/2fa/unauthorized/challenge?email={email}");
        world.get(&path, "").await
    };
    let nobodys = open("nobody@example.org").await;
    nobodys.is(200, &named());
    let opened = open("Ann@example.org").await;
    opened.is(200, &named());
    let names = |answer: &Answer| -> Vec<_> {
        let of = |name: &reqwest::header::HeaderName| name.to_string();
        answer.headers.keys().map(of).collect()
    };
    assert_eq!(names(&nobodys), names(&opened));
    let challenge = secret(&opened.text("/token"));
    let code = world.mailed_code(EMAIL);
    // Every code that is not good is refused in the same words, whose address ever it is.
    let foreign = world.confirm("", &nobodys.text("/token"), &code).await;
    is_field_error(&foreign, 422, "code");
    let wrong = world.confirm("", &challenge, &wrong(&code)).await;
    assert_eq!(wrong.body, foreign.body);
    let confirmed = world.confirm("", &challenge, &code).await;
    confirmed.is(200, &named());
    world.confirm("", &challenge, &code).await.refuses(404);

    let missing = world.change_password("", &[]).await;
    assert_eq!(missing.status, 401);
    assert_eq!(missing.body["success_token_required"], true);
    let success = secret(&confirmed.text("/token"));
    let token = world.bare_token("ann").await;
    assert_eq!(world.change_password(&token, &[&success]).await.status, 401);
    assert_eq!(world.change_password("", &[&success]).await.status, 200);
    assert_eq!(world.change_password("", &[&success]).await.status, 401);
    assert_eq!(world.passwords_changed(), 1);
    let changed = world.backend.seen();
    let changed = changed.iter().find(|seen| seen.target == "/api/password");
    assert_eq!(
        changed.expect("a change").headers["x-vestibule-user"],
        "ann"
    );
    is_field_error(
        &world.get("/api/v2/my/2fa/unauthorized/challenge", "").await,
        422,
        "email",
    );
    assert!(world.mail.rest().is_empty(), "nobody else was sent a mail");
}

#[tokio::test]
async fn what_limits_mail_is_not_told_without_a_token() {
    let change =
        |setup: Setup| with_password_rule(setup).with("resend_after: 0s", "resend_after: 30s");
    let world = World::start("b2core", change).await;
    add_user(&world.gateway, "ann", &["--email", EMAIL]);
    for _ in 0..3 {
        let path = format!("/api/v2/my/2fa/unauthorized/challenge?email={EMAIL}");
        world.get(&path, "").await.is(200, &named());
    }
    world.mailed_code(EMAIL);
    let token = world.bare_token("ann").await;
    // Strangers have used up nothing of the user's own, who is told.
    let own = world.get("/api/v2/my/2fa/challenge", &token).await;
    own.is(200, &named());
    world.mailed_code(EMAIL);
    let limited = world.get("/api/v2/my/2fa/challenge", &token).await;
    limited.refuses(429);
    assert!(limited.headers.contains_key("retry-after"));
    assert!(world.mail.rest().is_empty());
}

/// A link's path means one in the share's folder: the success token is spent on that one, once.
#[tokio::test]
async fn a_share_link_spends_a_success_token_once() {
    let change = |setup: Setup| setup.with("require: two_factor", "require: success_token");
    let world = World::start("b2core", change).await;
    let add = [
        "share", "add", "--path", "/docs/", "--email", EMAIL, "--json",
    ];
    let share = world.gateway.cli_json(&add);
    let link = secret(share["token"].as_str().expect("token"));
    let opened = world.get("/api/v2/my/2fa/challenge", &link).await;
    opened.is(200, &named());
    let code = world.mailed_code(EMAIL);
    let confirmed = world.confirm(&link, &opened.text("/token"), &code).await;
    let success = secret(&confirmed.text("/token"));
    let fetch = async |path: &str| {
        let path = format!("/share/{link}/{path}");
        let request = world.gateway.http.get(world.gateway.url(&path));
        read(request.header("X-2FA-Success-Token", &success))
            .await
            .status
    };
    assert_eq!(fetch("plan.txt").await, 200);
    assert_eq!(fetch("plan.txt").await, 401);
    let seen = world.backend.seen();
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/docs/plan.txt"]);
}
