//! The text form of an ablation table: aligned columns and footnotes, without box art.

use super::cells::{header, insert, row};
use super::claim::claim_text;
use super::notes::footnotes;
use super::over_ranks;
use super::title::title;
use super::tuning::tuning_text;
use crate::{Align, columns_within, significant};
use moe_lab::ablate::{AblationReport, ArmReport};
use moe_lab::stats::Verdict;

/// The table of an ablation.
#[derive(Debug, Clone, Copy)]
pub struct AblationTable<'a>(pub &'a AblationReport);

/// The layout of the table as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableConfig {
    /// All columns in one table. Default: those that decide, and the others in a second table
    pub is_wide: bool,
    /// The most characters of a line. Default: as many as it takes
    pub width: Option<usize>,
}

impl AblationTable<'_> {
    /// The table as text, with its notes and the decision of its claim.
    pub fn text(&self, config: TableConfig) -> String {
        let columns = |rows: &[Vec<String>], words: &[usize]| {
            let align = |i: usize| {
                if words.contains(&i) {
                    Align::Left
                } else {
                    Align::Right
                }
            };
            let align: Vec<Align> = (0..rows[0].len()).map(align).collect();
            columns_within(rows, &align, config.width)
        };
        let mut parts = vec![title(self.0)];
        if let Some(tuning) = &self.0.tuning {
            parts.push(tuning_text(tuning, self.0.merit, config.width));
        }
        let mut notes = self.notes();
        if config.is_wide {
            let rows = self.rows();
            parts.push(columns(&rows, &[0, rows[0].len() - 1]));
        } else {
            let rows = self.main_rows();
            parts.push(columns(&rows, &[0, rows[0].len() - 1]));
            let rows = self.further_rows();
            if rows[0].len() > 1 {
                parts.push(columns(&rows, &[0]));
            }
            notes.extend(self.reasons());
        }
        parts.push(notes.join("\n"));
        if let Some(claim) = &self.0.claim {
            parts.push(claim_text(claim, config.width));
        }
        parts.join("\n\n")
    }

    /// The columns that decide: the score, its difference to the baseline, and the verdict in a few words.
    pub fn main_rows(&self) -> Vec<Vec<String>> {
        let mut rows = self.shortened();
        for (row, arm) in rows.iter_mut().skip(1).zip(&self.0.arms) {
            if let (Some(last), false) = (row.last_mut(), arm.comparable) {
                *last = arm
                    .verdict
                    .as_ref()
                    .map_or("", Verdict::in_short)
                    .to_owned();
            }
        }
        let is_main = |i: usize, last: usize| i <= P || i == last;
        pick(&rows, |i| is_main(i, rows[0].len() - 1))
    }

    /// The other columns, without those in which nothing or the same stands for all arms.
    pub fn further_rows(&self) -> Vec<Vec<String>> {
        let rows = self.shortened();
        let last = rows[0].len() - 1;
        // of one compared arm, p needs no correction
        let repeats_p = |i: usize| rows[1..].iter().all(|row| row[i] == row[P]);
        let is_further = |i: usize| i > P && i < last && !is_same(&rows, i) && !repeats_p(i);
        pick(&rows, |i| i == 0 || is_further(i))
    }

    /// Why arms are not comparable, and what is the same in all arms, which the short tables leave out.
    pub fn reasons(&self) -> Vec<String> {
        let reason = |arm: &ArmReport| {
            let reason = arm.reason.as_ref()?;
            Some(format!("{} is not comparable: {reason}.", arm.label))
        };
        let mut notes: Vec<String> = self.0.arms.iter().filter_map(reason).collect();
        let rows = self.rows();
        let left_out =
            (P + 1..rows[0].len() - 1).filter(|&i| is_same(&rows, i) && rows[1][i] != "-");
        let same: Vec<String> = left_out
            .map(|i| format!("{} {}", rows[0][i], rows[1][i]))
            .collect();
        if !same.is_empty() {
            notes.push(format!("the same in all arms: {}.", same.join(", ")));
        }
        notes
    }

    /// The rows with the key that all arms begin with in the header alone.
    fn shortened(&self) -> Vec<Vec<String>> {
        let mut rows = self.rows();
        let keys = rows[1..]
            .iter()
            .map(|row| row[0].split_once('=').map(|(key, _)| key));
        let keys: Vec<Option<&str>> = keys.collect();
        if let [Some(key), _, ..] = keys[..]
            && keys.iter().all(|other| *other == Some(key))
        {
            let key = key.to_owned();
            for row in &mut rows[1..] {
                row[0].drain(..=key.len());
            }
            rows[0][0] = key;
        }
        rows
    }

    /// The table as text, a row an arm under a header; the first and the last column are words.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![header(self.0)];
        rows.extend(self.0.arms.iter().map(row));
        if self.0.given.is_some() {
            // the balance of experts is no part of another program's table
            let last = rows[0].len() - 1;
            return pick(&rows, |i| i <= P_HOLM || i == last);
        }
        if self.0.arms.iter().any(|arm| arm.measured.is_some()) {
            insert(&mut rows, &self.0.arms, "experts/token", |arm| {
                arm.measured.map_or("as configured".to_owned(), |cost| {
                    significant(cost.experts_per_token, 3)
                })
            });
        }
        let active = |arm: &ArmReport| arm.seeds.first().map_or(0, |run| run.params_active);
        if self
            .0
            .arms
            .iter()
            .any(|arm| active(arm) != active(&self.0.arms[0]))
        {
            insert(&mut rows, &self.0.arms, "active parameters", |arm| {
                active(arm).to_string()
            });
        }
        for (header, metric) in over_ranks::columns(self.0) {
            insert(&mut rows, &self.0.arms, header, |arm| {
                over_ranks::mean_of(arm, metric)
            });
        }
        rows
    }

    /// The arms, the seeds, the score and the keys in which the arms differ.
    pub fn title(&self) -> String {
        title(self.0)
    }

    /// The meaning of the table's columns and marks.
    pub fn notes(&self) -> Vec<String> {
        footnotes(self.0)
    }
}

