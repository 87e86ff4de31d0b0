//! What is written for people: links lead somewhere, and what the README shows of the program is what
//! the program prints.

use crate::support::config::STORE_KEY;
use crate::support::gateway::command;
use crate::support::tls::certificate;
use crate::support::{PASSWORD, PHONE, Setup, Site};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages that are written for people.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).expect("docs");
    let docs = docs.map(|entry| entry.expect("entry").path());
    let markdown = |path: &PathBuf| path.extension().is_some_and(|it| it == "md");
    let design = std::fs::read_dir(root().join("docs/design")).expect("design");
    let design = design.map(|entry| entry.expect("entry").path());
    let mut pages: Vec<PathBuf> = docs.chain(design).filter(markdown).collect();
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "PERFORMANCE.md",
        "CHANGELOG.md",
    ];
    pages.extend(names.map(|name| root().join(name)));
    pages
}

/// What a heading is called in a link, as GitHub calls it.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            words
                .chars()
                .filter(|c| kept(*c))
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut tried = 0;
    for page in pages() {
        let text = read(&page);
        let links = text.split("](").skip(1).chain(text.split("src=\"").skip(1));
        for link in links.filter_map(|rest| rest.split([')', '"', ' ']).next()) {
            if link.starts_with("http") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().expect("folder").join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let found = anchors(&read(&target)).iter().any(|it| it == anchor);
                assert!(found, "{}: {link}", page.display());
            }
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried} links");
}

/// The lines that the README shows after a command.
fn shown(command: &str) -> String {
    let readme = read(&root().join("README.md"));
    let (_, after) = readme
        .split_once(&format!("$ {command}\n"))
        .unwrap_or_else(|| panic!("README.md has no `{command}`"));
    let lines = after
        .lines()
        .take_while(|line| !line.starts_with("```") && !line.starts_with("$ "));
    lines.map(|line| format!("{line}\n")).collect()
}

fn printed(dir: &Path, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let output = command(dir, &words).output().expect("vestibule");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {complaint}");
    String::from_utf8(output.stdout).expect("text")
}

/// A folder with a config of the tree as `name`, and with what it names.
fn folder(name: &str, yaml: String) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    certificate(dir.path(), "files");
    for (file, text) in [
        ("store.key", STORE_KEY),
        ("twilio.token", "a-token"),
        ("password.txt", PASSWORD),
    ] {
        std::fs::write(dir.path().join(file), text).expect(file);
    }
    let yaml = Setup { yaml }
        .with("/etc/vestibule/tls/", "")
        .with("/run/vestibule/admin.sock", "admin/admin.sock")
        .with("/var/lib/vestibule/", "");
    std::fs::write(dir.path().join(name), yaml.yaml).expect(name);
    dir
}

/// As pasted in a checkout.
#[test]
fn the_readme_shows_what_explain_prints() {
    let readme = read(&root().join("README.md"));
    let (_, after) = readme.split_once("$ vestibule explain ").expect("explain");
    let line = format!("vestibule explain {}", after.lines().next().expect("line"));
    assert_eq!(printed(&root(), &line), shown(&line));
}

/// Whoever tries rules has neither the certificates nor the secrets that the config names.
#[test]
fn every_example_is_explained_as_it_lies_there() {
    let examples = std::fs::read_dir(root().join("config/examples")).expect("examples");
    let examples = examples.map(|entry| entry.expect("entry").path());
    let mut files: Vec<PathBuf> = examples.filter(|path| path.is_file()).collect();
    files.push(root().join("config/vestibule.yaml"));
    for file in &files {
        let text = read(file);
        let host = text.split("hosts: [").nth(1).expect("hosts");
        let host = host.split([',', ']']).next().expect("host");
        let host = host.trim_matches('"').replace('*', "files.example.org");
        let file = file.to_str().expect("name");
        let line = format!(
            "vestibule explain --config {file} --url https://{host}/a/b --user anna --group staff"
        );
        let said = printed(&root(), &line);
        for row in [
            "\nroute        ",
            "\nwho          anna, in staff (as given)\n",
            "\nasks         ",
        ] {
            assert!(said.contains(row), "{file}: {said}");
        }
    }
    assert!(files.len() > 15, "{files:?}");
}

/// A user of a store that cannot be opened here is no reason to say nothing.
#[test]
fn whose_groups_are_unknown_is_told_what_can_be() {
    let line = "explain --config config/examples/policy.yaml --url https://files.example.org/payroll/may.pdf --user anna";
    let words: Vec<&str> = line.split(' ').collect();
    let output = command(&root(), &words).output().expect("vestibule");
    let said = String::from_utf8(output.stdout).expect("text");
    let warned = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{warned}");
    assert!(
        said.contains("route        files") && said.contains("line 45"),
        "{said}"
    );
    assert!(
        warned.contains("those of `anna` are unknown") && warned.contains("--group"),
        "{warned}"
    );
    assert!(warned.lines().count() == 1, "{warned}");
}

/// As the README shows it, but for the link, its token and the time.
#[test]
fn the_readme_shows_what_share_add_prints() {
    let readme = read(&root().join("README.md"));
    let small = readme
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let small = small.expect("a config").to_owned();
    let dir = folder("vestibule.yaml", small);
    let line = "vestibule share add --path /invoices/ --phone +4587654321 --expires 7d";
    let said = printed(dir.path(), &format!("{line} --config vestibule.yaml"));
    let masked = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| match line.split_once("  ") {
                Some((name @ ("token" | "ends"), _)) => name.to_owned(),
                Some(("url", url)) => {
                    let (before, _) = url.split_once("/share/").expect(url);
                    format!("url {}", before.trim())
                }
                _ => line.to_owned(),
            })
            .collect()
    };
    assert_eq!(masked(&said), masked(&shown(line)));
}

/// The refusal that the page about the APIs shows has what a client gets.
#[tokio::test]
async fn the_page_about_apis_shows_the_refusal_that_clients_get() {
    let site = Site::accounts().await;
    site.gateway.add_user("anna", PASSWORD, PHONE);
    let token = site.gateway.sign_in("anna", PASSWORD, "laptop").await;
    let refused = site
        .gateway
        .get("/hello.txt", &token, "laptop")
        .send()
        .await;
    let refused: Value = refused.expect("answer").json().await.expect("JSON");
    let page = read(&root().join("docs/apis.md"));
    let shown = page
        .split("```json")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let shown: Value = serde_json::from_str(shown.expect("a block")).expect("JSON");
    let members = |value: &Value| -> Vec<String> {
        value.as_object().expect("object").keys().cloned().collect()
    };
    assert_eq!(members(&shown), members(&refused));
    for same in [
        "auth_required",
        "challenge_url",
        "expires_in",
        "status",
        "title",
        "type",
        "verify_url",
    ] {
        assert_eq!(shown[same], refused[same], "{same}");
    }
}
