//! The preview that `moe ablate` prints before it trains, and alone with `--dry-run`.

use crate::commands::causality;
use crate::exit::{OrUsage, Status};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use burn::tensor::Device;
use moe_lab::ablate::{Difference, Plan, PlannedArm};
use moe_router::Causality;
use moe_view::ablation::differences_text;
use moe_view::{Align, columns, counted, duration, si, thousands};
use serde::Serialize;
use std::path::Path;

/// The plan of an ablation.
#[derive(Serialize, Debug)]
pub(super) struct Preview {
    dry_run: bool,
    seeds: Vec<u64>,
    n_runs: usize,
    n_missing: usize,
    /// The names of the ways in which each run is evaluated, if not as it was trained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evaluations: Vec<String>,
    /// At the baseline's speed on this device, measured over three steps; none before it is measured.
    estimated_s: Option<f64>,
    arms: Vec<ArmPreview>,
    /// The keys in which the arms differ.
    differences: Vec<Difference>,
    /// Why rows will not be comparable, whatever comes out.
    incomparable: Vec<Incomparable>,
    /// The fewest seeds that can decide between the arms.
    deciding_seeds: u64,
    /// The budgets of the baseline, as factors of its steps; none without others than its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    budgets: Vec<f64>,
    /// True of a claim, whose rules decide.
    #[serde(skip)]
    is_claim: bool,
    /// True if the seeds are a pilot's, which decide nothing.
    #[serde(skip)]
    is_pilot: bool,
    /// The trials of a tuning, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuning: Option<Tuning>,
}

/// A row that will not be comparable.
#[derive(Serialize, Debug)]
struct Incomparable {
    label: String,
    reason: String,
}

/// The trials before the decision.
#[derive(Serialize, Debug)]
struct Tuning {
    key: String,
    values: Vec<String>,
    seeds: Vec<u64>,
}

/// One arm of it.
#[derive(Serialize, Debug)]
struct ArmPreview {
    label: String,
    run: String,
    params_active: usize,
    steps: u64,
    tokens: u64,
    causal: bool,
    causal_in_training: bool,
    #[serde(skip)]
    causality: Option<Causality>,
}

/// Each once, in order.
fn evaluations(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for way in plan.tested.iter().filter_map(|row| row.evaluation.as_ref()) {
        if !names.contains(&way.label) {
            names.push(way.label.clone());
        }
    }
    names
}

impl Preview {
    pub(super) fn new(plan: &Plan, n_missing: usize, is_pilot: bool) -> Self {
        let arm = |arm: &PlannedArm| ArmPreview {
            label: arm.label.clone(),
            run: arm.config.run_name(),
            params_active: arm.config.account().params_active,
            steps: arm.config.train.steps,
            tokens: arm.config.train.steps * arm.config.tokens_per_step(),
            causal: causality::holds(arm.config.causality()),
            causal_in_training: causality::holds_in_training(arm.config.causality()),
            causality: arm.config.causality(),
        };
        let incomparable = plan.incomparable().into_iter();
        Self {
            dry_run: true,
            seeds: plan.seeds.clone(),
            differences: plan.differences(),
            incomparable: incomparable
                .map(|(label, reason)| Incomparable {
                    label: label.to_owned(),
                    reason,
                })
                .collect(),
            deciding_seeds: plan.deciding_seeds(),
            is_claim: plan.claim.is_some(),
            is_pilot,
            budgets: plan.budgets.clone(),
            tuning: plan.tune.as_ref().map(|tune| Tuning {
                key: tune.key.clone(),
                values: tune.values.clone(),
                seeds: tune.seeds.clone(),
            }),
            n_runs: plan.arms.len() * plan.seeds.len()
                + plan.trials().count()
                + plan.scaled().count(),
            n_missing,
            evaluations: evaluations(plan),
            estimated_s: (n_missing == 0).then_some(0.0),
            arms: plan.arms.iter().map(arm).collect(),
        }
    }

    /// Times the baseline and estimates the time of what is missing.
    pub(super) fn estimated(
        mut self,
        plan: &Plan,
        device: &Device,
        runs: &Path,
    ) -> anyhow::Result<Self> {
        if self.n_missing > 0 {
            let speed =
                moe_bench::train::bench(&plan.arms[0].config, device, 1, 3, None).or_usage()?;
            self.estimated_s = Some(plan.estimate_s(runs, speed.tokens_per_s)?);
        }
        Ok(self)
    }

