//! The one way in which times are written and read.

use arrayvec::ArrayString;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// A time as text, of the years 0 to 9999.
pub type Millis = ArrayString<24>;

/// Writes `at` as RFC 3339, UTC, with milliseconds: `2026-11-22T03:00:00.000Z`. Years before 0 are written as year 0.
#[must_use]
pub fn millis(at: Timestamp) -> Millis {
    let at = Offset::UTC.to_datetime(at);
    let fields = [
        (at.year().max(0).unsigned_abs(), 4, '-'),
        (at.month().unsigned_abs().into(), 2, '-'),
        (at.day().unsigned_abs().into(), 2, 'T'),
        (at.hour().unsigned_abs().into(), 2, ':'),
        (at.minute().unsigned_abs().into(), 2, ':'),
        (at.second().unsigned_abs().into(), 2, '.'),
        (at.millisecond().unsigned_abs(), 3, 'Z'),
    ];
    let mut text = Millis::new();
    for (number, digits, behind) in fields {
        let places = [1000, 100, 10, 1].into_iter().skip(4 - digits);
        let digits = places.map(|place| char::from(b'0' + u8::try_from(number / place % 10).unwrap_or(0)));
        digits.chain([behind]).for_each(|character| text.push(character));
    }
    text
}

/// Reads the time of a call: `YYYY-MM-DDThh:mm:ss`, 0 to 9 fractional digits, then `Z`, `±hh:mm` or nothing (then UTC).
///
/// A subset of RFC 3339 §5.6 with the zone left out as well, since the documented examples of providers leave it out.
/// Leap seconds are refused.
#[must_use]
pub fn read(text: &str) -> Option<Timestamp> {
    let (local, rest) = text.split_at_checked(19)?;
    let local = civil(local)?;
    let (fraction, zone) = split_fraction(rest)?;
    let offset_seconds = offset(zone)?;
    // The last hours of the year 9999 are beyond what a `Timestamp` can be: they are its end.
    let at = local.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX, |at| at.timestamp());
    let shift = jiff::SignedDuration::new(-offset_seconds, fraction);
    at.saturating_add(shift).ok()
}

fn civil(text: &str) -> Option<DateTime> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(place, byte)| bytes.get(place) != Some(&byte)) {
        return None;
    }
    let date = Date::new(digits(text, 0, 4)?, digits(text, 5, 7)?, digits(text, 8, 10)?).ok()?;
    let time = Time::new(digits(text, 11, 13)?, digits(text, 14, 16)?, digits(text, 17, 19)?, 0).ok()?;
    Some(DateTime::from_parts(date, time))
}

fn digits<T: std::str::FromStr>(text: &str, from: usize, to: usize) -> Option<T> {
    let part = text.get(from..to)?;
    part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
}

/// Cuts `.123456789` off the front, in nanoseconds.
fn split_fraction(text: &str) -> Option<(i32, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let (fraction, rest) = text.split_at_checked(count)?;
    Some((format!("{fraction:0<9}").parse().ok()?, rest))
}

/// Reads `Z`, nothing, or `±hh:mm` as seconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first() {
        None => return Some(0),
        Some(b'Z') if text.len() == 1 => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    if text.len() != 6 || text.as_bytes().get(3) != Some(&b':') {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits(text, 1, 3)?, digits(text, 4, 6)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests;
