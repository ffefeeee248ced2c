//! `moe laws`: what must hold of every router, every balance loss and every executor, checked.

use crate::exit::{Status, Usage};
use crate::shared::Shared;
use crate::terminal::{print, print_json, say};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use moe_experts::laws::{ExecutorSubject, check_executor, executors};
use moe_lab::program::{ProgramKey, RouterProgram, check_program};
use moe_router::RouterConfig;
use moe_router::laws::{
    LossSubject, Options, Report, Subject, Verdict, check_all, check_loss, loss_subjects,
};
use moe_train::resolve::nearest;
use moe_view::{Align, columns};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic;

/// The arguments of `moe laws`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe laws --router switch\n  moe laws --program 'python3 router.py' --takes top_k"
)]
pub struct LawsArgs {
    /// One router; all, the balance losses and the executors, if left out
    #[arg(long, value_name = "NAME")]
    router: Option<String>,
    /// One kind of thing to check; all if left out
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "router")]
    only: Option<Kind>,
    /// A router in any language: a command that answers the cases on its standard input
    #[arg(long, value_name = "CMD", conflicts_with_all = ["router", "only"])]
    program: Option<String>,
    /// Values that the program takes from a case: top_k, n_groups, topk_groups
    #[arg(long, value_name = "KEYS", value_delimiter = ',', requires = "program")]
    #[arg(value_parser = key)]
    takes: Vec<ProgramKey>,
    /// Says that in the program later tokens may influence earlier ones
    #[arg(long, requires = "program")]
    leaks: bool,
    /// The number of generated cases of each law
    #[arg(long, value_name = "N", default_value_t = 48)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cases: u32,
}

/// Subjects of laws. An executor is what computes experts on their tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Routers,
    Losses,
    Executors,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Routers, Kind::Losses, Kind::Executors];

    /// One of them.
    fn name(self) -> &'static str {
        match self {
            Self::Routers => "router",
            Self::Losses => "loss",
            Self::Executors => "executor",
        }
    }
}

/// The reports of one kind.
struct Section {
    kind: Kind,
    reports: Vec<Report>,
}

/// Checks the laws and prints tables, the failures, and why a law does not apply.
pub fn run(args: &LawsArgs, shared: &Shared) -> anyhow::Result<Status> {
    let configs = configs(args.router.as_deref())?;
    let device = shared.open_device()?;
    let options = Options {
        cases: args.cases,
        seed: shared.seed.unwrap_or(0),
    };
    let kinds = match (args.only, &args.router) {
        (Some(kind), _) => vec![kind],
        (None, Some(_)) => vec![Kind::Routers],
        (None, None) => Kind::ALL.to_vec(),
    };
    let sections: Vec<Section> = match program(args) {
        Some(program) => {
            progress(shared, &program.command);
            let report = quietly(|| check_program(&program, &device.device, &options))?;
            vec![Section {
                kind: Kind::Routers,
                reports: vec![report],
            }]
        }
        None => quietly(|| {
            let section = |&kind: &Kind| Section {
                kind,
                reports: reports(kind, &configs, &device.device, &options, shared),
            };
            kinds.iter().map(section).collect()
        }),
    };
    if shared.json {
        print_json(&Value::from_iter(sections.iter().flat_map(json_of)))?;
    } else {
        print(&text(&sections))?;
    }
    let mut reports = sections.iter().flat_map(|section| &section.reports);
    if reports.all(|report| report.failed().is_empty()) {
        Ok(Status::Done)
    } else {
        Ok(Status::Unhealthy)
    }
}

/// The program to check, if there is one.
fn program(args: &LawsArgs) -> Option<RouterProgram> {
    args.program.as_ref().map(|command| RouterProgram {
        command: command.clone(),
        takes: args.takes.clone(),
        leaks: args.leaks,
    })
}

fn key(name: &str) -> Result<ProgramKey, String> {
    let found = ProgramKey::ALL.into_iter().find(|key| key.name() == name);
    found.ok_or_else(|| {
        let names = ProgramKey::ALL.map(ProgramKey::name);
        format!("there are {}", names.join(", "))
    })
}