    fn table(&self) -> String {
        let header = [
            "arm",
            "active parameters",
            "steps",
            "tokens",
            "causal",
            "run",
        ];
        let row = |arm: &ArmPreview| {
            vec![
                arm.label.clone(),
                si(arm.params_active as f64),
                thousands(arm.steps),
                thousands(arm.tokens),
                causality::of_model(arm.causality).to_owned(),
                arm.run.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = [header.map(String::from).to_vec()]
            .into_iter()
            .chain(self.arms.iter().map(row))
            .collect();
        use Align::{Left, Right};
        columns(&rows, &[Left, Right, Right, Right, Left, Left])
    }

    pub(super) fn show(&self, shared: &Shared) -> anyhow::Result<Status> {
        if shared.json {
            print_json(self)?;
        } else {
            print(&self.text())?;
            shared.note("nothing was written; leave out --dry-run to train");
        }
        Ok(Status::Done)
    }

    pub(super) fn text(&self) -> String {
        let time = match self.estimated_s {
            _ if self.n_missing == 0 => String::new(),
            Some(seconds) => format!(", about {}", duration(seconds)),
            None => "; the time is not known before it is measured (`moe bench train`)".to_owned(),
        };
        let ways = match &self.evaluations[..] {
            [] => String::new(),
            names => format!("\neach run is evaluated at {}", names.join(", ")),
        };
        format!(
            "{}, {}: {}, {} of them to train{time}{ways}\n\n{}{}",
            counted(self.arms.len(), "arm"),
            counted(self.seeds.len(), "seed"),
            counted(self.n_runs, "run"),
            self.n_missing,
            self.table(),
            self.warnings()
        )
    }

    /// The way to compare arms that differ in the number of experts a token without being asked to.
    fn advice(&self) -> Option<String> {
        let mut differences = self.differences.iter();
        let difference = differences.find(|difference| difference.key == "router.top_k")?;
        let is_axis = self
            .arms
            .iter()
            .any(|arm| arm.label.contains("router.top_k="));
        if self.incomparable.is_empty() || self.is_claim || is_axis {
            return None;
        }
        let values: Option<Vec<&String>> = difference.values.iter().map(Option::as_ref).collect();
        Some(match values {
            Some(values) => format!(
                "Give all arms the same number of experts a token: add router.top_k={}.",
                values[0]
            ),
            // one of the routers has no such key
            None => {
                "Give all arms the same number of experts a token: write the routers out, as in \
                     -x 'router={name=\"mixtral\", top_k=1},{name=\"switch\"}'."
                    .to_owned()
            }
        })
    }

    /// Facts about the answer that are known before any run is made.
    fn warnings(&self) -> String {
        let mut lines = Vec::new();
        if let Some(tuning) = &self.tuning {
            lines.push(format!(
                "Each arm takes the best of {} = {} on {} of its own first.",
                tuning.key,
                tuning.values.join(", "),
                counted(tuning.seeds.len(), "seed")
            ));
        }
        if !self.budgets.is_empty() {
            let budgets: Vec<String> = self.budgets.iter().map(f64::to_string).collect();
            lines.push(format!(
                "The baseline is trained with {} times its steps, which says what each arm is worth.",
                budgets.join(", ")
            ));
        }
        lines.extend(differences_text(&self.differences));
        let not =
            |row: &Incomparable| format!("{} will not be comparable: {}.", row.label, row.reason);
        lines.extend(self.incomparable.iter().map(not));
        lines.extend(self.advice());
        let n_compared = self.arms.len() - 1 - self.incomparable.len().min(self.arms.len() - 1);
        if !self.is_claim
            && !self.is_pilot
            && n_compared > 0
            && (self.seeds.len() as u64) < self.deciding_seeds
        {
            lines.push(format!(
                "{} cannot reach p <= 0.05 with {}; {} can (-s {}).",
                counted(self.seeds.len(), "seed"),
                counted(n_compared, "compared arm"),
                self.deciding_seeds,
                self.deciding_seeds
            ));
        }
        if lines.is_empty() {
            return String::new();
        }
        format!("\n\n{}", lines.join("\n"))
    }
}
