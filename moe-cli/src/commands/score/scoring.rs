//! The scoring of texts, window by window.

use super::scored::{DomainScore, Question, Scored};
use crate::exit::Usage;
use crate::generation::{TextModel, Words};
use crate::shared::Shared;
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moe_checkpoint::disk;
use moe_lab::score::{TextScore, TextWindows, score_windows};
use moe_models::Decoder;
use moe_view::significant;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The time between two notes of what is scored so far.
const KEEP_EVERY: Duration = Duration::from_secs(20);

/// An evaluation on its way.
pub(super) struct Scoring<'a> {
    /// The file that keeps what was scored.
    pub(super) file: Option<&'a Path>,
    pub(super) scored: Scored,
    pub(super) device: &'a Device,
    pub(super) model: &'a TextModel,
    pub(super) stop: &'a AtomicBool,
    pub(super) kept: Instant,
    pub(super) bar: ProgressBar,
}

impl Scoring<'_> {
    /// Scores a domain, from where it was left.
    pub(super) fn domain(&mut self, place: usize, name: &str, text: &str) -> anyhow::Result<()> {
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
    pub(super) fn keep(&mut self) -> anyhow::Result<()> {
        self.kept = Instant::now();
        let Some(file) = self.file else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&self.scored)? + "\n";
        disk::write_whole(file, text.as_bytes())
            .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", file.display()))
    }
}

/// The bytes of text that a first token stands for; none if it marks the beginning.
fn first_bytes(words: &Words, id: u32) -> usize {
    let mut stream = words.stream();
    let text = stream.push(id) + &stream.finish();
    text.len()
}

pub(super) fn bar(shared: &Shared) -> ProgressBar {
    if shared.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg}  {pos}/{len} windows  {eta} left") {
        bar.set_style(style);
    }
    bar
}
