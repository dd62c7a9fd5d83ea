//! WebSocket's frames as a server takes and sends them (RFC 6455 §5): what a client sent is decoded in place. Pure.
//!
//! A frame that the server sends has no mask, so its bytes are the same for all who get it: an event is framed once. A client's
//! frames are decoded where they were read, so that an idle session keeps no buffer.

use std::io::Cursor;
use std::ops::Range;

use bytes::Bytes;
use protocol::close::CloseCode;
use protocol::message::CLIENT_MESSAGE_BYTES_MAX;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as WireCode, Control, Data, OpCode};

/// Whether sessions echo every message instead of saying their own: what a conformance suite asks of a server.
pub(crate) const ECHOES: bool = cfg!(feature = "conformance");
/// How large a client's message can be; the suite's largest has 64 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = if ECHOES { 128 * 1024 } else { CLIENT_MESSAGE_BYTES_MAX };
/// How much a control frame can carry (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// The head of a client's frame: two bytes, eight of length, four of mask.
pub(crate) const HEAD_BYTES_MAX: usize = 14;

/// What a client said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'b> {
    Text(&'b str),
    Binary(&'b [u8]),
    Ping(&'b [u8]),
    Pong,
    /// With the code that it gave.
    Close(Option<u16>),
}

/// How a client broke the protocol, and the code that it is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: CloseCode,
    /// What it was, for the log.
    pub(crate) what: &'static str,
}

const NOT_UTF8: Fault = Fault { code: CloseCode::Unreadable, what: "is not UTF-8" };

/// Decodes messages; keeps the fragments of one whose last has not come.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    fragments: Option<Box<Fragments>>,
    /// The fragments of the message that was returned last, freed with the next.
    given: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    data: Data,
    bytes: Vec<u8>,
    /// How much of a text is known to be UTF-8.
    checked: usize,
}

impl Decoder {
    /// Takes the next message from the front of `input`. Returns `None` where it is not whole, and leaves the beginning of its
    /// frame there.
    pub(crate) fn next<'m, 'b: 'm>(&'m mut self, input: &mut &'b mut [u8]) -> Result<Option<Message<'m>>, Fault> {
        self.given = None;
        while let Some((header, payload)) = frame(input, MESSAGE_BYTES_MAX - self.gathered())? {
            match header.opcode {
                OpCode::Control(control) => return control_message(control, payload).map(Some),
                OpCode::Data(Data::Continue) => {
                    let fragments = self.fragments.as_mut().ok_or(protocol("continues no message"))?;
                    fragments.add(payload)?;
                }
                OpCode::Data(_) if self.fragments.is_some() => return Err(protocol("begins a message within another")),
                OpCode::Data(data) if header.is_final => return data_message(data, payload).map(Some),
                OpCode::Data(data) => {
                    let fragments = self.fragments.insert(Box::new(Fragments { data, bytes: Vec::new(), checked: 0 }));
                    fragments.add(payload)?;
                }
            }
            if header.is_final {
                self.given = self.fragments.take();
                return self.given.as_ref().map(|whole| data_message(whole.data, &whole.bytes)).transpose();
            }
        }
        Ok(None)
    }

    fn gathered(&self) -> usize {
        self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.len())
    }
}

impl Fragments {
    /// Adds a fragment. A text that is not UTF-8 is refused with the first fragment that makes it so.
    fn add(&mut self, payload: &[u8]) -> Result<(), Fault> {
        self.bytes.extend_from_slice(payload);
        if self.data != Data::Text {
            return Ok(());
        }
        self.checked += match std::str::from_utf8(self.bytes.get(self.checked..).unwrap_or_default()) {
            Ok(rest) => rest.len(),
            Err(cut) if cut.error_len().is_none() => cut.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        };
        Ok(())
    }
}

/// Takes one frame from the front of `input`, if it is whole, and unmasks it. The payload of a data frame can have `room` bytes.
fn frame<'b>(input: &mut &'b mut [u8], room: usize) -> Result<Option<(FrameHeader, &'b mut [u8])>, Fault> {
    let mut cursor = Cursor::new(&input[..]);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_reserved| protocol("has an opcode that is not known"))?;
    let (Some((header, length)), Ok(start)) = (parsed, usize::try_from(cursor.position())) else { return Ok(None) };
    check(&header, length)?;
    let too_large = Fault { code: CloseCode::TooLarge, what: "is too large" };
    let is_data = matches!(header.opcode, OpCode::Data(_));
    let length = usize::try_from(length).ok().filter(|length| !is_data || *length <= room).ok_or(too_large)?;
    let Some(end) = start.checked_add(length).filter(|end| *end <= input.len()) else { return Ok(None) };
    let (whole, rest) = std::mem::take(input).split_at_mut(end);
    *input = rest;
    let (_, payload) = whole.split_at_mut(start);
    unmask(payload, header.mask.unwrap_or_default());
    Ok(Some((header, payload)))
}

