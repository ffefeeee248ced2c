//! `moe audit`: does a model see the future?

use crate::exit::{Status, Usage};
use crate::memory;
use crate::shared::Shared;
use crate::terminal::{print, print_json, say};
use burn::tensor::Device;
use clap::Args;
use moe_lab::audit::{Audit, AuditOptions, LayerLeak, Leak, UniformTraining, audit};
use moe_router::{Causality, Router, RouterShape};
use moe_train::config::RunConfig;
use moe_view::{Align, columns, significant};
use serde_json::json;
use std::path::PathBuf;

/// The arguments of `moe audit`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  moe audit configs/debug.toml router.name=expert_choice\n\nExit code 3 if later tokens change earlier ones in evaluation, or in training with a router that does not declare it."
)]
pub struct AuditArgs {
    /// The configuration; routers that are not causal are accepted
    config: PathBuf,
    /// Values that replace the configuration's, such as router.name=switch
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Training steps on uniform tokens; 0 leaves the training out
    #[arg(long, value_name = "N", default_value_t = 60)]
    steps: u64,
    /// The number of times that later tokens are replaced
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1000))]
    trials: u64,
}

impl AuditArgs {
    /// Refuses models that have no order of tokens, or no router.
    fn check_family(&self) -> anyhow::Result<()> {
        match RunConfig::load(&self.config, &self.overrides) {
            Ok(resolved) if resolved.config.causality().is_none() => Err(Usage::error(format!(
                "{}: a model of the family {} reads whole images and has no future to see; audit a decoder",
                self.config.display(),
                resolved.config.model.name()
            ))),
            Ok(resolved) if resolved.config.model().n_moe_layers() == 0 => {
                Err(Usage::error(format!(
                    "{}: all layers are dense, so no router can leak; audit a model with experts",
                    self.config.display()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Audits and prints what leaks where.
pub fn run(args: &AuditArgs, shared: &Shared) -> anyhow::Result<Status> {
    args.check_family()?;
    let mut overrides = args.overrides.clone();
    overrides.push("model.allow_leak=true".to_owned());
    let config = shared.load_config(&args.config, &overrides)?;
    let device = shared.open_device()?;
    memory::check(&config, 1, &device.name)?;
    if !shared.quiet {
        let training = match args.steps {
            0 => String::new(),
            steps => format!(", then training {steps} steps on uniform tokens"),
        };
        say(format!(
            "replacing later tokens {} times{training}",
            args.trials
        ));
    }
    let options = AuditOptions {
        trials: args.trials,
        steps: args.steps,
        ..AuditOptions::default()
    };
    let found = audit(&config, &device.device, &options);
    let router = config.router.name();
    let causality = declared(&config, &device.device);
    let forbidden = found.forbids(causality);
    if shared.json {
        print_json(&json!({ "router": router, "leaks": forbidden, "audit": found }))?;
    } else {
        print(&text(router, causality, &found))?;
    }
    if forbidden {
        Ok(Status::BelowThreshold)
    } else {
        Ok(Status::Done)
    }
}

/// The declaration of the first layer's router.
fn declared(config: &RunConfig, device: &Device) -> Causality {
    let shape = RouterShape {
        d_model: config.model.d_model(),
        n_experts: config.experts.n_experts,
        layer: 0,
    };
    config.router.init(&shape, device).causality()
}

fn text(router: &str, causality: Causality, found: &Audit) -> String {
    let mut lines = mode("evaluation", router, &found.evaluation);
    lines.extend(mode("training", router, &found.training));
    match causality {
        Causality::LeaksInTraining(reason) if found.training.found() => lines.push(format!(
            "`{router}` declares it: {reason}. Its training loss flatters it, its evaluation does not"
        )),
        _ => (),
    }
    lines.extend(found.uniform.as_ref().map(training));
    lines.join("\n")
}

fn mode(name: &str, router: &str, leak: &Leak) -> Vec<String> {
    if leak.found() {
        vec![
            format!(
                "LEAK in {name}: with `{router}`, later tokens change output scores at earlier positions by \
                 up to {}",
                significant(leak.logits, 3)
            ),
            layers(&leak.layers),
        ]
    } else {
        vec![format!(
            "no leak in {name}: with `{router}`, later tokens change nothing at earlier positions"
        )]
    }
}

fn layers(layers: &[LayerLeak]) -> String {
    let mut rows = vec![
        ["layer", "router scores", "rerouted tokens"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(layers.iter().map(|layer| {
        vec![
            layer.layer.to_string(),
            significant(layer.scores, 3),
            layer.rerouted.to_string(),
        ]
    }));
    columns(&rows, &[Align::Right; 3])
}

fn training(training: &UniformTraining) -> String {
    let gain = training.gain();
    let verdict = if gain > 4.0 * training.standard_error {
        "below chance: it sees what it predicts"
    } else {
        "not below chance"
    };
    format!(
        "uniform tokens: {} bits after {} steps (s.e. {}), chance {}: {verdict}",
        significant(training.bits, 4),
        training.steps,
        significant(training.standard_error, 2),
        significant(training.chance, 4),
    )
}
