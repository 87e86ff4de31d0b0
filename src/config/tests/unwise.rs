//! Warnings.

use super::*;

/// The text that is replaced in `SMALL`, its replacement, the place of the one warning, and what it tells.
#[rustfmt::skip]
const UNWISE: &[(&str, &str, &str, &str)] = &[
    ("127.0.0.1:8080", "0.0.0.0:8080", "2:14: listeners[0].address", "in the clear"),
    ("store:", "admin: {address: 0.0.0.0:9180}\nstore:", "3:18: admin.address", "can read the metrics"),
    (ROUTE, "    identity: local\n    credentials: [bearer, basic]\n", "18:27: routes[0].credentials[1]", "without `trusted_proxies`"),
    ("store:", "trusted_proxies: [0.0.0.0/0]\nstore:", "3:19: trusted_proxies[0]", "name your proxies alone"),
    ("store:", "codes: {length: 4}\nstore:", "3:17: codes.length", "6 is usual"),
    ("store:", "codes: {lifetime: 31m}\nstore:", "3:19: codes.lifetime", "30m"),
    ("store:", "codes: {attempts: 11}\nstore:", "3:19: codes.attempts", "more than 10"),
    ("store:", "codes: {totp_window: 2}\nstore:", "3:22: codes.totp_window", "1 is usual"),
    ("store:", "codes: {attempts: 0}\nstore:", "3:19: codes.attempts", "no code can ever be right"),
    ("store:", "limits: {per_user_per_hour: 21}\nstore:", "3:29: limits.per_user_per_hour", "more than 20"),
    ("store:", "limits: {per_gateway_per_minute: 0}\nstore:", "3:34: limits.per_gateway_per_minute", "no code is ever sent"),
    ("store:", "lockout: {lock_at: 0}\nstore:", "3:20: lockout.lock_at", "locks a user"),
    ("store:", "lockout: {lock_at: 3}\nstore:", "3:20: lockout.lock_at", "can lock its user"),
    ("store:", "lockout: {delay_every: 0}\nstore:", "3:24: lockout.delay_every", "never cost a delay"),
    ("store:", "sessions: {idle: 91d}\nstore:", "3:18: sessions.idle", "has no effect"),
    ("store:", "tokens: {access_lifetime: 25h}\nstore:", "3:27: tokens.access_lifetime", "1h is usual"),
    ("store:", "tokens: {refresh_lifetime: 1m}\nstore:", "3:28: tokens.refresh_lifetime", "of no use"),
    (ROUTE, "    identity: local\n    forward: {audience: a}\n", "18:25: routes[0].forward.audience", "nothing is signed for it"),
    ("sqlite:/var/lib/v.db", "\"memory:\"", "4:8: store.url", "for trials only"),
    ("{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "5:8: store.key", "a file of its own"),
    ("{env: TWILIO_AUTH_TOKEN}", "hunter2", "8:77: delivery.sms[0].twilio.auth_token", "a file of its own"),
    ("    - twilio", "    - http: {url: http://a/, query: {to: \"{phone}{text}\"}}\n    - twilio", "8:19: delivery.sms[0].http.url", "in the clear"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, username: a, password: hunter2}\nidentities:", "9:64: delivery.email.password", "a file of its own"),
    ("{accounts: {}}", "{learn: {endpoint: /api, token: /t, user: /u}}", "10:18: identities.local.learn", "without `phone`"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [RS256]}}", "10:16: identities.local.jwt.claims", "without `phone`"),
    ("{accounts: {}}", "{introspection: {url: \"https://i.example/i\", client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, claims: {phone: p}}}", "10:26: identities.local.introspection", "without `audience`"),
    ("[\"127.0.0.1:5000\"]", "[\"127.0.0.1:5000\"], headers: {authorization: hunter2}", "12:65: upstreams.files.headers.authorization", "a file of its own"),
    ("upstreams:", "upstreams:\n  other: {servers: [\"127.0.0.1:1\"]}", "12:10: upstreams.other", "no route uses it"),
    ("store:", "traces: {otlp: \"http://collector.example:4318/v1/traces\"}\nstore:", "3:16: traces.otlp", "in the clear"),
    ("store:", "traces: {otlp: \"https://c.example/v1/traces\", headers: {authorization: hunter2}}\nstore:", "3:72: traces.headers.authorization", "a file of its own"),
    ("store:", "portal: {colors: {light: {accent: \"#ffff00\"}}}\nstore:", "3:26: portal.colors.light", "`accent` on `background` has a contrast of 1.0:1"),
    ("store:", "portal: {colors: {dark: {text: \"#444444\"}}}\nstore:", "3:25: portal.colors.dark", "4.5:1 is the least"),
    (ROUTE, "    identity: local\n    require: none\n", "18:14: routes[0].require", "open to all"),
    (ROUTE, "    identity: local\n    rules: [{paths: [/a/], require: none}, {methods: [GET], paths: [/a/b, /a], require: deny}]\n", "18:44: routes[0].rules[1]", "never reached: the rule in line 18"),
    (ROUTE, "    identity: local\n    rules: [{groups: [staff], require: two_factor}, {paths: [/a/], require: none}]\n", "18:53: routes[0].rules[1]", "opens nothing to whoever has no token"),
    (ROUTE, "    identity: local\n    rules: [{users: [a, b], require: token}, {users: [b], require: deny}]\n", "18:46: routes[0].rules[1]", "never reached"),
    (ROUTE, "    identity: local\n    rules: [{networks: [10.0.0.0/8], require: token}, {networks: [10.1.0.0/16], require: deny}]\n", "18:55: routes[0].rules[1]", "never reached"),
    (ROUTE, "    identity: local\n    rules: [{paths: [/a], require: success_token}]\n", "18:36: routes[0].rules[0].require", "stay closed"),
];

