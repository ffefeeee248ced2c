//! The scores of arms, taken from a table.

use super::error::{ResultsError, listed};
use super::number::{is_nothing, number};
use super::question::{Columns, Question};
use super::runs::{Numbers, Run};
use super::seeds::{only_shared, partly_shared, repeated, seeds_of};
use super::table::{Layout, Row, Table};
use crate::ablate::{
    AblationConfig, AblationReport, ArmResult, Given, Pairing, SeedResult, TableError,
};
use moe_train::resolve::nearest;
use std::collections::{BTreeMap, HashMap};

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
        let mut arms = arms(table, &columns, &runs, &numbers)?;
        check_sizes(table, &arms)?;
        self.put_baseline_first(table, &mut arms)?;
        let is_paired = runs.iter().all(|run| run.seed.is_some()) && !self.never_paired;
        let mut remarks = kept.remarks;
        if self.only_shared {
            remarks.extend(only_shared(table, &mut arms, is_paired, &numbers)?);
        }
        if is_paired {
            remarks.extend(partly_shared(&arms));
        }
        remarks.extend(arms.iter().filter_map(repeated));
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
        let first = seeds_of(&arms[0]);
        let is =
            |given: &Option<String>, name: &str| given.as_ref().is_none_or(|given| given == name);
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
                .all(|arm| seeds_of(arm) == first && first.len() == arm.seeds.len());
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

