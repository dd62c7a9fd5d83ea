//! The figures of all rounds: gathered, as a table, as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::read_to_string;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::subject::Kind;
use super::work::{Figure, Job};
use crate::figures::{float, median};

#[derive(Debug, Serialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) rounds: usize,
    /// Of what mostly waits.
    pub(super) long_rounds: usize,
    pub(super) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(super) failures: Vec<String>,
}

/// A figure of every server, round by round.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) workload: &'static str,
    pub(super) setting: String,
    pub(super) figure: &'static str,
    pub(super) unit: &'static str,
    pub(super) rounds: BTreeMap<Kind, Vec<f64>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Processor time that the host gave to others meanwhile, in per cent of all.
    pub(super) steal: f64,
}

impl Results {
    /// Runs each job for each of the servers, before the next job, and all of them again in the next round: what slows the machine down
    /// for a while slows down all. What mostly waits takes part in the first `long_rounds` only.
    pub(super) async fn gather(jobs: &[Job], kinds: &[Kind], rounds: usize, long_rounds: usize) -> Result<Self> {
        let before = ticks()?;
        let pairs: Vec<_> = jobs.iter().flat_map(|job| kinds.iter().map(move |kind| (job, *kind))).collect();
        let pairs: Vec<_> = pairs.into_iter().filter(|(job, kind)| job.concerns(*kind)).collect();
        ensure!(!pairs.is_empty(), "none of these servers has what is to be measured");
        let (mut rows, mut failures) = (Vec::new(), Vec::new());
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}")?;
        let in_round = |round: usize| pairs.iter().filter(move |(job, _)| round <= long_rounds || !job.mostly_waits());
        let all = (1..=rounds).map(|round| in_round(round).count()).sum::<usize>();
        let progress = ProgressBar::new(u64::try_from(all)?).with_style(style);
        for round in 1..=rounds {
            for (job, kind) in in_round(round) {
                progress.set_message(format!("{}, {}: {}", job.workload(), job.setting(), kind.name()));
                match job.measure(*kind).await {
                    Ok(figures) => note(&mut rows, job, *kind, figures),
                    Err(error) => {
                        let failure = format!("{}, {}, {}, round {round}: {error:#}", kind.name(), job.workload(), job.setting());
                        progress.suspend(|| eprintln!("{failure}"));
                        failures.push(failure);
                    }
                }
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
        Ok(Self { machine: Machine::since(before)?, rounds, long_rounds: long_rounds.min(rounds), rows, failures })
    }

    /// The servers that were measured.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<_> = self.rows.iter().flat_map(|row| row.rounds.keys().copied()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What is held beside what: bellwire beside each other server, and where its caller does not wait for answers beside the one whose
    /// caller does not, either.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        let kinds = self.kinds();
        let others =
            kinds.iter().filter(|kind| !matches!(kind, Kind::Bellwire | Kind::BellwirePipelined | Kind::BellwireLibrary));
        let mut pairs: Vec<_> = others.map(|other| Pair { own: Kind::Bellwire, other: *other }).collect();
        if kinds.contains(&Kind::BellwirePipelined) && kinds.contains(&Kind::Nats) {
            pairs.push(Pair { own: Kind::BellwirePipelined, other: Kind::Nats });
        }
        if kinds.contains(&Kind::BellwireLibrary) && kinds.contains(&Kind::Bellwire) {
            pairs.push(Pair { own: Kind::BellwireLibrary, other: Kind::Bellwire });
        }
        pairs
    }

    /// Medians, a block for each job, and the ratios.
    pub(super) fn print(&self) {
        let kinds = self.kinds();
        let pairs = self.pairs();
        let mut job = ("", "");
        for row in &self.rows {
            if job != (row.workload, &row.setting) {
                job = (row.workload, &row.setting);
                let names: String = kinds.iter().map(|kind| format!("{:>20}", kind.name())).collect();
                let ratios: String = pairs.iter().map(|pair| format!("{:>20}", pair.to_string())).collect();
                println!("\n{}: {}\n{:<56}{names}{ratios}", row.workload, row.setting, "");
            }
            let medians: String = kinds.iter().map(|kind| format!("{:>20}", optional(row.median(*kind)))).collect();
            let ratios: String = pairs.iter().map(|pair| format!("{:>20}", optional(row.ratio(*pair)))).collect();
            println!("{:<56}{medians}{ratios}", row.title());
        }
        println!("\n{}", self.conditions());
        self.failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    }

