//! The claims of a folder with what was decided, as a table and as a picture.

use super::{ClaimsArgs, stem};
use crate::commands::ablate;
use crate::commands::topics::toml_files;
use crate::exit::{OrUsage, Status, Usage, ablate_error};
use crate::runs::shown;
use crate::shared::Shared;
use crate::target::Target;
use crate::terminal::{print, print_json};
use moe_lab::ablate::{AblationConfig, Claim, ClaimReport, Decision, Plan, Rule, RuleReport};
use moe_lab::results::ResultsClaim;
use moe_view::ablation::{DecidedClaim, effects, signed};
use moe_view::{Align, columns_within, counted, width};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A claim with what was decided.
#[derive(Serialize, Debug)]
struct Line {
    name: String,
    file: PathBuf,
    /// The decision; none if it has no table yet.
    #[serde(flatten)]
    claim: Option<ClaimReport>,
    runs: usize,
    #[serde(skip)]
    rules: Vec<Rule>,
    /// The table of another program that decides it, if no runs of ours do.
    #[serde(skip)]
    given: Option<PathBuf>,
}

impl Line {
    /// A claim that is not decided.
    fn without(path: &Path) -> Self {
        Self {
            name: stem(path),
            file: path.to_owned(),
            claim: None,
            runs: 0,
            rules: Vec::new(),
            given: None,
        }
    }
}

/// Lists the claims, and draws them if there is a target.
pub(super) fn overview(
    args: &ClaimsArgs,
    target: Option<&Target>,
    shared: &Shared,
) -> anyhow::Result<Status> {
    let mut paths = toml_files(&args.folder);
    paths.sort_by_cached_key(|path| numbered(&stem(path)));
    let line = |path: &PathBuf| line(path, &args.results);
    let lines: Vec<Line> = paths.iter().map(line).collect::<anyhow::Result<_>>()?;
    let picture =
        target.map(|target| Ok::<_, anyhow::Error>((target, drawn(&lines, args, shared)?)));
    let picture = picture.transpose()?;
    if shared.json {
        print_json(&lines)?;
    } else if lines.is_empty() {
        let folder = args.folder.display();
        shared.note(&format!(
            "there is no claim in {folder}; give another --folder"
        ));
    } else {
        print(&table(&lines))?;
    }
    match picture {
        Some((target, picture)) if !shared.dry_run => target.write(&picture, shared)?,
        Some((target, _)) => shared.note(&format!("would write {}", target.path().display())),
        None => next(&lines, args, shared),
    }
    Ok(Status::Done)
}

/// A name in the order of its number: c2 before c10.
fn numbered(name: &str) -> (String, u64, String) {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name[word.len()..].parse().unwrap_or(0);
    (word.to_owned(), number, name.to_owned())
}

fn line(path: &Path, results: &Path) -> anyhow::Result<Line> {
    let none = Line::without(path);
    if let Some(claim) = ResultsClaim::read(path).or_usage()? {
        return given(claim, none);
    }
    let claim = Claim::read(path).or_usage()?;
    let table = results.join(format!("{}.csv", none.name));
    let Some(claim) = claim.filter(|_| table.exists()) else {
        return Ok(none);
    };
    let plan = Plan::of_claim(&claim, &[], None).map_err(ablate_error)?;
    let report = ablate::read(&table, &plan, &AblationConfig::default())?;
    let n_seeds = report.seeds.len();
    Ok(Line {
        runs: plan.arms.len() * n_seeds + plan.trials().count() + plan.scaled().count(),
        claim: report.claim,
        rules: claim.rules,
        ..none
    })
}

/// The line of a claim on a table of another program.
fn given(claim: ResultsClaim, none: Line) -> anyhow::Result<Line> {
    if !claim.table.exists() {
        return Ok(Line {
            given: Some(claim.table),
            ..none
        });
    }
    let report = claim.decide().or_usage()?;
    Ok(Line {
        runs: report.arms.iter().map(|arm| arm.seeds.len()).sum(),
        claim: report.claim,
        rules: claim.rules,
        given: Some(claim.table),
        ..none
    })
}

