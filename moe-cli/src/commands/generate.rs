//! `moe generate`: continues a text, and shows which expert takes each token.

pub use super::generate_args::GenerateArgs;

use super::fill::{Filling, Trained};
use super::plan::ReadPlan;
use super::trace::traced_engine;
use crate::backends::OpenDevice;
use crate::exit::{Status, Usage, run_error};
use crate::generation::{Continued, Generation, TextModel, Writer};
use crate::interrupt;
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::target::{Kind, Output, Target};
use crate::terminal::{print_json, print_raw};
use moe_checkpoint::{AnyCheckpoint, PublishedCheckpoint, SwitchCheckpoint};
use moe_models::{Decoder, Drafts, Sampling, WeightType};
use moe_train::run::LoadedRun;
use moe_train::task::AnyModel;
use moe_view::generation::{Trace, bracketed, coloured, legend, page, picture};
use moe_view::{has_colour, visible};
use serde_json::json;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::Ordering;

const MAKER: &str = "moe generate";
const PAGE: Output = Output {
    flag: "--html",
    maker: MAKER,
    kind: Kind::Page,
};
const PICTURE: Output = Output {
    flag: "--svg",
    maker: MAKER,
    kind: Kind::Picture,
};
const TRACE: Output = Output {
    flag: "--trace",
    maker: MAKER,
    kind: Kind::Trace,
};

/// Continues the prompt.
pub fn run(args: &GenerateArgs, shared: &Shared) -> anyhow::Result<Status> {
    let sampling = args.sampling(shared)?;
    let html = Target::of(args.html.as_deref(), PAGE, args.overwrite)?;
    let svg = Target::of(args.svg.as_deref(), PICTURE, args.overwrite)?;
    let routing = Target::of(args.trace.as_deref(), TRACE, args.overwrite)?;
    let device = shared.open_device()?;
    args.weights.check(&device.device)?;
    let call = Call {
        args,
        sampling,
        html,
        svg,
        routing,
        device: &device,
        shared,
    };
    if PublishedCheckpoint::is_at(&args.run) {
        call.of_published()
    } else {
        call.of_run(&find(&args.run, &shared.runs)?)
    }
}

/// One call of the command, its arguments checked.
struct Call<'a> {
    args: &'a GenerateArgs,
    sampling: Sampling,
    html: Option<Target>,
    svg: Option<Target>,
    /// The trace of the routing.
    routing: Option<Target>,
    device: &'a OpenDevice,
    shared: &'a Shared,
}

