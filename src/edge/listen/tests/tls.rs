//! Certificates and HTTP/2.

use super::*;

/// A self-signed certificate in `dir`, for the config and for a client that trusts it.
fn certificate(dir: &Path, name: &str) -> (model::Certificate, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let file = name.replace('*', "any");
    let (cert, key) = (
        dir.join(format!("{file}.pem")),
        dir.join(format!("{file}.key")),
    );
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (model::Certificate { cert, key }, made.cert.der().clone())
}

fn client_config(
    trusted: &[&CertificateDer<'static>],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for root in trusted {
        roots.add((*root).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

async fn shake(edge: &Edge, name: &str, config: rustls::ClientConfig) -> io::Result<TlsClient> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, edge.connect().await)
        .await
}

#[tokio::test]
async fn sni_picks_the_certificate_over_both_tls_versions() {
    let dir = tempfile::tempdir().unwrap();
    let (first, first_der) = certificate(dir.path(), "files.example.org");
    let (second, second_der) = certificate(dir.path(), "photos.example.org");
    let (third, third_der) = certificate(dir.path(), "*.share.example.org");
    let certificates = vec![first, second, third];
    let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
    assert_eq!(edge.control.expiries().len(), 3);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (name, expected) in [
            ("files.example.org", &first_der),
            ("photos.example.org", &second_der),
            ("PHOTOS.example.org", &second_der),
            ("a.share.example.org", &third_der),
        ] {
            // Trusts only this one: any other fails the handshake.
            let config = client_config(&[expected], &[version]);
            let mut client = shake(&edge, name, config).await.unwrap();
            assert_eq!(client.get_ref().1.protocol_version(), Some(version.version));
            let peer = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
            assert!(ask(&mut client, peer).await.1.ends_with(" true"));
        }
        // A name that none has (a wildcard stands for one label) gets the first.
        let config = client_config(&[&first_der], &[version]);
        let error = shake(&edge, "b.a.share.example.org", config)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
}

#[tokio::test]
async fn http2_over_alpn() {
    let dir = tempfile::tempdir().unwrap();
    let (first, der) = certificate(dir.path(), "files.example.org");
    let certificates = vec![first];
    let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
    let mut config = client_config(&[&der], &[&rustls::version::TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .resolve("files.example.org", edge.address)
        .build()
        .unwrap();
    let get = |path: &str| {
        client
            .get(format!("https://files.example.org{path}"))
            .send()
    };
    let answer = get("/peer").await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert!(answer.text().await.unwrap().ends_with(" true"));
    let upload = client
        .put("https://files.example.org/body")
        .body(vec![0; 3 << 20])
        .send();
    assert_eq!(
        upload.await.unwrap().text().await.unwrap(),
        (3 << 20).to_string()
    );
    let large = client
        .get("https://files.example.org/")
        .header("a", "x".repeat(1024));
    assert_eq!(large.send().await.unwrap().status(), 431);
    let waiting = tokio::spawn(get("/wait"));
    edge.until_heads(3).await;
    edge.stop.send(true).unwrap();
    edge.gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    edge.stopped().await;
}

#[tokio::test]
async fn an_idle_http2_connection_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (first, der) = certificate(dir.path(), "files.example.org");
    let certificates = vec![first];
    let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
    let mut config = client_config(&[&der], &[&rustls::version::TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .resolve("files.example.org", edge.address)
        .build()
        .unwrap();
    let answer = client.get("https://files.example.org/").send().await;
    assert_eq!(answer.unwrap().text().await.unwrap(), "hello");
    let stopped = Instant::now();
    edge.stop.send(true).unwrap();
    edge.stopped().await;
    assert!(stopped.elapsed() < GENEROUS / 2);
}

#[tokio::test]
async fn handshakes_and_prefaces_that_never_come_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let (first, der) = certificate(dir.path(), "files.example.org");
    let certificates = vec![first];
    let edge = Edge::start_on(limits(), Some(model::Tls { certificates }));
    ended(&mut edge.connect().await).await;
    let mut config = client_config(&[&der], &[&rustls::version::TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let _client = shake(&edge, "files.example.org", config).await.unwrap();
    edge.until_open(1).await;
    edge.until_open(0).await;
}

#[tokio::test]
async fn certificates_are_replaced_under_a_running_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (first, old_der) = certificate(dir.path(), "files.example.org");
    let tls = model::Tls {
        certificates: vec![first.clone()],
    };
    let edge = Edge::start_on(limits(), Some(tls.clone()));
    let both = [&rustls::version::TLS12, &rustls::version::TLS13];
    let config = client_config(&[&old_der], &both);
    let mut old = shake(&edge, "files.example.org", config).await.unwrap();
    assert_eq!(ask(&mut old, GET).await.0, 200);

    let (_, new_der) = certificate(dir.path(), "files.example.org");
    let listeners = [listener(Some(tls.clone()))];
    let reload = edge.control.prepare(&listeners, limits(), now());
    reload.unwrap().apply();
    let config = client_config(&[&new_der], &both);
    let mut new = shake(&edge, "files.example.org", config).await.unwrap();
    assert_eq!(ask(&mut new, GET).await.0, 200);
    assert_eq!(ask(&mut old, GET).await.0, 200);

    // A bad file changes nothing.
    std::fs::write(&first.cert, "not a certificate").unwrap();
    let refused = edge.control.prepare(&listeners, limits(), now());
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("files.example.org.pem"), "{message}");
    let config = client_config(&[&new_der], &both);
    assert!(shake(&edge, "files.example.org", config).await.is_ok());
}
