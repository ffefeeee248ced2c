//! The runs of an ablation as a table of comma-separated values, a line a run, and back.

mod read;
mod write;

pub use read::from_csv;
pub use write::to_csv;

use super::{ArmResult, SeedResult, TuneReport};

/// Why a table of runs could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// A line that is no row of the header.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// A column that is missing.
    #[error("there is no column `{0}`; it is not a table of runs that `moe ablate --csv` wrote")]
    Column(&'static str),
    /// A cell that cannot be read.
    #[error("line {line}, {column}: `{text}` cannot be read")]
    Cell {
        /// The line, from 1 on.
        line: u64,
        /// The column.
        column: &'static str,
        /// The cell.
        text: String,
    },
    /// Trials of a tuning that do not fit the plan's.
    #[error("the trials of the table are not those of the tuning: {0}")]
    Trials(String),
}

/// The runs that a table is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeRuns {
    /// The rows of the table, with their seeds.
    pub rows: Vec<ArmResult>,
    /// The tuning before, if there was one.
    pub tuning: Option<TuneReport>,
    /// The baseline's runs at each budget, by rising budget; none if there were no others.
    pub scaled: Vec<(f64, Vec<SeedResult>)>,
}

/// The word before the budget in the column `tuning` of the baseline's runs at other budgets.
const BUDGET: &str = "budget ";

/// The columns that every table has; the keys in which the arms differ follow.
const COLUMNS: [&str; 19] = [
    "arm",
    "evaluation",
    "tuning",
    "seed",
    "loss",
    "accuracy",
    "exact_match",
    "tokens_per_s",
    "max_vio",
    "entropy",
    "drop_rate",
    "dead_experts",
    "steps",
    "tokens",
    "params_active",
    "params_total",
    "causal",
    "causal_in_training",
    "experts_per_token",
];

/// The measured cost of a token, besides the experts.
const MEASURED: [&str; 2] = ["measured_params_active", "measured_flops_per_token"];

/// The end of the training.
const TRAINING: [&str; 3] = ["train_loss", "train_max_vio", "train_experts_per_token"];

/// The bytes of the cache, and a result of an analysis.
const FURTHER: [&str; 2] = ["cache_bytes", "experts_by_frequency"];

/// The communication of experts that are spread over ranks.
const OVER_RANKS: [&str; 3] = ["fan_out", "bytes_token", "busiest_rank"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{
        AblationConfig, AblationReport, Difference, OverRanks, Scaling, Training, Tune,
    };
    use moe_train::run::Measured;

    fn report() -> AblationReport {
        let arm = |label: &str, losses: [f64; 2]| ArmResult {
            label: label.into(),
            evaluation: None,
            seeds: (0..)
                .zip(losses)
                .map(|(seed, loss)| SeedResult {
                    tokens_per_s: 1234.5,
                    measured: (label == "b").then_some(Measured {
                        experts_per_token: 1.75,
                        params_active: 10,
                        flops_per_token: 20,
                    }),
                    training: (label == "b").then_some(Training {
                        loss: 2.25,
                        max_vio: 0.5,
                        experts_per_token: None,
                    }),
                    cache_bytes: Some(640),
                    experts_by_frequency: (label == "b").then_some(-0.5),
                    over_ranks: (label == "b").then_some(OverRanks {
                        fan_out: 2.5,
                        bytes_token: 288.0,
                        busiest_rank: 1.25,
                    }),
                    ..SeedResult::of_loss(seed, loss)
                })
                .collect(),
        };
        let arms = [
            arm("a, with a comma", [2.0, 0.1 + 0.2]),
            arm("b", [1.5, f64::NAN]),
        ];
        let mut report = AblationReport::new(&arms, &AblationConfig::default()).unwrap();
        report.differences = vec![Difference {
            key: "router.top_k".into(),
            values: vec![Some("2".into()), None],
        }];
        let tune = tune();
        let trial = |loss| {
            vec![SeedResult {
                tokens_per_s: 1.0,
                ..SeedResult::of_loss(7, loss)
            }]
        };
        let trials = vec![trial(2.0), trial(1.0)];
        let arms = ["a, with a comma", "b"].map(|arm| (arm.to_owned(), trials.clone()));
        report.tuning = Some(tune.report(arms.to_vec()));
        let at = |loss: f64| -> Vec<SeedResult> {
            let run = |seed: u64| SeedResult {
                tokens_per_s: 1.0,
                ..SeedResult::of_loss(seed, loss)
            };
            (0..2).map(run).collect()
        };
        let runs = vec![at(3.0), report.arms[0].seeds.clone(), at(1.0)];
        report.scaling = Some(Scaling::of(vec![0.5, 1.0, 2.0], runs, &report.arms));
        report
    }

    fn tune() -> Tune {
        let values = ["1e-3", "2e-3"].map(String::from).to_vec();
        Tune::new("train.lr".into(), values, vec![7]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let report = report();
        let bytes = to_csv(&report).unwrap();
        let MadeRuns {
            rows,
            tuning,
            scaled,
        } = from_csv(&bytes, Some(&tune())).unwrap();
        let scaling = report.scaling.as_ref().unwrap();
        assert_eq!(scaled[0], (0.5, scaling.runs[0].clone()));
        assert_eq!(scaled[1].1, report.arms[0].seeds);
        assert_eq!(rows[0].seeds, report.arms[0].seeds);
        assert_eq!(rows[1].seeds[0], report.arms[1].seeds[0]);
        assert!(rows[1].seeds[1].loss.is_nan());
        assert_eq!(tuning, report.tuning);
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.starts_with("arm,evaluation,tuning,seed,loss,"),
            "{text}"
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 4 + 4 + 4);
        assert!(lines[0].ends_with(",router.top_k"));
        assert!(
            lines[1].starts_with("\"a, with a comma\",,1e-3,7,2,"),
            "{}",
            lines[1]
        );
        assert!(lines[10].contains(",0.30000000000000004,"), "{}", lines[10]);
        // as pandas and spreadsheets write it again
        for [yes, no] in [["True", "False"], ["TRUE", "FALSE"]] {
            let again = text.replace("true", yes).replace("false", no);
            let rows = from_csv(again.as_bytes(), None).unwrap().rows;
            assert_eq!(rows[0].seeds, report.arms[0].seeds);
        }
    }

    #[test]
    fn errors_say_where() {
        let text = String::from_utf8(to_csv(&report()).unwrap()).unwrap();
        let error = |text: &str| from_csv(text.as_bytes(), None).unwrap_err().to_string();
        assert!(error(&text.replace("loss", "los")).contains("no column `loss`"));
        let damaged = text.replace(",0.30000000000000004,", ",0.3x,");
        assert_eq!(error(&damaged), "line 11, loss: `0.3x` cannot be read");
        let other = Tune::new("train.lr".into(), vec!["1e-3".into(), "9".into()], vec![7]).unwrap();
        let message = from_csv(text.as_bytes(), Some(&other))
            .unwrap_err()
            .to_string();
        assert!(message.contains("at 9 has the seeds []"), "{message}");
    }
}
