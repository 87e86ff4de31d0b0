//! Certificates of one listener: loaded and checked, picked by SNI, replaced in place.
//!
//! [`ServerTls::replace`] swaps the certificates for new handshakes; connections that are up keep
//! theirs. TLS 1.2 and 1.3, ALPN `h2` and `http/1.1`, no early data. Nothing here ever prints a
//! key, nor a parser's message about one.

use crate::clock::Timestamp;
use crate::config::model::Certificate;
use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

/// Sessions that clients without ticket support may resume.
const SESSIONS_MAX: usize = 4096;

/// The TLS side of a listener. Cheap to clone; clones share the certificates.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    chosen: Arc<BySni>,
}

/// Certificates that have been read and checked, not in use yet.
#[derive(Debug)]
pub struct Loaded {
    keys: Keys,
}

/// When a certificate ends, for a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    pub cert: PathBuf,
    pub not_after: Timestamp,
}

/// What a certificate that can be used says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Lower case; a wildcard as `*.example.org`.
    pub names: Vec<String>,
    pub not_after: Timestamp,
}

/// Reads a certificate and its key as a listener would.
pub fn examine(certificate: &Certificate) -> Result<Leaf, TlsError> {
    let key = load_one(certificate, &ring::default_provider())?;
    let leaf = key.cert.first().map(AsRef::as_ref).unwrap_or_default();
    let (names, not_after) = read_leaf(leaf, &certificate.cert)?;
    Ok(Leaf { names, not_after })
}

impl Leaf {
    /// Whether clients that ask for `host` (or `*.` and a parent, which is many hosts) believe it
    /// (RFC 6125 section 6.4.3).
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let wildcard = host
            .split_once('.')
            .map(|(_, parent)| format!("*.{parent}"));
        self.names
            .iter()
            .any(|name| name == host || Some(name) == wildcard.as_ref())
    }
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("no certificate is configured: name at least one under `tls.certificates`")]
    NoneConfigured,
    #[error("cannot read {path}: {source}; check the path and that Vestibule's user may read it")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate { path: PathBuf },
    #[error("{path} is not valid: {problem}")]
    BadCertificate { path: PathBuf, problem: String },
    #[error(
        "{path} holds no PEM private key that can be used (PKCS#8, PKCS#1 or SEC1, not encrypted)"
    )]
    BadKey { path: PathBuf },
    #[error(
        "the key {key} does not belong to the certificate {cert}: \
         name the key that the certificate was issued for, and put the leaf certificate first"
    )]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// What handshakes choose from.
#[derive(Debug)]
struct Keys {
    default: Arc<CertifiedKey>,
    /// Lower case; a wildcard as `*.example.org`.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    expiries: Vec<Expiry>,
}

#[derive(Debug)]
struct BySni {
    keys: ArcSwap<Keys>,
}

impl ServerTls {
    /// Reads and checks `certificates`; the first is the default. An expired one is a warning:
    /// the rest of the gateway should not go down with it.
    pub fn load(certificates: &[Certificate], now: Timestamp) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let keys = load_keys(certificates, &provider, now)?;
        let chosen = Arc::new(BySni {
            keys: ArcSwap::from_pointee(keys),
        });
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(chosen.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            chosen,
        })
    }

    /// Reads and checks certificates for a later [`Self::replace`].
    pub fn prepare(certificates: &[Certificate], now: Timestamp) -> Result<Loaded, TlsError> {
        let keys = load_keys(certificates, &ring::default_provider(), now)?;
        Ok(Loaded { keys })
    }

    /// New handshakes choose from these.
    pub fn replace(&self, loaded: Loaded) {
        self.chosen.keys.store(Arc::new(loaded.keys));
    }

    /// When each certificate ends, in the configured order.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        self.chosen.keys.load().expiries.clone()
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.keys.load().pick(hello.server_name()))
    }
}

impl Keys {
    /// Exact name, then a wildcard for its first label (RFC 6125 section 6.4.3), then the default.
    fn pick(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let Some(name) = name else {
            return self.default.clone();
        };
        let name = name.to_ascii_lowercase();
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        };
        self.by_name
            .get(&name)
            .or_else(wildcard)
            .unwrap_or(&self.default)
            .clone()
    }
}

