//! The writing of an encoder with a decoder: what is in the gaps of a text, or its translation.

use crate::exit::{Status, Usage};
use crate::generation::Writer;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use burn::tensor::Device;
use moe_models::Sampling;
use moe_train::data::pairs::fills_between;
use moe_train::data::{DataConfig, PairName};
use moe_train::run::LoadedRun;
use moe_view::visible;
use serde_json::json;

/// A text about which another is written.
pub struct Filling<'a> {
    /// The text, with gaps `<extra_id_0>`, `<extra_id_1>`, ... if the model fills gaps.
    pub prompt: &'a str,
    /// The most tokens to write.
    pub n_tokens: usize,
    /// The way they are drawn.
    pub sampling: Sampling,
    /// The purpose that the model was trained for.
    pub trained: Trained,
}

/// The purposes that models are trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trained {
    /// To fill gaps and nothing else.
    Gaps,
    /// Something else, or more.
    Any,
}

impl Trained {
    /// The purpose of a run.
    pub fn of(run: &LoadedRun) -> Self {
        match &run.config.data {
            DataConfig::Pairs(pairs) if pairs.name == PairName::Spans => Self::Gaps,
            _ => Self::Any,
        }
    }
}

/// The next command after a run that fills gaps or translates, without `moe`.
pub fn fill_in(run: &str) -> String {
    format!("generate {run} -p \"To be or <extra_id_0> to be\" --temperature 0")
}

impl Filling<'_> {
    /// Writes the text and prints it.
    pub fn run(&self, writer: &Writer, device: &Device, shared: &Shared) -> anyhow::Result<Status> {
        let prompt = writer.encode(self.prompt)?;
        let gap = |id: &u32| writer.words.gap(*id);
        let n_gaps = n_gaps(prompt.iter().filter_map(gap))?;
        if self.trained == Trained::Gaps && n_gaps == 0 {
            return Err(Usage::error(
                "the prompt has no gap, and the model was trained to fill gaps: write <extra_id_0> where one is, then <extra_id_1>, and so on",
            ));
        }
        let mut written = Vec::new();
        let ended = writer.write(&prompt, self.n_tokens, self.sampling, device, &mut written);
        let text = Written {
            writer,
            prompt: &prompt,
            written: &written,
            n_gaps,
        };
        if shared.json {
            print_json(&json!({
                "prompt": self.prompt,
                "written": text.written(),
                "filled": text.filled(),
            }))?;
        } else if n_gaps == 0 {
            print(&text.written())?;
        } else {
            print(&format!("{}\n\n{}", text.gaps(), text.filled()))?;
        }
        ended?;
        Ok(Status::Done)
    }
}

/// The number of gaps, which are numbered from 0 in the order of the text.
fn n_gaps(gaps: impl Iterator<Item = usize>) -> anyhow::Result<usize> {
    let mut n = 0;
    for gap in gaps {
        if gap != n {
            return Err(Usage::error(format!(
                "the prompt has the gap <extra_id_{gap}> where <extra_id_{n}> should be: gaps are numbered from 0"
            )));
        }
        n += 1;
    }
    Ok(n)
}

/// The text that was written about a prompt.
struct Written<'a> {
    writer: &'a Writer,
    prompt: &'a [u32],
    written: &'a [u32],
    n_gaps: usize,
}

impl Written<'_> {
    fn written(&self) -> String {
        self.writer.words.decode(self.written)
    }

    fn fills(&self) -> Vec<Option<Vec<u32>>> {
        let gap = |id| self.writer.words.gap(id);
        fills_between(self.written, self.n_gaps, gap)
    }

    /// Each gap with what is in it.
    fn gaps(&self) -> String {
        let fills = self.fills();
        let lines = fills.iter().enumerate().map(|(gap, fill)| {
            let fill = fill.as_ref().map_or_else(
                || "nothing was written about it".to_owned(),
                |ids| format!("\"{}\"", visible(&self.writer.words.decode(ids))),
            );
            format!("<extra_id_{gap}>  {fill}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The prompt with its gaps filled.
    fn filled(&self) -> String {
        let fills = self.fills();
        let words = &self.writer.words;
        let text = self
            .prompt
            .iter()
            .filter(|id| !self.writer.ends.contains(id));
        let ids = text.flat_map(|&id| match words.gap(id) {
            Some(gap) => fills[gap].clone().unwrap_or_else(|| vec![id]),
            None => vec![id],
        });
        words.decode(&ids.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_numbered_in_order() {
        assert_eq!(n_gaps([].into_iter()).expect("none"), 0);
        assert_eq!(n_gaps([0, 1].into_iter()).expect("two"), 2);
        let error = n_gaps([0, 2].into_iter())
            .expect_err("no second")
            .to_string();
        assert!(error.contains("<extra_id_2> where <extra_id_1>"), "{error}");
    }
}
