use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::testing::client_frame;

/// Hears one message, and ends with it.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Message(String),
    Broken,
}

impl From<Fault> for Heard {
    fn from(_: Fault) -> Self {
        Self::Broken
    }
}

impl From<io::Error> for Heard {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

async fn first<S: AsyncRead + Unpin>(reader: &mut Reader<S>) -> Heard {
    loop {
        let heard = poll_fn(|cx| reader.poll_read(cx, |message| Err(Heard::Message(format!("{message:?}"))))).await;
        if let Err(heard) = heard {
            return heard;
        }
    }
}

#[tokio::test]
async fn a_close_behind_the_message_that_ended_a_session_is_heard() {
    let (client, server) = duplex(64 * 1024);
    let (mut client, mut reader) = (client, Reader::new(server, b""));
    let large = client_frame(0x82, &[7; 10_000]);
    client.write_all(&large[..1448]).await.unwrap();
    assert!(first(&mut reader).now_or_never().is_none());
    client.write_all(&[&large[1448..], &client_frame(0x88, &[])].concat()).await.unwrap();
    assert!(matches!(first(&mut reader).await, Heard::Message(message) if message.starts_with("Binary")));
    drop(client);
    assert!(reader.part(false).now_or_never().unwrap(), "nothing is waited for");
}

#[tokio::test]
async fn what_was_sent_behind_the_request_is_heard_however_much_it_is() {
    let early = [client_frame(0x82, &[7; 10_000]), client_frame(0x82, &[7; 10_000])].concat();
    let early = [early.clone(), early, client_frame(0x81, b"last")].concat();
    assert!(early.len() > SCRATCH_BYTES);
    let (_client, server) = duplex(16);
    let mut reader = Reader::new(server, &early);
    for _ in 0..4 {
        assert!(matches!(first(&mut reader).await, Heard::Message(message) if message.starts_with("Binary")));
    }
    assert_eq!(first(&mut reader).await, Heard::Message("Text(\"last\")".to_owned()));
    assert!(first(&mut reader).now_or_never().is_none());
}

#[tokio::test]
async fn a_client_that_broke_the_protocol_is_not_heard_out() {
    let (mut client, server) = duplex(1024);
    let mut reader = Reader::new(server, b"");
    // A close with half a code.
    client.write_all(&client_frame(0x88, &[3])).await.unwrap();
    assert_eq!(first(&mut reader).await, Heard::Broken);
    assert!(reader.part(false).now_or_never().is_none());
    assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "our side has ended at once");
}
