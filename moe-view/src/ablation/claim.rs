//! A claim's rules and decision as text.

use super::figures::signed;
use crate::significant;
use crate::{Align, columns_within, counted};
use moe_lab::ablate::{ClaimReport, RuleReport};

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
        let level = if rule.level < 0.93 { " (90 %)" } else { "" };
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

fn notes(claim: &ClaimReport) -> Vec<String> {
    let reason = |rule: &RuleReport| {
        let reason = rule.reason.as_ref()?;
        Some(format!("{}: not comparable: {reason}.", rule.rule))
    };
    let mut notes: Vec<String> = claim.rules.iter().filter_map(reason).collect();
    notes.push(format!(
        "A rule passes where the interval of the difference to its bound (Student's t, 95 %; for equality 90 %) lies \
         on the claimed side, and a trend where Page's test has p <= 0.05. It fails where the opposite is shown. Each \
         stands for itself, without a correction for {}; the claim is what its weakest rule is.",
        counted(claim.rules.len(), "rule"),
    ));
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