fn check(header: &FrameHeader, length: u64) -> Result<(), Fault> {
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(protocol("has a reserved bit"));
    }
    if header.mask.is_none() {
        return Err(protocol("has no mask"));
    }
    match header.opcode {
        OpCode::Control(_) if !header.is_final => Err(protocol("is a control frame in fragments")),
        OpCode::Control(_) if length > CONTROL_BYTES_MAX as u64 => Err(protocol("is a control frame of more than 125 bytes")),
        OpCode::Control(_) | OpCode::Data(_) => Ok(()),
    }
}

/// RFC 6455 §5.3, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ twice).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

fn data_message(data: Data, payload: &[u8]) -> Result<Message<'_>, Fault> {
    match data {
        Data::Text => Ok(Message::Text(text(payload)?)),
        Data::Binary | Data::Continue | Data::Reserved(_) => Ok(Message::Binary(payload)),
    }
}

fn control_message(control: Control, payload: &[u8]) -> Result<Message<'_>, Fault> {
    match control {
        Control::Ping => Ok(Message::Ping(payload)),
        Control::Pong | Control::Reserved(_) => Ok(Message::Pong),
        Control::Close => match payload {
            [] => Ok(Message::Close(None)),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                text(reason)?;
                let is_allowed = WireCode::from(code).is_allowed();
                if is_allowed {
                    Ok(Message::Close(Some(code)))
                } else {
                    Err(protocol("closes with a code that must not be sent"))
                }
            }
            [_] => Err(protocol("closes with half a code")),
        },
    }
}

fn text(payload: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(payload).map_err(|_not_utf8| NOT_UTF8)
}

fn protocol(what: &'static str) -> Fault {
    Fault { code: CloseCode::Protocol, what }
}

/// Returns a text, framed.
pub(crate) fn text_frame(text: &[u8]) -> Bytes {
    framed(OpCode::Data(Data::Text), text)
}

/// Returns a text, framed, with `more` behind the frame, and where in it the text is.
pub(crate) fn text_frame_before(text: &[u8], more: &[u8]) -> (Box<[u8]>, Range<usize>) {
    let mut frame = framed_with_room(OpCode::Data(Data::Text), text, more.len());
    let end = frame.len();
    frame.extend_from_slice(more);
    (frame.into(), end - text.len()..end)
}

/// Returns bytes, framed.
pub(crate) fn binary_frame(payload: &[u8]) -> Bytes {
    framed(OpCode::Data(Data::Binary), payload)
}

/// Returns a ping without a payload.
pub(crate) fn ping_frame() -> Bytes {
    framed(OpCode::Control(Control::Ping), &[])
}

/// Returns the answer to a ping (RFC 6455 §5.5.3).
pub(crate) fn pong_frame(ping: &[u8]) -> Bytes {
    framed(OpCode::Control(Control::Pong), ping)
}

/// Returns a close frame with its code and reason.
pub(crate) fn close_frame(code: CloseCode) -> Bytes {
    let (number, reason) = code.on_the_wire();
    framed(OpCode::Control(Control::Close), &[&number.to_be_bytes(), reason.as_bytes()].concat())
}

/// Returns the answer to a close: the same code (RFC 6455 §5.5.1).
pub(crate) fn close_answer(code: Option<u16>) -> Bytes {
    framed(OpCode::Control(Control::Close), code.map(u16::to_be_bytes).as_ref().map_or(&[], |code| code.as_slice()))
}

fn framed(opcode: OpCode, payload: &[u8]) -> Bytes {
    framed_with_room(opcode, payload, 0).into()
}

/// Returns a frame, with exactly so much room behind it.
fn framed_with_room(opcode: OpCode, payload: &[u8], room: usize) -> Vec<u8> {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let length = payload.len() as u64;
    let mut frame = Vec::with_capacity(header.len(length) + payload.len() + room);
    #[expect(clippy::expect_used, reason = "a head is written to memory: there is nothing to fail at")]
    header.format(length, &mut frame).expect("a head is written to memory");
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests;
