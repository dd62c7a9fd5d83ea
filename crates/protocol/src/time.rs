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
    let year = at.year().max(0).unsigned_abs();
    let [y1, y2] = two(u8::try_from(year / 100).unwrap_or(0));
    let [y3, y4] = two(u8::try_from(year % 100).unwrap_or(0));
    let [month, day] = [at.month(), at.day()].map(|number| two(number.unsigned_abs()));
    let [hour, minute, second] = [at.hour(), at.minute(), at.second()].map(|number| two(number.unsigned_abs()));
    let milli = at.millisecond().unsigned_abs();
    let hundreds = b'0' + u8::try_from(milli / 100).unwrap_or(0);
    let rest = two(u8::try_from(milli % 100).unwrap_or(0));
    let [[m1, m2], [d1, d2], [h1, h2], [i1, i2], [s1, s2], [f2, f3]] = [month, day, hour, minute, second, rest];
    let text =
        [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2, b'.', hundreds, f2, f3, b'Z'];
    ArrayString::from_byte_string(&text).unwrap_or_default()
}

/// The two digits of a number below 100.
fn two(number: u8) -> [u8; 2] {
    [b'0' + number / 10, b'0' + number % 10]
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
    let at = Offset::UTC.to_timestamp(local).unwrap_or(Timestamp::MAX);
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
    let digits = fraction.bytes().map(|digit| i32::from(digit - b'0')).chain(std::iter::repeat(0));
    Some((digits.take(9).fold(0, |nanos, digit| nanos * 10 + digit), rest))
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