#[test]
fn passwords_of_a_backend_and_self_enrolment_are_warned_of() {
    let learn = "{learn: {endpoint: /api, token: /t, user: /u, phone: /p, probe: /me}}";
    let with = |more: &str| {
        let route = format!("    identity: local\n    credentials: [basic]\n{more}");
        let text = small(ROUTE, &route).replace("{accounts: {}}", learn);
        text.replace("store:", "trusted_proxies: [127.0.0.1/32]\nstore:")
    };
    assert_eq!(warned(&with("")), [""; 0]);
    let found = warned(&with("    self_enrolment: true\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("names the user"), "{found:?}");
}

#[test]
fn a_network_that_a_proxy_can_be_in_is_warned_of() {
    let with = |proxies: &str, networks: &str| {
        let rules = format!(
            "    identity: local\n    rules: [{{networks: [{networks}], require: token}}]\n"
        );
        let text = small(ROUTE, &rules);
        warned(&text.replace("store:", &format!("trusted_proxies: [{proxies}]\nstore:")))
    };
    for (proxies, networks) in [
        ("10.0.0.5", "10.0.0.0/8"),
        ("10.0.0.0/8", "10.0.0.5"),
        ("192.0.2.1, 10.0.0.0/9", "10.0.0.0/8"),
        ("10.0.0.5", "\"::ffff:10.0.0.0/104\""),
    ] {
        let found = with(proxies, networks);
        assert_eq!(found.len(), 1, "{found:?}");
        let place = "routes[0].rules[0].networks[0]: meets 10.0.0.";
        assert!(found[0].contains(place), "{found:?}");
    }
    assert_eq!(with("192.0.2.1", "10.0.0.0/8, \"fd00::/8\""), [""; 0]);
    // Clients may be in it as well.
    let found = with("192.0.2.1, 172.16.0.0/12", "10.0.0.0/8");
    assert_eq!(found.len(), 1, "{found:?}");
    let place = "routes[0].rules[0].networks[0]: whoever is in 172.16.0.0/12";
    assert!(found[0].contains(place), "{found:?}");
}

#[test]
fn a_sign_in_that_another_proxy_would_forward_unseen_is_warned_of() {
    let asked = "  - address: 127.0.0.1:8080\n  - {address: \"127.0.0.1:8081\", forward_auth: true}\n\
                 trusted_proxies: [127.0.0.1]\n";
    let text = small("  - address: 127.0.0.1:8080\n", asked);
    assert!(good(&text).listeners[1].forward_auth && !good(&text).listeners[0].forward_auth);
    assert_eq!(warned(&text), [""; 0]);
    let learn = "{learn: {endpoint: /api, token: /t, user: /u, phone: /p}}";
    let found = warned(&text.replace("{accounts: {}}", learn));
    assert_eq!(found.len(), 1, "{found:?}");
    let place = "identities.local.learn.endpoint: a sign-in that another proxy forwards";
    assert!(found[0].contains(place), "{found:?}");
    // Nobody could ask, and nobody could sign in.
    let errors = bad(&small(
        "127.0.0.1:8080\n",
        "127.0.0.1:8080\n    forward_auth: true\n",
    ));
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].contains("listeners: add one without `forward_auth`"),
        "{errors:#?}"
    );
    assert!(
        errors[1].contains("listeners[0].forward_auth: nobody may ask here"),
        "{errors:#?}"
    );
}

