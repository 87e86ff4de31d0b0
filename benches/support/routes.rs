//! The routes of the gate's bench: the rules of the documented example, and some for people.

use http::Method;
use std::time::Duration;
use vestibule::config::model::{
    self, CredentialSource, Dialect, Forward, ForwardToken, Identity, People, Requirement, Rule,
};

pub const HOST: &str = "files.example.org";
/// Whose rules are for people, and have a clock.
pub const PEOPLE: &str = "people.example.org";
/// Sessions of users in groups begin with this number.
pub const MEMBERS: u64 = 1_000_000;

/// A route with rules for people: some for others, some for members, by name and by group.
fn rules_of_people() -> Vec<Rule> {
    let clock = Requirement::TwoFactor {
        within: Some(Duration::from_secs(86_400)),
        max_idle: Some(Duration::from_secs(3_600)),
    };
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let users = (0..64).map(|n| format!("user{:08}", MEMBERS + n)).collect();
    let of = |people: People, paths: &[&str], require| Rule {
        people,
        ..rule(&[], paths, require)
    };
    let group = |names: &[&str]| People::Groups(texts(names));
    vec![
        rule(&[], &["/public/"], Requirement::Nothing),
        rule(&[], &["/fresh/"], clock),
        of(group(&["barred", "left"]), &[], Requirement::Deny),
        of(
            People::Users(texts(&["backup", "scanner"])),
            &[],
            Requirement::Deny,
        ),
        of(group(&["group07"]), &["/staff/"], TWO_FACTOR_FRESH),
        of(group(&["other", "group03"]), &["/payroll/"], clock),
        of(People::Users(users), &["/robots/"], Requirement::TWO_FACTOR),
        of(group(&["guests"]), &["/files/"], Requirement::SuccessToken),
    ]
}

/// Four routes, the second with the rules of the documented example, the third with some for people.
pub fn config() -> model::Config {
    let second = Duration::from_secs(1);
    let route = |name: &str, host: &str| model::Route {
        name: name.to_owned(),
        hosts: vec![host.to_owned()],
        upstream: "files".to_owned(),
        identity: "local".to_owned(),
        credentials: vec![
            CredentialSource::Bearer,
            CredentialSource::Cookie("IOGATES".to_owned()),
            CredentialSource::Query("token".to_owned()),
            CredentialSource::Path("/share/".to_owned()),
        ],
        dialects: vec![Dialect::IoGates],
        rules: vec![
            rule(&[], &["/public/"], Requirement::Nothing),
            rule(&[Method::DELETE], &[], TWO_FACTOR_FRESH),
            rule(
                &[Method::POST],
                &["/api/password"],
                Requirement::SuccessToken,
            ),
        ],
        require: Requirement::TWO_FACTOR,
        line: 0,
        background: Vec::new(),
        remember: vestibule::config::model::Remember::Never,
        self_enrolment: false,
        phone_region: None,
        forward: Forward {
            token: ForwardToken::Original,
            passwords: true,
            assertion: false,
            audience: "files".to_owned(),
        },
        token_algorithm: model::SigningAlgorithm::EdDsa,
        cors_origins: Vec::new(),
        encoded_slashes: false,
        service_workers: false,
        body_bytes_max: None,
    };
    model::Config {
        listeners: Vec::new(),
        timeouts: model::Timeouts {
            head: second,
            body: second,
            keepalive: second,
            write: second,
            drain: second,
        },
        connections: model::Connections {
            max: 1,
            per_address_max: 1_024,
            head_bytes_max: 1,
            headers_max: 1,
        },
        admin: model::Admin {
            address: None,
            socket: None,
        },
        trusted_proxies: Vec::new(),
        store: model::Store {
            engine: model::StoreEngine::Memory,
            key: vestibule::secret::Secret::default(),
        },
        sessions: model::Sessions {
            lifetime: second,
            idle: second,
            hot_max: 1,
        },
        codes: model::Codes {
            length: 6,
            lifetime: second,
            attempts: 5,
            resend_after: second,
            totp_window: 1,
        },
        limits: model::Limits {
            per_user_per_hour: 1,
            per_number_per_hour: 1,
            per_gateway_per_minute: 1,
            per_prefix_per_minute: 1,
            countries: Vec::new(),
        },
        lockout: model::Lockout {
            delay_every: 5,
            first_delay: second,
            max_delay: second,
            lock_at: 100,
            address_factor: 1,
        },
        sudo: second,
        tokens: model::Tokens {
            issuer: "https://files.example.org".to_owned(),
            algorithm: model::SigningAlgorithm::EdDsa,
            access_lifetime: second,
            refresh_lifetime: second,
        },
        delivery: model::Delivery::default(),
        identities: [("local".to_owned(), Identity::Accounts)].into(),
        upstreams: Default::default(),
        routes: vec![
            route("other", "other.example.org"),
            route("files", HOST),
            model::Route {
                rules: rules_of_people(),
                ..route("people", PEOPLE)
            },
            route("rest", "*.example.net"),
        ],
        portal: model::Portal::default(),
        traces: None,
        log: model::Log {
            json: false,
            level: "info".to_owned(),
        },
        threads: 1,
    }
}

const TWO_FACTOR_FRESH: Requirement = Requirement::TwoFactor {
    within: Some(Duration::from_secs(3_600)),
    max_idle: None,
};

fn rule(methods: &[Method], paths: &[&str], require: Requirement) -> Rule {
    Rule {
        methods: methods.to_vec(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        ..Rule::of(require)
    }
}
