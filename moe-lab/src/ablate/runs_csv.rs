//! The runs of an ablation as a table of comma-separated values, a line a run, and back.

use super::{AblationReport, ArmResult, SeedResult, Training, Tune, TuneReport};
use csv::{Reader, StringRecord, Writer};
use moe_train::run::Measured;

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

/// The bytes of the cache, and the result of an analysis.
const FURTHER: [&str; 2] = ["cache_bytes", "experts_by_frequency"];

/// Writes a line for each run of each row, and before them those of the tuning, whose column `tuning` has the value, and
/// the baseline's at other budgets, which have the budget there.
/// What is not a number, or was not measured, is an empty cell.
///
/// # Errors
///
/// Returns an error if the table cannot be written.
pub fn to_csv(report: &AblationReport) -> Result<Vec<u8>, CsvError> {
    let mut table = Writer::from_writer(Vec::new());
    let keys = report
        .differences
        .iter()
        .map(|difference| difference.key.as_str());
    let header = COLUMNS.into_iter().chain(MEASURED).chain(TRAINING);
    table.write_record(header.chain(FURTHER).chain(keys))?;
    let n_arms = report.differences.first().map_or(1, |d| d.values.len());
    let values = |place: usize| {
        let cells = report.differences.iter().map(move |difference| {
            let value = &difference.values[place % n_arms];
            value.clone().unwrap_or_default()
        });
        cells.collect::<Vec<String>>()
    };
    if let Some(tuning) = &report.tuning {
        for (place, arm) in tuning.arms.iter().enumerate() {
            for (value, trials) in tuning.values.iter().zip(&arm.trials) {
                for run in trials {
                    let cells = cells([&arm.label, "", value], run, values(place));
                    table.write_record(cells)?;
                }
            }
        }
    }
    if let Some(scaling) = &report.scaling {
        for (budget, runs) in scaling.budgets.iter().zip(&scaling.runs) {
            let word = format!("{BUDGET}{budget}");
            for run in runs.iter().filter(|_| *budget != 1.0) {
                table.write_record(cells([&report.baseline, "", &word], run, values(0)))?;
            }
        }
    }
    for (place, arm) in report.arms.iter().enumerate() {
        let evaluation = arm.evaluation.as_deref().unwrap_or("");
        for run in &arm.seeds {
            let cells = cells([&arm.label, evaluation, ""], run, values(place));
            table.write_record(cells)?;
        }
    }
    Ok(table
        .into_inner()
        .map_err(|error| error.into_error())
        .map_err(csv::Error::from)?)
}

fn cells(words: [&str; 3], run: &SeedResult, values: Vec<String>) -> Vec<String> {
    let number = |x: f64| {
        if x.is_finite() {
            x.to_string()
        } else {
            String::new()
        }
    };
    let maybe = |x: Option<f64>| x.map_or(String::new(), number);
    let measured = |of: fn(&Measured) -> String| run.measured.as_ref().map_or(String::new(), of);
    let mut cells = words.map(str::to_owned).to_vec();
    cells.push(run.seed.to_string());
    cells.push(number(run.loss));
    cells.push(maybe(run.accuracy));
    cells.push(maybe(run.exact_match));
    let means = [
        run.tokens_per_s,
        run.max_vio,
        run.entropy,
        run.drop_rate,
        run.dead_experts,
    ];
    cells.extend(means.map(number));
    let counts = [run.steps, run.tokens, run.params_active, run.params_total];
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend([run.causal, run.causal_in_training].map(|holds| holds.to_string()));
    cells.push(measured(|cost| cost.experts_per_token.to_string()));
    cells.push(measured(|cost| cost.params_active.to_string()));
    cells.push(measured(|cost| cost.flops_per_token.to_string()));
    cells.push(maybe(run.training.map(|end| end.loss)));
    cells.push(maybe(run.training.map(|end| end.max_vio)));
    cells.push(maybe(run.training.and_then(|end| end.experts_per_token)));
    cells.push(run.cache_bytes.map_or(String::new(), |n| n.to_string()));
    cells.push(maybe(run.experts_by_frequency));
    cells.extend(values);
    cells
}

/// Reads the rows of a table that [`to_csv`] wrote, the trials of a tuning, and the baseline at other budgets.
///
/// # Errors
///
/// Returns what is wrong, with its line and column.
pub fn from_csv(bytes: &[u8], tune: Option<&Tune>) -> Result<MadeRuns, CsvError> {
    let mut reader = Reader::from_reader(bytes);
    let header = reader.headers()?.clone();
    let mut rows: Vec<ArmResult> = Vec::new();
    let mut trials: Vec<(String, String, SeedResult)> = Vec::new();
    for record in reader.records() {
        let line = Line {
            header: &header,
            record: record?,
        };
        let (label, run) = (line.text("arm")?, line.run()?);
        let value = line.text("tuning")?;
        if !value.is_empty() {
            trials.push((label.to_owned(), value.to_owned(), run));
            continue;
        }
        let evaluation = Some(line.text("evaluation")?.to_owned()).filter(|way| !way.is_empty());
        match rows.iter_mut().find(|row| row.label == label) {
            Some(row) => row.seeds.push(run),
            None => rows.push(ArmResult {
                label: label.to_owned(),
                evaluation,
                seeds: vec![run],
            }),
        }
    }
    Ok(MadeRuns {
        scaled: scaled(&rows, &trials),
        tuning: tune.map(|tune| tuning(tune, &trials)).transpose()?,
        rows,
    })
}

