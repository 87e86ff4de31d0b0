//! Certificates, and a second listener with TLS in a config.

use super::Setup;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::path::Path;

/// Writes `{name}.pem` and `{name}.key` into `dir`: a certificate of its own for `name`.
pub(crate) fn certificate(dir: &Path, name: &str) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).expect("certificate");
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).expect("pem");
    std::fs::write(dir.join(format!("{name}.key")), signing_key.serialize_pem()).expect("key");
}

impl Setup {
    /// The same with a second listener that shows the certificates in `dir`, the first by default.
    pub(crate) fn with_tls(self, dir: &Path, names: &[&str]) -> Self {
        let dir = dir.display();
        let pairs: Vec<_> = names
            .iter()
            .map(|name| format!("{{cert: {dir}/{name}.pem, key: {dir}/{name}.key}}"))
            .collect();
        let first = "  - address: 127.0.0.1:0\n";
        let second = format!(
            "{first}{first}    tls: {{certificates: [{}]}}\n",
            pairs.join(", ")
        );
        self.with(first, &second)
    }
}
