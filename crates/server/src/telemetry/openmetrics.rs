//! What Prometheus reads (OpenMetrics 1.0, as our own library writes it) → what OTLP sends: each metric under the same name, counted
//! since the start.

use jiff::{SignedDuration, Timestamp};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Who says it.
pub(super) fn identity(instance: &str) -> [(&'static str, String); 3] {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    [("service.name", "bellwire".to_owned()), ("service.version", version), ("service.instance.id", instance.to_owned())]
}

/// Metrics, with who says them.
pub(super) fn of(instance: &str, metrics: Vec<Metric>) -> ResourceMetrics {
    let attributes = identity(instance).into_iter().map(|(key, value)| attribute(key, value)).collect();
    let scope = InstrumentationScope { name: "bellwire".to_owned(), ..InstrumentationScope::default() };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics,
        ..ResourceMetrics::default()
    }
}

/// Reads the text that `/metrics` answers.
pub(super) fn metrics(text: &str, times: Times) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("# ") {
            Some(comment) => note(&mut metrics, comment),
            None => {
                if let (Some(metric), Some(sample)) = (metrics.last_mut(), Sample::read(line)) {
                    add(metric, sample, times);
                }
            }
        }
    }
    metrics.into_iter().filter(|metric| metric.data.is_some()).collect()
}

/// When what is told happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When counting began.
    pub(super) started: Timestamp,
    /// When it was told the last time: examples from before are known.
    pub(super) last: Timestamp,
    pub(super) now: Timestamp,
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or_default()
}

/// `HELP`, `TYPE` and `UNIT` of the metric whose samples follow.
fn note(metrics: &mut Vec<Metric>, comment: &str) {
    let mut words = comment.splitn(3, ' ');
    let (Some(what), Some(name), text) = (words.next(), words.next(), words.next().unwrap_or_default()) else { return };
    if metrics.last().is_none_or(|metric| metric.name != name) {
        metrics.push(Metric { name: name.to_owned(), ..Metric::default() });
    }
    let Some(metric) = metrics.last_mut() else { return };
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    match (what, text) {
        ("HELP", text) => text.trim_end_matches('.').clone_into(&mut metric.description),
        // UCUM, as OpenTelemetry asks for.
        ("UNIT", "seconds") => "s".clone_into(&mut metric.unit),
        ("UNIT", "bytes") => "By".clone_into(&mut metric.unit),
        ("TYPE", "counter") => {
            metric.data = Some(Data::Sum(Sum { aggregation_temporality, is_monotonic: true, data_points: Vec::new() }));
        }
        ("TYPE", "gauge") => metric.data = Some(Data::Gauge(Gauge::default())),
        ("TYPE", "histogram") => {
            metric.data = Some(Data::Histogram(Histogram { aggregation_temporality, data_points: Vec::new() }));
        }
        _ => {}
    }
}

/// An example: labels, value, and its time in seconds.
type Example<'a> = (Vec<(&'a str, String)>, f64, f64);

/// One line: `name{labels} value`, and for a bucket `# {labels} value time` of its exemplar.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
    exemplar: Option<Example<'a>>,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = labels(rest)?;
        let (value, exemplar) = match rest.trim_start().split_once(" # ") {
            Some((value, exemplar)) => {
                let (labels, rest) = self::labels(exemplar)?;
                let mut numbers = rest.split_whitespace().map(str::parse);
                (value, Some((labels, numbers.next()?.ok()?, numbers.next()?.ok()?)))
            }
            None => (rest.trim_start(), None),
        };
        Some(Self { name, labels, value: value.split(' ').next()?.parse().ok()?, exemplar })
    }
}

/// `{name="value",…}`, if it is there, and what follows.
fn labels(text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let Some(mut rest) = text.strip_prefix('{') else { return Some((Vec::new(), text)) };
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquoted(quoted)?;
        labels.push((name, value));
        rest = behind;
    }
}

/// A value up to its closing quotation mark, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(place + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn add(metric: &mut Metric, sample: Sample<'_>, times: Times) {
    match &mut metric.data {
        Some(Data::Sum(sum)) => sum.data_points.push(number(sample, times, nanos(times.started))),
        Some(Data::Gauge(gauge)) => gauge.data_points.push(number(sample, times, 0)),
        Some(Data::Histogram(histogram)) => observe(&mut histogram.data_points, sample, times),
        _ => {}
    }
}

fn number(sample: Sample<'_>, times: Times, start_time_unix_nano: u64) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsDouble(sample.value));
    let attributes = attributes(sample.labels);
    NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano: nanos(times.now), value, ..NumberDataPoint::default() }
}

