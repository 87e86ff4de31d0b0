//! Good files, field by field.

use super::*;

#[test]
fn defaults_are_those_of_the_documents() {
    let config = good(SMALL);
    assert_eq!(warned(SMALL), [] as [&str; 0]);
    assert_eq!(config.timeouts.head, secs(10));
    assert_eq!(config.timeouts.body, secs(60));
    assert_eq!(config.timeouts.keepalive, secs(75));
    assert_eq!(config.sessions.lifetime, secs(90 * 86_400));
    assert_eq!(config.sessions.idle, secs(30 * 86_400));
    let Codes {
        length,
        lifetime,
        attempts,
        resend_after,
        totp_window,
    } = config.codes;
    assert_eq!(
        (length, lifetime, attempts, resend_after, totp_window),
        (6, secs(600), 5, secs(30), 1)
    );
    let limits = &config.limits;
    assert_eq!(
        (limits.per_user_per_hour, limits.per_number_per_hour),
        (5, 5)
    );
    assert_eq!(
        (limits.per_gateway_per_minute, limits.per_prefix_per_minute),
        (60, 20)
    );
    assert!(limits.countries.is_empty());
    let lockout = config.lockout;
    assert_eq!((lockout.delay_every, lockout.lock_at), (5, 100));
    assert_eq!(
        (lockout.first_delay, lockout.max_delay),
        (secs(30), secs(3600))
    );
    assert_eq!(config.sudo, secs(600));
    assert!(config.admin.address.is_none() && config.admin.socket.is_none());
    assert!(config.trusted_proxies.is_empty());
    let route = &config.routes[0];
    assert_eq!(route.require, Requirement::TWO_FACTOR);
    assert_eq!(
        route.credentials,
        [CredentialSource::Bearer, CredentialSource::OwnCookie]
    );
    assert_eq!(config.portal, Portal::default());
    assert_eq!(
        route.forward,
        Forward {
            token: ForwardToken::Original,
            // Of its own accounts.
            passwords: false,
            assertion: false,
            audience: "files".to_owned(),
        }
    );
    assert_eq!(route.token_algorithm, SigningAlgorithm::EdDsa);
    let tokens = &config.tokens;
    assert_eq!(tokens.issuer, "https://files.example.org");
    assert_eq!(
        (tokens.access_lifetime, tokens.refresh_lifetime),
        (secs(3600), secs(30 * 86_400))
    );
    assert!(!route.self_enrolment && !route.encoded_slashes && !route.service_workers);
    assert!(route.dialects.is_empty() && route.rules.is_empty() && route.cors_origins.is_empty());
    assert_eq!(
        (route.body_bytes_max, route.phone_region.as_deref()),
        (None, None)
    );
    let upstream = &config.upstreams["files"];
    assert!(upstream.tls.is_none() && upstream.host.is_none());
    assert_eq!(upstream.timeouts.connect, secs(3));
    assert_eq!(
        (config.log.json, config.log.level.as_str(), config.threads),
        (false, "info", 0)
    );
}

