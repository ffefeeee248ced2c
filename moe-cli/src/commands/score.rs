//! `moe eval PATH --data TEXTS`: scores texts that anybody chooses, by a run or a published checkpoint.

use super::weights::Weights;
use crate::exit::{OrUsage, Status, Usage, run_error};
use crate::generation::{TextModel, Words};
use crate::interrupt;
use crate::runs::{find, shown};
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moe_checkpoint::{AnyCheckpoint, PublishedCheckpoint, disk};
use moe_lab::score::{TextScore, TextWindows, score_windows};
use moe_models::{Decoder, WeightType};
use moe_train::data::Corpus;
use moe_train::run::LoadedRun;
use moe_view::{Align, columns, significant, thousands};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The tokens of a window, if the model is made for as many.
const LENGTH: usize = 1024;

/// The time between two notes of what is scored so far.
const KEEP_EVERY: Duration = Duration::from_secs(20);

/// The arguments of `moe eval` for texts of one's own.
#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// Score these texts whole, in place of the held-out part: files or folders with commas between, each a domain
    #[arg(long, value_name = "PATHS", conflicts_with_all = ["split", "windows", "overrides", "trace"])]
    pub data: Option<String>,
    /// The column of the texts in .csv, .tsv and .jsonl files
    #[arg(
        long,
        value_name = "NAME",
        requires = "data",
        default_value = "",
        hide_default_value = true
    )]
    column: String,
    /// The tokens of a window. Default: those that the model is made for, up to 1024
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u32).range(1..))]
    seq_length: Option<u32>,
    /// The tokens from one window to the next; those in between are scored with what was before. Default: half a window
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u32).range(1..))]
    stride: Option<u32>,
    /// The type that the model's matrices are held in
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        requires = "data"
    )]
    weights: Weights,
    /// Keep what was scored in a file, and go on from it
    #[arg(long, value_name = "FILE", requires = "data")]
    progress: Option<PathBuf>,
}

/// The answer, and what a file of progress holds.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Scored {
    question: Question,
    domains: Vec<DomainScore>,
}

/// Everything that the scores depend on.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
struct Question {
    model: String,
    weights: String,
    device: String,
    seq_length: usize,
    stride: usize,
    /// SHA-256 of the texts and their names.
    texts: String,
}

/// A domain, as far as it is scored.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct DomainScore {
    name: String,
    /// The bytes of all tokens but the first.
    n_bytes: u64,
    n_windows: usize,
    done: usize,
    #[serde(flatten)]
    score: TextScore,
}

impl ScoreArgs {
    /// Scores the texts and prints a row for each domain.
    pub fn run(&self, path: &Path, data: &str, shared: &Shared) -> anyhow::Result<Status> {
        if shared.mesh.world.size() > 1 {
            return Err(Usage::error(
                "--data is scored by one process; start one for each half of the texts instead",
            ));
        }
        let stop = interrupt::stop_flag("stopping")?;
        let texts = texts(data, &self.column, &stop)?;
        let device = shared.open_device()?;
        self.weights.check(&device.device)?;
        let (model, positions) = self.open(path, shared, &device.device)?;
        self.weights.note(&model.decoder, shared);
        let question = Question {
            model: model.title.clone(),
            weights: WeightType::from(self.weights).to_string(),
            device: device.name.clone(),
            texts: digest(&texts),
            ..self.windows(positions)?
        };
        if shared.dry_run {
            let n_bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
            print(&format!(
                "would score {} bytes of {} domains",
                thousands(n_bytes as u64),
                texts.len()
            ))?;
            return Ok(Status::Done);
        }
        let mut scoring = Scoring {
            args: self,
            scored: self.begun(question, texts.len())?,
            device: &device.device,
            model: &model,
            stop: &stop,
            kept: Instant::now(),
            bar: bar(shared),
        };
        for (place, (name, text)) in texts.iter().enumerate() {
            scoring.domain(place, name, text)?;
        }
        scoring.bar.finish_and_clear();
        scoring.keep()?;
        if stop.load(Ordering::Relaxed) {
            shared.note(&match &self.progress {
                Some(file) => format!(
                    "interrupted; the same command goes on from {}",
                    file.display()
                ),
                None => "interrupted; with --progress FILE the same command would go on".to_owned(),
            });
            return Ok(Status::Interrupted);
        }
        scoring.scored.show(shared)?;
        shared.next(&format!("generate {} -p TEXT", shown(path)));
        Ok(Status::Done)
    }

