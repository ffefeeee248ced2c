//! The lines that a run logged.

use moe_checkpoint::disk;
use moe_train::run::{EvalMetrics, RunFolder, StepMetrics};
use serde::Deserialize;
use serde_json::Value;

/// The lines of a run's `metrics.jsonl`, by kind and step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricLines {
    /// The optimizer steps that were logged.
    pub steps: Vec<StepMetrics>,
    /// The evaluations.
    pub evals: Vec<EvalMetrics>,
    /// The number of lines that could not be read, such as one torn by a kill.
    pub unread: usize,
}

/// The most bytes of a file of a run that are read.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

impl MetricLines {
    /// Reads the lines of a run; none if it has no `metrics.jsonl` that can be read.
    pub fn read(folder: &RunFolder) -> Self {
        let bytes = disk::read_at_most(&folder.metrics(), MOST_BYTES).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Reads the text of a `metrics.jsonl`.
    pub fn parse(text: &str) -> Self {
        let mut lines = Self::default();
        for line in text.lines() {
            match Line::parse(line) {
                Some(Line::Step(step)) => lines.steps.push(*step),
                Some(Line::Eval(eval)) => lines.evals.push(*eval),
                None => lines.unread += 1,
            }
        }
        lines.steps.sort_by_key(|line| line.step);
        lines.evals.sort_by_key(|line| line.step);
        lines
    }

    /// The bits a byte of a loss of one nat a token, by the last evaluation of text.
    pub fn bits_per_nat(&self) -> Option<f64> {
        let ratio = |eval: &EvalMetrics| Some(eval.bits_per_byte? / eval.loss);
        let ratios = self.evals.iter().rev().filter_map(ratio);
        ratios.into_iter().find(|ratio| ratio.is_finite())
    }

    /// The last step that a line is about; 0 without lines.
    pub fn last_step(&self) -> u64 {
        let steps = self.steps.iter().map(|line| line.step);
        steps
            .chain(self.evals.iter().map(|line| line.step))
            .max()
            .unwrap_or(0)
    }
}

enum Line {
    Step(Box<StepMetrics>),
    Eval(Box<EvalMetrics>),
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        match value.get("kind")?.as_str()? {
            "train" => Some(Self::Step(Box::new(StepMetrics::deserialize(value).ok()?))),
            "eval" => Some(Self::Eval(Box::new(EvalMetrics::deserialize(value).ok()?))),
            _ => None,
        }
    }
}

/// Tells of a run whose last event was that its loss is not a number any more.
pub(crate) fn has_diverged(folder: &RunFolder) -> bool {
    let log = disk::read_text(&folder.log(), MOST_BYTES).unwrap_or_default();
    let last = log.lines().last();
    last.is_some_and(|line| line.contains(": diverged:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_lines_are_counted() {
        let step = r#"{"kind": "train", "step": 5, "tokens": 10, "loss": 2.0, "lm_loss": 1.5, "balance": {},
            "lr": 0.1, "grad_norm": 1.0, "layers": [], "tokens_per_s": 3.0}"#
            .replace('\n', " ");
        let lines = MetricLines::parse(&format!(
            "{step}\n{}\n{{\"kind\": \"other\"}}\n",
            &step[..40]
        ));
        assert_eq!(
            (lines.steps.len(), lines.evals.len(), lines.unread),
            (1, 0, 2)
        );
        assert_eq!((lines.steps[0].lm_loss, lines.last_step()), (1.5, 5));
        assert_eq!(lines.bits_per_nat(), None);
    }

    #[test]
    fn the_last_evaluation_says_how_many_bytes_a_token_has() {
        let eval = |step: u64, bits: f64| {
            format!(
                r#"{{"kind": "eval", "step": {step}, "split": "validation", "whole": false, "bits_per_byte": {bits},
                "loss": 2.0, "domains": {{}}, "layers": []}}"#
            )
            .replace('\n', " ")
        };
        let lines = MetricLines::parse(&format!("{}\n{}", eval(20, 3.0), eval(10, 1.0)));
        assert_eq!(lines.bits_per_nat(), Some(1.5));
    }
}
