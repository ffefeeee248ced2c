//! Reading the table.

use super::{BUDGET, CsvError, FURTHER, MadeRuns, OVER_RANKS, TRAINING};
use crate::ablate::{ArmResult, OverRanks, SeedResult, Training, Tune, TuneReport};
use csv::{Reader, StringRecord};
use moe_train::run::Measured;
use std::collections::BTreeMap;

/// Reads the rows of a table that [`to_csv`](super::to_csv) wrote, the trials of a tuning, and the baseline at other budgets.
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
        Ok((label.clone(), trials?))
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

    /// A bool; pandas writes it as Python does, and spreadsheets in capitals.
    fn flag(&self, column: &'static str) -> Result<bool, CsvError> {
        let text = self.text(column)?;
        let flag = text.to_ascii_lowercase().parse();
        flag.map_err(|_| self.cell(column, text))
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
            causal: self.flag("causal")?,
            causal_in_training: self.flag("causal_in_training")?,
            measured,
            training: self.training()?,
            cache_bytes: self.later(FURTHER[0])?,
            experts_by_frequency: self.later(FURTHER[1])?,
            over_ranks: self.over_ranks()?,
            costs: BTreeMap::new(),
        })
    }

    fn over_ranks(&self) -> Result<Option<OverRanks>, CsvError> {
        let [fan_out, bytes_token, busiest_rank] = OVER_RANKS;
        let Some(fan_out) = self.later(fan_out)? else {
            return Ok(None);
        };
        Ok(Some(OverRanks {
            fan_out,
            bytes_token: self.whole(bytes_token)?,
            busiest_rank: self.whole(busiest_rank)?,
        }))
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
