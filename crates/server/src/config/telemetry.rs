//! Where traces go.

use std::path::PathBuf;

use toml::Value;

use super::reader::Reader;
use super::values::{optional_path, text};

/// An OTLP endpoint, and what it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Its URL, without path.
    pub otlp_endpoint: String,
    /// Certificates that are trusted beside those of the web.
    pub ca_file: Option<PathBuf>,
    /// Of the traces that no caller began, so many are told.
    pub trace_ratio: f64,
    /// Which node says it.
    pub instance: String,
}

/// `None`: nothing is sent.
pub(super) fn telemetry(reader: &mut Reader) -> Option<Telemetry> {
    let telemetry = Telemetry {
        otlp_endpoint: reader.get("telemetry.otlp_endpoint", endpoint),
        ca_file: reader.get("telemetry.ca_file", optional_path),
        trace_ratio: reader.get("telemetry.trace_ratio", ratio),
        instance: reader.get("telemetry.instance", text),
    };
    (!telemetry.otlp_endpoint.is_empty()).then_some(telemetry)
}

fn endpoint(value: &Value) -> Result<String, String> {
    read_endpoint(value, cfg!(feature = "otlp"))
}

/// Reads an endpoint for a program that has what sends to it, or has not.
fn read_endpoint(value: &Value, is_built_in: bool) -> Result<String, String> {
    let text = text(value)?;
    if text.is_empty() {
        return Ok(text);
    }
    if !is_built_in {
        return Err(
            "needs a program that can send traces: build it with --features otlp, or take that of cargo xtask dist".to_owned()
        );
    }
    client::address::Address::parse(&text, None).map_err(|error| error.to_string())?;
    Ok(text)
}

fn ratio(value: &Value) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "0 and 1 are the only whole numbers that pass")]
    let number = value.as_float().or(value.as_integer().map(|whole| whole as f64));
    number.filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| format!("must be a number from 0 to 1, got {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_needs_a_program_that_can_send() {
        let url = "http://127.0.0.1:4318";
        let read = |text: &str, is_built_in| read_endpoint(&Value::from(text), is_built_in);
        assert_eq!(
            (read("", false), read("", true), read(url, true)),
            (Ok(String::new()), Ok(String::new()), Ok(url.to_owned()))
        );
        let refused = read(url, false).unwrap_err();
        assert!(refused.starts_with("needs a program that can send traces: build it with --features otlp"), "{refused}");
        assert!(read("collector", true).is_err(), "it is no URL");
    }
}
