//! A claim that is decided by a table of another program.
//!
//! ```toml
//! [claim]
//! hypothesis = "..."
//! source = "..."
//!
//! [results]                          # in place of [base], [[arm]] and runs
//! table = "results.csv"              # beside this file: whatever `moe compare` reads
//! arm = "optimizer"                  # optional, as `--arm` and the other options
//! seed = "seed"
//! where = ["State=finished"]
//! costs = ["params"]
//! higher = ["score"]                 # columns whose names do not tell their better direction; lower likewise
//!
//! [[rule]]                           # as in a claim of runs; a metric is a column
//! arms = ["mine"]
//! metric = "val/loss"
//! below = "baseline"
//! ```

use super::claim_file::{Document, rule};
use super::direction::direction;
use super::error::ResultsError;
use super::number::number;
use super::question::Question;
use super::scores::Scores;
use super::table::Table;
use crate::ablate::{
    AblationConfig, AblationReport, ArmReport, ClaimReport, Explored, Levels, MIN_SEEDS, Pairing,
    Rule, Side, Statement, together,
};
use crate::stats::Goal;
use moe_train::resolve::{ConfigFile, typed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A claim with the table that decides it.
#[derive(Debug, Clone)]
pub struct ResultsClaim {
    /// The rules, each about a column.
    pub rules: Vec<Rule>,
    /// The table that decides it, which need not be there yet.
    pub table: PathBuf,
    hypothesis: String,
    source: String,
    explored: Option<Explored>,
    question: Question,
    /// The better directions of columns, as the file says.
    goals: BTreeMap<String, Goal>,
    path: PathBuf,
}

impl ResultsClaim {
    /// Reads a file; `None` if it has no tables `[claim]` and `[results]`.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn read(path: &Path) -> Result<Option<Self>, ResultsError> {
        let file = ConfigFile::read(path).map_err(|e| ResultsError::Question(e.to_string()))?;
        if !["claim", "results"]
            .iter()
            .all(|name| file.table().contains_key(*name))
        {
            return Ok(None);
        }
        let invalid = |fault: String| ResultsError::Table {
            table: path.display().to_string(),
            fault,
        };
        let document: Document = typed(file.table().clone()).map_err(|e| invalid(e.to_string()))?;
        let rules = document.rule.into_iter().map(rule);
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>().map_err(invalid)?;
        if rules.is_empty() {
            return Err(invalid("a claim needs a rule".to_owned()));
        }
        Ok(Some(Self {
            rules,
            hypothesis: document.claim.hypothesis,
            source: document.claim.source,
            explored: document.explored,
            table: path
                .parent()
                .unwrap_or(Path::new(""))
                .join(&document.results.table),
            goals: document.results.goals().map_err(invalid)?,
            question: document.results.question().map_err(invalid)?,
            path: path.to_owned(),
        }))
    }

    /// Decides the claim: the comparison by the column of its first rule, with the decision on all of them.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the table, or which rule does not fit it.
    pub fn decide(&self) -> Result<AblationReport, ResultsError> {
        let table = Table::read(&self.table)?;
        let levels = Levels::default();
        let mut reports: BTreeMap<&str, AblationReport> = BTreeMap::new();
        let mut decided = Vec::new();
        for rule in &self.rules {
            let column = rule.name();
            if !reports.contains_key(column) {
                reports.insert(column, self.report(&table, rule)?);
            }
            let report = &reports[column];
            let rule = self.ordered(rule, report, &table)?;
            decided.extend(rule.decide(report, levels));
        }
        let first = self.rules.first();
        let first = first.and_then(|rule| reports.remove(rule.name()));
        let mut report = first.ok_or_else(|| self.fault("a claim needs a rule".to_owned()))?;
        report.claim = Some(ClaimReport {
            hypothesis: self.hypothesis.clone(),
            source: self.source.clone(),
            explored: self.explored.as_ref().map(Explored::text),
            decision: together(&decided),
            rules: decided,
            changed_by: None,
            look: None,
            levels,
            runs_of_another_version: 0,
        });
        Ok(report)
    }

    /// The better direction of a rule's column: as the file, the table, the name or the rule has it.
    fn goal(&self, table: &Table, rule: &Rule) -> Result<Goal, ResultsError> {
        let column = rule.name();
        let told = self.goals.get(column).or(table.goals.get(column)).copied();
        let of_rule = match rule.statement {
            Statement::Is(Side::Above, _) | Statement::IsNot(Side::Below, ..) => Some(Goal::Higher),
            Statement::Is(Side::Below, _) | Statement::IsNot(Side::Above, ..) => Some(Goal::Lower),
            Statement::Equals(..) | Statement::Trend { .. } => None,
        };
        told.or_else(|| direction(column)).or(of_rule).ok_or_else(|| {
            self.fault(format!(
                "the name `{column}` does not tell which direction is better; add lower = [\"{column}\"] or \
                 higher = [\"{column}\"] to [results]"
            ))
        })
    }

    fn report(&self, table: &Table, rule: &Rule) -> Result<AblationReport, ResultsError> {
        let question = Question {
            metric: Some(rule.name().to_owned()),
            goal: Some(self.goal(table, rule)?),
            ..self.question.clone()
        };
        let scores: Scores = question.scores(table)?;
        let report = scores
            .report(&AblationConfig::default())
            .map_err(|error| self.fault(error.to_string()))?;
        self.check_seeds(&report)
            .map_err(|fault| self.fault(fault))?;
        Ok(report)
    }

    /// Refuses arms of too few seeds, and seeds that were looked at before the rules were fixed.
    fn check_seeds(&self, report: &AblationReport) -> Result<(), String> {
        let few = |arm: &&ArmReport| (arm.seeds.len() as u64) < MIN_SEEDS;
        if let Some(arm) = report.arms.iter().find(few) {
            return Err(format!(
                "a claim needs at least {MIN_SEEDS} seeds of each arm, and `{}` has {}",
                arm.label,
                arm.seeds.len()
            ));
        }
        // seeds without numbers have places in the table in their stead, which say nothing of what was explored
        let named = report.given.as_ref().map(|given| &given.seed_names);
        let are_numbers = named.is_none_or(|names| names.is_empty());
        if report.pairing == Pairing::Never || !are_numbers {
            return Ok(());
        }
        let explored = self.explored.iter().flat_map(|explored| &explored.seeds);
        let mut runs = report.arms.iter().flat_map(|arm| &arm.seeds);
        match runs.find(|run| explored.clone().any(|seed| *seed == run.seed)) {
            None => Ok(()),
            Some(run) => Err(format!(
                "the seed {} of [explored] is among those of the table: rows of explored seeds must not be in it; decide on \
                 seeds that nobody has looked at, or choose rows with `where` of [results]",
                run.seed
            )),
        }
    }

    /// The rule after a look at the arms, those of a trend in their order.
    fn ordered(
        &self,
        rule: &Rule,
        report: &AblationReport,
        table: &Table,
    ) -> Result<Rule, ResultsError> {
        let names: Vec<String> = report.arms.iter().map(|arm| arm.label.clone()).collect();
        rule.check(&names).map_err(|fault| self.fault(fault))?;
        let Statement::Trend { along, .. } = &rule.statement else {
            return Ok(rule.clone());
        };
        let seeds = |i: usize| report.arms[i].seeds.iter().map(|run| run.seed);
        if (1..report.arms.len()).any(|i| !seeds(i).eq(seeds(0))) || self.question.seed.is_none() {
            let what =
                "a trend needs the same seeds in all arms, and their column in `seed` of [results]";
            return Err(self.fault(what.to_owned()));
        }
        let mut arms: Vec<(f64, String)> = Vec::new();
        for arm in &rule.arms {
            arms.push((self.question.value_of(table, arm, along)?, arm.clone()));
        }
        arms.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some(pair) = arms.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let [(value, a), (_, b)] = [&pair[0], &pair[1]];
            return Err(self.fault(format!(
                "a trend along `{along}`: `{a}` and `{b}` both have {value}"
            )));
        }
        Ok(Rule {
            arms: arms.into_iter().map(|(_, arm)| arm).collect(),
            ..rule.clone()
        })
    }

    fn fault(&self, fault: String) -> ResultsError {
        ResultsError::Table {
            table: self.path.display().to_string(),
            fault,
        }
    }
}

