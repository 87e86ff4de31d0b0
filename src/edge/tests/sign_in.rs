//! A backend's own sign-in, watched.

use super::*;

#[tokio::test]
async fn a_sign_in_goes_through_unchanged_and_is_learned() {
    let world = World::new(learn()).await;
    let headers = ["Content-Type: application/json", "Accept-Encoding: gzip"];
    let answer = world
        .ask("POST /api/authtoken", &headers, "{\"username\":\"ann\"}")
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("{\"token\":\"fresh\"}"), "{answer}");
    let head = world.origin.take().remove(0);
    assert_eq!(value(&head, "accept-encoding"), None, "{head}");
    assert_eq!(value(&head, "x-vestibule-user"), None, "{head}");
    let learned = world.learned.0.lock().unwrap().clone();
    assert_eq!(learned.len(), 1);
    assert_eq!(&learned[0].request_body[..], b"{\"username\":\"ann\"}");
    assert_eq!(&learned[0].response_body[..], b"{\"token\":\"fresh\"}");
    assert_eq!(learned[0].realm, "id");
    world.refused(401, "GET /api/authtoken", &[]).await;
}

#[tokio::test]
async fn a_sign_in_is_read_whole_however_it_is_framed() {
    let world = World::new(learn()).await;
    let head = format!("POST /api/authtoken HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
    let chunked =
        format!("{head}Transfer-Encoding: chunked\r\n\r\n9\r\nusername=\r\n3\r\nann\r\n0\r\n\r\n");
    let empty = format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let none = format!("{head}\r\n");
    for (request, body) in [
        (&chunked, &b"username=ann"[..]),
        (&empty, b""),
        (&none, b""),
    ] {
        let answer = world.send(request).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let learned = world.learned.0.lock().unwrap().pop().unwrap();
        assert_eq!(learned.request_body, body);
    }
    world.origin.take();

    // A client that waits to be told is told here, and the backend is not asked again.
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let waiting = format!("{head}Content-Length: 12\r\nExpect: 100-continue\r\n\r\n");
    client.write_all(waiting.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    let told = client.read_exact(&mut go_on);
    tokio::time::timeout(PATIENCE, told).await.unwrap().unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"username=ann").await.unwrap();
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = world.origin.take().remove(0);
    assert_eq!(value(&seen, "expect"), None, "{seen}");
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_counted_is_not_forwarded() {
    let world = World::new(learn()).await;
    let most = "x".repeat(64 << 10);
    let answer = world.ask("POST /api/authtoken", &[], &most).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(world.origin.take().len(), 1);
    // Padding is no way around the count.
    let answer = world
        .ask("POST /api/authtoken", &[], &format!("{most}x"))
        .await;
    assert_eq!(status(&answer), 413, "{answer}");
    let many = "username=a&username=b&username=c&username=d";
    let answer = world.ask("POST /api/authtoken", &[], many).await;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(answer.contains("send one user name"), "{answer}");
    assert_eq!(world.origin.take(), Vec::<String>::new());
}

#[tokio::test]
async fn policy_deny_holds_for_the_sign_in_too() {
    let world = World::with(learn(), |config| {
        config.routes[0].rules.insert(
            0,
            Rule {
                paths: vec!["/api/authtoken".to_owned()],
                ..Rule::of(Requirement::Deny)
            },
        );
    })
    .await;
    world.refused(403, "POST /api/authtoken", &[]).await;
}

#[tokio::test]
async fn who_signs_in_is_nobody_for_rules_about_people() {
    let rules = |people: People, last: Requirement| {
        vec![
            Rule {
                people,
                ..Rule::of(Requirement::Token)
            },
            Rule::of(last),
        ]
    };
    let staff = || People::Groups(vec!["staff".to_owned()]);
    let world = World::with(learn(), |config| {
        config.routes[0].rules = rules(staff(), Requirement::Deny);
    })
    .await;
    world.refused(403, "POST /api/authtoken", &[]).await;
    let world = World::with(learn(), |config| {
        config.routes[0].rules = rules(staff(), Requirement::TWO_FACTOR);
    })
    .await;
    let answer = world.ask("POST /api/authtoken", &[], "username=ann").await;
    assert_eq!(status(&answer), 200, "{answer}");
}