/// The column of p, the last but the verdict of those that decide.
const P: usize = 4;

/// The column of p after Holm's correction.
const P_HOLM: usize = P + 1;

/// Some columns of a table.
fn pick(rows: &[Vec<String>], is_picked: impl Fn(usize) -> bool) -> Vec<Vec<String>> {
    let cells = |row: &Vec<String>| {
        let cells = row.iter().enumerate().filter(|(i, _)| is_picked(*i));
        cells.map(|(_, cell)| cell.clone()).collect()
    };
    rows.iter().map(cells).collect()
}

/// Tells whether a column has nothing, or of several arms one value, to show.
fn is_same(rows: &[Vec<String>], column: usize) -> bool {
    let first = &rows[1][column];
    let all = rows[1..].iter().all(|row| row[column] == *first);
    all && (first == "-" || rows.len() > 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::ablate::{
        AblationConfig, ArmResult, Difference, OverRanks, SeedResult, TuneReport, TunedArm,
    };
    use moe_train::run::Measured;

    fn arm(label: &str, losses: &[f64]) -> ArmResult {
        let seed = |(seed, loss): (u64, &f64)| SeedResult {
            tokens_per_s: 12_000.0 + 100.0 * seed as f64,
            max_vio: 0.25,
            entropy: 0.9,
            drop_rate: 0.0125,
            steps: 200,
            tokens: 102_400,
            params_active: 50_000,
            ..SeedResult::of_loss(seed, *loss)
        };
        ArmResult {
            label: label.into(),
            evaluation: None,
            seeds: (0..).zip(losses).map(seed).collect(),
        }
    }

    fn report(arms: &[ArmResult]) -> AblationReport {
        AblationReport::new(arms, &AblationConfig::default()).unwrap()
    }

    /// All in one table.
    fn text(arms: &[ArmResult]) -> String {
        AblationTable(&report(arms)).text(TableConfig {
            is_wide: true,
            width: None,
        })
    }

    #[test]
    fn differences_within_an_evaluation_are_said_to_be() {
        let evaluated = |label: &str, way: &str| ArmResult {
            evaluation: Some(way.into()),
            ..arm(label, &[1.0, 1.0])
        };
        let arms = ["1", "2"].map(|way| [("a", way), ("b", way)]).concat();
        let arms = arms
            .iter()
            .map(|(arm, way)| evaluated(&format!("{arm}, {way}"), way));
        let text = text(&arms.collect::<Vec<_>>());
        assert!(
            text.contains("minus the first arm of the same evaluation"),
            "{text}"
        );
    }

    /// Four arms: two that can be compared, one that leaks and one that was trained for half the time.
    fn arms() -> [ArmResult; 4] {
        // switch - mixtral: 0.05, 0.03, 0.04; expert_choice - mixtral: -0.2, 0.01, -0.02.
        let mut leaky = arm("router.name=expert_choice", &[1.9, 2.12, 2.1]);
        let mut short = arm("router.name=hash", &[2.5, 2.5, 2.5]);
        for (leaky, short) in leaky.seeds.iter_mut().zip(&mut short.seeds) {
            leaky.causal = false;
            short.steps = 100;
        }
        [
            arm("router.name=mixtral", &[2.1, 2.11, 2.12]),
            arm("router.name=switch", &[2.15, 2.14, 2.16]),
            leaky,
            short,
        ]
    }

    #[test]
    fn golden_text() {
        assert_eq!(text(&arms()), include_str!("golden_table.txt").trim_end());
    }

    #[test]
    fn the_columns_that_decide_come_first_and_fit() {
        // Student's t, three seeds: 4.303 / sqrt 3 standard deviations about the mean
        let table = "\
router.name      loss (bits/byte)  difference       95 % interval      p  verdict
mixtral             2.110 ± 0.010           -                   -      -  baseline
switch              2.150 ± 0.010     +0.0400  [+0.0152, +0.0648]  0.250  undecided (needs 6 seeds)
expert_choice †     2.040 ± 0.122     -0.0700    [-0.352, +0.212]      -  not comparable
hash                2.500 ± 0.000      +0.390    [+0.365, +0.415]      -  not comparable

±: standard deviation";
        let text = AblationTable(&report(&arms())).text(TableConfig::default());
        assert!(text.contains(table), "{text}");
        for note in [
            "\nrouter.name=hash is not comparable: steps differ: 100 against 200.",
            "\nthe same in all arms: tokens/s 12100 ± 100, MaxVio 0.250, entropy 0.900, dropped (%) 1.25, dead experts 0.",
        ] {
            assert!(text.contains(note), "{note}: {text}");
        }

        let mut arms = arms();
        arms[1].seeds[0].max_vio = 3.25;
        arms[2].seeds.iter_mut().for_each(|seed| seed.causal = true);
        let text = AblationTable(&report(&arms)).text(TableConfig::default());
        // two compared arms: the correction is a column of its own
        let table = "
router.name    p Holm  MaxVio
mixtral             -   0.250
switch          0.500    1.25
expert_choice   0.500   0.250
hash                -   0.250
";
        assert!(text.contains(table), "{text}");
    }

    #[test]
    fn a_narrow_terminal_breaks_words() {
        let config = TableConfig {
            is_wide: false,
            width: Some(90),
        };
        let text = AblationTable(&report(&arms())).text(config);
        let rows = text.split("\n\n").nth(1).unwrap();
        assert!(
            rows.lines().all(|line| line.chars().count() <= 90),
            "{rows}"
        );
        assert!(
            rows.contains("undecided\n") || rows.contains("(needs"),
            "{rows}"
        );
    }

    #[test]
    fn what_tokens_used_is_shown_where_it_is_not_what_was_configured() {
        let mut varies = arm("varies", &[2.0, 2.0]);
        for (seed, k) in varies.seeds.iter_mut().zip([2.0, 3.0]) {
            seed.causal_in_training = false;
            seed.measured = Some(Measured {
                experts_per_token: k,
                params_active: 60_000,
                flops_per_token: 99_000,
            });
        }
        let text = text(&[arm("a", &[2.0, 2.0]), varies]);
        for words in [
            "dead experts  experts/token  verdict",
            "as configured  baseline",
            "\nvaries ‡ ",
            "2.50  not comparable: measured active parameters differ by more than 1 %: 60000 against 50000",
            "\n‡: causal in evaluation alone; ",
            "\nexperts/token of varies: computed assignments, mean over training and layers; 60000 active",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn the_ranks_of_experts_have_columns_where_they_were_counted() {
        let mut far = arm("far", &[2.0, 2.0]);
        for (seed, fan_out) in far.seeds.iter_mut().zip([4.0, 5.0]) {
            seed.over_ranks = Some(OverRanks {
                fan_out,
                bytes_token: 512.0,
                busiest_rank: 1.25,
            });
        }
        let text = text(&[arm("near", &[2.0, 2.0]), far]);
        for words in [
            "dead experts  ranks/token  bytes/token  busiest rank  verdict",
            "-            -             -  baseline",
            "4.50          512          1.25  ",
            "\nranks/token: ",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn one_seed_has_no_test_notes() {
        let text = text(&[arm("a", &[2.0]), arm("b", &[2.5])]);

        assert!(
            text.contains("b               2.500      +0.500              -  -       -  "),
            "{text}"
        );
        assert!(text.contains("undecided (needs 6 seeds)"));
        assert!(text.contains("one seed gives no interval and no test."));
        assert!(!text.contains("Holm's"));
    }

    #[test]
    fn what_would_have_been_seen_and_what_differs_is_said() {
        let mut report = report(&[
            arm("a", &[2.0; 6]),
            arm("b", &[1.9, 2.1, 1.9, 2.1, 2.0, 2.0]),
        ]);
        report.differences = vec![Difference {
            key: "router.top_k".into(),
            values: vec![Some("2".into()), None],
        }];
        let text = AblationTable(&report).text(TableConfig::default());
        assert!(
            text.contains("no difference found (would have seen 0."),
            "{text}"
        );
        assert!(
            text.contains("\nArms differ in: router.top_k 2/-.\n"),
            "{text}"
        );
    }

    #[test]
    fn tuned_arms_show_their_values() {
        let mut report = report(&[arm("a", &[2.0; 6]), arm("b", &[1.9; 6])]);
        let tuned = |label: &str, scores: [Option<f64>; 3], chosen, at_edge| TunedArm {
            label: label.into(),
            trials: Vec::new(),
            scores: scores.to_vec(),
            chosen,
            at_edge,
        };
        report.tuning = Some(TuneReport {
            key: "train.lr".into(),
            values: ["1e-3", "2e-3", "4e-3"].map(String::from).to_vec(),
            seeds: vec![1000, 1001],
            alike: vec![vec!["a".into(), "b".into()]],
            arms: vec![
                tuned("a", [Some(2.1), Some(2.0), None], 1, false),
                tuned("b", [Some(1.9), Some(2.0), Some(2.5)], 0, true),
            ],
        });
        let table = "\
tuned arm  train.lr 1e-3  train.lr 2e-3  train.lr 4e-3  chosen
a                  2.100          2.000       diverged    2e-3
b                  1.900          2.000          2.500  1e-3 §

Chosen together, since they are one model by different means: a; b.

§: at the edge of the list";
        let text = AblationTable(&report).text(TableConfig::default());
        assert!(text.contains(table), "{text}");
    }

    #[test]
    fn six_seeds_need_no_more() {
        let text = text(&[
            arm("a", &[2.0; 6]),
            arm("b", &[1.5, 1.4, 1.5, 1.6, 1.5, 1.5]),
        ]);

        let row = text.lines().find(|line| line.starts_with("b ")).unwrap();
        assert!(row.ends_with("better"), "{row}");
        assert!(text.contains("interval: Student's t of its mean"));
        assert!(text.contains("power: a true difference of "));
        assert!(!text.contains("run at least"));
    }

    #[test]
    fn lines_have_no_trailing_spaces() {
        let text = text(&[arm("a", &[2.0; 3]), arm("b", &[f64::NAN; 3])]);

        assert!(text.lines().all(|line| line == line.trim_end()));
        assert!(text.contains("not comparable: its score is not finite for seed 0"));
    }
}
