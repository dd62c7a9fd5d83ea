//! What is a telephone number. The rule is that of the envelope's `callerId`.

/// How many characters a number can have.
const CHARACTERS_MAX: usize = 32;
/// What stands where there is none.
pub(crate) const UNKNOWN: &str = "unknown";

/// Returns a number as an envelope can carry it; `None` for a SIP address, a star code, an empty text.
pub(crate) fn read(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("tel:").unwrap_or(text);
    let allowed = text.bytes().all(|b| b.is_ascii_digit() || b" +-()".contains(&b));
    let is_number = allowed && text.len() <= CHARACTERS_MAX && text.bytes().any(|b| b.is_ascii_digit());
    is_number.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_envelope_takes_is_a_number() {
        for text in ["+358501231234", "01234 567890", "(0)1234-5", "tel:+4412345", &"1".repeat(32)] {
            assert!(read(text).is_some(), "{text}");
        }
        for text in ["", " ", "+", "*72", "#31#", "sip:a@b.example", "anonymous", &"1".repeat(33), "١٢٣"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
