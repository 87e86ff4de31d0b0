//! The doctor over configs that are whole, and broken in one way each. Over the network: `tests/it`.

use super::report::Verdict;
use super::*;
use crate::auth::ports::{NewUser, Store};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    /// A config with a store, and certificates for `files.example.org` that end in so many days.
    fn new(days: i64) -> Self {
        let case = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        case.write("store.key", KEY, 0o600);
        let (cert, key) = certificate(days);
        case.write("tls.pem", &cert, 0o644);
        case.write("tls.key", &key, 0o640);
        case.write("vestibule.yaml", CONFIG, 0o644);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn patient(&self) -> Arc<Patient> {
        let path = self.path("vestibule.yaml");
        let examined = config::examine(&path).unwrap();
        Arc::new(Patient {
            config: examined.config,
            path,
            named: examined.named,
            now: SystemClock.now(),
            gateway: None,
        })
    }

    async fn make_store(&self) {
        drop(self.store().await);
    }

    async fn store(&self) -> Arc<dyn Store> {
        let config = config::load(&self.path("vestibule.yaml")).unwrap();
        let entropy = Arc::new(crate::entropy::OsEntropy);
        let store = crate::store::open(&config.store.engine, &config.store.key, entropy).await;
        store.unwrap().0
    }
}

const CONFIG: &str = r#"
listeners:
  - address: "127.0.0.1:0"
    tls: {certificates: [{cert: tls.pem, key: tls.key}]}
store: {url: "sqlite:vestibule.db", key: {file: store.key}}
identities: {local: {accounts: {}}}
upstreams: {nas: {servers: ["127.0.0.1:9"]}}
routes: [{name: files, hosts: [files.example.org], upstream: nas, identity: local}]
"#;

fn certificate(days: i64) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(["files.example.org".to_owned()]).unwrap();
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(90);
    params.not_after = now + time::Duration::days(days);
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    (cert.pem(), key.serialize_pem())
}

fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|it| it.verdict).max().unwrap()
}

#[tokio::test]
async fn certificates_are_told_of_before_they_end() {
    for (days, verdict) in [
        (90, Verdict::Ok),
        (15, Verdict::Warn),
        (2, Verdict::Fail),
        (-1, Verdict::Fail),
    ] {
        let found = files::certificates(Case::new(days).patient()).await;
        assert_eq!(worst(&found), verdict, "{days}: {found:?}");
    }
    let case = Case::new(90);
    case.write(
        "vestibule.yaml",
        &CONFIG.replace(
            "[files.example.org]",
            "[files.example.org, docs.example.org]",
        ),
        0o644,
    );
    let found = files::certificates(case.patient()).await;
    assert!(found[1].detail.contains("docs.example.org"), "{found:?}");
    assert_eq!(found.len(), 2);
    // Another's key.
    let patient = case.patient();
    case.write("tls.key", &certificate(90).1, 0o600);
    let found = files::certificates(patient).await;
    assert!(found[0].detail.contains("does not belong"), "{found:?}");
    assert_eq!(worst(&found), Verdict::Fail);
}

#[tokio::test]
async fn files_that_others_can_read_or_change_are_told_of() {
    let case = Case::new(90);
    case.make_store().await;
    let found = files::modes(case.patient()).await;
    assert_eq!(worst(&found), Verdict::Ok, "{found:?}");
    for (name, mode, verdict) in [
        ("store.key", 0o644, Verdict::Fail),
        ("store.key", 0o640, Verdict::Ok),
        ("store.key", 0o660, Verdict::Warn),
        ("tls.key", 0o604, Verdict::Fail),
        ("vestibule.db", 0o640, Verdict::Warn),
        ("vestibule.db", 0o644, Verdict::Fail),
        ("vestibule.yaml", 0o664, Verdict::Warn),
        ("vestibule.yaml", 0o666, Verdict::Fail),
    ] {
        let before = fs::metadata(case.path(name)).unwrap().permissions();
        fs::set_permissions(case.path(name), Permissions::from_mode(mode)).unwrap();
        let found = files::modes(case.patient()).await;
        assert_eq!(worst(&found), verdict, "{name} {mode:o}: {found:?}");
        if verdict != Verdict::Ok {
            assert!(found[0].detail.contains("chmod"), "{found:?}");
        }
        fs::set_permissions(case.path(name), before).unwrap();
    }
}