impl Call<'_> {
    fn of_published(&self) -> anyhow::Result<Status> {
        let Self { args, shared, .. } = self;
        let device = &self.device.device;
        let checkpoint = AnyCheckpoint::open(&args.run)?;
        shared.note_unread(checkpoint.unread());
        let checkpoint = match checkpoint {
            AnyCheckpoint::Pairs(checkpoint) => {
                return self.fill_published(&checkpoint);
            }
            AnyCheckpoint::Images(_) => return Err(writes_no_text(&args.run)),
            AnyCheckpoint::Text(_) if shared.dry_run => return args.would(&args.run),
            AnyCheckpoint::Text(checkpoint) => checkpoint,
        };
        let model = TextModel::of_published(&checkpoint, args.weights.into(), device)?;
        let prompt = model.words.encode(&args.prompt)?;
        let positions = checkpoint.config().common().max_position_embeddings;
        if prompt.len() + args.tokens > positions {
            shared.note(&format!(
                "the prompt has {} tokens, {} are to follow, and the model is made for {positions} positions: text beyond is weaker",
                prompt.len(),
                args.tokens
            ));
        }
        self.continue_text(&model, &args.run, "inspect")
    }

    fn of_run(&self, path: &Path) -> anyhow::Result<Status> {
        let Self { args, shared, .. } = self;
        let run = LoadedRun::open(path, &self.device.device).map_err(run_error)?;
        if shared.dry_run {
            let task = format!("generate {} tokens", args.tokens);
            return ReadPlan::new(&run, &self.device.name, task).show(shared);
        }
        if let AnyModel::Pairs(_) = run.model {
            return self.fill_run(run);
        }
        warn(&run, args.tokens, shared);
        let family = run.config.model.name();
        let model = TextModel::of_run(run, args.weights.into()).ok_or_else(|| {
            Usage::error(format!(
                "{}: a model of the family {family} writes no text; `moe eval` scores it",
                shown(path)
            ))
        })?;
        self.continue_text(&model, path, "eval")
    }

    /// Continues the prompt; `next` is the command to try on the model after it.
    fn continue_text(&self, model: &TextModel, path: &Path, next: &str) -> anyhow::Result<Status> {
        let Self { args, shared, .. } = self;
        let layer = args.check_decoder(&model.decoder)?;
        args.weights.note(&model.decoder, shared);
        let stop = interrupt::stop_flag("stopping")?;
        let streams = !args.show_experts && !shared.json;
        let generation = Generation {
            model,
            n_tokens: args.tokens,
            sampling: self.sampling,
            speculative: args.speculative,
            records: self.routing.is_some(),
            stop: &stop,
        };
        let text = generation.trace(&args.prompt, &self.device.device, |text| {
            if streams { print_stream(text) } else { Ok(()) }
        })?;
        self.show(&text, layer, model)?;
        if let Some(failure) = text.trace.failure {
            return Err(failure.into());
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(Status::Interrupted);
        }
        let path = shown(path);
        shared.next(&if args.show_experts || model.decoder.n_moe_layers() == 0 {
            format!("{next} {path}")
        } else {
            format!("generate {path} -p TEXT --show-experts --html tokens.html")
        });
        Ok(Status::Done)
    }

    fn fill_published(&self, checkpoint: &SwitchCheckpoint) -> anyhow::Result<Status> {
        let Self { args, shared, .. } = self;
        args.check_filling()?;
        if shared.dry_run {
            return args.would(checkpoint.folder());
        }
        let writer = Writer::of_published(checkpoint, &self.device.device)?;
        let status = self.fill(&writer, Trained::Any)?;
        shared.next(&format!("inspect {}", shown(checkpoint.folder())));
        Ok(status)
    }

    fn fill_run(&self, run: LoadedRun) -> anyhow::Result<Status> {
        self.args.check_filling()?;
        let trained = Trained::of(&run);
        let folder = shown(&run.folder);
        let Some(writer) = Writer::of_run(run) else {
            return Err(Usage::error(format!("{folder} has no vocabulary")));
        };
        let status = self.fill(&writer, trained)?;
        self.shared.next(&format!("eval {folder}"));
        Ok(status)
    }

    /// Writes about the prompt, and the trace of how the encoder read it.
    fn fill(&self, writer: &Writer, trained: Trained) -> anyhow::Result<Status> {
        let Self { args, shared, .. } = self;
        let device = &self.device.device;
        let filling = args.filling(self.sampling, trained);
        let status = filling.run(writer, device, shared)?;
        if let Some(target) = &self.routing {
            let recorded = writer.record(
                &writer.encode(&args.prompt)?,
                device,
                target.path(),
                traced_engine(&self.device.name),
            );
            recorded.map_err(Usage::error)?;
            shared.note(&format!("wrote {}", target.path().display()));
        }
        Ok(status)
    }

    /// Prints the text and writes the files.
    fn show(&self, text: &Continued, layer: usize, model: &TextModel) -> anyhow::Result<()> {
        let Self { args, shared, .. } = self;
        let trace = &text.trace;
        show(args, trace, layer, shared)?;
        if args.speculative {
            let Drafts { offered, accepted } = trace.drafts;
            shared.note(&format!("{accepted} of {offered} drafts were right"));
        }
        if let Some(target) = &self.html {
            target.write(&page(trace, layer, &model.title), shared)?;
        }
        if let Some(target) = &self.svg {
            target.write(&picture(trace, layer, &model.name), shared)?;
        }
        if let Some(target) = &self.routing {
            let how = format!("{}, {}", self.device.name, WeightType::from(args.weights));
            let recorded = model.record(text, target.path(), traced_engine(&how));
            recorded.map_err(Usage::error)?;
            shared.note(&format!("wrote {}", target.path().display()));
        }
        Ok(())
    }
}

impl GenerateArgs {
    /// Says what would be done with a published checkpoint.
    fn would(&self, path: &Path) -> anyhow::Result<Status> {
        let task = format!("would generate {} tokens from {}", self.tokens, shown(path));
        print_raw(&format!("{task}\n"))?;
        Ok(Status::Done)
    }

    fn filling(&self, sampling: Sampling, trained: Trained) -> Filling<'_> {
        Filling {
            prompt: &self.prompt,
            n_tokens: self.tokens,
            sampling,
            trained,
        }
    }
}

fn writes_no_text(folder: &Path) -> anyhow::Error {
    Usage::error(format!(
        "{}: a vision model writes no text; `moe inspect` counts it, `moe verify` compares it with goldens",
        shown(folder)
    ))
}

/// Says what makes a text worse than the model's loss promises.
fn warn(run: &LoadedRun, n_tokens: usize, shared: &Shared) {
    if run
        .config
        .causality()
        .is_some_and(|causality| !causality.is_causal())
    {
        shared
            .note("the router is not causal: token by token it decides otherwise than in training");
    }
    let trained = run.config.train.seq_length;
    if n_tokens > trained {
        shared.note(&format!(
            "the model was trained on {trained} tokens at a time; text beyond is weaker"
        ));
    }
}

/// Shows text as it arrives.
fn print_stream(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() {
        print_raw(&visible(text))
    } else {
        print_raw(text)
    }
}

fn show(args: &GenerateArgs, trace: &Trace, layer: usize, shared: &Shared) -> anyhow::Result<()> {
    if shared.json {
        return print_json(&json!({
            "prompt": args.prompt,
            "text": trace.text(),
            "n_prompt_tokens": trace.n_prompt,
            "tokens": trace.pieces,
        }));
    }
    let text = match (args.show_experts, has_colour()) {
        (false, _) => String::new(),
        (true, true) => coloured(trace, layer) + "\n\n" + &legend(trace, layer, true),
        (true, false) => bracketed(trace, layer) + "\n\n" + &legend(trace, layer, false),
    };
    print_raw(&format!("{text}\n"))?;
    Ok(())
}