#[test]
fn the_reference_is_lifted_field_by_field() {
    let text = committed("vestibule.yaml");
    let path = Path::new("/srv/config/vestibule.yaml");
    let (config, warnings) = parse(&text, path, &Fake::new()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(warnings, []);
    let [public, local] = &config.listeners[..] else {
        panic!()
    };
    assert_eq!(public.address, "0.0.0.0:8443".parse().unwrap());
    let certificates = &public.tls.as_ref().unwrap().certificates;
    assert_eq!(
        certificates[0].cert,
        Path::new("/etc/vestibule/tls/files.pem")
    );
    assert_eq!(
        certificates[0].key,
        Path::new("/etc/vestibule/tls/files.key")
    );
    assert!(local.tls.is_none() && !local.forward_auth);
    assert_eq!(config.trusted_proxies, ["127.0.0.1/32".parse().unwrap()]);
    assert_eq!(config.connections.per_address_max, 1024);
    assert_eq!(
        config.admin.address,
        Some("127.0.0.1:9180".parse().unwrap())
    );
    assert_eq!(
        config.admin.socket.as_deref(),
        Some(Path::new("/run/vestibule/admin.sock"))
    );
    let StoreEngine::Sqlite(db) = &config.store.engine else {
        panic!()
    };
    assert_eq!(db, Path::new("/var/lib/vestibule/vestibule.db"));
    assert_eq!(
        config.store.key.expose(),
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
    );
    assert_eq!(config.limits.countries, ["DK", "SE", "DE"]);
    let [SmsProvider::Twilio(twilio), SmsProvider::Http(http)] = &config.delivery.sms[..] else {
        panic!()
    };
    assert_eq!(twilio.auth_token.expose(), "twilio-token-hunter2");
    assert_eq!(
        (twilio.from.as_str(), twilio.url.as_str()),
        ("+15005550006", "https://api.twilio.com")
    );
    assert_eq!((http.method.as_str(), http.timeout), ("GET", secs(10)));
    let query: BTreeMap<_, _> = http
        .query
        .iter()
        .map(|(k, v)| (k.as_str(), v.expose()))
        .collect();
    assert_eq!(query["password"], "kannel-hunter2");
    assert_eq!(
        (query["to"], query["text"], query["username"]),
        ("{phone}", "{text}", "vestibule")
    );
    let email = config.delivery.email.as_ref().unwrap();
    assert_eq!(
        (email.host.as_str(), email.port, email.tls),
        ("mail.example.org", 465, SmtpTls::Implicit)
    );
    assert_eq!(email.from.name.as_deref(), Some("Files"));
    assert_eq!(email.from.address, "no-reply@example.org");
    let login = email.login.as_ref().unwrap();
    assert_eq!(login.username, "no-reply@example.org");
    assert_eq!(login.password.expose(), "mail-hunter2");
    assert_eq!((email.timeout, email.ca.len()), (secs(10), 0));
}

#[test]
fn a_mail_server_may_have_a_ca_of_its_own_and_nobody_may_sign_in() {
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.self_signed(&key).unwrap().pem()
    };
    let both = authority("a.example") + "a remark\n" + &authority("b.example");
    let fake = Fake::new().with_file("/etc/ca.pem", &both);
    let text = small(
        "identities:",
        "  email: {smtp: \"smtp://10.0.0.5\", from: files@example.org, ca: /etc/ca.pem, timeout: 3s}\nidentities:",
    );
    let (config, warnings) =
        parse(&text, Path::new("c.yaml"), &fake).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(warnings, []);
    let email = config.delivery.email.unwrap();
    assert_eq!((email.ca.len(), email.timeout), (2, secs(3)));
    assert_eq!((email.port, email.tls), (25, SmtpTls::StartTls));
    assert!(email.login.is_none() && email.from.name.is_none());
}

#[test]
fn the_references_identity_and_route_are_lifted_field_by_field() {
    let config = good(&committed("vestibule.yaml"));
    let Identity::Learn(learn) = &config.identities["backend"] else {
        panic!()
    };
    assert_eq!(
        (learn.endpoint.as_str(), learn.token.as_str()),
        ("/api/authtoken", "/token")
    );
    assert_eq!(learn.user, "/profile/username");
    assert_eq!(learn.phone.as_deref(), Some("/profile/mobile"));
    assert_eq!(
        (learn.probe.as_deref(), learn.lifetime),
        (Some("/api/profile"), None)
    );
    let route = &config.routes[0];
    assert_eq!(
        (
            route.name.as_str(),
            route.upstream.as_str(),
            route.identity.as_str()
        ),
        ("files", "files", "backend")
    );
    assert_eq!(route.hosts, ["files.example.org"]);
    assert_eq!(
        route.credentials,
        [
            CredentialSource::Bearer,
            CredentialSource::Cookie("IOGATES".to_owned()),
            CredentialSource::Query("token".to_owned()),
            CredentialSource::Path("/share/".to_owned()),
        ]
    );
    assert_eq!(route.dialects, [Dialect::IoGates]);
    let asked: Vec<_> = route.rules.iter().map(|rule| rule.require).collect();
    let within = Some(secs(600));
    assert_eq!(
        asked,
        [
            Requirement::Nothing,
            Requirement::TwoFactor {
                within,
                max_idle: None
            },
            Requirement::Deny
        ]
    );
    assert_eq!(route.rules[0].paths, ["/public/"]);
    assert_eq!(route.rules[1].methods, [http::Method::DELETE]);
    assert_eq!(route.phone_region.as_deref(), Some("DK"));
    assert_eq!(route.cors_origins, ["https://app.example.org"]);
}

