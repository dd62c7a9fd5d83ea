use proptest::prelude::*;

use super::*;
use crate::testing::client_frame;
use crate::ws::heard::{difference, heard};

/// What is heard of bytes that come at once.
fn said(bytes: &[u8]) -> Vec<String> {
    heard(&[bytes])
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
        let (frame, text) = text_frame_before(&vec![b'x'; length], b"more");
        assert_eq!((text.clone(), frame[0]), (head..head + length, 0x81), "{length} bytes");
        assert_eq!(&frame[text.end..], b"more");
    }
    assert_eq!(close_frame(CloseCode::Slow), [&[0x88, 10], &4202_u16.to_be_bytes()[..], b"too slow"].concat());
    assert_eq!((close_answer(None), close_answer(Some(1000))), ([0x88, 0][..].into(), Bytes::from_static(&[0x88, 2, 3, 232])));
    assert_eq!((ping_frame(), pong_frame(b"a")), ([0x89, 0][..].into(), Bytes::from_static(&[0x8a, 1, b'a'])));
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
        prop_assert_eq!(difference(&bytes), None);
    }

    #[test]
    fn any_bytes_are_messages_or_a_fault_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        said(&bytes);
    }

    #[test]
    fn it_does_not_matter_in_which_parts_it_comes(frames in prop::collection::vec(frames(), 0..8), size in 1..40_usize) {
        let bytes = frames.concat();
        let parts: Vec<_> = bytes.chunks(size).collect();
        prop_assert_eq!(heard(&parts), said(&bytes));
    }
}
