//! schemathesis: makes calls up out of an OpenAPI document, good ones and bad ones, and holds every answer to it.

use super::program;
use std::path::Path;
use std::process::Command;

/// What is held against each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Runs it in a folder of its own with this config (TOML) on the document at this URL; `more` are further options.
/// Returns whether all answers were as the document says, and what it printed.
pub(crate) fn run(dir: &Path, document: &str, config: &str, more: &[&str]) -> (bool, String) {
    std::fs::write(dir.join("schemathesis.toml"), config).expect("config");
    let output = Command::new(program("schemathesis"))
        .current_dir(dir)
        .args(["--config-file", "schemathesis.toml", "run", document])
        .args(["--checks", CHECKS, "--seed", "7"])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "1"])
        .args(["--generation-database", "none", "--no-color"])
        .args(["--warnings", "off", "--continue-on-failure", "--no-shrink"])
        .args(["--request-timeout", "30", "--suppress-health-check", "all"])
        .args(more)
        .output()
        .expect("schemathesis");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}