/// Buckets come first to last, each with what is in those before it; the sum and the count go with the same labels.
fn observe(points: &mut Vec<HistogramDataPoint>, mut sample: Sample<'_>, times: Times) {
    let bound = sample.labels.iter().position(|(name, _)| *name == "le").map(|place| sample.labels.remove(place).1);
    let (name, value, exemplar) = (sample.name, sample.value, sample.exemplar);
    let attributes = attributes(sample.labels);
    let known = points.iter().position(|point| point.attributes == attributes);
    let place = known.unwrap_or_else(|| {
        let (start_time_unix_nano, time_unix_nano) = (nanos(times.started), nanos(times.now));
        let point = HistogramDataPoint { attributes, start_time_unix_nano, time_unix_nano, ..HistogramDataPoint::default() };
        points.push(point);
        points.len() - 1
    });
    let Some(point) = points.get_mut(place) else { return };
    match (bound, name) {
        (Some(bound), _) => {
            let before: u64 = point.bucket_counts.iter().sum();
            point.bucket_counts.push(whole(value).saturating_sub(before));
            // The last bucket has no upper bound.
            point.explicit_bounds.extend(bound.parse().ok().filter(|bound: &f64| bound.is_finite()));
            point.exemplars.extend(exemplar.and_then(|example| trace(&example, times.last)));
        }
        (None, name) if name.ends_with("_sum") => point.sum = Some(value),
        (None, _) => point.count = whole(value),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, which is whole and positive")]
fn whole(value: f64) -> u64 {
    value as u64
}

/// An example that was not told yet.
fn trace((labels, value, seconds): &Example<'_>, last: Timestamp) -> Option<Exemplar> {
    let at = Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(*seconds).ok()?).ok()?;
    let trace_id = labels.iter().find(|(name, _)| *name == "trace_id").map(|(_, id)| bytes(id)).unwrap_or_default();
    let value = Some(exemplar::Value::AsDouble(*value));
    (at > last).then(|| Exemplar { time_unix_nano: nanos(at), trace_id, value, ..Exemplar::default() })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |place: usize| hex.get(place..place + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    (0..hex.len()).step_by(2).filter_map(digit).collect()
}

fn attributes(labels: Vec<(&str, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::StringValue(value)) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::EncodeLabelSet;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::exemplar::HistogramWithExemplars;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge as OwnGauge;
    use prometheus_client::registry::{Registry, Unit};

    use super::*;
    use crate::metrics::OfTrace;

    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Labels {
        kind: &'static str,
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn read(last: Timestamp) -> Vec<Metric> {
        let mut registry = Registry::with_prefix("x");
        let (counter, gauge) = (Family::<Labels, Counter>::default(), OwnGauge::<i64>::default());
        let histogram = HistogramWithExemplars::new([0.5, 1.0].into_iter());
        registry.register("events", "Events taken", counter.clone());
        registry.register("open", "Open now", gauge.clone());
        registry.register_with_unit("time", "How long", Unit::Seconds, histogram.clone());
        counter.get_or_create(&Labels { kind: "with \"quotes\", a \\ and\na line" }).inc_by(7);
        gauge.set(-3);
        for (value, trace_id) in [(0.1, None), (0.7, Some("0123456789abcdef0123456789abcdef")), (0.8, None), (9.0, None)] {
            histogram.observe(value, trace_id.map(|id| OfTrace { trace_id: id.to_owned() }), Some(at(5).into()));
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        metrics(&text, Times { started: at(1), last, now: at(6) })
    }

    #[test]
    fn counters_gauges_and_histograms_keep_names_labels_and_values() {
        let metrics = read(at(4));
        let names: Vec<_> =
            metrics.iter().map(|metric| (metric.name.as_str(), metric.description.as_str(), metric.unit.as_str())).collect();
        assert_eq!(names, [("x_events", "Events taken", ""), ("x_open", "Open now", ""), ("x_time_seconds", "How long", "s")]);
        let [Some(Data::Sum(sum)), Some(Data::Gauge(gauge)), Some(Data::Histogram(histogram))] =
            [0, 1, 2].map(|place: usize| metrics[place].data.clone())
        else {
            panic!("{metrics:?}")
        };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsDouble(7.0)));
        assert_eq!(sum.data_points[0].attributes, [attribute("kind", "with \"quotes\", a \\ and\na line".to_owned())]);
        assert_eq!((sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano), (1_000_000_000, 6_000_000_000));
        assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(-3.0)));
        let point = &histogram.data_points[0];
        assert_eq!(
            (point.count, point.bucket_counts.as_slice(), point.explicit_bounds.as_slice()),
            (4, &[1, 2, 1][..], &[0.5, 1.0][..])
        );
        assert!((point.sum.unwrap() - 10.6).abs() < 1e-9);
        assert_eq!(point.exemplars.len(), 1);
        assert_eq!(point.exemplars[0].time_unix_nano, 5_000_000_000);
        assert_eq!(point.exemplars[0].trace_id, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(2));
    }

    #[test]
    fn an_example_that_was_told_is_not_told_again() {
        let metrics = read(at(5));
        let Some(Data::Histogram(histogram)) = &metrics[2].data else { panic!("{metrics:?}") };
        assert_eq!(histogram.data_points[0].exemplars, []);
    }
}
