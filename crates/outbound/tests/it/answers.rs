//! Heads and bodies at their bounds, and peers that hang or end in the middle of one.

use std::future::pending;

use bytes::BytesMut;
use outbound::body;
use outbound::error::{ExchangeStage, OutboundError};
use outbound::exchange::{Case, Heads, begin};
use outbound::stream::Stream;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::support::{HEADS, SHORT, Signal, against, answering, asked, begun, both, connected, heard, listener, request};

fn sized(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(body: &str) -> String {
    let chunks: String = body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

#[tokio::test]
async fn a_body_has_its_bound_and_not_a_byte_more() {
    let (listener, address) = listener().await;
    for write in [sized, chunked] {
        let (_, (status, text)) = both(answering(&listener, write("12345678")), asked(address, 8)).await;
        assert_eq!((status.unwrap(), &*text), (200, "12345678".as_bytes()));
        let (_, (refused, text)) = both(answering(&listener, write("123456789")), asked(address, 8)).await;
        assert!(matches!(refused, Err(OutboundError::BodyTooLarge { max: 8 })), "{refused:?}");
        assert_eq!(&*text, b"12345678", "what is within the bound was read");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_or_none_is_refused() {
    let (listener, address) = listener().await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(16 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(11));
    for head in [long, many, "SSH-2.0-OpenSSH_9.2\r\n".to_owned()] {
        let (_, (refused, _)) = both(answering(&listener, &head), asked(address, 8)).await;
        assert!(matches!(refused, Err(OutboundError::Head(_))), "{head}: {refused:?}");
    }
    let fitting = format!("HTTP/1.1 204 No Content\r\n{}\r\n", "x: y\r\n".repeat(10));
    assert_eq!(both(answering(&listener, fitting), asked(address, 8)).await.1.0.unwrap(), 204);
}

#[tokio::test]
async fn a_peer_that_hangs_before_the_head_has_a_limit() {
    let ((listener, address), hanging) = (listener().await, Signal::default());
    let peer = async {
        let _open = answering(&listener, "HTTP/1.1 200 OK\r\ncontent-").await;
        hanging.give();
        pending().await
    };
    let own = async {
        let (mut connection, mut driver) = begun(address).await;
        driver.during(connection.send(request(), hanging.clone().limit())).await.unwrap_err()
    };
    let error = against(peer, own).await;
    assert!(matches!(error, OutboundError::TimedOut(ExchangeStage::Head)), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_hangs_in_the_body_has_a_limit_and_what_came_is_kept() {
    let ((listener, address), mut text) = (listener().await, BytesMut::new());
    let own = async {
        let (mut connection, mut driver) = begun(address).await;
        let exchanging = async {
            let response = connection.send(request(), pending()).await.unwrap();
            body::read(response.into_body(), &mut text, 8, sleep(SHORT)).await.unwrap_err()
        };
        driver.during(exchanging).await
    };
    let peer = async {
        let _open = answering(&listener, "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n1234").await;
        pending().await
    };
    let error = against(peer, own).await;
    assert!(matches!(error, OutboundError::TimedOut(ExchangeStage::Body)), "{error:?}");
    assert_eq!(&*text, b"1234");
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_is_broken() {
    let (listener, address) = listener().await;
    for begun in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n1234"] {
        let peer = async { drop(answering(&listener, begun).await) };
        let ((), (ended, _)) = both(peer, asked(address, 8)).await;
        assert!(matches!(ended, Err(OutboundError::Broken(_))), "{begun:?}: {ended:?}");
    }
}

#[tokio::test]
async fn names_of_headers_are_written_as_is_asked() {
    let (listener, address) = listener().await;
    for (case, expected) in [(Case::Lower, "\r\nhost: localhost\r\n"), (Case::Title, "\r\nHost: localhost\r\n")] {
        let peer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heard = heard(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            heard
        };
        let own = async {
            let stream = Stream::from(connected(address).await);
            let (mut connection, mut driver) = begin(stream, Heads { case, ..HEADS }).await.unwrap();
            driver.during(connection.send(request(), pending())).await.unwrap();
        };
        let (heard, ()) = both(peer, own).await;
        assert!(heard.contains(expected), "{heard}");
    }
}

#[tokio::test]
async fn a_body_is_poured_out_whole() {
    let (listener, address) = listener().await;
    let own = async {
        let (mut connection, mut driver) = begun(address).await;
        let exchanging = async {
            let (response, mut sink) = (connection.send(request(), pending()).await.unwrap(), Vec::new());
            body::pour(response.into_body(), &mut sink).await.unwrap();
            sink
        };
        driver.during(exchanging).await
    };
    let (_, sink) = both(answering(&listener, chunked("poured out")), own).await;
    assert_eq!(sink, b"poured out");
}