#[test]
fn what_is_unwise_is_warned_of() {
    let mut wrong = Vec::new();
    for (from, to, place, text) in UNWISE {
        let found = warned(&small(from, to));
        let is_right = |found: &String| {
            found.starts_with(&format!("c.yaml:{place}: ")) && found.contains(text)
        };
        if found.len() != 1 || !found.iter().all(is_right) || found.concat().contains("hunter2") {
            wrong.push(format!("{to:?}\n  is {found:#?}\n not {place}: … {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (from, _) = SMALL.split_once("identities:").unwrap();
    let (from, delivery) = from.split_at(from.find("delivery:").unwrap());
    assert!(!from.is_empty());
    let found = warned(&SMALL.replace(delivery, ""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("routes[0]: asks for a second factor"),
        "{found:?}"
    );
}

#[test]
fn rules_that_can_be_reached_are_not_warned_of() {
    let rules = "    identity: local\n    rules: [{methods: [GET], paths: [/a/], require: none}, {paths: [/a/b], require: deny}, {paths: [/ab], require: token}, {groups: [a], require: token}, {groups: [a, b], require: deny}, {users: [a], require: deny}, {networks: [10.1.0.0/16], require: token}, {networks: [10.0.0.0/8], require: deny}]\n";
    assert_eq!(
        warned(&small("    identity: local\n", rules)),
        [] as [&str; 0]
    );
}

#[test]
fn what_rules_for_people_cannot_do_is_warned_of() {
    let rules = "    rules: [{groups: [staff], require: two_factor}]\n";
    let found = warned(&small(
        ROUTE,
        &format!("    identity: local\n    require: none\n{rules}"),
    ));
    let told = |text: &str| found.iter().any(|it| it.contains(text));
    assert!(told("does not open what the rule in line 19"), "{found:?}");

    let learn = "{learn: {endpoint: /api, token: /t, user: /u, phone: /p, probe: /me}}";
    let route = format!("    identity: local\n    credentials: [basic]\n{rules}");
    let text = small(ROUTE, &route).replace("{accounts: {}}", learn);
    let text = text.replace("store:", "trusted_proxies: [127.0.0.1/32]\nstore:");
    let found = warned(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("is what was typed"), "{found:?}");
}

#[test]
fn mail_is_no_authenticator_of_the_second_level() {
    let with = |email: &str| {
        let route = "    identity: local\n    assurance: aal2\n    rules: [{paths: [/a], require: two_factor, assurance: aal1}, {paths: [/b], require: two_factor, assurance: aal2}]\n";
        small(ROUTE, route).replace("identities:", &format!("{email}identities:"))
    };
    assert_eq!(warned(&with("")), [""; 0]);
    let found = warned(&with("  email: {smtp: \"smtps://a\", from: a@b}\n"));
    let places: Vec<_> = found.iter().map(|it| it.split(": ").nth(1)).collect();
    let wanted = ["routes[0].assurance", "routes[0].rules[1].assurance"].map(Some);
    assert_eq!(places, wanted, "{found:?}");
}
