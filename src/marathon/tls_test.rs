use super::*;
use crate::marathon::Client;
use crate::marathon::changes::send_once;
use crate::marathon::pretend::options;
use crate::ports::cluster::{Cluster, KillAnswer, KillOrder, LastLook};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

/// An authority made for one test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
struct Signed {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, name: &str, expired: bool) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        Signed {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A Marathon behind TLS; with `clients`, it lets in who shows a certificate of that authority.
async fn marathon(own: &Signed, clients: Option<&Authority>) -> Url {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = rustls::RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(own.cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let config = builder.with_single_cert(chain, key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut socket) = acceptor.accept(socket).await else {
                    return;
                };
                let mut asked = vec![0; 4096];
                let read = socket.read(&mut asked).await.unwrap_or(0);
                let body = if asked[..read].starts_with(b"POST ") {
                    r#"{"tasks":[]}"#
                } else {
                    r#"{"version":"1.11","frameworkId":"f"}"#
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    Url::parse(&url).unwrap()
}

struct Open;
impl LastLook for Open {
    fn closed(&self) -> Option<String> {
        None
    }
}

/// What a read and a kill lead to, in words; both empty when they were answered.
async fn asked(url: Url, ca: &Authority, ours: Option<&Signed>) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut options = options(vec![url]);
    options.tls = TlsFiles {
        ca: Some(file("ca.pem", &ca.pem)),
        cert: ours.map(|o| file("cert.pem", &o.cert)),
        key: ours.map(|o| file("key.pem", &o.key)),
    };
    let client = Client::new(options).unwrap();
    let seen = client.look(&[]).await;
    let read = match seen.info {
        Some(_) => String::new(),
        None => seen.gaps.last().unwrap().why.clone(),
    };
    let order = KillOrder {
        intent: "r/1".into(),
        tasks: vec!["a.1".into()],
        pod: None,
        timeout: Duration::from_secs(10),
    };
    let kill = match send_once(&client, &order, &Open).await {
        KillAnswer::Accepted { .. } => String::new(),
        KillAnswer::NotSent { why } | KillAnswer::Unanswered { why } => why,
        other => panic!("{other:?}"),
    };
    (read, kill)
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_its_file_and_no_other_is() {
    let (ours, other, renewed) = (
        Authority::new("ours"),
        Authority::new("other"),
        Authority::new("ours"),
    );
    let cert = ours.sign("127.0.0.1", false);
    let (read, kill) = asked(marathon(&cert, None).await, &ours, None).await;
    assert_eq!((read.as_str(), kill.as_str()), ("", ""));
    // Another one, and one that was made anew under the same name.
    for (authority, error) in [(&other, "UnknownIssuer"), (&renewed, "BadSignature")] {
        let (read, kill) = asked(marathon(&cert, None).await, authority, None).await;
        for said in [&read, &kill] {
            let words = format!(
                "{error}: its certificate is signed by no authority that we trust; name a private one"
            );
            assert!(said.contains(&words), "{said}");
        }
        assert!(kill.contains("nothing was sent"), "{kill}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_or_out_of_date_is_refused_in_words() {
    let ca = Authority::new("ours");
    for (cert, words) in [
        (
            ca.sign("elsewhere.example", false),
            "is for another name than the address in `urls`",
        ),
        (
            ca.sign("127.0.0.1", true),
            "has run out, or the clock of this machine is wrong",
        ),
    ] {
        let (read, kill) = asked(marathon(&cert, None).await, &ca, None).await;
        for said in [&read, &kill] {
            assert!(said.contains(words), "{said}");
        }
        assert!(kill.contains("nothing was sent"), "{kill}");
    }
}

#[tokio::test]
async fn a_marathon_that_wants_our_certificate_gets_it_and_says_so_when_it_does_not() {
    let (ca, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    let own = ca.sign("127.0.0.1", false);
    let good = ca.sign("heartbreak", false);
    let bad = stranger.sign("heartbreak", false);
    let (read, kill) = asked(marathon(&own, Some(&ca)).await, &ca, Some(&good)).await;
    assert_eq!((read.as_str(), kill.as_str()), ("", ""));
    let (read, kill) = asked(marathon(&own, Some(&ca)).await, &ca, None).await;
    for said in [&read, &kill] {
        assert!(
            said.contains("it wants a certificate of ours: `tls.certFile` and `tls.keyFile`"),
            "{said}"
        );
    }
    let (read, _) = asked(marathon(&own, Some(&ca)).await, &ca, Some(&bad)).await;
    assert!(
        read.contains("it does not take our certificate (`tls.certFile`)"),
        "{read}"
    );
}

#[test]
fn half_a_client_certificate_and_a_missing_file_are_refused_by_name() {
    let half = TlsFiles {
        cert: Some("c.pem".into()),
        ..TlsFiles::default()
    };
    assert!(configure(&half).unwrap_err().contains("both"));
    let missing = TlsFiles {
        ca: Some("/nowhere/ca.pem".into()),
        ..TlsFiles::default()
    };
    assert!(configure(&missing).unwrap_err().contains("/nowhere/ca.pem"));
    assert!(configure(&TlsFiles::default()).is_ok());
}
