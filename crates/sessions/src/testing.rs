//! What the tests of this crate share.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use protocol::frame::{EncodedFrame, Facts};
use protocol::id::{ClientId, CustomerId, EventId, NegotiatorId, Product, Recipient};
use protocol::payload::CallState;

use crate::delivery::Delivery;
use crate::receipts::Poster;

pub(crate) fn id(number: u64) -> EventId {
    EventId::new(number, [0; 10])
}

pub(crate) fn product(name: &str) -> Product {
    Product::parse(name).unwrap()
}

pub(crate) fn recipient(customer: &str, negotiator: &str) -> Recipient {
    Recipient { customer: CustomerId::parse(customer).unwrap(), negotiator: NegotiatorId::parse(negotiator).unwrap() }
}

pub(crate) fn poster() -> Poster {
    Poster { client_id: ClientId::parse("app").unwrap(), customer: CustomerId::parse("SBOX").unwrap() }
}

/// An event for product `A` that sets `call` to `state`, created at this second.
pub(crate) fn frame(number: u64, call: &str, state: CallState, created: i64) -> EncodedFrame<'_> {
    let facts = Facts {
        id: id(number),
        at: Timestamp::UNIX_EPOCH,
        expires: None,
        products: std::iter::once(product("A")).collect(),
        state,
        created: Timestamp::from_second(created).unwrap(),
    };
    EncodedFrame { facts, call_id: call.into(), text: format!("{{\"number\":{number}}}").into() }
}

pub(crate) fn delivery(number: u64, call: &str, state: CallState, created: i64) -> Arc<Delivery> {
    Arc::new(Delivery::new(frame(number, call, state, created), Duration::ZERO, None))
}

pub(crate) fn of_bytes(bytes: usize) -> Arc<Delivery> {
    let frame = EncodedFrame { text: "x".repeat(bytes).into(), ..frame(1, "c", CallState::Incoming, 0) };
    Arc::new(Delivery::new(frame, Duration::ZERO, None))
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame from a client, its first byte as given.
pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        length @ 0..126 => vec![0x80 | u8::try_from(length).unwrap()],
        length @ 126..65_536 => [&[0x80 | 126], u16::try_from(length).unwrap().to_be_bytes().as_slice()].concat(),
        length => [&[0x80 | 127], (length as u64).to_be_bytes().as_slice()].concat(),
    };
    let masked: Vec<u8> = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [&[first], length.as_slice(), &MASK, &masked].concat()
}
