//! `moe figure`: what a router does, as a picture.

use crate::exit::{OrUsage, Status, Usage};
use crate::runs::shown;
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{print, print_json};
use anyhow::Context;
use clap::Args;
use moe_router::RouterConfig;
use moe_train::config::RunConfig;
use moe_train::resolve::Override;
use moe_view::router::{Caption, LETTERS, N_EXPERTS, Scene, accent, figure};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// The arguments of `moe figure`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe figure switch router.capacity_factor=0.5 -o switch.svg\n  moe figure all -o docs/reference/routers"
)]
pub struct FigureArgs {
    /// A router of `moe list routers`, or `all`
    router: String,
    /// Values of the router, such as router.top_k=1
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The file to write (.svg, .png or .pdf); with `all`, the folder for NAME.svg of each router
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    /// Show evaluation and not a training step
    #[arg(long)]
    evaluation: bool,
    #[command(flatten)]
    overwrite: Overwrite,
}

const PICTURE: Output = Output {
    flag: "--out",
    maker: "moe figure",
    kind: Kind::Picture,
};

/// A router and where its picture goes.
struct Plan {
    router: RouterConfig,
    target: Target,
}

/// Draws one router, or all.
pub fn run(args: &FigureArgs, shared: &Shared) -> anyhow::Result<Status> {
    let plans = args.plans()?;
    let device = shared.open_device()?;
    let scene = if args.evaluation {
        Scene::Evaluation
    } else {
        Scene::Training
    };
    let files: Vec<String> = plans.iter().map(|p| shown(p.target.path())).collect();
    if !shared.dry_run {
        if args.router == "all" {
            fs::create_dir_all(&args.out)
                .with_context(|| format!("cannot create the folder `{}`", args.out.display()))?;
        }
        for plan in &plans {
            let routing = scene.route(&plan.router, shared.seed.unwrap_or(0), &device.device);
            let caption = Caption {
                name: plan.router.name(),
                rule: plan.router.info().rule,
                scene: scene.name(),
                accent: accent(&plan.router),
                letters: LETTERS,
            };
            plan.target.write(&figure(&routing, &caption), shared)?;
        }
    }
    if shared.json {
        print_json(&json!({ "files": files, "written": !shared.dry_run }))?;
    } else {
        if shared.dry_run {
            let lines = files.iter().map(|file| format!("would write {file}"));
            print(&Vec::from_iter(lines).join("\n"))?;
        }
        shared.next("list routers");
    }
    Ok(Status::Done)
}

impl FigureArgs {
    /// Checks everything before anything is written.
    fn plans(&self) -> anyhow::Result<Vec<Plan>> {
        for text in &self.overrides {
            let key = Override::parse(text).or_usage()?.key().to_owned();
            if !key.starts_with("router.") || key == "router.name" {
                return Err(Usage::error(format!(
                    "`{text}`: a figure takes values of the table [router], such as router.top_k=1"
                )));
            }
        }
        if self.router != "all" {
            let file = if self.out.is_dir() {
                svg_in(&self.out, &self.router)
            } else {
                self.out.clone()
            };
            return Ok(vec![self.plan(&self.router, &file)?]);
        }
        if self.out.exists() && !self.out.is_dir() {
            return Err(Usage::error(format!(
                "--out {}: this is a file; give a folder for the pictures of all routers",
                self.out.display()
            )));
        }
        let plan = |name: &&str| self.plan(name, &svg_in(&self.out, name));
        RouterConfig::names().iter().map(plan).collect()
    }

    fn plan(&self, name: &str, file: &Path) -> anyhow::Result<Plan> {
        let given = [
            format!("router.name={name}"),
            format!("experts.n_experts={N_EXPERTS}"),
            "model.allow_leak=true".to_owned(),
        ];
        let overrides: Vec<String> = given.into_iter().chain(self.overrides.clone()).collect();
        let router = RunConfig::of_overrides(&overrides).or_usage()?.router;
        // the folder of all pictures is made when all else is checked
        let target = if self.router == "all" && !self.out.exists() {
            Target::new(file, PICTURE)
        } else {
            Target::check(file, PICTURE, self.overwrite)?
        };
        Ok(Plan { router, target })
    }
}

fn svg_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.svg"))
}
