//! A claim's rules and decision as text.

use super::figures::signed;
use crate::significant;
use crate::{Align, columns_within, counted};
use moe_lab::ablate::{ClaimReport, Levels, Look, RuleReport};

/// The claim, its rules as columns, and its decision as the last line.
pub(super) fn claim_text(claim: &ClaimReport, width: Option<usize>) -> String {
    let header = [
        "decision",
        "rule",
        "difference",
        "interval",
        "p",
        "would show",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(claim.rules.iter().map(row));
    if claim.rules.iter().all(|rule| rule.p.is_none()) {
        for row in &mut rows {
            row.remove(4);
        }
    }
    let align = |i: usize| if i < 2 { Align::Left } else { Align::Right };
    let align: Vec<Align> = (0..rows[0].len()).map(align).collect();
    let decision = match &claim.changed_by {
        Some(changes) => format!("{}: changed by {changes}", claim.decision),
        None => claim.decision.to_string(),
    };
    format!(
        "Claim: {} ({})\n\n{}\n\n{}\n\n{decision}",
        claim.hypothesis,
        claim.source,
        columns_within(&rows, &align, width),
        notes(claim).join("\n"),
    )
}

fn row(rule: &RuleReport) -> Vec<String> {
    let number = |x: Option<f64>| x.map_or("-".into(), |x| significant(x, 3));
    let interval = rule.interval.map(|interval| {
        let level = match percent(rule.level).as_str() {
            "95 %" => String::new(),
            level => format!(" ({level})"),
        };
        format!(
            "[{}, {}]{level}",
            signed(interval.low),
            signed(interval.high)
        )
    });
    vec![
        rule.decision.to_string(),
        rule.rule.clone(),
        rule.difference.map_or("-".into(), signed),
        interval.unwrap_or("-".into()),
        number(rule.p),
        number(rule.visible),
    ]
}

/// A share as percent, with a digit behind the point where it has one.
fn percent(share: f64) -> String {
    let tenths = (1000.0 * share).round() / 10.0;
    format!("{tenths} %")
}

fn notes(claim: &ClaimReport) -> Vec<String> {
    let reason = |rule: &RuleReport| {
        let reason = rule.reason.as_ref()?;
        Some(format!("{}: not comparable: {reason}.", rule.rule))
    };
    let mut notes: Vec<String> = claim.rules.iter().filter_map(reason).collect();
    let Levels { interval, equal } = claim.levels;
    notes.push(format!(
        "A rule passes where the interval of the difference to its bound (Student's t, {}; for equality {}) lies \
         on the claimed side, and a trend where Page's test has p <= {}. It fails where the opposite is shown. Each \
         stands for itself, without a correction for {}; the claim is what its weakest rule is.",
        percent(1.0 - 2.0 * interval),
        percent(1.0 - 2.0 * equal),
        significant(equal, 3).trim_end_matches('0'),
        counted(claim.rules.len(), "rule"),
    ));
    if let Some(Look { after, of, ended }) = claim.look {
        let end = if ended {
            "the claim was decided by the look"
        } else {
            "the claim was decided at the end"
        };
        notes.push(format!(
            "Looked at after {after} of {of} seeds, as its file says; {end}. The levels are those at which two looks \
             are wrong as often as one (Pocock 1977)."
        ));
    }
    notes.push(
        "would show: the true difference (to the bound, the margin, or from arm to arm) that 80 % of such studies \
         would show; for an equality the smallest margin."
            .to_owned(),
    );
    if let Some(explored) = &claim.explored {
        notes.push(format!(
            "Looked at before the rules were fixed: {explored}."
        ));
    }
    if claim.runs_of_another_version > 0 {
        notes.push(format!(
            "THE CLAIM'S FILE HAS CHANGED: {} made for another version of it.",
            match claim.runs_of_another_version {
                1 => "1 run was".to_owned(),
                n => format!("{n} runs were"),
            }
        ));
    }
    notes
}
