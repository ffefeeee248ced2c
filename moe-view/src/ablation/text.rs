//! The text form of an ablation table: aligned columns and footnotes, without box art.

use super::figures::{plus_minus, significant};
use crate::{Align, columns_within};
use moe_lab::ablate::{AblationReport, ArmReport, ClaimReport, RuleReport};
use moe_lab::stats::{Comparison, Goal, Verdict, seeds_needed, smallest_p};

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
            parts.push(claim_text(claim, self.0.seeds.len(), config.width));
        }
        parts.join("\n\n")
    }

    /// The columns that decide: the score, its difference to the baseline, and the verdict in a few words.
    pub fn main_rows(&self) -> Vec<Vec<String>> {
        let mut rows = self.shortened();
        for (row, arm) in rows.iter_mut().skip(1).zip(&self.0.arms) {
            if let (Some(last), Some(verdict)) = (row.last_mut(), &arm.verdict) {
                *last = verdict.in_short();
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
        rows
    }

    /// The meaning of the table's columns and marks.
    pub fn notes(&self) -> Vec<String> {
        footnotes(self.0)
    }
}

/// The column of p, the last but the verdict of those that decide.
const P: usize = 4;

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

fn title(report: &AblationReport) -> String {
    let seeds: Vec<String> = report.seeds.iter().map(u64::to_string).collect();
    let mut title = format!(
        "{}, {} {}; {} is {}, {} is better.",
        counted(report.arms.len(), "arm"),
        if seeds.len() == 1 { "seed" } else { "seeds" },
        seeds.join(", "),
        report.merit.quantity(),
        report.metric,
        match report.goal {
            Goal::Lower => "lower",
            Goal::Higher => "higher",
        }
    );
    if let Some(run) = report.arms.first().and_then(|arm| arm.seeds.first()) {
        title.push_str(&format!(
            "\nBaseline {}: {} steps, {} tokens, {} active parameters.",
            report.baseline, run.steps, run.tokens, run.params_active
        ));
    }
    title
}

fn header(report: &AblationReport) -> Vec<String> {
    let interval = format!("{} % interval", percent(report.bootstrap.level));
    [
        "arm",
        &format!("{} ({})", report.merit.quantity(), report.merit.unit()),
        "difference",
        &interval,
        "p",
        "p Holm",
        "tokens/s",
        "MaxVio",
        "entropy",
        "dropped (%)",
        "dead experts",
        "verdict",
    ]
    .map(String::from)
    .to_vec()
}

/// Adds the last column but one.
fn insert(
    rows: &mut [Vec<String>],
    arms: &[ArmReport],
    header: &str,
    cell: impl Fn(&ArmReport) -> String,
) {
    let cells = [header.to_owned()].into_iter().chain(arms.iter().map(cell));
    for (row, cell) in rows.iter_mut().zip(cells) {
        row.insert(row.len() - 1, cell);
    }
}

fn row(arm: &ArmReport) -> Vec<String> {
    let mark = match (arm.causal, arm.causal_in_training) {
        (false, _) => " †",
        (true, false) => " ‡",
        (true, true) => "",
    };
    let (score, scale) = (arm.score(), arm.merit().scale());
    let mut cells = vec![
        format!("{}{mark}", arm.label),
        plus_minus(scale * score.mean, score.std.map(|std| scale * std)),
    ];
    cells.extend(comparison_cells(arm.comparison.as_ref(), scale));
    cells.push(plus_minus(arm.tokens_per_s.mean, arm.tokens_per_s.std));
    cells.extend(
        [
            arm.max_vio.mean,
            arm.entropy.mean,
            100.0 * arm.drop_rate.mean,
            arm.dead_experts.mean,
        ]
        .map(|x| significant(x, 3)),
    );
    cells.push(match &arm.verdict {
        None => "baseline".into(),
        Some(verdict) => verdict.to_string(),
    });
    cells
}

fn comparison_cells(comparison: Option<&Comparison>, scale: f64) -> [String; 4] {
    let Some(comparison) = comparison else {
        return ["-", "-", "-", "-"].map(String::from);
    };
    let p = |p: Option<f64>| p.map_or("-".into(), |p| significant(p, 3));
    [
        signed(scale * comparison.mean_difference),
        comparison.interval.map_or("-".into(), |interval| {
            let [low, high] = [interval.low, interval.high].map(|end| signed(scale * end));
            format!("[{low}, {high}]")
        }),
        p(comparison.p),
        p(comparison.p_holm),
    ]
}

/// The claim, its rules as columns, and its decision as the last line.
fn claim_text(claim: &ClaimReport, n_seeds: usize, width: Option<usize>) -> String {
    let row = |rule: &RuleReport| {
        vec![
            rule.decision.to_string(),
            rule.rule.clone(),
            rule.difference.map_or("-".into(), signed),
            rule.interval.map_or("-".into(), |interval| {
                format!("[{}, {}]", signed(interval.low), signed(interval.high))
            }),
        ]
    };
    let header = ["decision", "rule", "difference", "interval"].map(String::from);
    let rows: Vec<_> = [header.to_vec()]
        .into_iter()
        .chain(claim.rules.iter().map(row))
        .collect();
    let align = [Align::Left, Align::Left, Align::Right, Align::Right];
    let decision = match &claim.changed_by {
        Some(changes) => format!("{}: changed by {changes}", claim.decision),
        None => claim.decision.to_string(),
    };
    format!(
        "Claim: {} ({})\n\n{}\n\n{}\n\n{decision}",
        claim.hypothesis,
        claim.source,
        columns_within(&rows, &align, width),
        claim_notes(claim, n_seeds).join("\n"),
    )
}

fn claim_notes(claim: &ClaimReport, n_seeds: usize) -> Vec<String> {
    let mut notes: Vec<String> = claim
        .rules
        .iter()
        .filter_map(|rule| {
            Some(format!(
                "{}: not comparable: {}.",
                rule.rule,
                rule.reason.as_ref()?
            ))
        })
        .collect();
    notes.push(format!(
        "A rule passes where the bootstrap interval of the difference to its bound lies on the claimed side. \
         Each interval stands for its rule alone, without a correction for {}; the exact two-sided p of {} \
         is at least {}.",
        counted(claim.rules.len(), "rule"),
        counted(n_seeds, "paired seed"),
        significant(smallest_p(n_seeds), 3),
    ));
    notes
}

fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

fn signed(x: f64) -> String {
    // what equal means of rounded numbers leave
    let x = if x.abs() < 1e-12 { 0.0 } else { x };
    let sign = if x > 0.0 { "+" } else { "" };
    format!("{sign}{}", significant(x, 3))
}

fn percent(share: f64) -> f64 {
    (share * 1e5).round() / 1e3
}

fn footnotes(report: &AblationReport) -> Vec<String> {
    let mut notes = vec![
        "±: standard deviation over seeds (n - 1); columns without it are means over seeds.".into(),
        "MaxVio: largest expert load over mean load, minus 1; 0 is perfect balance. entropy: of the \
         experts' load over that of a balanced one; 1 is perfect balance."
            .into(),
    ];
    if report.arms.iter().any(|arm| arm.comparison.is_some()) {
        notes.push(difference_note(report));
    }
    if report.seeds.len() > 1 {
        notes.extend(match report.n_compared {
            0 => vec![format!(
                "smallest p that these seeds can reach: {}.",
                significant(report.smallest_p, 3)
            )],
            _ => test_notes(report),
        });
    }
    if report.arms.iter().any(|arm| !arm.comparable) {
        notes.push(
            "not comparable: the budget or the outcome rules out a fair comparison, so no test is \
             made."
                .into(),
        );
    }
    if report.arms.iter().any(|arm| !arm.causal) {
        notes.push(
            "†: not causal; later tokens influence the routing of earlier ones, so generation \
             cannot reach this loss."
                .into(),
        );
    }
    if report
        .arms
        .iter()
        .any(|arm| arm.causal && !arm.causal_in_training)
    {
        notes.push(
            "‡: causal in evaluation alone; while training the routing looks at later tokens, which flatters \
             the training loss and not the loss shown here."
                .into(),
        );
    }
    // what training cost is the same in every evaluation
    let first = report.arms.first().map(|arm| &arm.evaluation);
    let of_first = |arm: &&ArmReport| Some(&arm.evaluation) == first;
    notes.extend(
        report
            .arms
            .iter()
            .filter(of_first)
            .filter_map(measured_note),
    );
    notes
}

/// The measured cost of an arm's tokens, where its configuration says something else.
fn measured_note(arm: &ArmReport) -> Option<String> {
    let (cost, run) = (arm.measured?, arm.seeds.first()?);
    Some(format!(
        "experts/token of {}: computed assignments, mean over training and layers; {} active parameters and {} \
         FLOP a token by them, {} active parameters by the configuration.",
        arm.label, cost.params_active, cost.flops_per_token, run.params_active
    ))
}

fn difference_note(report: &AblationReport) -> String {
    let n = report.seeds.len();
    if n == 1 {
        return "difference: arm minus baseline; one seed gives no interval and no test.".into();
    }
    let how = if report.bootstrap.is_exact(n) {
        format!("all {n}^{n} draws")
    } else {
        format!(
            "{} resamples, generator seed {}",
            report.bootstrap.resamples, report.bootstrap.seed
        )
    };
    let baseline = if report.arms.iter().any(|arm| arm.evaluation.is_some()) {
        "the first arm of the same evaluation"
    } else {
        "baseline"
    };
    format!(
        "difference: arm minus {baseline}, seed against same seed; interval: percentile bootstrap of \
         its mean ({how}), too narrow for few seeds."
    )
}

fn test_notes(report: &AblationReport) -> Vec<String> {
    let (n, alpha) = (report.seeds.len(), report.alpha);
    let arms = counted(report.n_compared, "compared arm");
    let patterns = if n <= 20 {
        format!("exact two-sided sign-flip test, all 2^{n} patterns")
    } else {
        "two-sided sign-flip test, 100000 random patterns".to_string()
    };
    let mut notes = vec![
        format!("p: {patterns}; p Holm: corrected for {arms} by Holm's method."),
        format!(
            "smallest reachable p: {}, after Holm's correction {}.",
            significant(report.smallest_p, 3),
            significant(report.smallest_p_holm, 3)
        ),
        format!(
            "verdict: better or worse where p Holm <= {alpha} and the interval does not contain 0."
        ),
    ];
    let too_few = |arm: &ArmReport| matches!(arm.verdict, Some(Verdict::TooFewSeeds { .. }));
    if let (true, Some(needed)) = (
        report.arms.iter().any(too_few),
        seeds_needed(alpha, report.n_compared),
    ) {
        notes.push(format!(
            "To reach {alpha} with {arms}, run at least {needed} seeds."
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::ablate::{AblationConfig, ArmResult, SeedResult};
    use moe_train::run::Measured;

    fn arm(label: &str, losses: &[f64]) -> ArmResult {
        let seed = |(seed, loss): (u64, &f64)| SeedResult {
            seed,
            loss: *loss,
            accuracy: None,
            exact_match: None,
            tokens_per_s: 12_000.0 + 100.0 * seed as f64,
            max_vio: 0.25,
            entropy: 0.9,
            drop_rate: 0.0125,
            dead_experts: 0.0,
            steps: 200,
            tokens: 102_400,
            params_active: 50_000,
            causal: true,
            causal_in_training: true,
            measured: None,
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

    #[test]
    fn what_rounding_leaves_is_zero() {
        assert_eq!(signed(-2.22e-15), signed(0.0));
        assert_eq!(signed(0.5), "+0.500");
        assert_eq!(signed(-0.5), "-0.500");
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
        let table = "\
router.name      loss (bits/byte)  difference       95 % interval      p  verdict
mixtral             2.110 ± 0.010           -                   -      -  baseline
switch              2.150 ± 0.010     +0.0400  [+0.0300, +0.0500]  0.250  too few seeds to tell
expert_choice †     2.040 ± 0.122     -0.0700   [-0.200, +0.0100]      -  not comparable
hash                2.500 ± 0.000      +0.390    [+0.380, +0.400]      -  not comparable

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
            rows.contains("too few seeds to\n") && rows.contains(" tell\n"),
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
    fn one_seed_has_no_test_notes() {
        let text = text(&[arm("a", &[2.0]), arm("b", &[2.5])]);

        assert!(
            text.contains("b               2.500      +0.500              -  -       -  "),
            "{text}"
        );
        assert!(text.contains("one seed: no test possible"));
        assert!(text.contains("one seed gives no interval and no test."));
        assert!(!text.contains("Holm's"));
    }

    #[test]
    fn six_seeds_need_no_more() {
        let text = text(&[
            arm("a", &[2.0; 6]),
            arm("b", &[1.5, 1.4, 1.5, 1.6, 1.5, 1.5]),
        ]);

        let row = text.lines().find(|line| line.starts_with("b ")).unwrap();
        assert!(row.ends_with("better"), "{row}");
        assert!(text.contains("10000 resamples, generator seed 0"));
        assert!(!text.contains("run at least"));
    }

    #[test]
    fn lines_have_no_trailing_spaces() {
        let text = text(&[arm("a", &[2.0; 3]), arm("b", &[f64::NAN; 3])]);

        assert!(text.lines().all(|line| line == line.trim_end()));
        assert!(text.contains("not comparable: its loss is not finite for seed 0"));
    }
}
