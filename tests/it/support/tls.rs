//! Certificates, a second listener with TLS in a config, and a client that believes any certificate.

use super::Setup;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Writes `{name}.pem` and `{name}.key` into `dir`: a certificate of its own for `name`.
pub(crate) fn certificate(dir: &Path, name: &str) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).expect("certificate");
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).expect("pem");
    std::fs::write(dir.join(format!("{name}.key")), signing_key.serialize_pem()).expect("key");
}

/// Of a client that believes whatever certificate it is shown, as long as its key has signed.
pub(crate) fn client_config() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth()
}

/// Asks for `name`.
pub(crate) async fn connect(address: SocketAddr, name: &'static str) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("connect");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_config()));
    let name = name.try_into().expect("name");
    connector.connect(name, stream).await.expect("handshake")
}

/// A test's certificates are nobody's in particular.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