/// The baseline's runs by their budgets, its own among them.
fn scaled(
    rows: &[ArmResult],
    trials: &[(String, String, SeedResult)],
) -> Vec<(f64, Vec<SeedResult>)> {
    let mut scaled: Vec<(f64, Vec<SeedResult>)> = Vec::new();
    for (_, word, run) in trials {
        let Some(budget) = word.strip_prefix(BUDGET).and_then(|b| b.parse().ok()) else {
            continue;
        };
        match scaled.iter_mut().find(|(other, _)| *other == budget) {
            Some((_, runs)) => runs.push(run.clone()),
            None => scaled.push((budget, vec![run.clone()])),
        }
    }
    if let (Some(baseline), false) = (rows.first(), scaled.is_empty()) {
        scaled.push((1.0, baseline.seeds.clone()));
    }
    scaled.sort_by(|(x, _), (y, _)| x.total_cmp(y));
    scaled
}

fn tuning(tune: &Tune, trials: &[(String, String, SeedResult)]) -> Result<TuneReport, CsvError> {
    let own = trials
        .iter()
        .filter(|(_, value, _)| !value.starts_with(BUDGET));
    let mut labels: Vec<&String> = own.map(|(label, ..)| label).collect();
    labels.dedup();
    let arms = labels.into_iter().map(|label| {
        let of_value = |value: &String| -> Result<Vec<SeedResult>, CsvError> {
            let own = trials.iter().filter(|(l, v, _)| l == label && v == value);
            let runs: Vec<SeedResult> = own.map(|(.., run)| run.clone()).collect();
            let seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect();
            if seeds == tune.seeds {
                return Ok(runs);
            }
            let what = format!(
                "{label} at {value} has the seeds {seeds:?}, not {:?}",
                tune.seeds
            );
            Err(CsvError::Trials(what))
        };
        let trials: Result<Vec<_>, CsvError> = tune.values.iter().map(of_value).collect();
        Ok(tune.choose(label, trials?))
    });
    Ok(tune.report(arms.collect::<Result<_, CsvError>>()?))
}

/// A line with the names of its cells.
struct Line<'a> {
    header: &'a StringRecord,
    record: StringRecord,
}

impl Line<'_> {
    fn text(&self, column: &'static str) -> Result<&str, CsvError> {
        let place = self.header.iter().position(|name| name == column);
        let cell = place.and_then(|place| self.record.get(place));
        cell.ok_or(CsvError::Column(column))
    }

    /// A cell that is not empty.
    fn maybe<T: std::str::FromStr>(&self, column: &'static str) -> Result<Option<T>, CsvError> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| self.cell(column, text))
    }

    /// A number; an empty cell is none.
    fn number(&self, column: &'static str) -> Result<f64, CsvError> {
        Ok(self.maybe(column)?.unwrap_or(f64::NAN))
    }

    fn whole<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, CsvError> {
        self.maybe(column)?.ok_or_else(|| self.cell(column, ""))
    }

    fn cell(&self, column: &'static str, text: &str) -> CsvError {
        CsvError::Cell {
            line: self.record.position().map_or(0, csv::Position::line),
            column,
            text: text.to_owned(),
        }
    }

    fn run(&self) -> Result<SeedResult, CsvError> {
        let experts: Option<f64> = self.maybe("experts_per_token")?;
        let measured = match experts {
            None => None,
            Some(experts_per_token) => Some(Measured {
                experts_per_token,
                params_active: self.whole("measured_params_active")?,
                flops_per_token: self.whole("measured_flops_per_token")?,
            }),
        };
        Ok(SeedResult {
            seed: self.whole("seed")?,
            loss: self.number("loss")?,
            accuracy: self.maybe("accuracy")?,
            exact_match: self.maybe("exact_match")?,
            tokens_per_s: self.number("tokens_per_s")?,
            max_vio: self.number("max_vio")?,
            entropy: self.number("entropy")?,
            drop_rate: self.number("drop_rate")?,
            dead_experts: self.number("dead_experts")?,
            steps: self.whole("steps")?,
            tokens: self.whole("tokens")?,
            params_active: self.whole("params_active")?,
            params_total: self.whole("params_total")?,
            causal: self.whole("causal")?,
            causal_in_training: self.whole("causal_in_training")?,
            measured,
            training: self.training()?,
            cache_bytes: self.later(FURTHER[0])?,
            experts_by_frequency: self.later(FURTHER[1])?,
        })
    }

    fn training(&self) -> Result<Option<Training>, CsvError> {
        let [loss, max_vio, experts_per_token] = TRAINING;
        let Some(loss) = self.later(loss)? else {
            return Ok(None);
        };
        Ok(Some(Training {
            loss,
            max_vio: self.later(max_vio)?.unwrap_or(f64::NAN),
            experts_per_token: self.later(experts_per_token)?,
        }))
    }

    /// A cell of a column that the first tables did not have.
    fn later<T: std::str::FromStr>(&self, column: &'static str) -> Result<Option<T>, CsvError> {
        match self.text(column) {
            Err(CsvError::Column(_)) => Ok(None),
            _ => self.maybe(column),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::{AblationConfig, Difference, Scaling};

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
        let arms = ["a, with a comma", "b"].map(|arm| tune.choose(arm, trials.clone()));
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
