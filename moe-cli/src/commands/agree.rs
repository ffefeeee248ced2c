//! `moe agree`: do engines route the same tokens to the same experts, and does rounding explain where they do not?

mod subject;

use self::subject::Subject;
use super::weights::Weights;
use crate::backends::OpenDevice;
use crate::exit::{Status, Usage};
use crate::interrupt;
use crate::runs::shown;
use crate::shared::Shared;
use crate::target::{Kind, Output, Overwrite, Target};
use crate::terminal::{print, print_json, say};
use clap::Args;
use moe_lab::agree::{Comparison, Engine, GreedyText, Rounding, compare};
use moe_models::{Decoder, WeightType};
use moe_train::task::AnyModel;
use moe_view::{agreement_notes, agreement_svg, agreement_text, quote};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// The arguments of `moe agree`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  moe agree configs/quickstart.toml --weights f32,bf16\n  moe agree runs/NAME/seed-0 --batch 1,8,64\n  moe agree checkpoints/tiny-mixtral --device flex --device wgpu --svg agree.svg\n\nThe first device, type and batch are the reference; each other combination is held against it. A flip is a token that asks for other experts. Its gap, from the last expert that was taken to the next, says whether rounding is the cause. Exit code 3 if rounding does not explain a flip, or the scores before it."
)]
pub struct AgreeArgs {
    /// A configuration, whose weights its seed draws, a run or one of its checkpoints, or a published checkpoint
    /// (a folder or a GGUF file)
    subject: PathBuf,
    /// Values that replace the configuration's; of a run, those of its router
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Types that the matrices are held in
    #[arg(
        long,
        value_enum,
        value_name = "TYPE,...",
        value_delimiter = ',',
        default_value = "f32"
    )]
    weights: Vec<Weights>,
    /// Windows, images or pairs that are computed at a time. Default: 8, or as many images as are routed together
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=4096))]
    batch: Vec<usize>,
    /// Read N windows, images or pairs of the test part, evenly spaced
    #[arg(long, value_name = "N", default_value_t = 16)]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    windows: usize,
    /// The text that a published checkpoint reads. Default: tokens that a seed draws evenly
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Draw the share of tokens that flip over the gap of their scores; of two engines
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

const MAKER: &str = "moe agree";
const PICTURE: Output = Output {
    flag: "--svg",
    maker: MAKER,
    kind: Kind::Picture,
};

/// The output in JSON.
#[derive(Serialize)]
struct Report<'a> {
    subject: String,
    reads: &'a str,
    reference: &'a str,
    comparisons: &'a [Comparison],
    explained: bool,
}

/// Reads with every engine and prints what they do otherwise than the first; exit code 3 if rounding does not explain it.
pub fn run(args: &AgreeArgs, shared: &Shared) -> anyhow::Result<Status> {
    let svg = Target::of(args.svg.as_deref(), PICTURE, args.overwrite)?;
    let devices = shared.open_devices()?;
    args.check(&devices)?;
    let stop = interrupt::stop_flag("stopping")?;
    let subject = Subject::open(args, &devices[0].device, &stop, shared)?;
    let engines = args.engines(&devices, subject.usual_batch());
    subject.check(&engines)?;
    if shared.dry_run {
        let names: Vec<&str> = engines.iter().map(|engine| &engine.name[..]).collect();
        let names = names.join("; ");
        print(&format!("would read {} with: {names}", subject.words()))?;
        return Ok(Status::Done);
    }
    let Some(comparisons) = comparisons(&subject, &engines, &stop, shared)? else {
        return Ok(Status::Interrupted);
    };
    let reference = &engines[0].name;
    let explained = comparisons.iter().all(|found| found.n_unexplained() == 0);
    let report = Report {
        subject: args.subject.display().to_string(),
        reads: subject.words(),
        reference,
        comparisons: &comparisons,
        explained,
    };
    report.show(shared)?;
    match svg {
        Some(target) => target.write(&agreement_svg(&comparisons[0], reference), shared)?,
        None if comparisons.len() == 1 => {
            shared.next(&format!("agree {} --svg agree.svg", args.typed(shared)));
        }
        None => (),
    }
    Ok(if explained {
        Status::Done
    } else {
        Status::BelowThreshold
    })
}

