//! Files: those in `config/`, and what the file system does to others.

use super::*;

#[test]
fn every_committed_file_is_right_and_wise() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut checked = 0;
    for dir in [dir.clone(), dir.join("examples")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let secrets = [
                "twilio.token",
                "sms.authorization",
                "kannel.password",
                "mail.password",
                "oauth.secret",
            ];
            let system = secrets.iter().fold(Fake::new(), |system, secret| {
                let secret = path.with_file_name(secret);
                system.with_file(secret.to_str().unwrap(), "hunter2\n")
            });
            let (_, warnings) = parse(&text, &path, &system).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(warnings, [], "{}", path.display());
            let first = text.lines().next().unwrap_or_default();
            assert!(
                first.starts_with("# yaml-language-server: $schema="),
                "{first}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 8, "only {checked} files");
}

#[test]
fn the_readmes_config_is_right_and_its_mistakes_are_told_as_it_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, after) = readme.split_once("```yaml\n").unwrap();
    let (config, after) = after.split_once("```").unwrap();
    let path = Path::new("vestibule.yaml");
    // Its files are the operator's, and not here.
    let told = |config: &str| read(config, path, &Fake::default(), Files::MayBeMissing);
    assert!(told(config).is_ok());

    let mistaken = config.replace("upstream: files\n", "upstream: file\n") + "    require: 2fa\n";
    let errors = told(&mistaken).err().expect("two mistakes");
    let (_, shown) = after
        .split_once("$ vestibule check --config vestibule.yaml\n")
        .unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert_eq!(errors.to_string().trim_end(), shown.trim_end());
}

#[test]
fn without_files_what_is_missing_is_a_warning() {
    let path = Path::new("c.yaml");
    let nothing = Fake::default();
    let text = committed("examples/tls-sni.yaml");
    let errors = parse(&text, path, &nothing).unwrap_err();
    let lifted = read(&text, path, &nothing, Files::MayBeMissing).unwrap_or_else(|e| panic!("{e}"));
    assert!(
        lifted.config.is_none(),
        "a config without its key must not be served"
    );
    let warnings = warnings(lifted.warnings);
    let lines = |text: String| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, lines(errors.to_string()));
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
    assert!(
        warnings[0].starts_with("c.yaml:8:18: listeners[0].tls.certificates[0].cert: cannot read /etc/vestibule/tls/files.pem: "),
        "{}",
        warnings[0]
    );
    assert_eq!(
        warnings[4],
        "c.yaml:13:15: store.key.file: the environment variable CREDENTIALS_DIRECTORY is not set"
    );
    // What is wrong stays wrong.
    let wrong = text.replace("hosts: [files.example.org]", "hosts: [\"a:80\"]");
    assert!(read(&wrong, path, &nothing, Files::MayBeMissing).is_err());
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let key = String::from_utf8(
        Fake::new().files[Path::new("/run/credentials/vestibule/store.key")].clone(),
    )
    .unwrap();
    let fake = Fake::new().with_file("/srv/keys/store.key", &key);
    let text = small("\"${CREDENTIALS_DIRECTORY}/store.key\"", "keys/store.key")
        .replace("sqlite:/var/lib/v.db", "sqlite:v.db");
    let (config, _) =
        parse(&text, Path::new("/srv/c.yaml"), &fake).unwrap_or_else(|e| panic!("{e}"));
    let StoreEngine::Sqlite(db) = &config.store.engine else {
        panic!()
    };
    assert_eq!(db, Path::new("/srv/v.db"));
}

#[test]
fn files_that_are_no_config_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    let error = load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("there is no such file: name one with --config"),
        "{error}"
    );
    std::fs::write(&path, b"a: b\nc: \xff\n").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("line 2 is not UTF-8: save the file as UTF-8"),
        "{error}"
    );
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("larger than 1024 KiB"), "{error}");
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn a_file_is_loaded_with_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    let text = small("\"${CREDENTIALS_DIRECTORY}/store.key\"", "store.key")
        .replace("{env: TWILIO_AUTH_TOKEN}", "{file: twilio}")
        .replace("store:\n", "admin: {socket: admin.sock}\nstore:\n");
    std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
    // Without the secrets: not to serve, but the way to the running gateway is known.
    assert!(load(&path).is_err());
    assert!(check(&path, Files::MustExist).is_err());
    assert_eq!(check(&path, Files::MayBeMissing).unwrap().len(), 2);
    assert_eq!(
        admin(&path).unwrap().socket,
        Some(dir.path().join("admin.sock"))
    );
    std::fs::write(
        dir.path().join("store.key"),
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("twilio"), "\n").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.ends_with("twilio is empty"), "{error}");
    std::fs::write(dir.path().join("twilio"), "hunter2\n").unwrap();
    let config = load(&path).unwrap();
    let SmsProvider::Twilio(twilio) = &config.delivery.sms[0] else {
        panic!()
    };
    assert_eq!(twilio.auth_token.expose(), "hunter2");
    assert_eq!(check(&path, Files::MustExist), Ok(Vec::new()));
}
