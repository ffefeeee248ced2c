//! The scores of arms, taken from a table.

use super::error::{ResultsError, listed};
use super::number::{is_nothing, number};
use super::question::{Columns, Question};
use super::runs::Numbers;
use super::table::{Layout, Row, Table};
use crate::ablate::{
    AblationConfig, AblationReport, ArmResult, Given, Pairing, SeedResult, TableError,
};
use moe_train::resolve::nearest;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most arms, and the most seeds of one.
const MOST_ARMS: usize = 200;
const MOST_SEEDS: usize = 1000;

/// The scores of arms, the baseline first.
#[derive(Debug, Clone)]
pub struct Scores {
    arms: Vec<ArmResult>,
    given: Option<Given>,
    pairing: Pairing,
}

impl Scores {
    /// Compares the arms.
    ///
    /// # Errors
    ///
    /// [`TableError`] without arms.
    pub fn report(&self, config: &AblationConfig) -> Result<AblationReport, TableError> {
        match &self.given {
            Some(given) => AblationReport::given(&self.arms, config, given.clone(), self.pairing),
            None => AblationReport::new(&self.arms, config),
        }
    }
}

impl Question {
    /// The scores that a table holds.
    ///
    /// # Errors
    ///
    /// Returns the line and the column of what cannot be read for certain, and what to do.
    pub fn scores(&self, table: &Table) -> Result<Scores, ResultsError> {
        if let Some(own) = self.own(table)? {
            return Ok(own);
        }
        let columns = self.columns(table)?;
        let metric = &table.header[columns.metric];
        let goal = self.goal_of(table, metric)?;
        let mut kept = self.rows(table)?;
        let runs = self.runs(table, &columns, &mut kept)?;
        let numbers = Numbers::of(&runs);
        let evaluation = table.header.iter().position(|name| name == "evaluation");
        let evaluation = evaluation.filter(|_| table.layout == Layout::Ablation);
        let mut arms: Vec<ArmResult> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for run in &runs {
            let place = *places.entry(run.arm.clone()).or_insert_with(|| {
                let cell = evaluation.map(|place| run.row.cells[place].to_owned());
                let evaluation = cell.filter(|text| !text.is_empty());
                arms.push(ArmResult {
                    label: run.arm.clone(),
                    evaluation,
                    seeds: Vec::new(),
                });
                arms.len() - 1
            });
            let number = numbers.of_run(run, arms[place].seeds.len());
            arms[place]
                .seeds
                .push(result(table, &columns, run.row, number)?);
        }
        check_sizes(table, &arms)?;
        let is_paired = runs.iter().all(|run| run.seed.is_some()) && !self.never_paired;
        let mut remarks = kept.remarks;
        if self.only_shared {
            remarks.extend(only_shared(table, &mut arms, is_paired, &numbers)?);
        }
        remarks.extend(arms.iter().filter_map(repeated));
        self.put_baseline_first(table, &mut arms)?;
        let named = |places: &[usize]| places.iter().map(|&i| table.header[i].clone()).collect();
        Ok(Scores {
            given: Some(Given {
                metric: metric.clone(),
                goal,
                costs: named(&columns.costs),
                causal: columns.causal.map(|place| table.header[place].clone()),
                seed_names: numbers.names,
                remarks,
            }),
            pairing: if is_paired {
                Pairing::SameSeeds
            } else {
                Pairing::Never
            },
            arms,
        })
    }

    /// The runs of an ablation's own table by its own score, with all that it knows of them.
    fn own(&self, table: &Table) -> Result<Option<Scores>, ResultsError> {
        let Some(mut arms) = table.own.clone().filter(|arms| !arms.is_empty()) else {
            return Ok(None);
        };
        let merit = arms[0].seeds[0].merit();
        let is =
            |given: &Option<String>, name: &str| given.as_ref().is_none_or(|given| given == name);
        let seeds =
            |arm: &ArmResult| -> BTreeSet<u64> { arm.seeds.iter().map(|run| run.seed).collect() };
        let is_plain = is(&self.arm, "arm")
            && is(&self.seed, "seed")
            && is(&self.metric, merit.quantity())
            && self.goal.is_none_or(|goal| goal == merit.goal())
            && self.names.is_none()
            && self.filters.is_empty()
            && self.costs.is_empty()
            && self.causal.is_none()
            && !self.never_paired
            && arms
                .iter()
                .all(|arm| seeds(arm) == seeds(&arms[0]) && seeds(arm).len() == arm.seeds.len());
        if !is_plain {
            return Ok(None);
        }
        self.put_baseline_first(table, &mut arms)?;
        Ok(Some(Scores {
            arms,
            given: None,
            pairing: Pairing::Required,
        }))
    }

