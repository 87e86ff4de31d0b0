//! Bad files, by what the operator reads.

use super::*;

#[test]
fn all_errors_come_at_once_each_with_its_place_and_mend() {
    let text = r#"listeners:
  - address: :8080
    forward_auth: maybe
timeout: {head: 10s}
timeouts: {head: 10, body: 0s}
store:
  url: postgres://u:hunter2@db/v
  key: {fil: store.key}
codes: {length: 3, totp_window: 11}
limits: {countries: [UK, dk]}
delivery:
  email: {smtp: "smtp://u:hunter2@mail.example.org", from: no-reply, username: files, timeout: 0s}
identities:
  local: {accounts: {}}
  staff: {jwt: {issuer: x, algorithms: [none]}}
upstreams:
  files:
    servers: ["http://127.0.0.1:5000"]
routes:
  - name: files
    hosts: [files.example.org:443]
    upstream: file
    identity: staff
    dialects: [iogates, conduit]
    rules:
      - {paths: [/public/*], require: none}
      - {paths: [], require: none}
      - {methods: [delete], require: tow_factor, within: 10m}
      - {paths: [/x], require: token, within: 10m}
    forward: {token: vestibul, audience: ""}
tokens: {issuer: files.example.org, algorithm: HS256, access_lifetime: 0s}
"#;
    let expected = [
        r#"c.yaml:2:14: listeners[0].address: ":8080" is not an IP address and a port: write it like 0.0.0.0:8080"#,
        "c.yaml:3:19: listeners[0].forward_auth: expected `true` or `false`, found another word",
        "c.yaml:4:1: timeout: unknown key: did you mean `timeouts`?",
        r#"c.yaml:5:18: timeouts.head: "10" is not a time: write a whole number and s, m, h or d, like 30s, 10m, 12h or 90d (at most 3650d)"#,
        "c.yaml:5:28: timeouts.body: must be longer than 0s",
        "c.yaml:7:8: store.url: PostgreSQL: not supported by this version: remove it",
        "c.yaml:8:9: store.key.fil: unknown key: did you mean `file`?",
        "c.yaml:9:17: codes.length: a code has 4 to 10 digits; 6 is usual",
        "c.yaml:9:33: codes.totp_window: an app's clock may be off by 0 to 10 steps of 30 s; 1 is usual",
        r#"c.yaml:10:22: limits.countries[0]: "UK": the United Kingdom is GB"#,
        "c.yaml:12:10: delivery.email.password: is missing: write {file: PATH}, or remove `username` where nobody signs in",
        "c.yaml:12:17: delivery.email.smtp: the URL has an `@`: write the name and password beside it, as `username` and `password`",
        r#"c.yaml:12:60: delivery.email.from: "no-reply" is not a sender, like "Files <no-reply@example.org>""#,
        "c.yaml:12:96: delivery.email.timeout: must be longer than 0s",
        "c.yaml:15:16: identities.staff.jwt: write where the issuer's keys are: either `jwks: {url: …}` or `keys: […]`",
        "c.yaml:15:16: identities.staff.jwt.audience: is missing: write this service's name at the issuer, or its tokens for others would be taken too",
        r#"c.yaml:15:41: identities.staff.jwt.algorithms[0]: "none": a token without a signature proves nothing: write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"#,
        r#"c.yaml:18:15: upstreams.files.servers[0]: "http://127.0.0.1:5000": write host:port; TLS is switched on by `tls: true`, a path cannot be set"#,
        r#"c.yaml:21:13: routes[0].hosts[0]: "files.example.org:443": hosts match without the port: remove it"#,
        r#"c.yaml:22:15: routes[0].upstream: there is no upstream "file"; defined: files (line 18)"#,
        r#"c.yaml:26:18: routes[0].rules[0].paths[0]: "/public/*": `*` is no wildcard here: a path that ends in / matches everything below it"#,
        "c.yaml:27:17: routes[0].rules[1].paths: is empty: write what the rule matches, or remove the key to match all",
        r#"c.yaml:28:20: routes[0].rules[2].methods[0]: "delete": write methods in upper case, like DELETE"#,
        r#"c.yaml:28:38: routes[0].rules[2].require: "tow_factor" is not one of the known words: did you mean `two_factor`?"#,
        "c.yaml:29:47: routes[0].rules[3].within: goes with `require: two_factor` only",
        r#"c.yaml:30:22: routes[0].forward.token: "vestibul" is not one of the known words: did you mean `vestibule`?"#,
        r#"c.yaml:30:42: routes[0].forward.audience: "" is not an audience: write a name or a URL, as the backend knows itself"#,
        r#"c.yaml:31:18: tokens.issuer: "files.example.org" is not an issuer: write a URL, like https://files.example.org"#,
        r#"c.yaml:31:48: tokens.algorithm: "HS256" is not one of the known words: did you mean `RS256`?"#,
        "c.yaml:31:72: tokens.access_lifetime: must be longer than 0s",
    ];
    let found = bad(text);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(!found.concat().contains("hunter2"));
}

#[test]
fn an_index_in_a_message_is_the_files_own() {
    let text = small(
        "    hosts: [files.example.org]",
        "    hosts: [{a: b}, files.example.org, \"a:80\"]",
    );
    let found = bad(&text);
    assert_eq!(
        found,
        [
            "c.yaml:15:13: routes[0].hosts[0]: expected a string, found a mapping",
            r#"c.yaml:15:40: routes[0].hosts[2]: "a:80": hosts match without the port: remove it"#,
        ]
    );
}

#[test]
fn what_is_wrong_is_reported_once() {
    // The upstream and the store's URL are there, only wrong: nothing says that they are missing.
    let text = small("files: {servers: [\"127.0.0.1:5000\"]}", "files: 5")
        .replace("sqlite:/var/lib/v.db", "[a]");
    let found = bad(&text);
    assert_eq!(
        found,
        [
            "c.yaml:4:8: store.url: expected a string, found a list",
            "c.yaml:12:10: upstreams.files: expected a mapping, like {key: value}, found a single value",
        ]
    );
}

#[test]
fn a_missing_key_is_named_where_it_should_be() {
    assert_eq!(
        bad("threads: 2\n"),
        [
            "c.yaml:1:1: listeners: is missing: write at least one, like `- address: 127.0.0.1:8080`",
            "c.yaml:1:1: store: is missing: write its `url` and `key`",
            "c.yaml:1:1: identities: is missing: write at least one, like `local: {accounts: {}}`",
            "c.yaml:1:1: upstreams: is missing: write at least one, like `files: {servers: [\"127.0.0.1:5000\"]}`",
            "c.yaml:1:1: routes: is missing: write at least one, or nothing is served",
        ]
    );
}

/// One fault each: the replaced text, its replacement, and how the one error begins and what it tells.
/// The text that is replaced in `SMALL`, its replacement, the place of the one error, and what it tells.
#[rustfmt::skip]
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("store:", "portal: {prefix: \"portal\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"/\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"/a/\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"/a//b\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"/a b\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"/a/../b\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"/%41\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    ("store:", "portal: {prefix: \"\"}\nstore:", "3:18: portal.prefix", "like /.vestibule"),
    (ROUTE, "    identity: local\n    credentials: [{path: \"/.vestibule/{token}\"}]\n", "1:1: portal.prefix", "nothing below the prefix is forwarded"),
    ("{accounts: {}}", "{learn: {endpoint: /.vestibule, token: /t, user: /u}}", "1:1: portal.prefix", "nothing below the prefix is forwarded"),
    ("store:", "portal: {name: \" \"}\nstore:", "3:16: portal.name", "is empty"),
    ("store:", "portal: {support: \"a\\nb\"}\nstore:", "3:19: portal.support", "one line"),
    ("store:", "portal: {logo: nowhere.svg}\nstore:", "3:16: portal.logo", "cannot read nowhere.svg"),
    ("store:", "portal: {logo: large.svg}\nstore:", "3:16: portal.logo", "at most 256"),
    ("store:", "portal: {logo: logo.gif}\nstore:", "3:16: portal.logo", "no PNG, SVG, WebP or JPEG"),
    ("store:", "portal: {colors: {light: {accent: blue}}}\nstore:", "3:35: portal.colors.light.accent", "#rrggbb"),
    ("store:", "portal: {colours: {}}\nstore:", "3:10: portal.colours", "colors"),
    ("127.0.0.1:8080", "localhost:8080", "2:14: listeners[0].address", "write it like 127.0.0.1:8080"),
    ("127.0.0.1:8080", "127.0.0.1:8080\n    tls: {certificates: []}", "3:25: listeners[0].tls.certificates", "is empty"),
    ("127.0.0.1:8080", "127.0.0.1:8080\n    tls: {certificates: [{cert: a.pem, key: /etc/vestibule/tls/files.key}]}", "3:33: listeners[0].tls.certificates[0].cert", "cannot read a.pem"),
    ("127.0.0.1:8080", "127.0.0.1:8080\n    tls: {certificates: [{cert: /etc/vestibule/tls/files.pem}]}", "3:26: listeners[0].tls.certificates[0].key", "is missing: name the PEM file"),
    ("127.0.0.1:8080", "127.0.0.1:8080\n  - address: 0.0.0.0:8080", "3:14: listeners[1].address", "0.0.0.0:8080 clashes with 127.0.0.1:8080 (line 2)"),
    ("store:", "admin: {address: 127.0.0.1:8080}\nstore:", "3:18: admin.address", "clashes with 127.0.0.1:8080 (line 2)"),
    ("store:", "trusted_proxies: [10.0.0.0/33]\nstore:", "3:19: trusted_proxies[0]", "write it like 10.0.0.0/8"),
    ("store:", "threads: many\nstore:", "3:10: threads", "a whole number"),
    ("store:", "threads: 70000\nstore:", "3:10: threads", "out of range"),
    ("store:", "threads: \"2\"\nstore:", "3:10: threads", "without quotes"),
    ("store:", "connections: {max: 0}\nstore:", "3:20: connections.max", "must be more than 0"),
    ("store:", "connections: {per_address_max: 0}\nstore:", "3:32: connections.per_address_max", "must be more than 0"),
    ("store:", "log: {json: yes}\nstore:", "3:13: log.json", "`true` or `false`"),
    ("store:", "log: {level: inof}\nstore:", "3:14: log.level", "write error, warn, info, debug or trace"),
    ("store:", "traces: {sample: 1}\nstore:", "3:9: traces.otlp", "is missing: write the collector's address"),
    ("store:", "traces: {otlp: \"collector:4318\"}\nstore:", "3:16: traces.otlp", "starts with https:// or http://"),
    ("store:", "traces: {otlp: \"https://u:hunter2@c/v1/traces\"}\nstore:", "3:16: traces.otlp", "into `headers`"),
    ("store:", "traces: {otlp: \"http://127.0.0.1:4318/v1/traces\", sample: 1.5}\nstore:", "3:59: traces.sample", "a share from 0 to 1"),
    ("store:", "traces: {otlp: \"http://127.0.0.1:4318/v1/traces\", sample: NaN}\nstore:", "3:59: traces.sample", "a share from 0 to 1"),
    ("store:", "traces: {otlp: \"http://127.0.0.1:4318/v1/traces\", service_name: \"\"}\nstore:", "3:65: traces.service_name", "is empty"),
    ("store:", "traces: {otlp: \"http://127.0.0.1:4318/v1/traces\", headers: {host: a}}\nstore:", "3:67: traces.headers.host", "host"),
    ("store:", "traces:\nstore:", "3:7: traces", "is empty"),
    ("store:", "limits:\nstore:", "3:7: limits", "is empty: write a value, or remove the key"),
    ("sqlite:/var/lib/v.db", "mysql://u:hunter2@h/d", "4:8: store.url", "write sqlite:PATH or memory:"),
    ("sqlite:/var/lib/v.db", "sqlite:///var/lib/v.db", "4:8: store.url", "write the path alone"),
    ("sqlite:/var/lib/v.db", "\"sqlite:${NO}/v.db\"", "4:8: store.url", "the environment variable NO is not set"),
    ("{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}", "{file: no.key}", "5:15: store.key.file", "cannot read no.key"),
    ("{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}", "{env: NO}", "5:14: store.key.env", "the environment variable NO is not set"),
    ("{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}", "{file: a, env: b}", "5:8: store.key", "write either {file: PATH} or {env: NAME}"),
    ("{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}", "hunter2", "5:8: store.key", "made by `vestibule key generate`; it is not base64"),
    ("{file: \"${CREDENTIALS_DIRECTORY}/store.key\"}", "aHVudGVyMg==", "5:8: store.key", "must be 32 bytes in base64, as made by `vestibule key generate`; it has 7 bytes"),
    ("AC0000", "AD0000", "8:29: delivery.sms[0].twilio.account_sid", "AC and 32 hex digits"),
    ("\"+15005550006\"", "Files", "8:109: delivery.sms[0].twilio.from", "an E.164 number"),
    ("\"+15005550006\"", "+15005550006, url: ftp://a", "8:128: delivery.sms[0].twilio.url", "https:// or http://"),
    ("    - twilio", "    - {}\n    - twilio", "8:7: delivery.sms[0]", "write either `twilio: {…}` or `http: {…}`"),
    ("    - twilio", "    - http: {url: https://a/, query: {to: \"{phone}\"}}\n    - twilio", "8:13: delivery.sms[0].http", "no value has {text}"),
    ("    - twilio", "    - http: {url: https://a/, query: {to: \"{text}\"}}\n    - twilio", "8:13: delivery.sms[0].http", "no value has {phone}"),
    ("    - twilio", "    - http: {url: \"https://a/?key=hunter2\", form: {to: \"{phone}{text}\"}}\n    - twilio", "8:19: delivery.sms[0].http.url", "put its parameters into `query`"),
    ("    - twilio", "    - http: {url: https://a/, json: '{\"to\": \"{phone}\", {text}}'}\n    - twilio", "8:37: delivery.sms[0].http.json", "is not JSON"),
    ("    - twilio", "    - http: {url: https://a/, method: GET, form: {to: \"{phone}{text}\"}}\n    - twilio", "8:39: delivery.sms[0].http.method", "a GET has no body"),
    ("    - twilio", "    - http: {url: https://a/, headers: {\"a b\": \"{phone}{text}\"}}\n    - twilio", "8:48: delivery.sms[0].http.headers.\"a b\"", "is not a header name"),
    ("identities:", "  email: {from: a@b}\nidentities:", "9:10: delivery.email.smtp", "is missing: write the server"),
    ("identities:", "  email: {smtp: \"smtps://a\"}\nidentities:", "9:10: delivery.email.from", "is missing: write the sender"),
    ("identities:", "  email: {smtp: [a], from: a@b}\nidentities:", "9:17: delivery.email.smtp", "expected a string"),
    ("identities:", "  email: {smtp: mail.example.org, from: a@b}\nidentities:", "9:17: delivery.email.smtp", "like smtps://mail.example.org"),
    ("identities:", "  email: {smtp: \"http://a\", from: a@b}\nidentities:", "9:17: delivery.email.smtp", "starts with smtps://"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: \"a@b, c@d\"}\nidentities:", "9:36: delivery.email.from", "is not a sender"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, password: {env: TWILIO_AUTH_TOKEN}}\nidentities:", "9:10: delivery.email.username", "is missing: write it, or remove `password`"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, username: \"a\\0b\", password: {env: TWILIO_AUTH_TOKEN}}\nidentities:", "9:51: delivery.email.username", "a name that a server could know"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, username: a, password: {file: no.password}}\nidentities:", "9:71: delivery.email.password.file", "cannot read no.password"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, ca: no.pem}\nidentities:", "9:45: delivery.email.ca", "cannot read no.pem"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, ca: /etc/vestibule/tls/files.pem}\nidentities:", "9:45: delivery.email.ca", "is not a PEM file of certificates"),
    ("identities:", "  email: {smtp: \"smtp://127.0.0.1\", from: a@b, ca: /etc/vestibule/tls/files.pem}\nidentities:", "9:52: delivery.email.ca", "has no effect"),
    ("identities:", "  email: {smtp: \"smtps://a\", from: a@b, tls: true}\nidentities:", "9:41: delivery.email.tls", "unknown key"),
    ("{accounts: {}}", "{}", "10:10: identities.local", "write one of `learn: {…}`, `accounts: {}`, `jwt: {…}`"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"http://i.example/k\"}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:29: identities.local.jwt.jwks.url", "write https://"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"ftp://i.example/k\"}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:29: identities.local.jwt.jwks.url", "starts with https://"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://u:hunter2@i.example/k\"}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:29: identities.local.jwt.jwks.url", "has an `@`"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k#a\"}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:29: identities.local.jwt.jwks.url", "without `#`"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\", refresh: 0s}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:61: identities.local.jwt.jwks.refresh", "must be longer than 0s"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\", refresh: 2d}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:61: identities.local.jwt.jwks.refresh", "at most 1d"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\", file: keys.json}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:23: identities.local.jwt.jwks", "either `url: https://…` or `file: PATH`"),
    ("{accounts: {}}", "{jwt: {jwks: {}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:23: identities.local.jwt.jwks", "either `url: https://…` or `file: PATH`"),
    ("{accounts: {}}", "{jwt: {jwks: {file: keys.json, refresh: 5m}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:50: identities.local.jwt.jwks.refresh", "goes with `url` only"),
    ("{accounts: {}}", "{jwt: {jwks: {file: nothing.json}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:30: identities.local.jwt.jwks.file", "cannot read nothing.json"),
    ("{accounts: {}}", "{jwt: {jwks: {file: no-keys.json}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:30: identities.local.jwt.jwks.file", "is no JWK set with a key"),
    ("{accounts: {}}", "{jwt: {jwks: {file: issuer.pem}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:30: identities.local.jwt.jwks.file", "is no JWK set with a key"),
    ("{accounts: {}}", "{jwt: {keys: [], issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:23: identities.local.jwt.keys", "is empty"),
    ("{accounts: {}}", "{jwt: {keys: [{file: private.pem, algorithm: RS256}], issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:31: identities.local.jwt.keys[0].file", "is no public key"),
    ("{accounts: {}}", "{jwt: {keys: [{file: issuer.pem, algorithm: HS256}], issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:54: identities.local.jwt.keys[0].algorithm", "can also make one"),
    ("{accounts: {}}", "{jwt: {keys: [{file: issuer.pem, algorithm: ES256}], issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:54: identities.local.jwt.keys[0].algorithm", "add it to `algorithms`"),
    ("{accounts: {}}", "{jwt: {keys: [{file: issuer.pem}], issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:24: identities.local.jwt.keys[0].algorithm", "is missing"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, keys: [{file: issuer.pem, algorithm: RS256}], issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:16: identities.local.jwt", "either `jwks: {url: …}` or `keys: […]`"),
    ("{accounts: {}}", "{jwt: {issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:16: identities.local.jwt", "where the issuer's keys are"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, audience: a, algorithms: [RS256], claims: {phone: p}}}", "10:16: identities.local.jwt.issuer", "is missing"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, algorithms: [RS256], claims: {phone: p}}}", "10:16: identities.local.jwt.audience", "is missing"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: \"\", algorithms: [RS256], claims: {phone: p}}}", "10:74: identities.local.jwt.audience", "is empty"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, claims: {phone: p}}}", "10:16: identities.local.jwt.algorithms", "is missing"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [], claims: {phone: p}}}", "10:89: identities.local.jwt.algorithms", "is empty"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [none], claims: {phone: p}}}", "10:90: identities.local.jwt.algorithms[0]", "without a signature proves nothing"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [RS256, HS256], claims: {phone: p}}}", "10:97: identities.local.jwt.algorithms[1]", "whoever can verify such a token can also make one"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [rs256], claims: {phone: p}}}", "10:90: identities.local.jwt.algorithms[0]", "write some of RS256, "),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, leeway: 1h, algorithms: [RS256], claims: {phone: p}}}", "10:85: identities.local.jwt.leeway", "at most 5m"),
    ("{accounts: {}}", "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: \"\"}}}", "10:114: identities.local.jwt.claims.phone", "the name of a claim"),
    ("{accounts: {}}", "{introspection: {url: \"http://i.example/i\", client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, audience: a, claims: {phone: p}}}", "10:32: identities.local.introspection.url", "write https://"),
    ("{accounts: {}}", "{introspection: {client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, audience: a, claims: {phone: p}}}", "10:26: identities.local.introspection.url", "is missing"),
    ("{accounts: {}}", "{introspection: {url: \"https://i.example/i\", client: {id: c}, audience: a, claims: {phone: p}}}", "10:63: identities.local.introspection.client.secret", "is missing"),
    ("{accounts: {}}", "{introspection: {url: \"https://i.example/i\", client: {id: \"\", secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, audience: a, claims: {phone: p}}}", "10:68: identities.local.introspection.client.id", "is empty"),
    ("{accounts: {}}", "{introspection: {url: \"https://i.example/i\", client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, audience: a, cache: 0s, claims: {phone: p}}}", "10:149: identities.local.introspection.cache", "must be longer than 0s"),
    ("{accounts: {}}", "{introspection: {url: \"https://i.example/i\", client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, audience: a, cache: 2h, claims: {phone: p}}}", "10:149: identities.local.introspection.cache", "at most 1h"),
    ("{accounts: {}}", "{account: {}}", "10:11: identities.local.account", "did you mean `accounts`?"),
    ("{accounts: {}}", "{learn: {endpoint: api, token: /t, user: /u, phone: /p}}", "10:29: identities.local.learn.endpoint", "a path starts with `/`"),
    ("{accounts: {}}", "{learn: {endpoint: /api, token: t, user: /u, phone: /p}}", "10:42: identities.local.learn.token", "is not a JSON pointer"),
    ("{accounts: {}}", "{learn: {endpoint: /api, token: /t, user: /u, phone: /~2}}", "10:63: identities.local.learn.phone", "write ~ as ~0"),
    ("{accounts: {}}", "{learn: {endpoint: /api, token: /t, phone: /p}}", "10:18: identities.local.learn.user", "is missing: write a JSON pointer"),
    ("[\"127.0.0.1:5000\"]", "[]", "12:20: upstreams.files.servers", "is empty"),
    ("[\"127.0.0.1:5000\"]", "[\"127.0.0.1:5000\"], tls: true", "12:45: upstreams.files.tls", "write `tls: {server_name: NAME}`"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\", \"b.org:5000\"], tls: true", "12:55: upstreams.files.tls", "the servers have different names"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\"], tls: {server_name: \"\"}", "12:55: upstreams.files.tls.server_name", "write a host name"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\"], headers: {X-Vestibule-User: a}", "12:64: upstreams.files.headers.X-Vestibule-User", "Vestibule sets these headers itself"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\"], headers: {Content-Length: a}", "12:62: upstreams.files.headers.Content-Length", "the proxy's own"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\"], headers: {Host: a}", "12:52: upstreams.files.headers.Host", "write `host:`"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\"], headers: {a: \"hunter2\\n\"}", "12:49: upstreams.files.headers.a", "cannot carry"),
    ("[\"127.0.0.1:5000\"]", "[\"a.org:5000\"], timeouts: {read: 0s}", "12:53: upstreams.files.timeouts.read", "must be longer than 0s"),
    ("name: files", "name: my files", "14:11: routes[0].name", "write up to 64 letters"),
    ("    upstream: files\n", "", "14:5: routes[0].upstream", "is missing: write a name of `upstreams`"),
    ("identity: local", "identity: loca", "17:15: routes[0].identity", "there is no identity \"loca\"; defined: local (line 10)"),
    (ROUTE, "    identity: local\n    credentials: []\n", "18:18: routes[0].credentials", "is empty"),
    (ROUTE, "    identity: local\n    credentials: [bearer, bearer]\n", "18:27: routes[0].credentials[1]", "twice"),
    (ROUTE, "    identity: local\n    credentials: [barer]\n", "18:19: routes[0].credentials[0]", "write bearer, basic, {cookie: NAME}"),
    (ROUTE, "    identity: local\n    credentials: [{cookie: vestibule_device}]\n", "18:28: routes[0].credentials[0].cookie", "Vestibule's own"),
    (ROUTE, "    identity: local\n    credentials: [{query: deviceId}]\n", "18:27: routes[0].credentials[0].query", "a token cannot travel in it"),
    (ROUTE, "    identity: local\n    credentials: [{path: \"/s/{id}\"}]\n", "18:26: routes[0].credentials[0].path", "the last segment must be {token}"),
    (ROUTE, "    identity: local\n    forward: {token: vestibul}\n", "18:22: routes[0].forward.token", "did you mean `vestibule`?"),
    (ROUTE, "    identity: local\n    forward: {assertion: true, audience: \"a\\nb\"}\n", "18:42: routes[0].forward.audience", "a name or a URL"),
    (ROUTE, "    identity: local\n    token_algorithm: HS256\n", "18:22: routes[0].token_algorithm", "is not one of the known words"),
    ("store:\n", "tokens: {issuer: files.example.org}\nstore:\n", "3:18: tokens.issuer", "write a URL, like https://"),
    ("store:\n", "tokens: {issuer: \"https://a.org/?x\"}\nstore:\n", "3:18: tokens.issuer", "write a URL, like https://"),
    ("store:\n", "tokens: {algorithm: HS256}\nstore:\n", "3:21: tokens.algorithm", "is not one of the known words"),
    ("store:\n", "tokens: {access_lifetime: 0s}\nstore:\n", "3:27: tokens.access_lifetime", "must be longer than 0s"),
    ("store:\n", "tokens: {refresh_lifetime: 30}\nstore:\n", "3:28: tokens.refresh_lifetime", "is not a time"),
    (ROUTE, "    identity: local\n    phone_region: DNK\n", "18:19: routes[0].phone_region", "two letters of ISO 3166"),
    (ROUTE, "    identity: local\n    cors: {origins: [\"*\"]}\n", "18:22: routes[0].cors.origins[0]", "name each origin"),
    (ROUTE, "    identity: local\n    rules: [{paths: [/a/../b], require: none}]\n", "18:22: routes[0].rules[0].paths[0]", "without `.` and `..`"),
    (ROUTE, "    identity: local\n    rules: [{paths: , require: none}]\n", "18:19: routes[0].rules[0].paths", "is empty"),
    (ROUTE, "    identity: local\n    rules: [{paths: [/a]}]\n", "18:13: routes[0].rules[0].require", "is missing"),
    (ROUTE, "    identity: local\n    rules: [{require: two_factor, within: 0s}]\n", "18:43: routes[0].rules[0].within", "must be longer than 0s"),
    (ROUTE, "    identity: local\n    rules: [{users: [anna], require: none}]\n", "18:38: routes[0].rules[0].require", "a token tells who asks"),
    (ROUTE, "    identity: local\n    rules: [{users: [anna], groups: [staff], require: token}]\n", "18:21: routes[0].rules[0].users", "write a rule for each"),
    (ROUTE, "    identity: local\n    rules: [{groups: [], require: token}]\n", "18:22: routes[0].rules[0].groups", "is empty"),
    (ROUTE, "    identity: local\n    rules: [{groups: [\" a\"], require: token}]\n", "18:23: routes[0].rules[0].groups[0]", "is not a group's name"),
    (ROUTE, "    identity: local\n    rules: [{users: [\"share:1\"], require: token}]\n", "18:22: routes[0].rules[0].users[0]", "stands for whoever has a share link"),
    (ROUTE, "    identity: local\n    rules: [{networks: [10.0.0.1/8], require: token}]\n", "18:25: routes[0].rules[0].networks[0]", "write 10.0.0.0/8, or 10.0.0.1 alone"),
    (ROUTE, "    identity: local\n    rules: [{networks: [ten], require: token}]\n", "18:25: routes[0].rules[0].networks[0]", "is not a network"),
    (ROUTE, "    identity: local\n    rules: [{require: two_factor, assurance: aal3}]\n", "18:46: routes[0].rules[0].assurance", "a key in hardware"),
    (ROUTE, "    identity: local\n    rules: [{require: two_factor, assurance: aal4}]\n", "18:46: routes[0].rules[0].assurance", "write aal1 or aal2"),
    (ROUTE, "    identity: local\n    rules: [{require: two_factor, assurance: aal2, within: 25h}]\n", "18:60: routes[0].rules[0].within", "longer than the 1d"),
    (ROUTE, "    identity: local\n    rules: [{require: two_factor, assurance: aal2, max_idle: 2h}]\n", "18:62: routes[0].rules[0].max_idle", "longer than the 1h"),
    (ROUTE, "    identity: local\n    rules: [{require: two_factor, max_idle: 0s}]\n", "18:45: routes[0].rules[0].max_idle", "must be longer than 0s"),
    (ROUTE, "    identity: local\n    rules: [{require: token, max_idle: 1h}]\n", "18:40: routes[0].rules[0].max_idle", "goes with `require: two_factor` only"),
    (ROUTE, "    identity: local\n    rules: [{require: deny, assurance: aal2}]\n", "18:40: routes[0].rules[0].assurance", "goes with `require: two_factor` only"),
    (ROUTE, "    identity: local\n    require: token\n    within: 10m\n", "19:13: routes[0].within", "goes with `require: two_factor` only"),
    ("{accounts: {}}", "{learn: {endpoint: /api, token: /t, user: /u, phone: /p, groups: g}}", "10:75: identities.local.learn.groups", "is not a JSON pointer"),
    (ROUTE, "    identity: local\n  - {name: files, hosts: [b.org], upstream: files, identity: local}\n", "18:12: routes[1].name", "there is a route \"files\" already (line 14)"),
    (ROUTE, "    identity: local\n  - {name: b, hosts: [FILES.example.org.], upstream: files, identity: local}\n", "18:23: routes[1].hosts[0]", "is taken already (line 15)"),
];

#[test]
fn each_fault_has_its_message() {
    let mut wrong = Vec::new();
    for (from, to, place, mend) in FAULTS {
        let found = bad(&small(from, to));
        let is_right = |found: &String| {
            found.starts_with(&format!("c.yaml:{place}: ")) && found.contains(mend)
        };
        if found.len() != 1 || !found.iter().all(is_right) || found.concat().contains("hunter2") {
            wrong.push(format!("{to:?}\n  is {found:#?}\n not {place}: … {mend}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn passwords_need_somebody_who_knows_them() {
    let route = "    identity: local\n    credentials: [bearer, basic]\n";
    let with = |identity: &str| small(ROUTE, route).replace("{accounts: {}}", identity);
    let own = good(&with("{accounts: {}}"));
    assert!(
        !own.routes[0].forward.passwords,
        "of no use to the upstream"
    );
    let forwarded = with("{accounts: {}}") + "    forward: {token: original}\n";
    assert!(good(&forwarded).routes[0].forward.passwords);
    let probed = "{learn: {endpoint: /api, token: /t, user: /u, phone: /p, probe: /me}}";
    assert!(good(&with(probed)).routes[0].forward.passwords);
    for (identity, wanted) in [
        (
            "{learn: {endpoint: /api, token: /t, user: /u, phone: /p}}",
            "needs a `probe`",
        ),
        (
            "{jwt: {jwks: {url: \"https://i.example/k\"}, issuer: i, audience: a, algorithms: [RS256], claims: {phone: p}}}",
            "goes with `accounts` and `learn` only",
        ),
        (
            "{introspection: {url: \"https://i.example/i\", client: {id: c, secret: {file: \"${CREDENTIALS_DIRECTORY}/oauth.secret\"}}, audience: a, claims: {phone: p}}}",
            "goes with `accounts` and `learn` only",
        ),
    ] {
        let found = bad(&with(identity));
        assert_eq!(found.len(), 1, "{found:#?}");
        let place = "c.yaml:18:27: routes[0].credentials[1]: ";
        assert!(found[0].starts_with(place), "{found:#?}");
        assert!(found[0].contains(wanted), "{found:#?}");
    }
}
