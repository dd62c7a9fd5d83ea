//! Certificates, names and hand-shakes.

use std::future::pending;
use std::io::Write;
use std::sync::Arc;

use outbound::error::{ExchangeStage, OutboundError};
use outbound::exchange::begin;
use outbound::stream::{Destination, Stream};
use outbound::trust::Trust;
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::support::{HEADS, Signal, against, both, connected, heard, listener, request};

/// A peer with a certificate for `name`, and the file of the authority that signed it.
fn certified(name: &str) -> (TlsAcceptor, NamedTempFile) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(certified.cert.pem().as_bytes()).unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

/// Shakes hands under `host`; returns the names that were asked for and agreed upon (SNI, ALPN).
async fn shaken(
    (listener, acceptor): (&TcpListener, &TlsAcceptor),
    host: &str,
    trust: &Trust,
) -> Result<(Option<String>, Option<Vec<u8>>), OutboundError> {
    let address = listener.local_addr().unwrap();
    let peer = async {
        let accepted = acceptor.accept(listener.accept().await.unwrap().0).await;
        let session = accepted.ok()?;
        let (_, session) = session.get_ref();
        Some((session.server_name().map(str::to_owned), session.alpn_protocol().map(<[u8]>::to_vec)))
    };
    let own = async { Stream::secure(connected(address).await, host, trust, pending()).await };
    let (agreed, secured) = both(peer, own).await;
    secured.map(|_| agreed.unwrap())
}

#[tokio::test]
async fn a_certificate_is_looked_at_by_its_authority_and_its_name() {
    let ((listener, _), (acceptor, ca_file)) = (listener().await, certified("localhost"));
    let (web, own) = (Trust::authorities(None).unwrap(), Trust::authorities(Some(ca_file.path())).unwrap());
    let peer = (&listener, &acceptor);
    let agreed = shaken(peer, "localhost", &own).await.unwrap();
    assert_eq!(agreed, (Some("localhost".to_owned()), Some(b"http/1.1".to_vec())));
    for (host, trust) in [("localhost", &web), ("elsewhere.example", &own), ("127.0.0.1", &own)] {
        let error = shaken(peer, host, trust).await.unwrap_err();
        assert!(matches!(error, OutboundError::Tls(_)), "{host}: {error:?}");
    }
    let anything = Trust::unverified().unwrap();
    assert_eq!(shaken(peer, "elsewhere.example", &anything).await.unwrap().0, Some("elsewhere.example".to_owned()));
    let no_name = Stream::secure(connected(listener.local_addr().unwrap()).await, "no name", &own, pending()).await;
    assert!(matches!(no_name, Err(OutboundError::Tls(_))), "{no_name:?}");
}

#[tokio::test]
async fn what_is_no_tls_is_said_to_be_none() {
    let ((listener, address), trust) = (listener().await, Trust::unverified().unwrap());
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let own = async { Stream::secure(connected(address).await, "localhost", &trust, pending()).await };
    let (_, secured) = both(peer, own).await;
    assert!(matches!(secured, Err(OutboundError::Tls(_))), "{secured:?}");
}

#[tokio::test]
async fn a_peer_that_hangs_in_the_hand_shake_has_a_limit() {
    let ((listener, address), trust, hanging) = (listener().await, Trust::unverified().unwrap(), Signal::default());
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        hanging.give();
        pending().await
    };
    let to = Destination { host: "127.0.0.1", port: address.port(), trust: Some(&trust) };
    let error = against(peer, Stream::open(to, pending::<()>, hanging.clone().limit())).await.unwrap_err();
    assert!(matches!(error, OutboundError::TimedOut(ExchangeStage::Tls)), "{error:?}");
}

#[tokio::test]
async fn a_request_goes_over_a_secured_connection() {
    let ((listener, address), (acceptor, ca_file)) = (listener().await, certified("127.0.0.1"));
    let trust = Trust::authorities(Some(ca_file.path())).unwrap();
    let peer = async {
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let heard = heard(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        heard
    };
    let own = async {
        let to = Destination { host: "127.0.0.1", port: address.port(), trust: Some(&trust) };
        let stream = Stream::open(to, pending::<()>, pending()).await.unwrap();
        let (mut connection, mut driver) = begin(stream, HEADS).await.unwrap();
        driver.during(connection.send(request(), pending())).await.unwrap().status()
    };
    let (heard, status) = both(peer, own).await;
    assert!(heard.starts_with("POST /hooks HTTP/1.1\r\nhost: localhost\r\n"), "{heard}");
    assert_eq!(status, 204);
}
