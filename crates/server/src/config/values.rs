//! One value of a configuration → what the program works with, or what is wrong with it, in words that follow the key.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use protocol::id::Product;
use toml::Value;

use super::ConfigSecret;

/// A hundred years, which stand for no limit as well.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// RFC 7518 §3.2: a key at least as long as the hash.
const SECRET_BYTES_MIN: usize = 32;

pub(super) fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("must be a string, got {value}"))
}

pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let values = value.as_array().ok_or_else(|| format!("must be a list, got {value}"))?;
    values.iter().map(text).collect()
}

pub(super) fn products(value: &Value) -> Result<Vec<Product>, String> {
    let products = texts(value)?.iter().map(|name| Product::parse(name).map_err(|error| format!("{name:?} {error}"))).collect();
    match products {
        Ok(products) if Vec::is_empty(&products) => Err("must name at least one product".to_owned()),
        products => products,
    }
}

pub(super) fn parsed<T: FromStr<Err: Display>>(value: &Value) -> Result<T, String> {
    let text = text(value)?;
    text.parse().map_err(|error| format!("{error}, got {text:?}"))
}

/// A list of texts, each read for itself.
pub(super) fn parsed_list<T: FromStr<Err: Display>>(value: &Value) -> Result<Vec<T>, String> {
    let texts = texts(value)?;
    texts.iter().map(|text| text.parse().map_err(|error| format!("{error}, got {text:?}"))).collect()
}

/// A list of ports.
pub(super) fn ports(value: &Value) -> Result<Vec<u16>, String> {
    let values = value.as_array().ok_or_else(|| format!("must be a list of ports, got {value}"))?;
    let port = |value: &Value| value.as_integer().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    values.iter().map(|value| port(value).ok_or_else(|| format!("must hold ports, 1 to 65535, got {value}"))).collect()
}

pub(super) fn duration(value: &Value) -> Result<Duration, String> {
    let text = text(value).map_err(|_not_text| format!("must be a duration such as \"5s\", got {value}"))?;
    let duration =
        humantime::parse_duration(&text).map_err(|error| format!("must be a duration such as \"5s\", got {text:?} ({error})"))?;
    // Times are added to: what no clock reaches must not overflow either.
    if duration > LONGEST { Err(format!("must be at most 100 years, got {text:?}")) } else { Ok(duration) }
}

/// A duration that limits something: zero means none.
pub(super) fn limit(value: &Value) -> Result<Duration, String> {
    duration(value).map(|limit| if limit.is_zero() { LONGEST } else { limit })
}

pub(super) fn bytes(value: &Value) -> Result<usize, String> {
    let text = text(value).map_err(|_not_text| format!("must be a size such as \"64KiB\", got {value}"))?;
    let size: bytesize::ByteSize =
        text.parse().map_err(|error| format!("must be a size such as \"64KiB\", got {text:?} ({error})"))?;
    usize::try_from(size.as_u64()).map_err(|_too_large| format!("is too large: {text}"))
}

/// A size that the kernel takes; beyond 4 GiB it is 4 GiB.
pub(super) fn kernel_bytes(value: &Value) -> Result<u32, String> {
    bytes(value).map(|size| u32::try_from(size).unwrap_or(u32::MAX))
}

pub(super) fn count(value: &Value) -> Result<usize, String> {
    value
        .as_integer()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| format!("must be a number from 0 on, got {value}"))
}

pub(super) fn positive(value: &Value) -> Result<usize, String> {
    count(value).ok().filter(|count| *count > 0).ok_or_else(|| format!("must be a number from 1 on, got {value}"))
}

/// A positive number as the database counts.
pub(super) fn positive_rows(value: &Value) -> Result<i64, String> {
    positive(value).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

pub(super) fn small(value: &Value) -> Result<u32, String> {
    u32::try_from(count(value)?).map_err(|_too_large| format!("must be at most {}, got {value}", u32::MAX))
}

pub(super) fn count_or_auto(value: &Value) -> Result<Option<usize>, String> {
    match value.as_str() {
        Some("auto") => Ok(None),
        Some(_) => Err(format!("must be a number or \"auto\", got {value}")),
        None => count(value).map(Some),
    }
}

/// A path; an empty text names none.
pub(super) fn optional_path(value: &Value) -> Result<Option<PathBuf>, String> {
    Ok(Some(text(value)?).filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// What is in the file that is named; an empty text names none.
pub(super) fn optional_secret(value: &Value) -> Result<Option<ConfigSecret>, String> {
    match text(value)?.as_str() {
        "" => Ok(None),
        path => secret(Path::new(path)).map(Some),
    }
}

/// What is in a file, without the end of its line.
pub(super) fn secret(path: &Path) -> Result<ConfigSecret, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("{}: holds {} bytes, a secret needs at least {SECRET_BYTES_MIN}", path.display(), secret.len()));
    }
    Ok(ConfigSecret::from(secret))
}
