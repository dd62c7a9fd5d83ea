//! Bytes of a client, in frames and not, cut anywhere: what a session hears is what tungstenite hears, however it comes.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use sessions::fuzzing::{difference, heard};

/// First bytes that a well-behaved client sends.
const FIRST: [u8; 9] = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88];
/// The largest message that is taken.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Arbitrary)]
struct Line {
    pieces: Vec<Piece>,
    /// The lengths of the parts in which it comes; what is left comes at once.
    cuts: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
enum Piece {
    Frame {
        first: First,
        mask: [u8; 4],
        form: Form,
        payload: Vec<u8>,
    },
    /// Around the largest message.
    Large {
        first: First,
        mask: [u8; 4],
        less: u8,
    },
    Raw(Vec<u8>),
}

/// How a length is written; the longer forms are for longer payloads, but may be used for any.
#[derive(Debug, Arbitrary)]
enum Form {
    Shortest,
    TwoBytes,
    EightBytes,
}

#[derive(Debug)]
struct First(u8);

impl<'a> Arbitrary<'a> for First {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        if u.ratio(7, 8)? { u.choose(&FIRST).copied().map(Self) } else { u.arbitrary().map(Self) }
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Frame { first, mask, form, payload } => frame(first, *mask, form, payload),
            Self::Large { first, mask, less } => {
                let length = MESSAGE_BYTES_MAX + 8 - usize::from(*less);
                frame(first, *mask, &Form::Shortest, &vec![b'x'; length])
            }
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

fn frame(first: &First, mask: [u8; 4], form: &Form, payload: &[u8]) -> Vec<u8> {
    let long = (payload.len() as u64).to_be_bytes();
    let length = match (form, payload.len()) {
        (Form::Shortest, length @ 0..126) => vec![0x80 | length as u8],
        (Form::Shortest | Form::TwoBytes, 0..65_536) => [&[0x80 | 126], &long[6..]].concat(),
        (Form::Shortest | Form::TwoBytes | Form::EightBytes, _) => [&[0x80 | 127], &long[..]].concat(),
    };
    let masked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [&[first.0], length.as_slice(), &mask, &masked].concat()
}

fuzz_target!(|line: Line| {
    let bytes: Vec<u8> = line.pieces.iter().flat_map(Piece::bytes).collect();
    let (mut parts, mut rest) = (Vec::new(), &bytes[..]);
    for cut in &line.cuts {
        let (part, behind) = rest.split_at(usize::from(*cut).min(rest.len()));
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    assert_eq!(heard(&parts), heard(&[&bytes]), "in parts, and at once");
    if let Some([ours, theirs]) = difference(&bytes) {
        panic!("a session hears {ours:?}, tungstenite {theirs:?}");
    }
});
