//! Writing the table.

use super::{BUDGET, COLUMNS, CsvError, FURTHER, MEASURED, OVER_RANKS, TRAINING};
use crate::ablate::{AblationReport, OverRanks, SeedResult};
use csv::Writer;
use moe_train::run::Measured;

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
    table.write_record(header.chain(FURTHER).chain(OVER_RANKS).chain(keys))?;
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
    cells.extend(over_ranks(run).map(maybe));
    cells.extend(values);
    cells
}

fn over_ranks(run: &SeedResult) -> [Option<f64>; 3] {
    let of = |of: fn(&OverRanks) -> f64| run.over_ranks.as_ref().map(of);
    [
        of(|over| over.fan_out),
        of(|over| over.bytes_token),
        of(|over| over.busiest_rank),
    ]
}