/// The reference writes every default out: what it says must be what is done without it.
#[test]
fn the_references_values_are_the_defaults() {
    let fake = Fake::new();
    let parse = |text: &str| {
        parse(text, Path::new("c.yaml"), &fake)
            .unwrap_or_else(|e| panic!("{e}"))
            .0
    };
    let (reference, default) = (parse(&committed("vestibule.yaml")), parse(SMALL));
    let same = [
        (
            format!("{:?}", reference.timeouts),
            format!("{:?}", default.timeouts),
        ),
        (
            format!("{:?}", reference.connections),
            format!("{:?}", default.connections),
        ),
        (
            format!("{:?}", reference.sessions),
            format!("{:?}", default.sessions),
        ),
        (
            format!("{:?}", reference.codes),
            format!("{:?}", default.codes),
        ),
        (
            format!("{:?}", reference.lockout),
            format!("{:?}", default.lockout),
        ),
        (format!("{:?}", reference.log), format!("{:?}", default.log)),
        (
            format!("{:?}", (&reference.portal.prefix, reference.portal.colors)),
            format!("{:?}", (&default.portal.prefix, default.portal.colors)),
        ),
        (
            format!("{:?}", reference.upstreams),
            format!("{:?}", default.upstreams),
        ),
    ];
    for (reference, default) in same {
        assert_eq!(reference, default);
    }
    assert_eq!(reference.sudo, default.sudo);
    assert_eq!(
        format!("{:?}", reference.tokens),
        format!("{:?}", default.tokens)
    );
    // The smallest file's accounts are Vestibule's own.
    let forward = Forward {
        passwords: true,
        ..default.routes[0].forward.clone()
    };
    assert_eq!(reference.routes[0].forward, forward);
}

#[test]
fn traces_are_off_until_a_collector_is_named() {
    assert_eq!(good(SMALL).traces, None);
    let traces = |more: &str| {
        let section =
            format!("traces: {{otlp: \"http://127.0.0.1:4318/v1/traces\"{more}}}\nstore:");
        good(&small("store:", &section)).traces.unwrap()
    };
    let default = traces("");
    assert_eq!(default.url, "http://127.0.0.1:4318/v1/traces");
    assert_eq!(
        (default.sample, default.service_name.as_str()),
        (0.1, "vestibule")
    );
    assert_eq!(default.headers, []);
    let own = traces(
        ", sample: 1, service_name: door, headers: {authorization: {env: TWILIO_AUTH_TOKEN}}",
    );
    assert_eq!((own.sample, own.service_name.as_str()), (1.0, "door"));
    assert_eq!(own.headers[0].1.expose(), "twilio-token-hunter2");
    assert!(!format!("{own:?}").contains("hunter2"));
}

#[test]
fn no_secret_is_in_debug() {
    let text = small("{env: TWILIO_AUTH_TOKEN}", "plain-hunter2").replace(
        "[\"127.0.0.1:5000\"]",
        "[\"127.0.0.1:5000\"], headers: {authorization: upstream-hunter2}",
    );
    let shown = format!(
        "{:?} {:#?}",
        good(&text),
        good(&committed("vestibule.yaml"))
    );
    for secret in ["hunter2", "BwcHBwcH"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("***"));
}

#[test]
fn words_that_other_readers_take_for_something_else_are_texts() {
    let text = small(
        "    identity: local\n",
        "    identity: local\n    phone_region: NO\n",
    )
    .replace("\"+15005550006\"", "+15005550006");
    let config = good(&text);
    assert_eq!(config.routes[0].phone_region.as_deref(), Some("NO"));
    let SmsProvider::Twilio(twilio) = &config.delivery.sms[0] else {
        panic!()
    };
    assert_eq!(twilio.from, "+15005550006");
}

#[test]
fn tls_towards_a_backend_takes_the_servers_name() {
    let name = |servers: &str| {
        let config = good(&small("[\"127.0.0.1:5000\"]", servers));
        config.upstreams["files"]
            .tls
            .as_ref()
            .map(|tls| tls.server_name.clone())
    };
    assert_eq!(
        name("[\"Files.org:443\"], tls: true").as_deref(),
        Some("files.org")
    );
    assert_eq!(
        name("[\"127.0.0.1:443\"], tls: {server_name: files.org}").as_deref(),
        Some("files.org")
    );
    assert_eq!(name("[\"files.org:443\"], tls: false"), None);
}

#[test]
fn a_routes_tokens_are_signed_as_it_says_or_as_all() {
    let with = |top: &str, own: &str| {
        let text = small("store:\n", &format!("{top}store:\n")).replace(
            ROUTE,
            &format!("{ROUTE}    forward: {{token: vestibule, assertion: true}}\n{own}"),
        );
        let config = good(&text);
        assert_eq!(warned(&text), [] as [&str; 0]);
        (
            config.routes[0].token_algorithm,
            config.routes[0].forward.clone(),
        )
    };
    let (algorithm, forward) = with("tokens: {algorithm: RS256}\n", "");
    assert_eq!(algorithm, SigningAlgorithm::Rs256);
    assert_eq!(forward.token, ForwardToken::Vestibule);
    assert!(forward.assertion && forward.audience == "files");
    let own = with(
        "tokens: {algorithm: RS256}\n",
        "    token_algorithm: EdDSA\n",
    );
    assert_eq!(own.0, SigningAlgorithm::EdDsa);
}