fn load_keys(
    certificates: &[Certificate],
    provider: &CryptoProvider,
    now: Timestamp,
) -> Result<Keys, TlsError> {
    let mut default = None;
    let mut by_name = HashMap::new();
    let mut expiries = Vec::new();
    for certificate in certificates {
        let key = Arc::new(load_one(certificate, provider)?);
        let leaf = key.cert.first().map(AsRef::as_ref).unwrap_or_default();
        let (names, not_after) = read_leaf(leaf, &certificate.cert)?;
        if not_after < now {
            tracing::warn!(cert = %certificate.cert.display(), "the certificate has expired: clients will refuse it");
        }
        for name in names {
            by_name.entry(name).or_insert_with(|| key.clone());
        }
        default.get_or_insert(key);
        expiries.push(Expiry {
            cert: certificate.cert.clone(),
            not_after,
        });
    }
    Ok(Keys {
        default: default.ok_or(TlsError::NoneConfigured)?,
        by_name,
        expiries,
    })
}

fn load_one(
    certificate: &Certificate,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let Certificate { cert, key } = certificate;
    let chain = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::BadCertificate {
            path: cert.clone(),
            problem: error.to_string(),
        })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: cert.clone() });
    }
    let bad_key = || TlsError::BadKey { path: key.clone() };
    // The parser's own message may quote a line of the key.
    let der = PrivateKeyDer::from_pem_slice(&Zeroizing::new(read(key)?)).map_err(|_| bad_key())?;
    let signing = provider
        .key_provider
        .load_private_key(der)
        .map_err(|_| bad_key())?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            cert: cert.clone(),
            key: key.clone(),
        }),
        Err(error) => Err(TlsError::BadCertificate {
            path: cert.clone(),
            problem: error.to_string(),
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// The DNS names of a leaf certificate and the time it ends.
fn read_leaf(der: &[u8], path: &Path) -> Result<(Vec<String>, Timestamp), TlsError> {
    let bad = |problem: String| TlsError::BadCertificate {
        path: path.to_owned(),
        problem,
    };
    let (_, leaf) = parse_x509_certificate(der).map_err(|error| bad(error.to_string()))?;
    let alternatives = leaf
        .subject_alternative_name()
        .map_err(|error| bad(error.to_string()))?;
    let names = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    Ok((names, Timestamp(leaf.validity().not_after.timestamp())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    struct Files {
        dir: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir }
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }

        fn error(&self, cert: PathBuf, key: PathBuf) -> TlsError {
            load(&[Certificate { cert, key }]).unwrap_err()
        }
    }

    fn load(certificates: &[Certificate]) -> Result<ServerTls, TlsError> {
        ServerTls::load(certificates, SystemClock.now())
    }

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["files.example.org".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let files = Files::new();
        let (cert, key) = made();
        let (_, other_key) = made();
        let good_cert = files.write("good.pem", &cert);
        let good_key = files.write("good.key", &key);
        let missing = files.dir.path().join("missing.pem");
        let error = files.error(missing, good_key.clone());
        assert!(matches!(error, TlsError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("missing.pem"), "{error}");

        let error = files.error(good_key.clone(), good_key.clone());
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");

        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let garbage = files.write("garbage.pem", garbage);
        let error = files.error(garbage, good_key.clone());
        assert!(matches!(error, TlsError::BadCertificate { .. }), "{error}");

        let error = files.error(good_cert.clone(), good_cert.clone());
        assert!(matches!(error, TlsError::BadKey { .. }), "{error}");

        let other = files.write("other.key", &other_key);
        let error = files.error(good_cert.clone(), other);
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("other.key") && message.contains("good.pem"));

        assert!(matches!(load(&[]), Err(TlsError::NoneConfigured)));
    }

    #[test]
    fn no_part_of_a_key_is_printed() {
        let files = Files::new();
        let (cert, key) = made();
        let secret = key.lines().nth(1).unwrap();
        // A section marker that is broken, so that a parser would quote the line.
        let broken = files.write("broken.key", &format!("-----BEGIN {secret}\n{key}"));
        let error = files.error(files.write("good.pem", &cert), broken);
        assert!(!format!("{error} {error:?}").contains(secret));
    }

    #[test]
    fn an_expired_certificate_is_served_and_its_end_is_shown() {
        let files = Files::new();
        let mut params = rcgen::CertificateParams::new(["files.example.org".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = files.write("old.pem", &params.self_signed(&key).unwrap().pem());
        let key = files.write("old.key", &key.serialize_pem());
        let certificate = Certificate {
            cert: cert.clone(),
            key,
        };
        let not_after = Timestamp(1_009_843_200);
        assert_eq!(
            load(&[certificate]).unwrap().expiries(),
            [Expiry { cert, not_after }]
        );
    }
}
