use bytes::Bytes;
use jiff::SignedDuration;
use protocol::frame::EncodedFrame;
use protocol::payload::CallState;

use super::*;
use crate::delivery::Delivery;
use crate::testing::{frame, of_bytes};

/// An event of so many bytes on the wire: a text, and its head.
fn event(bytes: usize) -> Item {
    let head = if bytes < 128 { 2 } else { 4 };
    Item::Event(of_bytes(bytes - head))
}

fn own(text: &'static str) -> Item {
    Item::frame(Bytes::from_static(text.as_bytes()))
}

fn head() -> Item {
    Item::Head(Box::new(Bytes::from_static(b"101")))
}

/// Events of so many bytes each.
fn backlog(events: &[usize]) -> Backlog {
    let mut backlog = Backlog::default();
    events.iter().for_each(|bytes| backlog.push(event(*bytes), 0));
    backlog
}

fn gone(frames: usize, events: usize, bytes: usize) -> Gone {
    Gone { frames, events, bytes }
}

/// The lengths of what goes to a socket next.
fn lengths(backlog: &Backlog) -> Vec<usize> {
    backlog.slices().iter().map(|slice| slice.len()).collect()
}

#[test]
fn there_is_room_up_to_either_bound_and_not_beyond() {
    let config = Config { queue_events_max: 3, queue_bytes_max: 100, ..Config::default() };
    for (waiting, next, has_room) in
        [(&[][..], 100, true), (&[], 101, false), (&[10, 10], 80, true), (&[10, 10], 81, false), (&[10, 10, 10], 10, false)]
    {
        assert_eq!(backlog(waiting).has_room(&event(next), &config), has_room, "{next} behind {waiting:?}");
    }
}

#[test]
fn the_sessions_own_words_take_no_room() {
    let config = Config { queue_events_max: 1, queue_bytes_max: 10, ..Config::default() };
    let mut backlog = Backlog::default();
    (0..100).for_each(|_| backlog.push_own(own("a word"), 0));
    assert!(backlog.has_room(&event(10), &config));
    assert_eq!((backlog.len(), backlog.events(), backlog.bytes()), (100, 0, 0));
}

#[test]
fn own_words_go_before_events_and_behind_what_must_go_first() {
    let mut waiting = backlog(&[10, 20]);
    waiting.push_own(own("one"), 0);
    waiting.push_own(own("three"), 0);
    assert_eq!(lengths(&waiting), [3, 5, 10, 20]);
    let mut begun = Backlog::default();
    begun.push(event(10), 4);
    begun.push_own(own("one"), 0);
    assert_eq!(lengths(&begun), [6, 3]);
    let mut opening = Backlog::default();
    opening.push_own(head(), 0);
    opening.push_own(own("welcome"), 0);
    assert_eq!(lengths(&opening), [3, 7]);
}

#[test]
fn what_the_socket_takes_is_counted_frame_by_frame() {
    let mut waiting = backlog(&[10, 20, 30]);
    waiting.push_own(own("one"), 0);
    let mut out = Vec::new();
    let mut advance = |waiting: &mut Backlog, bytes| waiting.advance(bytes, |item| out.push(item.wire().len()));
    assert_eq!(advance(&mut waiting, 2), gone(0, 0, 0));
    assert_eq!(advance(&mut waiting, 1), gone(1, 0, 0));
    assert_eq!(advance(&mut waiting, 31), gone(2, 2, 30));
    assert_eq!((lengths(&waiting), waiting.events(), waiting.bytes()), (vec![29], 1, 30));
    assert_eq!(advance(&mut waiting, 29), gone(1, 1, 30));
    assert_eq!((waiting.is_empty(), waiting.events(), waiting.bytes()), (true, 0, 0));
    assert_eq!(out, [3, 10, 20, 30]);
}

#[test]
fn at_most_sixteen_frames_go_out_at_once() {
    assert_eq!(lengths(&backlog(&[10; 17])), [10; 16]);
}

#[test]
fn all_is_dropped_but_what_the_socket_has_in_part_or_cannot_do_without() {
    let mut waiting = backlog(&[10, 20]);
    assert_eq!(waiting.drop_waiting(), gone(2, 2, 30));
    assert!(waiting.is_empty());
    let mut begun = backlog(&[10, 20]);
    begun.advance(1, |_| ());
    assert_eq!(begun.drop_waiting(), gone(1, 1, 20));
    assert_eq!((lengths(&begun), begun.bytes()), (vec![9], 10));
    let mut opening = backlog(&[10]);
    opening.push_own(head(), 0);
    opening.push_own(own("welcome"), 0);
    assert_eq!(opening.drop_waiting(), gone(2, 1, 10));
    assert_eq!(lengths(&opening), [3]);
}

#[test]
fn what_has_stopped_ringing_is_left_out_unless_it_was_begun() {
    let expires = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(45);
    let ringing = || {
        let mut frame = EncodedFrame { text: "x".repeat(8).into(), ..frame(1, "c", CallState::Incoming, 0) };
        frame.facts.expires = Some(expires);
        Item::Event(std::sync::Arc::new(Delivery::new(frame, std::time::Duration::ZERO, None)))
    };
    let mut waiting = Backlog::default();
    waiting.push(ringing(), 1);
    waiting.push_own(ringing(), 0);
    waiting.push(event(20), 0);
    waiting.push(ringing(), 0);
    assert_eq!(waiting.drop_expired(expires), gone(0, 0, 0), "to the last moment");
    assert_eq!(waiting.drop_expired(expires + SignedDuration::from_nanos(1)), gone(2, 1, 10));
    assert_eq!((lengths(&waiting), waiting.events(), waiting.bytes()), (vec![9, 20], 2, 30));
}

#[test]
fn an_empty_backlog_keeps_little() {
    let mut waiting = backlog(&[10; 64]);
    waiting.advance(640, |_| ());
    assert!(waiting.frames.capacity() <= FRAMES_KEPT);
}