    fn put_baseline_first(
        &self,
        table: &Table,
        arms: &mut Vec<ArmResult>,
    ) -> Result<(), ResultsError> {
        let labels = || arms.iter().map(|arm| arm.label.as_str());
        if let Some(name) = &self.baseline {
            let place = labels().position(|label| label == name).ok_or_else(|| {
                let hint = match nearest(name, labels()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the arms are {}", listed(labels())),
                };
                table.fault(format!("--baseline: there is no arm `{name}`; {hint}"))
            })?;
            let baseline = arms.remove(place);
            arms.insert(0, baseline);
        }
        if arms.len() < 2 {
            return Err(table.fault(format!(
                "there is one arm, `{}`, in the column of arms, and nothing to compare it with; choose another --arm",
                arms.first().map_or("", |arm| &arm.label)
            )));
        }
        Ok(())
    }
}

fn result(
    table: &Table,
    columns: &Columns,
    row: &Row,
    seed: u64,
) -> Result<SeedResult, ResultsError> {
    let fault = |place: usize, what: String| {
        table.fault_at(row, format!("column `{}`: {what}", table.header[place]))
    };
    let score = number(&row.cells[columns.metric]).map_err(|what| {
        let hint = "; a run without a score is not left out silently: leave it out with --where, or write nan if it diverged, \
                    which leaves its arm without a comparison";
        let hint = if is_nothing(row.cells[columns.metric].trim()) { hint } else { "" };
        fault(columns.metric, format!("{what}{hint}"))
    })?;
    let mut costs = BTreeMap::new();
    for &place in &columns.costs {
        let cost = number(&row.cells[place]).map_err(|what| fault(place, what))?;
        if cost.is_nan() {
            return Err(fault(place, format!("`{}` is no cost", &row.cells[place])));
        }
        costs.insert(table.header[place].clone(), cost);
    }
    let causal = match columns.causal {
        None => true,
        Some(place) => match row.cells[place].trim().to_lowercase().as_str() {
            "true" | "yes" | "1" => true,
            "false" | "no" | "0" => false,
            other => return Err(fault(place, format!("`{other}` is neither true nor false"))),
        },
    };
    Ok(SeedResult {
        costs,
        causal,
        ..SeedResult::of_loss(seed, score)
    })
}

fn check_sizes(table: &Table, arms: &[ArmResult]) -> Result<(), ResultsError> {
    if arms.len() > MOST_ARMS {
        return Err(table.fault(format!(
            "there are {} arms in the column of arms, and at most {MOST_ARMS} are compared; is it the right column?",
            arms.len()
        )));
    }
    match arms.iter().find(|arm| arm.seeds.len() > MOST_SEEDS) {
        None => Ok(()),
        Some(arm) => Err(table.fault(format!(
            "the arm `{}` has {} rows, and at most {MOST_SEEDS} runs are compared; a row must be a run: choose rows with --where",
            arm.label,
            arm.seeds.len()
        ))),
    }
}

/// Keeps the seeds that all arms have, and says which were left out.
fn only_shared(
    table: &Table,
    arms: &mut [ArmResult],
    is_paired: bool,
    numbers: &Numbers,
) -> Result<Vec<String>, ResultsError> {
    if !is_paired {
        let what = "--paired compares seed against same seed: name the column of seeds with --seed, or the names with --names";
        return Err(table.fault(what));
    }
    let seeds =
        |arm: &ArmResult| -> BTreeSet<u64> { arm.seeds.iter().map(|run| run.seed).collect() };
    let shared = arms
        .iter()
        .map(seeds)
        .reduce(|all, own| &all & &own)
        .unwrap_or_default();
    if shared.is_empty() {
        return Err(table.fault(
            "--paired: no seed is in all arms; leave it out to compare independent samples",
        ));
    }
    let mut remarks = Vec::new();
    for arm in arms {
        let more: Vec<String> = seeds(arm)
            .difference(&shared)
            .map(|&seed| numbers.name(seed))
            .collect();
        arm.seeds.retain(|run| shared.contains(&run.seed));
        if !more.is_empty() {
            remarks.push(format!(
                "left out of {}, since other arms lack them: seeds {}.",
                arm.label,
                more.join(", ")
            ));
        }
    }
    Ok(remarks)
}

/// A remark on an arm whose scores are all the same.
fn repeated(arm: &ArmResult) -> Option<String> {
    let first = arm.seeds.first()?.loss;
    let same = arm.seeds.len() > 1 && arm.seeds.iter().all(|run| run.loss == first);
    same.then(|| {
        format!(
            "all {} scores of {} are equal: copies of one run, or evaluations of one model, are no seeds, and tests on them \
             mean nothing.",
            arm.seeds.len(),
            arm.label
        )
    })
}
