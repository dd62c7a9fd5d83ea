//! What is heard of the same bytes, as words: by the decoder, and by another implementation, for tests and the fuzz target.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Theirs, WebSocket};

use super::codec::{Decoder, HEAD_BYTES_MAX, MESSAGE_BYTES_MAX, Message};

/// What the decoder makes of bytes that come in these parts, up to the first fault or close.
pub(crate) fn heard(parts: &[&[u8]]) -> Vec<String> {
    let (mut decoder, mut rest, mut words) = (Decoder::default(), Vec::new(), Vec::new());
    for part in parts {
        let mut bytes = [&rest[..], part].concat();
        let mut input = &mut bytes[..];
        loop {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(message)) => words.push(word(&message)),
                Err(fault) => words.push(format!("fault {:?}", fault.code)),
            }
            if is_last(&words) {
                return words;
            }
        }
        rest = input.to_vec();
    }
    words
}

fn word(message: &Message<'_>) -> String {
    match message {
        Message::Text(text) => format!("text {text}"),
        Message::Binary(bytes) => format!("binary {bytes:?}"),
        Message::Ping(bytes) => format!("ping {bytes:?}"),
        Message::Pong => "pong".to_owned(),
        Message::Close(code) => format!("close {code:?}"),
    }
}

fn is_last(words: &[String]) -> bool {
    words.last().is_some_and(|word| word.starts_with("fault") || word.starts_with("close"))
}

/// A socket with bytes to read, that takes all that is written.
struct Replay<'b>(&'b [u8]);

impl Read for Replay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Replay<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of it, up to the first fault or close.
fn heard_by_another(bytes: &[u8]) -> Vec<String> {
    let limits = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Replay(bytes), Role::Server, Some(limits));
    let mut words = Vec::new();
    while !is_last(&words) {
        words.push(match socket.read() {
            Ok(Theirs::Text(text)) => format!("text {text}"),
            Ok(Theirs::Binary(bytes)) => format!("binary {:?}", &bytes[..]),
            Ok(Theirs::Ping(bytes)) => format!("ping {:?}", &bytes[..]),
            Ok(Theirs::Pong(_)) => "pong".to_owned(),
            Ok(Theirs::Close(frame)) => format!("close {:?}", frame.map(|frame| u16::from(frame.code))),
            Ok(Theirs::Frame(frame)) => format!("frame {frame:?}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return words,
            Err(Error::Utf8(_)) => "fault Unreadable".to_owned(),
            Err(_) => "fault".to_owned(),
        });
    }
    words
}

/// What the decoder and tungstenite make of `bytes`, where they should agree and do not.
pub(crate) fn difference(bytes: &[u8]) -> Option<[Vec<String>; 2]> {
    let ours: Vec<_> = heard(&[bytes]).iter().map(|word| plain(word)).collect();
    let mut theirs = heard_by_another(bytes);
    if ours.len() == theirs.len() + 1 && is_last(&ours) {
        // What the head of a frame says is a fault here at once, and there when the frame is whole.
        theirs = heard_by_another(&[bytes, &[0; HEAD_BYTES_MAX + MESSAGE_BYTES_MAX]].concat());
    }
    let theirs: Vec<_> = theirs.iter().map(|word| plain(word)).collect();
    (ours != theirs).then_some([ours, theirs])
}

/// Of a frame that is forbidden and too large the two say different things, and a close with a code that must not be sent is
/// given by the other as one with 1002.
fn plain(word: &str) -> String {
    match word {
        "fault TooLarge" | "fault Protocol" | "close Some(1002)" => "fault".to_owned(),
        other => other.to_owned(),
    }
}