    /// Under which the figures were taken.
    pub(super) fn conditions(&self) -> String {
        let Self { machine: Machine { processor, cores, kernel, steal }, rounds, long_rounds, .. } = self;
        let of_long = if long_rounds < rounds { format!(", {long_rounds} of what mostly waits") } else { String::new() };
        format!(
            "{cores} cores ({processor}), Linux {kernel}, over loopback, the client on the same cores; {rounds} rounds{of_long}; the host \
             took {} % of the processors away.",
            shown(*steal)
        )
    }

    /// A measurement that failed is a failure of the command.
    pub(super) fn exit_code(&self) -> ExitCode {
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    pub(super) fn write_json(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// One of ours beside another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) own: Kind,
    pub(super) other: Kind,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = match self.own {
            Kind::BellwirePipelined => "pipelined ",
            Kind::BellwireLibrary => "library ",
            _ => "",
        };
        write!(f, "{own}÷ {}", self.other.name())
    }
}

impl Row {
    pub(super) fn median(&self, kind: Kind) -> Option<f64> {
        self.rounds.get(&kind).map(|rounds| median(rounds.iter().copied()))
    }

    /// Our figure for each of the other's.
    pub(super) fn ratio(&self, Pair { own, other }: Pair) -> Option<f64> {
        let (own, other) = (self.median(own)?, self.median(other)?);
        (other > 0.0).then(|| own / other)
    }

    /// The figure and its unit.
    pub(super) fn title(&self) -> String {
        if self.unit.is_empty() { self.figure.to_owned() } else { format!("{}, {}", self.figure, self.unit) }
    }
}

fn note(rows: &mut Vec<Row>, job: &Job, kind: Kind, figures: Vec<Figure>) {
    let (workload, setting) = (job.workload(), job.setting());
    for Figure { name, unit, value } in figures {
        let known = rows.iter_mut().find(|row| row.workload == workload && row.setting == setting && row.figure == name);
        match known {
            Some(row) => row.rounds.entry(kind).or_default().push(value),
            None => rows.push(Row {
                workload,
                setting: setting.clone(),
                figure: name,
                unit,
                rounds: BTreeMap::from([(kind, vec![value])]),
            }),
        }
    }
}

impl Machine {
    fn since((all_before, stolen_before): (u64, u64)) -> Result<Self> {
        let (all, stolen) = ticks()?;
        let processors = read_to_string("/proc/cpuinfo")?;
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
        Ok(Self {
            processor: model.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            steal: 100.0 * float(stolen - stolen_before) / float((all - all_before).max(1)),
        })
    }
}

/// Of all processors: all time, and what was stolen (proc(5), `stat`).
fn ticks() -> Result<(u64, u64)> {
    let stat = read_to_string("/proc/stat")?;
    let fields = stat.lines().next().context("a line")?.split_whitespace().skip(1).take(8).map(str::parse::<u64>);
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Ok((fields.iter().sum(), fields.last().copied().unwrap_or_default()))
}

/// With three digits that count.
pub(super) fn shown(value: f64) -> String {
    let magnitude = value.abs();
    let text = match magnitude {
        _ if magnitude >= 99.95 => format!("{value:.0}"),
        _ if magnitude >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let whole = digits.split('.').next().unwrap_or_default().len();
    let grouped = digits.chars().enumerate().map(|(place, digit)| match whole.checked_sub(place) {
        Some(left) if place > 0 && left > 0 && left % 3 == 0 => format!(",{digit}"),
        _ => digit.to_string(),
    });
    grouped.fold(sign.to_owned(), |all, digit| all + &digit)
}

pub(super) fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_shown_with_three_digits() {
        let figures = [0.0, 0.123, 1.234, 12.34, 99.96, 123.4, 1234.5, 1_234_567.0, -1234.0, -1.5];
        let shown: Vec<_> = figures.iter().map(|figure| shown(*figure)).collect();
        assert_eq!(shown, ["0.00", "0.12", "1.23", "12.3", "100", "123", "1,234", "1,234,567", "-1,234", "-1.50"]);
    }

    #[test]
    fn a_ratio_is_that_of_the_medians() {
        let rounds = BTreeMap::from([(Kind::Bellwire, vec![9.0, 3.0, 4.0]), (Kind::Limit, vec![2.0]), (Kind::Node, vec![0.0])]);
        let row = Row { workload: "idle", setting: String::new(), figure: "p50", unit: "µs", rounds };
        let beside = |other| row.ratio(Pair { own: Kind::Bellwire, other });
        assert_eq!((beside(Kind::Limit), beside(Kind::Node), beside(Kind::Nats)), (Some(2.0), None, None));
        assert_eq!(row.title(), "p50, µs");
    }
}
