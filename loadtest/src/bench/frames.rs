//! Frames of WebSocket (RFC 6455 §5.2) as servers send them, taken apart no further than is needed.

/// One frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'b> {
    pub(super) opcode: u8,
    pub(super) payload: &'b [u8],
}

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;
/// Set in the byte of the length where the payload is masked.
const MASKED: u8 = 0x80;

/// The frame at the begin of `bytes` and how many bytes it has; `None` where it is not whole yet.
pub(super) fn first(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let (&head, &length) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match length {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(start..start + length)?;
    Some((Frame { opcode: head & 0x0f, payload }, start + length))
}

/// A text from a server.
pub(super) fn text(payload: &[u8]) -> Vec<u8> {
    [head(TEXT, payload, 0).as_slice(), payload].concat()
}

/// A frame to a server: masked with zeros, which is a mask like any other.
pub(super) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [head(opcode, payload, MASKED).as_slice(), &[0; 4], payload].concat()
}

fn head(opcode: u8, payload: &[u8], mask: u8) -> Vec<u8> {
    let first = 0x80 | opcode;
    match u8::try_from(payload.len()).ok().filter(|length| *length < 126) {
        Some(length) => vec![first, mask | length],
        None => {
            let [high, low] = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
            vec![first, mask | 126, high, low]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let bytes = [&[0x81, 3][..], b"abc", &[0x89, 0]].concat();
        assert_eq!(first(&bytes), Some((Frame { opcode: TEXT, payload: b"abc" }, 5)));
        assert_eq!(first(&bytes[5..]), Some((Frame { opcode: PING, payload: b"" }, 2)));
        assert_eq!(first(&bytes[..4]), None);
        let long = [&[0x81, 126, 1, 0][..], &[7; 256]].concat();
        assert_eq!(first(&long), Some((Frame { opcode: TEXT, payload: &[7; 256] }, 260)));
        assert_eq!(first(&long[..259]), None);
    }
}