impl Report<'_> {
    fn show(&self, shared: &Shared) -> anyhow::Result<()> {
        if shared.json {
            return print_json(self);
        }
        let texts = self.comparisons.iter();
        let texts = texts.map(|found| agreement_text(found, self.reference));
        let parts: Vec<String> = [self.reads.to_owned()]
            .into_iter()
            .chain(texts)
            .chain([agreement_notes()])
            .collect();
        Ok(print(&parts.join("\n\n"))?)
    }
}

impl AgreeArgs {
    /// Refuses a single engine, a picture of several, and a type that a device does not hold.
    fn check(&self, devices: &[OpenDevice]) -> anyhow::Result<()> {
        for OpenDevice { device, .. } in devices {
            self.weights.iter().try_for_each(|w| w.check(device))?;
        }
        match (
            devices.len() * self.weights.len() * self.batch.len().max(1),
            &self.svg,
        ) {
            (1, _) => Err(Usage::error(
                "one engine agrees with itself: give --device twice, two types as in --weights f32,bf16, or two sizes as in \
                 --batch 1,8",
            )),
            (n @ 3.., Some(_)) => Err(Usage::error(format!(
                "--svg draws two engines, and these are {n}: give one more than the reference"
            ))),
            _ => Ok(()),
        }
    }

    /// All combinations, the reference first.
    fn engines(&self, devices: &[OpenDevice], usual_batch: usize) -> Vec<Engine> {
        let batches = match &self.batch[..] {
            [] => &[usual_batch],
            given => given,
        };
        let mut engines = Vec::new();
        for OpenDevice { name, device } in devices {
            for weights in self
                .weights
                .iter()
                .map(|&weights| WeightType::from(weights))
            {
                for &batch in batches {
                    engines.push(Engine {
                        name: format!("{name}, {weights}, {batch} at a time"),
                        device: device.clone(),
                        weights,
                        batch,
                    });
                }
            }
        }
        engines
    }

    /// The subject and the engines as they could be typed.
    fn typed(&self, shared: &Shared) -> String {
        let mut words = vec![shown(&self.subject)];
        words.extend(self.overrides.iter().map(|text| quote(text)));
        if shared.device.len() > 1 {
            let devices = shared.device.iter();
            words.extend(devices.map(|device| format!("--device {}", device.name())));
        }
        let weights = self
            .weights
            .iter()
            .map(|&weights| WeightType::from(weights));
        words.push(format!("--weights {}", listed(weights)));
        if !self.batch.is_empty() {
            words.push(format!("--batch {}", listed(&self.batch)));
        }
        words.join(" ")
    }
}

fn listed<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    words.join(",")
}

/// Reads with one engine after the other; nothing if it was told to stop.
fn comparisons(
    subject: &Subject,
    engines: &[Engine],
    stop: &AtomicBool,
    shared: &Shared,
) -> anyhow::Result<Option<Vec<Comparison>>> {
    let mut reference = None;
    let mut comparisons = Vec::new();
    // engines that differ in their batch alone have one model, which writes one text
    for alike in engines.chunk_by(|l, r| l.device == r.device && l.weights == r.weights) {
        let model = subject.model(&alike[0])?;
        let written = subject.written(&model, &alike[0])?;
        let is_causal = matches!(&model, AnyModel::Text(decoder) if !decoder.tokens_compete());
        for engine in alike {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            if !shared.quiet {
                say(format!("reading with {}", engine.name));
            }
            let seen = subject.see(&model, engine)?;
            let Some((own, own_text)) = &reference else {
                reference = Some((seen, written.clone()));
                continue;
            };
            let rounding = Rounding::between(&engines[0], engine);
            let mut found = compare(own, &seen, &engine.name, rounding, is_causal);
            found.text = own_text.as_ref().zip(written.as_ref()).map(text_of);
            comparisons.push(found);
        }
    }
    Ok(Some(comparisons))
}

fn text_of((own, other): (&Vec<u32>, &Vec<u32>)) -> GreedyText {
    let equal = own
        .iter()
        .zip(other)
        .take_while(|(own, other)| own == other);
    GreedyText {
        n_tokens: own.len(),
        n_equal: equal.count(),
    }
}
