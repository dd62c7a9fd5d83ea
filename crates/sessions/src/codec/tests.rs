use std::io::{self, Read, Write};

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Theirs, WebSocket};

use super::*;
use crate::testing::client_frame;

/// What a server makes of it, as words, up to the first fault or close.
fn said(bytes: &[u8]) -> Vec<String> {
    said_in_parts(&[bytes])
}

/// The same, when it comes in these parts.
fn said_in_parts(parts: &[&[u8]]) -> Vec<String> {
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
            if words.last().is_some_and(|word| word.starts_with("fault") || word.starts_with("close")) {
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

#[test]
fn messages_pings_and_a_close_are_taken_apart() {
    let sent = [
        client_frame(0x81, b"{\"type\":\"ping\"}"),
        client_frame(0x82, &[1, 2]),
        client_frame(0x89, b"a"),
        client_frame(0x8a, b""),
        client_frame(0x88, &1000_u16.to_be_bytes()),
    ];
    let expected = ["text {\"type\":\"ping\"}", "binary [1, 2]", "ping [97]", "pong", "close Some(1000)"];
    assert_eq!(said(&sent.concat()), expected);
}

#[test]
fn a_message_in_fragments_with_a_ping_between_is_one_message() {
    let sent = [client_frame(0x01, b"one "), client_frame(0x89, b""), client_frame(0x00, b"two "), client_frame(0x80, b"three")];
    assert_eq!(said(&sent.concat()), ["ping []", "text one two three"]);
}

#[test]
fn a_message_of_sixteen_kibibytes_is_taken_and_one_byte_more_is_not() {
    let largest = vec![b'x'; MESSAGE_BYTES_MAX];
    assert_eq!(said(&client_frame(0x81, &largest)).len(), 1);
    assert_eq!(said(&client_frame(0x81, &largest)[..20]), [""; 0], "it is waited for");
    let more = [&largest[..], b"x"].concat();
    assert_eq!(said(&client_frame(0x81, &more)[..14]), ["fault TooLarge"], "told by its head");
    let in_fragments = [client_frame(0x01, &largest), client_frame(0x80, b"x")].concat();
    assert_eq!(said(&in_fragments), ["fault TooLarge"]);
}

#[test]
fn what_the_protocol_forbids_is_a_fault() {
    let unmasked = [0x81, 1, b'x'];
    assert_eq!(said(&unmasked), ["fault Protocol"]);
    let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(said(&huge), ["fault TooLarge"]);
    for (first, payload, code) in [
        (0xc1, &b""[..], "Protocol"),
        (0x83, b"", "Protocol"),
        (0x8b, b"", "Protocol"),
        (0x09, b"", "Protocol"),
        (0x80, b"", "Protocol"),
        (0x89, &[0; 126], "Protocol"),
        (0x88, &[3], "Protocol"),
        (0x88, &[3, 237], "Protocol"),
        (0x88, &[3, 232, 0xff], "Unreadable"),
        (0x81, &[0xff], "Unreadable"),
    ] {
        assert_eq!(said(&client_frame(first, payload)), [format!("fault {code}")], "{first:x} {payload:?}");
    }
    assert_eq!(said(&[client_frame(0x01, b"a"), client_frame(0x81, b"b")].concat()), ["fault Protocol"]);
}

#[test]
fn what_the_server_says_is_framed_with_the_shortest_length() {
    for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let (frame, start) = text_frame(&vec![b'x'; length]);
        assert_eq!((start, frame.len(), frame[0]), (head, head + length, 0x81), "{length} bytes");
    }
    assert_eq!(close_frame(CloseCode::Slow), [&[0x88, 10], &4202_u16.to_be_bytes()[..], b"too slow"].concat());
    assert_eq!((close_answer(None), close_answer(Some(1000))), ([0x88, 0][..].into(), Bytes::from_static(&[0x88, 2, 3, 232])));
    assert_eq!((ping_frame(), pong_frame(b"a")), ([0x89, 0][..].into(), Bytes::from_static(&[0x8a, 1, b'a'])));
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

/// What tungstenite makes of it.
fn said_by_another(bytes: &[u8]) -> Vec<String> {
    let limits = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Replay(bytes), Role::Server, Some(limits));
    let mut words = Vec::new();
    loop {
        words.push(match socket.read() {
            Ok(Theirs::Text(text)) => format!("text {text}"),
            Ok(Theirs::Binary(bytes)) => format!("binary {:?}", &bytes[..]),
            Ok(Theirs::Ping(bytes)) => format!("ping {:?}", &bytes[..]),
            Ok(Theirs::Pong(_)) => "pong".to_owned(),
            Ok(Theirs::Close(frame)) => format!("close {:?}", frame.map(|frame| u16::from(frame.code))),
            Ok(Theirs::Frame(frame)) => panic!("{frame:?}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return words,
            Err(Error::Utf8(_)) => "fault Unreadable".to_owned(),
            Err(_) => "fault".to_owned(),
        });
        if words.last().is_some_and(|word| word.starts_with("fault") || word.starts_with("close")) {
            return words;
        }
    }
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => "[a-zäö€😀]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..140),
        1 => (990_u16..1020).prop_map(|code| code.to_be_bytes().to_vec()),
        1 => (16_380..16_390_usize).prop_map(|length| vec![b'x'; length]),
    ];
    (first, payload).prop_map(|(first, payload)| client_frame(first, &payload))
}

proptest! {
    #[test]
    fn it_hears_what_another_implementation_hears(frames in prop::collection::vec(frames(), 0..8)) {
        let bytes = frames.concat();
        // Of a frame that is forbidden and too large the two say different things.
        let ours: Vec<_> = said(&bytes).iter().map(|word| word.replace(" TooLarge", "").replace(" Protocol", "")).collect();
        // A close with a code that must not be sent is given as one with 1002.
        let theirs = said_by_another(&bytes);
        let is_fault = |word: Option<&String>| word.is_some_and(|word| word == "fault" || word == "close Some(1002)");
        if is_fault(ours.last()) && is_fault(theirs.last()) {
            prop_assert_eq!(&ours[..ours.len() - 1], &theirs[..theirs.len() - 1]);
        } else {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_are_messages_or_a_fault_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        said(&bytes);
    }

    #[test]
    fn it_does_not_matter_in_which_parts_it_comes(frames in prop::collection::vec(frames(), 0..8), size in 1..40_usize) {
        let bytes = frames.concat();
        let parts: Vec<_> = bytes.chunks(size).collect();
        prop_assert_eq!(said_in_parts(&parts), said(&bytes));
    }
}