/// The results of each arm, in the order of their first rows.
fn arms(
    table: &Table,
    columns: &Columns,
    runs: &[Run<'_>],
    numbers: &Numbers,
) -> Result<Vec<ArmResult>, ResultsError> {
    let evaluation = table.header.iter().position(|name| name == "evaluation");
    let evaluation = evaluation.filter(|_| table.layout == Layout::Ablation);
    let mut arms: Vec<ArmResult> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for run in runs {
        let place = *places.entry(&run.arm).or_insert_with(|| {
            let cell = evaluation.map(|place| run.row.cells[place].to_owned());
            arms.push(ArmResult {
                label: run.arm.clone(),
                evaluation: cell.filter(|text| !text.is_empty()),
                seeds: Vec::new(),
            });
            arms.len() - 1
        });
        let number = numbers.of_run(run, arms[place].seeds.len());
        arms[place]
            .seeds
            .push(result(table, columns, run.row, number)?);
    }
    Ok(arms)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::results::{Filter, Names};
    use crate::stats::{Goal, Verdict};

    fn question() -> Question {
        Question {
            metric: Some("loss".into()),
            ..Question::default()
        }
    }

    fn scores(text: &str, question: &Question) -> Result<Scores, ResultsError> {
        question.scores(&Table::parse("a.csv", text.as_bytes())?)
    }

    fn error(text: &str, question: &Question) -> String {
        scores(text, question).unwrap_err().to_string()
    }

    fn losses(arm: &ArmResult) -> Vec<(u64, f64)> {
        arm.seeds.iter().map(|run| (run.seed, run.loss)).collect()
    }

    #[test]
    fn arms_are_in_the_order_of_their_rows_behind_the_baseline() {
        let text = "arm,seed,loss\na,1,2\nb,0,3\na,0,4\nb,1,5\nc,0,6\n";
        let found = scores(text, &question()).unwrap();
        let labels: Vec<&str> = found.arms.iter().map(|arm| arm.label.as_str()).collect();
        assert_eq!(labels, ["a", "b", "c"]);
        assert_eq!(losses(&found.arms[0]), [(1, 2.0), (0, 4.0)]);
        let named = Question {
            baseline: Some("b".into()),
            ..question()
        };
        assert_eq!(scores(text, &named).unwrap().arms[0].label, "b");
        // c has one of the two seeds
        let remarks = &found.given.unwrap().remarks;
        assert!(
            remarks[0].starts_with("of the seeds of c only some"),
            "{remarks:?}"
        );
    }

    #[test]
    fn seeds_are_held_against_those_of_the_baseline_that_was_asked_for() {
        // b has one of the two seeds of c, and a has both: against c only b is partly paired
        let text = "arm,seed,loss\nb,0,3\na,0,2\na,1,4\nc,0,6\nc,1,5\n";
        let remark = |baseline: &str| {
            let asked = Question {
                baseline: Some(baseline.into()),
                ..question()
            };
            scores(text, &asked).unwrap().given.unwrap().remarks[0].clone()
        };
        assert!(remark("c").starts_with("of the seeds of b only some"));
        assert!(remark("b").starts_with("of the seeds of a, c only some"));
    }

    #[test]
    fn arms_of_other_seeds_leave_paired_arms_their_step_of_the_correction() {
        // b beats a by 0.1 to 0.105 on each seed, p = 2/64; c has other seeds and other losses, p = 2/924 at least
        let of = |arm: &str, first: usize, less: f64| {
            let row = |i: usize| {
                let loss = 2.0 + 0.01 * i as f64 - less - 0.001 * (i * i % 5) as f64;
                format!("{arm},{},{loss}\n", first + i)
            };
            (0..6).map(row).collect::<String>()
        };
        let text = [
            "arm,seed,loss\n".to_owned(),
            of("a", 0, 0.0),
            of("b", 0, 0.1),
            of("c", 100, 1.0),
        ]
        .concat();
        let report = scores(&text, &question()).unwrap();
        let report = report.report(&AblationConfig::default()).unwrap();
        let b = report.arms[1].comparison.as_ref().unwrap();
        // Holm: c first, by two; then b by one
        assert_eq!(
            (b.p, b.p_holm, b.smallest_p_holm),
            (Some(0.03125), Some(0.03125), 0.03125)
        );
        assert_eq!(report.arms[1].verdict, Some(Verdict::Better));
    }

    #[test]
    fn only_shared_seeds_are_said_to_be() {
        let text = "arm,seed,loss\na,x,1\na,y,2\na,z,3\nb,z,4\nb,x,5\n";
        let shared = Question {
            only_shared: true,
            ..question()
        };
        let found = scores(text, &shared).unwrap();
        assert_eq!(losses(&found.arms[0]), [(0, 1.0), (2, 3.0)]);
        let given = found.given.unwrap();
        assert_eq!(given.seed_names, ["x", "y", "z"]);
        assert_eq!(
            given.remarks,
            ["left out of a, since other arms lack them: seeds y."]
        );
        let report = scores(text, &question()).unwrap();
        assert_eq!(report.pairing, Pairing::SameSeeds);
        let rows = "arm,loss\na,1\nb,2\n";
        let message = error(rows, &shared);
        assert!(
            message.contains("name the column of seeds with --seed"),
            "{message}"
        );
    }

    #[test]
    fn rows_without_seeds_are_runs_of_their_own() {
        let found = scores("arm,loss\na,1\na,2\nb,3\nb,4\n", &question()).unwrap();
        assert_eq!(
            (found.pairing, found.arms[1].seeds[1].seed),
            (Pairing::Never, 1)
        );
    }

    #[test]
    fn names_may_hold_the_seed() {
        let question = Question {
            arm: Some("run".into()),
            names: Some(Names::parse("{arm}_s{seed}").unwrap()),
            ..question()
        };
        let text = "run,loss\na_s0,1\na_s1,2\nb_s1,3\nb_s0,4\n";
        let found = scores(text, &question).unwrap();
        assert_eq!(losses(&found.arms[1]), [(1, 3.0), (0, 4.0)]);
        let message = error("run,loss\na_s0,1\nb,2\n", &question);
        assert!(
            message.starts_with("a.csv, line 3: `b` is not of the form"),
            "{message}"
        );
    }

    #[test]
    fn filters_take_text_and_numbers() {
        let filtered = |filter: &str| Question {
            filters: vec![Filter::parse(filter).unwrap()],
            ..question()
        };
        let text = "arm,seed,lr,loss\na,0,0.10,1\na,0,0.2,2\nb,0,1e-1,3\nb,0,,4\n";
        let found = scores(text, &filtered("lr=0.1")).unwrap();
        assert_eq!(
            (losses(&found.arms[0]), losses(&found.arms[1])),
            (vec![(0, 1.0)], vec![(0, 3.0)])
        );
        assert!(
            error(text, &filtered("lr=7")).contains("its values are ``, `0.10`, `0.2`, `1e-1`")
        );
        assert!(error(text, &question()).contains("they differ in `lr`"));
    }

    #[test]
    fn rows_that_are_no_runs_are_told_apart_by_the_column_of_fewest_values() {
        let text = "id,arm,seed,task,loss\nq,a,0,x,1\nr,a,0,y,2\ns,b,0,x,3\nt,b,0,y,4\n";
        let message = error(text, &question());
        assert!(
            message.ends_with("choose rows with --where 'task=y'"),
            "{message}"
        );
    }

    #[test]
    fn a_diverged_run_leaves_its_arm_without_a_comparison() {
        let text = "arm,seed,loss\na,0,1\na,1,1.5\nb,0,2\nb,1,NaN\n";
        let report = scores(text, &question())
            .unwrap()
            .report(&AblationConfig::default())
            .unwrap();
        let reason = "its score is not finite for seed 1".to_owned();
        assert_eq!(
            report.arms[1].verdict,
            Some(Verdict::NotComparable { reason })
        );
    }

    #[test]
    fn costs_and_causality_are_columns() {
        let question = Question {
            costs: vec!["hours".into()],
            causal: Some("causal".into()),
            ..question()
        };
        let text = "arm,seed,loss,hours,causal\na,0,1,2,true\nb,0,2,2,False\n";
        let report = scores(text, &question)
            .unwrap()
            .report(&AblationConfig::default())
            .unwrap();
        let reason = report.arms[1].reason.as_deref();
        assert_eq!(reason, Some("one is causal and the other is not"));
        let message = error(&text.replace("False", "perhaps"), &question);
        assert!(
            message.contains("line 3: column `causal`: `perhaps` is neither"),
            "{message}"
        );
        let message = error(&text.replace("2,2,", "2,,"), &question);
        assert!(
            message.contains("line 3: column `hours`: there is no number"),
            "{message}"
        );
    }

    #[test]
    fn equal_scores_are_suspicious() {
        let found = scores("arm,seed,loss\na,0,1\na,1,1\nb,0,2\nb,1,3\n", &question()).unwrap();
        let remarks = found.given.unwrap().remarks;
        assert!(
            remarks[0].starts_with("all 2 scores of a are equal"),
            "{remarks:?}"
        );
    }

    #[test]
    fn a_column_of_seeds_must_be_one_even_if_nobody_named_it() {
        let message = error("arm,seed,seed,loss\na,0,1,1\nb,0,1,2\n", &question());
        assert!(
            message.contains("there are two columns `seed`"),
            "{message}"
        );
    }

    #[test]
    fn the_direction_must_be_known() {
        let text = "arm,seed,score\na,0,1\nb,0,2\n";
        let asked = |goal| Question {
            metric: Some("score".into()),
            goal,
            ..Question::default()
        };
        assert!(error(text, &asked(None)).contains("add --lower or --higher"));
        let found = scores(text, &asked(Some(Goal::Higher))).unwrap();
        assert_eq!(found.given.unwrap().goal, Goal::Higher);
    }
}