#[test]
fn the_issuer_is_the_first_host_that_is_one() {
    let issuer = |hosts: &str| good(&small("[files.example.org]", hosts)).tokens.issuer;
    assert_eq!(issuer("[\"*.a.org\", b.org, c.org]"), "https://b.org");
    assert_eq!(issuer("[\"*\"]"), "vestibule");
}

#[test]
fn tokens_of_others_have_their_issuers_keys_and_rules() {
    let identity = |text: &str| good(&small("{accounts: {}}", text)).identities["local"].clone();
    let jwt = |text: &str| match identity(text) {
        Identity::Jwt(jwt) => jwt,
        other => panic!("{other:?}"),
    };
    let url = jwt(
        "{jwt: {jwks: {url: https://i.example/k}, issuer: i, audience: a, algorithms: [RS256, EdDSA]}}",
    );
    let refresh = secs(300);
    let expected = JwtKeys::Url {
        url: "https://i.example/k".to_owned(),
        refresh,
    };
    assert_eq!(url.keys, expected);
    assert_eq!(
        url.algorithms,
        [VerificationAlgorithm::Rs256, VerificationAlgorithm::EdDsa]
    );
    assert_eq!((url.issuer.as_str(), url.audience.as_str()), ("i", "a"));
    assert_eq!(url.leeway, secs(30));
    assert_eq!((url.claims.user.as_str(), url.claims.phone), ("sub", None));

    // On this machine, http will do; a query may be part of the address.
    let local = jwt(
        "{jwt: {jwks: {url: \"http://127.0.0.1:8/k?p=1\", refresh: 1h}, issuer: i, audience: a, algorithms: [ES256]}}",
    );
    assert!(matches!(local.keys, JwtKeys::Url { refresh, .. } if refresh == secs(3600)));
    let file = jwt("{jwt: {jwks: {file: keys.json}, issuer: i, audience: a, algorithms: [ES256]}}");
    assert!(matches!(file.keys, JwtKeys::Set(text) if text.contains("OKP")));
    let pem = jwt(
        "{jwt: {keys: [{file: issuer.pem, algorithm: PS512, kid: k}], issuer: i, audience: a, algorithms: [PS512]}}",
    );
    let JwtKeys::Pem(keys) = pem.keys else {
        panic!()
    };
    assert_eq!(keys[0].algorithm, VerificationAlgorithm::Ps512);
    assert_eq!(keys[0].kid.as_deref(), Some("k"));

    let text = "{introspection: {url: https://i.example/i, client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, claims: {user: username}}}";
    let Identity::Introspection(oauth) = identity(text) else {
        panic!()
    };
    assert_eq!(oauth.client_secret.expose(), "oauth-hunter2");
    assert_eq!((oauth.cache, oauth.audience), (secs(60), None));
    assert_eq!(oauth.claims.user, "username");
    assert!(!oauth.is_live);
    let Identity::Introspection(live) = identity(&text.replace("claims:", "live: true, claims:"))
    else {
        panic!()
    };
    assert!(live.is_live);
}

#[test]
fn rules_know_how_recent_where_and_who() {
    let rules = r#"    identity: local
    assurance: aal1
    rules:
      - {paths: [/pay/], require: two_factor, assurance: aal2}
      - {paths: [/pry/], require: two_factor, assurance: aal2, within: 10m, max_idle: 5m}
      - {paths: [/idle/], require: two_factor, max_idle: 15m}
      - {networks: [10.0.0.0/8, "fd00::/8", 192.0.2.7, "::ffff:172.16.0.0/108"], require: token}
      - {users: [anna, "0"], require: token}
      - {groups: [staff], require: deny}
"#;
    let route = &good(&small(ROUTE, rules)).routes[0];
    let two_factor = |within: Option<u64>, max_idle: Option<u64>| Requirement::TwoFactor {
        within: within.map(secs),
        max_idle: max_idle.map(secs),
    };
    assert_eq!(route.require, two_factor(Some(30 * 86_400), None));
    let asked: Vec<_> = route.rules.iter().map(|rule| rule.require).collect();
    assert_eq!(
        asked,
        [
            two_factor(Some(86_400), Some(3_600)),
            two_factor(Some(600), Some(300)),
            two_factor(None, Some(900)),
            Requirement::Token,
            Requirement::Token,
            Requirement::Deny,
        ]
    );
    let networks: Vec<_> = route.rules[3]
        .networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        networks,
        ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32", "172.16.0.0/12"]
    );
    let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    assert_eq!(route.rules[4].people, People::Users(texts(&["anna", "0"])));
    assert_eq!(route.rules[5].people, People::Groups(texts(&["staff"])));
    assert_eq!(route.rules[0].people, People::All);
    let lines: Vec<_> = route.rules.iter().map(|rule| rule.line).collect();
    assert_eq!(lines, [20, 21, 22, 23, 24, 25]);
    assert_eq!(route.line, 14);
}