#[tokio::test]
async fn a_store_is_looked_at_and_left_as_it_is() {
    let case = Case::new(90);
    let found = store::opens(case.patient()).await;
    assert_eq!(found.verdict, Verdict::Warn, "{found:?}");
    assert!(!case.path("vestibule.db").exists(), "nothing is made");
    assert_eq!(store::is_whole(case.patient()).await, [], "there is none");
    let nowhere = CONFIG.replace("sqlite:vestibule.db", "sqlite:none/vestibule.db");
    case.write("vestibule.yaml", &nowhere, 0o644);
    let found = store::opens(case.patient()).await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.detail.contains("make it"), "{found:?}");
    case.write("vestibule.yaml", CONFIG, 0o644);
    case.make_store().await;
    let found = store::opens(case.patient()).await;
    assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    let whole = store::is_whole(case.patient()).await;
    assert_eq!(worst(&whole), Verdict::Ok, "{whole:?}");

    case.write(
        "store.key",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        0o600,
    );
    let found = store::opens(case.patient()).await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(
        found.detail.contains("the store key does not open"),
        "{found:?}"
    );
    case.write("store.key", KEY, 0o600);

    let mut bytes = fs::read(case.path("vestibule.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xAA);
    fs::write(case.path("vestibule.db"), bytes).unwrap();
    let found = store::is_whole(case.patient()).await;
    assert_eq!(worst(&found), Verdict::Fail, "{found:?}");
    fs::write(case.path("vestibule.db"), "no database at all, but a text").unwrap();
    let found = store::opens(case.patient()).await;
    assert!(found.detail.contains("is not a database"), "{found:?}");
}

#[tokio::test]
async fn people_whom_rules_name_are_looked_for_in_the_store() {
    let case = Case::new(90);
    let rules = |identity: &str, rules: &str| {
        let route = format!("identity: local, rules: [{rules}]}}]");
        let text = CONFIG.replace("identity: local}]", &route);
        let text = text.replace("{accounts: {}}", identity);
        case.write("vestibule.yaml", &text, 0o644);
        case.patient()
    };
    let accounts = "{accounts: {}}";
    let anna = "{users: [anna], require: deny}";
    let found = names::of_rules(rules(accounts, anna)).await;
    assert_eq!(found, [], "there is no store yet");
    let store = case.store().await;
    let user = |name: &str, groups: &[&str]| NewUser {
        realm: "local".to_owned(),
        name: name.to_owned(),
        phone: None,
        email: None,
        password_hash: None,
        can_edit_users: false,
        groups: groups.iter().map(|it| (*it).to_owned()).collect(),
    };
    for user in [user("Anna", &["staff", "Board"]), user("ben", &["staff"])] {
        store.create_user(user, Timestamp(1)).await.unwrap();
    }
    // (rules, what is said of them); the gateway may have the store open meanwhile.
    for (text, says) in [
        (anna, "the user \"anna\", but the store knows \"Anna\""),
        (
            "{users: [Anna, bob], require: deny}",
            "the user \"bob\", but the store knows none",
        ),
        (
            "{groups: [board], require: token}",
            "the group \"board\", but the store knows \"Board\"",
        ),
        (
            "{groups: [staff, guests], require: token}",
            "the group \"guests\", but",
        ),
    ] {
        let found = names::of_rules(rules(accounts, text)).await;
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].detail.contains(says), "{found:?}");
        assert!(
            found[0].detail.starts_with("the rule at line 8 "),
            "{found:?}"
        );
        assert_eq!(found[0].verdict, Verdict::Warn);
    }
    let known = "{users: [Anna, ben], require: deny}, {groups: [staff, Board], require: token}";
    let found = names::of_rules(rules(accounts, known)).await;
    assert_eq!((found.len(), worst(&found)), (1, Verdict::Ok), "{found:?}");
    assert_eq!(
        names::of_rules(rules(accounts, "")).await,
        [],
        "rules name nobody"
    );
    let learn = "{learn: {endpoint: /in, token: /token, user: /user, phone: /phone}}";
    let found = names::of_rules(rules(learn, "{users: [bob], require: deny}")).await;
    assert!(found[0].detail.contains("for the first time"), "{found:?}");
}

#[tokio::test]
async fn ports_are_free_or_not() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let case = Case::new(90);
    case.write(
        "vestibule.yaml",
        &CONFIG.replace("127.0.0.1:0", &address),
        0o644,
    );
    let found = machine::ports(case.patient()).await;
    assert_eq!(worst(&found), Verdict::Fail, "{found:?}");
    drop(taken);
    let found = machine::ports(case.patient()).await;
    assert_eq!(worst(&found), Verdict::Ok, "{found:?}");
}

#[tokio::test]
async fn a_look_that_takes_too_long_fails_and_holds_up_none() {
    let stuck = Look::new("stuck", std::future::pending::<Found>());
    let fine = Look::new("fine", async { Finding::ok("fine", "yes") });
    let broken = Look::new("broken", async {
        if std::hint::black_box(true) {
            panic!("a bug");
        }
        Found::default()
    });
    let all = vec![stuck.within(Duration::from_millis(50)), broken, fine];
    let (findings, _) = run_all(all).await;
    let told: Vec<_> = findings
        .iter()
        .map(|it| (it.check.as_str(), it.verdict))
        .collect();
    let (fail, ok) = (Verdict::Fail, Verdict::Ok);
    assert_eq!(told, [("stuck", fail), ("broken", fail), ("fine", ok)]);
    let report = Report::of(findings);
    assert!(report.outcome().is_err());
    assert!(
        report
            .to_string()
            .ends_with("1 ok, 0 to look at, 2 failed\n"),
        "{report}"
    );
}