    /// The model, and the number of tokens that it is made for.
    fn open(
        &self,
        path: &Path,
        shared: &Shared,
        device: &burn::tensor::Device,
    ) -> anyhow::Result<(TextModel, usize)> {
        let no_decoder = || {
            Usage::error(format!(
                "{}: --data scores texts by a decoder, and this is none",
                shown(path)
            ))
        };
        if PublishedCheckpoint::is_at(path) {
            let checkpoint = AnyCheckpoint::open(path)?;
            shared.note_unread(checkpoint.unread());
            let AnyCheckpoint::Text(checkpoint) = checkpoint else {
                return Err(no_decoder());
            };
            let positions = checkpoint.config().common().max_position_embeddings;
            let model = TextModel::of_published(&checkpoint, self.weights.into(), device)?;
            if let Words::Ids { .. } = model.words {
                return Err(Usage::error(format!(
                    "{}: there is no tokenizer, which makes tokens of texts; put tokenizer.json beside the weights",
                    shown(path)
                )));
            }
            return Ok((model, positions));
        }
        let run = LoadedRun::open(&find(path, &shared.runs)?, device).map_err(run_error)?;
        let positions = run.config.train.seq_length;
        let model = TextModel::of_run(run, self.weights.into()).ok_or_else(no_decoder)?;
        Ok((model, positions))
    }

    /// Sizes of the windows, of a model that is made for so many positions.
    fn windows(&self, positions: usize) -> anyhow::Result<Question> {
        let seq_length = self
            .seq_length
            .map_or(positions.min(LENGTH), |n| n as usize);
        let stride = self.stride.map_or(seq_length.div_ceil(2), |n| n as usize);
        if seq_length > positions {
            return Err(Usage::error(format!(
                "--seq-length {seq_length}: the model is made for {positions} tokens"
            )));
        }
        if stride > seq_length {
            return Err(Usage::error(format!(
                "--stride {stride} is above the {seq_length} tokens of a window, and tokens between windows would not be scored"
            )));
        }
        Ok(Question {
            model: String::new(),
            weights: String::new(),
            device: String::new(),
            seq_length,
            stride,
            texts: String::new(),
        })
    }

    /// What a file of progress holds, or nothing yet.
    fn begun(&self, question: Question, n_domains: usize) -> anyhow::Result<Scored> {
        let fresh = Scored {
            question,
            domains: Vec::with_capacity(n_domains),
        };
        let Some(file) = self.progress.as_deref().filter(|file| file.exists()) else {
            return Ok(fresh);
        };
        let bytes = disk::read_at_most(file, 1 << 24).or_usage()?;
        let kept: Scored = serde_json::from_slice(&bytes).map_err(|error| {
            Usage::error(format!(
                "--progress {}: this is no progress of `moe eval --data`: {error}",
                file.display()
            ))
        })?;
        if kept.question == fresh.question {
            return Ok(kept);
        }
        Err(Usage::error(format!(
            "--progress {}: the file is of another evaluation (model, weights, device, windows or texts differ); name another",
            file.display()
        )))
    }
}

/// An evaluation on its way.
struct Scoring<'a> {
    args: &'a ScoreArgs,
    scored: Scored,
    device: &'a burn::tensor::Device,
    model: &'a TextModel,
    stop: &'a AtomicBool,
    kept: Instant,
    bar: ProgressBar,
}

