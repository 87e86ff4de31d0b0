//! What rules for people and networks mean for our own endpoints: dialect × rule × endpoint. Of whom no
//! path asks a second factor, nobody says that one is needed; to whom every path is closed, so are these.

use super::*;
use crate::auth::fixture::START;
use crate::auth::ports::{Oversight as _, UserChange};
use crate::config::model::{People, Rule};
use crate::gate::{Decision, Presented, Question, Refusal};
use crate::policy::{self, Reach, Target};

const TOKEN: &str = "token-of-d1";
const FRESH: Requirement = two_factor(Some(600), None);
const BUSY: Requirement = two_factor(None, Some(300));
/// NIST SP 800-63B-4, as the config reads it.
const AAL2: Requirement = two_factor(Some(86_400), Some(3_600));

const fn two_factor(within: Option<u64>, max_idle: Option<u64>) -> Requirement {
    const fn span(secs: Option<u64>) -> Option<Duration> {
        match secs {
            Some(secs) => Some(Duration::from_secs(secs)),
            None => None,
        }
    }
    Requirement::TwoFactor {
        within: span(within),
        max_idle: span(max_idle),
    }
}

/// What a rule comes to for ann.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Asked,
    NotAsked,
    Closed,
}

/// A route that asks of everybody what `rest` says, but for ann, who is at 192.0.2.1 and in the group
/// staff.
struct Case {
    name: &'static str,
    rule: Rule,
    rest: Requirement,
    comes: Comes,
}

