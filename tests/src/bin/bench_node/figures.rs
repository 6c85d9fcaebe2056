//! Samples, what becomes of them, and how they are shown.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Samples by series; those of one round stand at one position.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<&'static str, Vec<f64>>);

impl Samples {
    /// Adds what a round came to.
    pub(crate) fn push(&mut self, series: &'static str, value: f64) {
        self.0.entry(series).or_default().push(value);
    }

    pub(crate) fn of(&self, series: &str) -> &[f64] {
        self.0.get(series).map_or(&[], Vec::as_slice)
    }
}

/// The middle one of some samples, or NaN of none.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// What a row has to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// Theirs takes at least this many times as long.
    Faster(f64),
    /// Ours is at most this many times theirs.
    AtMost(f64),
    /// Ours is at least this many times theirs.
    AtLeast(f64),
    /// Ours stays below this, in the row's unit, and nobody else is looked at.
    Below(f64),
    /// A figure to know.
    None,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) against: &'static str,
    pub(crate) unit: &'static str,
    /// Names of the series.
    pub(crate) ours: &'static str,
    pub(crate) theirs: &'static str,
    pub(crate) goal: Goal,
    /// What fails a run that is only to find out whether something broke: an unoptimised agent on a busy machine.
    pub(crate) margin: Goal,
}

/// What a row came to.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) row: Row,
    ours: f64,
    theirs: f64,
    ratio: f64,
    rounds: usize,
    met: bool,
    pub(crate) within_margin: bool,
    samples: [Vec<f64>; 2],
}

impl Figure {
    /// The ratio is that of each round, for the machine is not the same in all of them; of the ratios the median.
    pub(crate) fn of(row: Row, samples: &Samples) -> Self {
        let (ours, theirs) = (samples.of(row.ours), samples.of(row.theirs));
        let faster = matches!(row.goal, Goal::Faster(_)) || matches!(row.margin, Goal::Faster(_));
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(o, t)| if faster { t / o } else { o / t }).collect();
        let (ratio, middle) = (median(&ratios), median(ours));
        let reached = |goal| match goal {
            Goal::Faster(least) | Goal::AtLeast(least) => ratio >= least,
            Goal::AtMost(most) => ratio <= most,
            Goal::Below(most) => middle < most,
            Goal::None => true,
        };
        Self {
            row,
            ours: middle,
            theirs: median(theirs),
            ratio,
            rounds: ours.len(),
            met: reached(row.goal),
            within_margin: reached(row.margin),
            samples: [ours.to_vec(), theirs.to_vec()],
        }
    }

    fn cells(&self) -> [String; 8] {
        let number = |value: f64| if value.is_nan() { "-".to_owned() } else { figure(value) };
        let unit =
            |value: f64| if value.is_nan() { "-".to_owned() } else { format!("{} {}", figure(value), self.row.unit) };
        let (goal, met) = match self.row.goal {
            Goal::Faster(least) => (format!(">= {least} x faster"), self.met),
            Goal::AtLeast(least) => (format!(">= {least}"), self.met),
            Goal::AtMost(most) => (format!("<= {most}"), self.met),
            Goal::Below(most) => (format!("< {most} {}", self.row.unit), self.met),
            Goal::None => (String::new(), true),
        };
        let met = match (self.row.goal, met) {
            (Goal::None, _) => "",
            (_, true) => "met",
            (_, false) => "NOT MET",
        };
        [
            self.row.name.to_owned(),
            self.row.what.to_owned(),
            self.row.against.to_owned(),
            unit(self.ours),
            unit(self.theirs),
            number(self.ratio),
            goal,
            met.to_owned(),
        ]
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let [name, what, against, .., goal, _] = self.cells();
        json!({
            "row": name, "what": what, "against": against, "unit": self.row.unit, "ours": self.ours,
            "theirs": self.theirs, "ratio": self.ratio, "rounds": self.rounds, "goal": goal, "met": self.met,
            "ours_samples": self.samples[0], "theirs_samples": self.samples[1],
        })
    }
}

/// Three digits that count.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A table for people, which Markdown understands as one.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["row", "what", "against", "ours", "theirs", "ratio", "goal", ""].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(figures.iter().map(Figure::cells));
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, cells) in lines.iter().enumerate() {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.extend(["| ", &padded.join(" | "), " |\n"]);
        if number == 0 {
            text.extend(["|", &widths.map(|width| "-".repeat(width + 2)).join("|"), "|\n"]);
        }
    }
    text
}