/// The picture of all claims that were decided.
fn drawn(lines: &[Line], args: &ClaimsArgs, shared: &Shared) -> anyhow::Result<String> {
    let without: Vec<&str> = lines
        .iter()
        .filter(|line| line.claim.is_none())
        .map(|line| line.name.as_str())
        .collect();
    if without.len() == lines.len() {
        return Err(Usage::error(format!(
            "there is nothing to draw: {}",
            missing(lines, args)
        )));
    }
    if !without.is_empty() {
        shared.note(&format!(
            "not drawn, for they have no table: {}",
            without.join(", ")
        ));
    }
    let claims: Vec<DecidedClaim<'_>> = lines
        .iter()
        .filter_map(|line| {
            Some(DecidedClaim {
                name: &line.name,
                rules: &line.rules,
                report: line.claim.as_ref()?,
            })
        })
        .collect();
    Ok(effects(&claims))
}

/// The tables that claims lack, and where they come from.
fn missing(lines: &[Line], args: &ClaimsArgs) -> String {
    let mut words = Vec::new();
    if lines.is_empty() || lines.iter().any(|line| line.given.is_none()) {
        let results = args.results.display();
        words.push(format!(
            "no claim has a table of runs in {results}; `moe claims run NAME` makes one"
        ));
    }
    words.extend(lines.iter().find_map(awaited));
    words.join("; ")
}

/// The table of another program that a claim waits for, in words.
fn awaited(line: &Line) -> Option<String> {
    let table = line.given.as_ref().filter(|_| line.claim.is_none())?;
    Some(format!(
        "{} is decided by {}, which is not there; another program writes it",
        line.name,
        table.display()
    ))
}

/// Points to the whole table of the first claim that has one, or else to the runs or the table of the first.
fn next(lines: &[Line], args: &ClaimsArgs, shared: &Shared) {
    let table = |line: &Line| args.results.join(format!("{}.csv", line.name));
    if let Some(line) = lines.iter().find(|line| line.claim.is_some()) {
        let (file, table) = (shown(&line.file), shown(&table(line)));
        shared.next(&match line.given {
            Some(_) => format!("compare {file}"),
            None => format!("ablate {file} --from-csv {table}"),
        });
    } else if let Some(line) = lines.iter().find(|line| line.given.is_none()) {
        let (folder, results) = (shown(&args.folder), shown(&args.results));
        shared.next(&format!(
            "claims run {} --folder {folder} --results {results}",
            line.name
        ));
    } else if let Some(words) = lines.iter().find_map(awaited) {
        shared.note(&words);
    }
}

fn table(lines: &[Line]) -> String {
    let header = [
        "claim",
        "decision",
        "rules",
        "of which first",
        "difference",
        "interval",
        "runs",
    ];
    let mut rows = vec![header.map(String::from).to_vec()];
    rows.extend(lines.iter().map(cells));
    use Align::{Left, Right};
    let align = [Left, Left, Left, Left, Right, Right, Right];
    columns_within(&rows, &align, width())
}

fn cells(line: &Line) -> Vec<String> {
    let Some(claim) = &line.claim else {
        let word = line.given.as_ref().map_or("not run", |_| "no table");
        let mut cells = vec![line.name.clone(), word.to_owned()];
        cells.resize(7, "-".to_owned());
        return cells;
    };
    let count = |decision: Decision| {
        let n = claim
            .rules
            .iter()
            .filter(|rule| rule.decision == decision)
            .count();
        (n > 0).then(|| format!("{n} {decision}"))
    };
    let kinds = [Decision::Pass, Decision::Fail, Decision::Inconclusive];
    let counts: Vec<String> = kinds.into_iter().filter_map(count).collect();
    let weakest = claim
        .rules
        .iter()
        .find(|rule| rule.decision == claim.decision);
    let interval = |rule: &RuleReport| {
        let interval = rule.interval?;
        Some(format!(
            "[{}, {}]",
            signed(interval.low),
            signed(interval.high)
        ))
    };
    let of_weakest = |of: &dyn Fn(&RuleReport) -> Option<String>| {
        weakest.and_then(of).unwrap_or_else(|| "-".to_owned())
    };
    vec![
        line.name.clone(),
        claim.decision.to_string(),
        counts.join(", "),
        of_weakest(&|rule| Some(rule.rule.clone())),
        of_weakest(&|rule| rule.difference.map(signed)),
        of_weakest(&interval),
        counted(line.runs, "run"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_stand_in_the_order_of_their_numbers() {
        let mut names = ["c10", "b", "c2", "c"];
        names.sort_by_key(|name| numbered(name));
        assert_eq!(names, ["b", "c", "c2", "c10"]);
    }
}