/// What is everybody's stands before all cases.
fn open() -> Rule {
    Rule {
        paths: texts(&["/public/"]),
        ..Rule::of(Requirement::Nothing)
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn cases() -> Vec<Case> {
    let user = |name: &str| People::Users(texts(&[name]));
    let group = |name: &str| People::Groups(texts(&[name]));
    let of = |people: People, require| Rule {
        people,
        ..Rule::of(require)
    };
    let network = |network: &str, require| Rule {
        networks: vec![network.parse().unwrap()],
        ..Rule::of(require)
    };
    let on = |path: &str, rule: Rule| Rule {
        paths: texts(&[path]),
        ..rule
    };
    let case = |name, rule, rest, comes| Case {
        name,
        rule,
        rest,
        comes,
    };
    use Comes::{Asked, Closed, NotAsked};
    use Requirement::{Deny, Nothing, Token};
    const FACTOR: Requirement = Requirement::TWO_FACTOR;
    vec![
        case(
            "token for the user",
            of(user("ann"), Token),
            FACTOR,
            NotAsked,
        ),
        case("token for another", of(user("bob"), Token), FACTOR, Asked),
        case(
            "token for the group",
            of(group("staff"), Token),
            FACTOR,
            NotAsked,
        ),
        case(
            "token in the network",
            network("192.0.2.0/24", Token),
            FACTOR,
            NotAsked,
        ),
        case(
            "token elsewhere",
            network("10.0.0.0/8", Token),
            FACTOR,
            Asked,
        ),
        case(
            "none in the network",
            network("192.0.2.0/24", Nothing),
            FACTOR,
            NotAsked,
        ),
        case("factor for the user", of(user("ann"), FACTOR), Token, Asked),
        case(
            "factor for the group",
            of(group("staff"), FACTOR),
            Token,
            Asked,
        ),
        case(
            "factor for others",
            of(group("guests"), FACTOR),
            Token,
            NotAsked,
        ),
        case(
            "factor in the network",
            network("192.0.2.1/32", FACTOR),
            Token,
            Asked,
        ),
        case(
            "factor on a path",
            on("/in/", of(group("staff"), FACTOR)),
            Token,
            Asked,
        ),
        case("within", of(user("ann"), FRESH), Token, Asked),
        case("max_idle", of(group("staff"), BUSY), Token, Asked),
        case("assurance", of(group("staff"), AAL2), Token, Asked),
        case("closed to the user", of(user("ann"), Deny), FACTOR, Closed),
        case(
            "closed to the group",
            of(group("staff"), Deny),
            FACTOR,
            Closed,
        ),
        case("closed to others", of(group("guests"), Deny), FACTOR, Asked),
        case(
            "closed in the network",
            network("192.0.2.0/24", Deny),
            Token,
            Closed,
        ),
        case(
            "closed on a path",
            on("/in/", of(user("ann"), Deny)),
            FACTOR,
            Asked,
        ),
        case("closed to all", of(user("bob"), Token), Deny, Closed),
    ]
}

/// A site of the case, where ann has a number and an address, and a token on d1.
async fn site(case: &Case, dialect: Dialect) -> Site {
    let (rule, rest) = (case.rule.clone(), case.rest);
    let site = Site::with(World::new(), |config| {
        config.dialects = vec![dialect];
        config.rules = vec![open(), rule];
        config.require = rest;
        config.self_enrolment = true;
    });
    let world = site.world();
    let ann = world.user("ann", "right", Some(PHONE)).await;
    let change = UserChange {
        groups: Some(texts(&["staff"])),
        ..UserChange::default()
    };
    let put = world.store.change_user(ann, change, START).await;
    assert!(put.unwrap());
    world.caller(ann, "d1").await;
    site
}

/// What ann's client asks, and what it is told: by what the rule comes to, the status, a word of the body,
/// and how many codes are on their way then. Those to whom all is closed get 403, and no code.
struct Row {
    dialect: Dialect,
    method: Method,
    path: &'static str,
    body: &'static str,
    asked: (u16, &'static str, usize),
    not_asked: (u16, &'static str, usize),
}

const fn row(
    dialect: Dialect,
    method: Method,
    path: &'static str,
    body: &'static str,
    asked: (u16, &'static str, usize),
    not_asked: (u16, &'static str, usize),
) -> Row {
    Row {
        dialect,
        method,
        path,
        body,
        asked,
        not_asked,
    }
}

/// A call that is answered alike whether a factor is asked for or not.
const fn alike(
    dialect: Dialect,
    method: Method,
    path: &'static str,
    body: &'static str,
    told: (u16, &'static str, usize),
) -> Row {
    row(dialect, method, path, body, told, told)
}

const SIGN_IN: &str = r#"{"username":"ann","password":"right","deviceId":"d2"}"#;
const IOGATES: Dialect = Dialect::IoGates;
const ZIIK: Dialect = Dialect::Ziik;
const B2CORE: Dialect = Dialect::B2Core;
const CONDUIT: Dialect = Dialect::Conduit;
const GET: Method = Method::GET;
const POST: Method = Method::POST;

const ROWS: &[Row] = &[
    alike(
        IOGATES,
        POST,
        "/api/authtoken",
        SIGN_IN,
        (200, "\"token\":", 0),
    ),
    row(
        IOGATES,
        GET,
        "/api/apiauth/twofactorsms/token-of-d1",
        "",
        (200, "\"auth_required\":true", 1),
        (200, "\"auth_required\":false", 0),
    ),
    alike(
        IOGATES,
        GET,
        "/api/apiauth/twofactorsms/token-of-d1?fresh=true",
        "",
        (200, "\"auth_required\":true", 1),
    ),
    alike(
        IOGATES,
        GET,
        "/api/apiauth/twofactorsms/token-of-d1?authcode=123456",
        "",
        (404, "message", 0),
    ),
    // Ziik's calls name no need: they show and change settings, and send a code when asked for one.
    alike(
        ZIIK,
        GET,
        "/api/two-factor",
        "",
        (200, "\"method\":\"sms\"", 0),
    ),
    alike(
        ZIIK,
        GET,
        "/api/two-factor/secret",
        "",
        (200, "secret_key", 0),
    ),
    alike(
        ZIIK,
        POST,
        "/api/two-factor/send-verification",
        "",
        (204, "", 1),
    ),
    alike(
        ZIIK,
        POST,
        "/api/two-factor/verify",
        r#"{"key":"123456"}"#,
        (409, "message", 0),
    ),
    alike(
        ZIIK,
        Method::PATCH,
        "/api/two-factor",
        r#"{"method":""}"#,
        (403, "second factor", 0),
    ),
    row(
        B2CORE,
        POST,
        "/api/v2/my/signin",
        r#"{"username":"ann","password":"right","uuid":"UUID"}"#,
        (200, "2fa_sms_auth", 1),
        (202, "accessToken", 0),
    ),
    alike(
        B2CORE,
        POST,
        "/api/v2/my/signin",
        r#"{"username":"ann","password":"right","fresh":true,"uuid":"UUID"}"#,
        (200, "2fa_sms_auth", 1),
    ),
    alike(B2CORE, GET, "/api/v2/my/2fa", "", (200, "total", 0)),
    alike(
        B2CORE,
        GET,
        "/api/v2/my/2fa/challenge",
        "",
        (200, "expiresAt", 1),
    ),
    alike(
        B2CORE,
        GET,
        "/api/v2/my/2fa/sms/disable/wizard",
        "",
        (403, "second factor", 0),
    ),
    row(
        CONDUIT,
        POST,
        "/authentication/twoFa/authorize",
        "",
        (200, "\"method\":\"sms\"", 1),
        (200, "2FA disabled", 0),
    ),
    alike(
        CONDUIT,
        POST,
        "/authentication/twoFa/authorize",
        r#"{"fresh":true}"#,
        (200, "\"method\":\"sms\"", 1),
    ),
    alike(
        CONDUIT,
        POST,
        "/authentication/twoFa/verify",
        r#"{"code":"123456"}"#,
        (404, "message", 0),
    ),
    alike(
        CONDUIT,
        POST,
        "/authentication/twoFa/recover",
        r#"{"code":"12345678"}"#,
        (401, "wrong code", 0),
    ),
    alike(
        CONDUIT,
        GET,
        "/authentication/twoFa/generate",
        "",
        (403, "second factor", 0),
    ),
];

impl Site {
    async fn of_ann(&self, row: &Row) -> Answer {
        let mut body = row.body.to_owned();
        if body.contains("UUID") {
            let opened = self.answer(self.call(Method::GET, row.path)).await;
            let uuid = opened.json()["uuid"].as_str().unwrap().to_owned();
            body = body.replace("UUID", &uuid);
        }
        let signs_in = body.contains("password");
        let call = self.call(row.method.clone(), row.path).json(&body);
        self.answer(match signs_in {
            true => call,
            false => call.bearer(TOKEN),
        })
        .await
    }

    /// What the gate says of ann's token on d1.
    async fn decide(&self, path: &str) -> Decision {
        let question = Question {
            realm: REALM,
            keys: &self.route.keys,
            demand: policy::required(Target {
                route: &self.route.config,
                method: &Method::GET,
                reach: Reach::Itself,
                path,
                destination: None,
                address: "192.0.2.1".parse().unwrap(),
            }),
            presented: Some(Presented {
                token: TOKEN,
                device: Some("d1"),
            }),
            success_token: None,
            path,
            destination: None,
            is_background: false,
        };
        self.local.gate.admit(&question).await
    }
}

#[tokio::test]
async fn each_dialect_says_to_each_what_the_rules_ask_of_them() {
    for case in cases() {
        for row in ROWS {
            let site = site(&case, row.dialect).await;
            let (status, text, sent) = match case.comes {
                Comes::Asked => row.asked,
                Comes::NotAsked => row.not_asked,
                Comes::Closed => (403, "closed to you", 0),
            };
            let told = site.of_ann(row).await;
            let shown = format!("{}: {} {} {}", case.name, row.method, row.path, row.body);
            assert_eq!(told.status(), status, "{shown}: {}", told.text());
            assert!(told.text().contains(text), "{shown}: {}", told.text());
            assert_eq!(site.world().inbox.count(), sent, "{shown}");
        }
    }
}

/// What the endpoints say beforehand is what the gate says then.
#[tokio::test]
async fn the_gate_says_the_same() {
    for case in cases() {
        let site = site(&case, IOGATES).await;
        let decision = site.decide("/in/a").await;
        match (case.comes, &decision) {
            (Comes::NotAsked, Decision::Permit(_))
            | (Comes::Asked, Decision::Refuse(Refusal::SecondFactorRequired { .. }))
            | (Comes::Closed, Decision::Refuse(Refusal::Denied)) => {}
            (Comes::Asked, Decision::Refuse(Refusal::Denied))
                if case.name == "closed on a path" => {}
            other => panic!("{}: {other:?}", case.name),
        }
    }
}

#[tokio::test]
async fn a_browser_is_led_by_the_same_rules() {
    for case in cases() {
        let site = site(&case, IOGATES).await;
        let mut browser = Browser::new(&site);
        browser.get("/.vestibule/sign-in?return_to=/in/a").await;
        let typed = "username=ann&password=right";
        let told = browser
            .post("/.vestibule/sign-in?return_to=/in/a", typed)
            .await;
        match case.comes {
            Comes::NotAsked => Browser::is_led(&told, "/in/a"),
            // The gate says there what is closed.
            Comes::Asked if case.name == "closed on a path" => Browser::is_led(&told, "/in/a"),
            Comes::Asked => {
                Browser::is_led(&told, "/.vestibule/challenge?return_to=/in/a");
            }
            Comes::Closed => {
                assert_eq!(told.status(), 403, "{}: {}", case.name, told.text());
                assert_eq!(browser.token, None, "{}", case.name);
            }
        }
        let mut browser = Browser::of(&site, TOKEN, "d1");
        for page in [
            "challenge?return_to=/in/a",
            "account",
            "enrol",
            "backup-codes",
        ] {
            let told = browser.get(&format!("/.vestibule/{page}")).await;
            let is_closed = told.status() == 403;
            let wanted = case.comes == Comes::Closed;
            assert_eq!(is_closed, wanted, "{} {page}: {}", case.name, told.text());
        }
        assert_eq!(site.world().inbox.count(), 0, "{}", case.name);
    }
}

/// Has a new code of ann's accepted by the dialect's own calls, for her token on d1.
async fn pass(site: &Site, dialect: Dialect) {
    let call =
        |method: Method, path: &str, body: &str| site.call(method, path).bearer(TOKEN).json(body);
    let (start, verify) = match dialect {
        IOGATES => (
            call(GET, "/api/apiauth/twofactorsms/token-of-d1?fresh=true", ""),
            call(
                GET,
                "/api/apiauth/twofactorsms/token-of-d1?authcode=CODE",
                "",
            ),
        ),
        ZIIK => (
            call(POST, "/api/two-factor/send-verification", ""),
            call(POST, "/api/two-factor/verify", r#"{"key":"CODE"}"#),
        ),
        B2CORE => (
            call(GET, "/api/v2/my/2fa/challenge", ""),
            call(
                POST,
                "/api/v2/my/2fa/challenge",
                r#"{"token":"NAME","code":"CODE"}"#,
            ),
        ),
        CONDUIT => (
            call(POST, "/authentication/twoFa/authorize", ""),
            call(POST, "/authentication/twoFa/verify", r#"{"code":"CODE"}"#),
        ),
    };
    let started = site.answer(start).await;
    assert!(started.status() < 300, "{dialect:?}: {}", started.text());
    let code = site.world().inbox.code();
    let name = match dialect {
        B2CORE => started.json()["token"].as_str().unwrap().to_owned(),
        _ => String::new(),
    };
    let text = String::from_utf8(verify.body.to_vec()).unwrap();
    let verify = Call {
        query: verify.query.map(|query| query.replace("CODE", &code)),
        body: Bytes::from(text.replace("CODE", &code).replace("NAME", &name)),
        ..verify
    };
    let verified = site.answer(verify).await;
    assert!(verified.status() < 300, "{dialect:?}: {}", verified.text());
}

#[tokio::test]
async fn a_rule_with_a_clock_is_met_again_through_every_dialect() {
    let group = People::Groups(texts(&["staff"]));
    for (require, is_over_after) in [(FRESH, 700), (BUSY, 400), (AAL2, 4_000)] {
        for dialect in [IOGATES, ZIIK, B2CORE, CONDUIT] {
            let case = Case {
                name: "a clock",
                rule: Rule {
                    people: group.clone(),
                    ..Rule::of(require)
                },
                rest: Requirement::Token,
                comes: Comes::Asked,
            };
            let site = site(&case, dialect).await;
            let is_open = async || matches!(site.decide("/in/a").await, Decision::Permit(_));
            for _ in 0..2 {
                assert!(!is_open().await, "{dialect:?} {require:?}");
                pass(&site, dialect).await;
                assert!(is_open().await, "{dialect:?} {require:?}");
                site.world().advance(is_over_after);
            }
        }
    }
}