impl Question {
    /// The one number that an arm has in a column.
    fn value_of(&self, table: &Table, arm: &str, column: &str) -> Result<f64, ResultsError> {
        let columns = Self {
            metric: Some(column.to_owned()),
            ..self.clone()
        }
        .columns(table)?;
        let mut found: Option<f64> = None;
        for row in self.rows(table)?.rows {
            let name = row.cells[columns.arm].trim();
            let is_own = match &self.names {
                Some(names) => names.split(name).is_ok_and(|parts| parts.arm == arm),
                None => name == arm,
            };
            if !is_own {
                continue;
            }
            let value = number(&row.cells[columns.metric])
                .map_err(|what| table.fault_at(row, format!("column `{column}`: {what}")))?;
            if value.is_nan() || found.is_some_and(|other| other != value) {
                let what = format!("column `{column}`: a trend needs one number of each arm there");
                return Err(table.fault_at(row, what));
            }
            found = Some(value);
        }
        found.ok_or_else(|| table.fault(format!("there is no arm `{arm}`")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ablate::Decision;

    const CLAIM: &str = "[claim]\nhypothesis = \"h\"\nsource = \"s\"\n\
        [results]\ntable = \"r.csv\"\narm = \"model\"\nseed = \"seed\"\n";

    /// Six seeds of three arms: `b` is 0.1 to 0.11 below `a`, and `c` as much below `b`.
    fn table() -> String {
        let row = |seed: usize| {
            let noise = 0.002 * (seed % 3) as f64;
            let base = 2.0 + 0.05 * seed as f64;
            format!(
                "a,{seed},{base},1,0.5\nb,{seed},{},2,0.5\nc,{seed},{},4,0.5\n",
                base - 0.1 - noise,
                base - 0.2 - noise
            )
        };
        let rows: Vec<String> = (0..6).map(row).collect();
        format!("model,seed,val loss,size,acc\n{}", rows.concat())
    }

    fn decide(rules: &str) -> Result<AblationReport, ResultsError> {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("r.csv"), table()).unwrap();
        let path = place.path().join("claim.toml");
        std::fs::write(&path, format!("{CLAIM}{rules}")).unwrap();
        ResultsClaim::read(&path)?.unwrap().decide()
    }

    #[test]
    fn rules_are_about_columns() {
        let rules = "[[rule]]\narms = [\"b\", \"c\"]\nmetric = \"val loss\"\nbelow = \"a\"\n\
            [[rule]]\narms = [\"b\"]\nmetric = \"acc\"\nequal = \"a\"\nmargin = 0.01\n\
            [[rule]]\narms = [\"c\", \"a\", \"b\"]\nmetric = \"val loss\"\ntrend = \"falling\"\nalong = \"size\"\n";
        let claim = decide(rules).unwrap().claim.unwrap();
        assert_eq!(claim.decision, Decision::Pass);
        let words: Vec<&str> = claim.rules.iter().map(|rule| rule.rule.as_str()).collect();
        let expected = [
            "val loss of `b` is below that of `a`",
            "val loss of `c` is below that of `a`",
            "acc of `b` is within 0.01 of that of `a`",
            "val loss falls with size over a, b, c",
        ];
        assert_eq!(words, expected);
        let fails = rules.replace("below", "above");
        assert_eq!(
            decide(&fails).unwrap().claim.unwrap().decision,
            Decision::Fail
        );
    }

    #[test]
    fn the_better_direction_is_that_of_the_name_the_file_or_the_rule() {
        let rule = |column: &str, side: &str, more: &str| {
            let rule = format!("[[rule]]\narms = [\"b\"]\nmetric = \"{column}\"\n{side} = \"a\"\n");
            decide(&format!("{more}{rule}")).map(|report| report.given.unwrap().goal)
        };
        // a name, whatever the rule says; then a name that does not tell
        assert_eq!(rule("val loss", "above", "").unwrap(), Goal::Lower);
        assert_eq!(rule("size", "above", "").unwrap(), Goal::Higher);
        assert_eq!(rule("size", "below", "").unwrap(), Goal::Lower);
        assert_eq!(
            rule("size", "below", "higher = [\"size\"]\n").unwrap(),
            Goal::Higher
        );
        let error = rule("size", "above", "higher = [\"size\"]\nlower = [\"size\"]\n").unwrap_err();
        assert!(error.to_string().contains("among `lower`"), "{error}");
    }

    #[test]
    fn explored_seeds_are_not_decided_on() {
        let rule = "[[rule]]\narms = [\"b\"]\nmetric = \"val loss\"\nbelow = \"a\"\n";
        let explored =
            |seeds: &str| format!("[explored]\nseeds = {seeds}\nwhat = \"sizes\"\n{rule}");
        // the table has the seeds 0 to 5
        let refused = decide(&explored("[9, 3]")).unwrap_err().to_string();
        assert!(
            refused.contains("the seed 3 of [explored] is among those of the table"),
            "{refused}"
        );
        let claim = decide(&explored("[6, 7]")).unwrap().claim.unwrap();
        assert_eq!(claim.explored.as_deref(), Some("sizes (seeds 6, 7)"));
    }

    #[test]
    fn errors_say_what_to_do() {
        let rule = "[[rule]]\narms = [\"b\"]\nmetric = \"val loss\"\nbelow = \"a\"\n";
        for (from, to, words) in [
            ("\"val loss\"", "\"val_loss\"", "did you mean `val loss`?"),
            ("[\"b\"]", "[\"d\"]", "no arm `d`; the arms are a, b, c"),
            ("metric = \"val loss\"\n", "", "a rule needs a `metric`"),
            ("below = \"a\"", "blow = \"a\"", "blow"),
            (
                "arms = [\"b\"]\nmetric = \"val loss\"\nbelow = \"a\"",
                "arms = [\"a\", \"b\", \"c\"]\nmetric = \"acc\"\ntrend = \"rising\"\nalong = \"acc\"",
                "`a` and `b` both have 0.5",
            ),
        ] {
            let error = decide(&rule.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