impl Scoring<'_> {
    /// Scores a domain, from where it was left.
    fn domain(&mut self, place: usize, name: &str, text: &str) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed)
            || self
                .scored
                .domains
                .get(place)
                .is_some_and(|d| d.done == d.n_windows)
        {
            return Ok(());
        }
        let tokens = self.model.words.encode(text)?;
        let Question {
            seq_length, stride, ..
        } = self.scored.question;
        let windows = TextWindows::new(tokens.len(), seq_length, stride);
        if windows.is_empty() {
            return Err(Usage::error(format!(
                "the text {name} has no token to score"
            )));
        }
        if self.scored.domains.len() == place {
            self.scored.domains.push(DomainScore {
                name: name.to_owned(),
                n_bytes: (text.len() - first_bytes(&self.model.words, tokens[0])) as u64,
                n_windows: windows.len(),
                done: 0,
                score: TextScore::default(),
            });
        }
        self.windows(place, &tokens, &windows)
    }

    fn windows(
        &mut self,
        place: usize,
        tokens: &[u32],
        windows: &TextWindows,
    ) -> anyhow::Result<()> {
        let model = &self.model.decoder;
        // places are shared out among the windows of a call
        let most = if model.tokens_compete() {
            1
        } else {
            windows.at_once(self.model.words.vocab_size())
        };
        self.bar.set_length(windows.len() as u64);
        while self.scored.domains[place].done < windows.len() && !self.stop.load(Ordering::Relaxed)
        {
            let domain = &mut self.scored.domains[place];
            let some = domain.done..windows.len().min(domain.done + most);
            domain.done = some.end;
            domain
                .score
                .add(score_windows(model, tokens, windows, some, self.device));
            self.bar.set_position(domain.done as u64);
            self.bar.set_message(format!(
                "{}  {} bits/byte",
                domain.name,
                significant(domain.bits_per_byte(), 4)
            ));
            if self.kept.elapsed() > KEEP_EVERY {
                self.keep()?;
            }
        }
        Ok(())
    }

    /// Writes what was scored, if there is a file for it.
    fn keep(&mut self) -> anyhow::Result<()> {
        self.kept = Instant::now();
        let Some(file) = &self.args.progress else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&self.scored)? + "\n";
        disk::write_whole(file, text.as_bytes())
            .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", file.display()))
    }
}

impl DomainScore {
    /// The bits a byte so far, if the bytes are as many as the share of the windows.
    fn bits_per_byte(&self) -> f64 {
        let share = self.done as f64 / self.n_windows as f64;
        self.score.bits_per_byte(1) / (self.n_bytes as f64 * share)
    }
}

impl Scored {
    fn show(&self, shared: &Shared) -> anyhow::Result<()> {
        let mut all = TextScore::default();
        let mut n_bytes = 0;
        for domain in &self.domains {
            all.add(domain.score);
            n_bytes += domain.n_bytes;
        }
        let row = |name: &str, score: &TextScore, n_bytes: u64| {
            [
                name.to_owned(),
                thousands(n_bytes),
                thousands(score.n_tokens),
                significant(score.bits_per_byte(n_bytes), 4),
                significant(score.perplexity(), 4),
                significant(100.0 * score.accuracy(), 3),
            ]
        };
        if shared.json {
            let value = |score: &TextScore, n_bytes: u64| {
                json!({"n_bytes": n_bytes, "n_tokens": score.n_tokens, "bits_per_byte": score.bits_per_byte(n_bytes),
                    "perplexity": score.perplexity(), "accuracy": score.accuracy()})
            };
            let domains = self
                .domains
                .iter()
                .map(|d| (d.name.clone(), value(&d.score, d.n_bytes)));
            let domains: serde_json::Map<_, _> = domains.collect();
            return print_json(
                &json!({"question": self.question, "domains": domains, "all": value(&all, n_bytes)}),
            );
        }
        let header = [
            "domain",
            "bytes",
            "tokens",
            "bits/byte",
            "perplexity",
            "accuracy (%)",
        ]
        .map(str::to_owned);
        let domains = self
            .domains
            .iter()
            .map(|d| row(&d.name, &d.score, d.n_bytes));
        let rows = [header]
            .into_iter()
            .chain(domains)
            .chain([row("all", &all, n_bytes)]);
        let rows: Vec<Vec<String>> = rows.map(Vec::from).collect();
        let mut align = vec![Align::Left];
        align.resize(6, Align::Right);
        let Question {
            model,
            weights,
            seq_length,
            stride,
            ..
        } = &self.question;
        let title = format!("{model}, {weights}: windows of {seq_length} tokens, {stride} apart");
        print(&format!("{title}\n\n{}", columns(&rows, &align)))?;
        Ok(())
    }
}

/// The domains and their whole texts.
fn texts(paths: &str, column: &str, stop: &AtomicBool) -> anyhow::Result<Vec<(String, String)>> {
    let corpus = Corpus::from_path(paths, column, stop).or_usage()?;
    let domain = |domain: moe_train::data::Domain| (domain.name, domain.files.join("\n"));
    Ok(corpus.domains.into_iter().map(domain).collect())
}

fn digest(texts: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in texts {
        for part in [name, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The bytes of text that a first token stands for; none if it marks the beginning.
fn first_bytes(words: &Words, id: u32) -> usize {
    let mut stream = words.stream();
    let text = stream.push(id) + &stream.finish();
    text.len()
}

fn bar(shared: &Shared) -> ProgressBar {
    if shared.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg}  {pos}/{len} windows  {eta} left") {
        bar.set_style(style);
    }
    bar
}