fn configs(name: Option<&str>) -> anyhow::Result<Vec<RouterConfig>> {
    let Some(name) = name else {
        let all = RouterConfig::names().into_iter();
        return Ok(all.filter_map(RouterConfig::from_name).collect());
    };
    let config = RouterConfig::from_name(name).ok_or_else(|| {
        let near = nearest(name, RouterConfig::names());
        let hint = near.map_or("see `moe list routers`".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        Usage::error(format!("--router {name}: there is no such router; {hint}"))
    })?;
    Ok(vec![config])
}

fn reports(
    kind: Kind,
    configs: &[RouterConfig],
    device: &Device,
    options: &Options,
    shared: &Shared,
) -> Vec<Report> {
    match kind {
        Kind::Routers => {
            let check = |config: &RouterConfig| {
                progress(shared, config.name());
                check_all(&Subject::of_list(config, device), options)
            };
            configs.iter().map(check).collect()
        }
        Kind::Losses => {
            let check = |subject: LossSubject<'_>| {
                progress(shared, &subject.name);
                check_loss(&subject, options)
            };
            loss_subjects(device).into_iter().map(check).collect()
        }
        Kind::Executors => {
            let check = |subject: ExecutorSubject<'_>| {
                progress(shared, &subject.name);
                check_executor(&subject, options)
            };
            executors(device).into_iter().map(check).collect()
        }
    }
}

fn progress(shared: &Shared, name: &str) {
    if !shared.quiet {
        say(format!("checking {name}"));
    }
}

/// A law may make a router panic many times while it looks for a small case: the report says it once.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let result = work();
    panic::set_hook(hook);
    result
}

/// The tables, then failures, then reasons.
fn text(sections: &[Section]) -> String {
    let tables = sections
        .iter()
        .map(|section| table(section.kind.name(), &section.reports));
    let mut parts: Vec<String> = tables.collect();
    let reports: Vec<&Report> = sections
        .iter()
        .flat_map(|section| &section.reports)
        .collect();
    let failed = reports.iter().filter(|report| !report.failed().is_empty());
    parts.extend(failed.map(ToString::to_string));
    parts.push(reasons(&reports));
    parts.join("\n\n")
}

/// One row a subject and one numbered column a law, with the numbers explained below.
fn table(what: &str, reports: &[Report]) -> String {
    let Some(first) = reports.first() else {
        return String::new();
    };
    let n_laws = first.findings.len();
    let mut header = vec![what.to_owned()];
    header.extend((1..=n_laws).map(|number| number.to_string()));
    let mut rows = vec![header];
    for report in reports {
        let mut row = vec![report.subject.clone()];
        row.extend(report.findings.iter().map(|f| mark(&f.verdict).to_owned()));
        rows.push(row);
    }
    let mut align = vec![Align::Left];
    align.extend(vec![Align::Right; n_laws]);
    let laws = first.findings.iter().enumerate().map(|(i, finding)| {
        let number = (i + 1).to_string();
        vec![number, finding.law.to_owned(), finding.sentence.to_owned()]
    });
    let laws = columns(
        &laws.collect::<Vec<_>>(),
        &[Align::Right, Align::Left, Align::Left],
    );
    format!("{}\n\n{laws}", columns(&rows, &align))
}

fn mark(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass(_) => "pass",
        Verdict::Fail { .. } => "FAIL",
        Verdict::NotApplicable(_) => "n/a",
    }
}

/// Why laws do not apply, each reason with the subjects that share it.
fn reasons(reports: &[&Report]) -> String {
    let mut subjects: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for report in reports {
        for finding in &report.findings {
            if let Verdict::NotApplicable(reason) = &finding.verdict {
                let key = (finding.law, reason.as_str());
                subjects.entry(key).or_default().push(&report.subject);
            }
        }
    }
    let line = |((law, reason), subjects): (&(&str, &str), &Vec<&str>)| {
        format!("n/a  {law}: {reason} ({})", subjects.join(", "))
    };
    subjects.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn json_of(section: &Section) -> Vec<Value> {
    let kind = section.kind.name();
    section
        .reports
        .iter()
        .map(|report| report_json(kind, report))
        .collect()
}

fn report_json(kind: &str, report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| {
        let mut value = json!({ "law": finding.law, "verdict": mark(&finding.verdict) });
        match &finding.verdict {
            Verdict::Pass(cases) => value["cases"] = (*cases).into(),
            Verdict::Fail { message, case } => {
                value["message"] = message.as_str().into();
                value["case"] = case.as_str().into();
            }
            Verdict::NotApplicable(reason) => value["reason"] = reason.as_str().into(),
        }
        value
    });
    json!({
        "kind": kind,
        "subject": report.subject,
        "device": report.device,
        "seed": report.seed,
        "findings": findings.collect::<Vec<_>>(),
    })
}
