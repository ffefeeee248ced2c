//! What an encoder with a decoder writes: what is in the gaps of a text, or its translation.

use crate::exit::{Status, Usage};
use crate::generation::visible;
use crate::runs::shown;
use crate::shared::Shared;
use crate::terminal::{print, print_json};
use burn::tensor::Device;
use moe_models::Sampling;
use moe_models::switch::{Switch, SwitchGenerator};
use moe_train::data::pairs::fills;
use moe_train::data::{DataConfig, PairName, UnigramVocab, Vocab};
use moe_train::run::LoadedRun;
use moe_train::task::AnyModel;
use serde_json::json;

/// A text about which another is written.
pub struct Filling<'a> {
    /// The text, with gaps `<extra_id_0>`, `<extra_id_1>`, ... if the model fills gaps.
    pub prompt: &'a str,
    /// The most tokens to write.
    pub n_tokens: usize,
    /// How they are drawn.
    pub sampling: Sampling,
}

/// The next command after a run that fills gaps or translates, without `moe`.
pub fn fill_in(run: &str) -> String {
    format!("generate {run} -p \"To be or <extra_id_0> to be\" --temperature 0")
}

impl Filling<'_> {
    /// Writes the text and prints it.
    pub fn run(&self, run: &LoadedRun, device: &Device, shared: &Shared) -> anyhow::Result<Status> {
        let (AnyModel::Switch(model), Some(Vocab::Unigram(vocab)), DataConfig::Pairs(data)) =
            (&run.model, &run.vocab, &run.config.data)
        else {
            return Err(Usage::error(format!(
                "{} is no run of an encoder with a decoder",
                shown(&run.folder)
            )));
        };
        let prompt = vocab.encode_marked(self.prompt);
        let n_gaps = n_gaps(&prompt)?;
        if data.name == PairName::Spans && n_gaps == 0 {
            return Err(Usage::error(
                "the prompt has no gap, and the model was trained to fill gaps: write <extra_id_0> where one is, then <extra_id_1>, and so on",
            ));
        }
        let written = self.write(model, &prompt, device);
        let text = Written {
            vocab: &Vocab::Unigram(vocab.clone()),
            prompt: &prompt,
            written: &written,
            n_gaps,
        };
        match shared.json {
            true => print_json(&json!({
                "prompt": self.prompt,
                "written": text.written(),
                "filled": text.filled(),
            }))?,
            false if n_gaps == 0 => print(&visible(&text.written()))?,
            false => print(&format!("{}\n\n{}", text.gaps(), visible(&text.filled())))?,
        }
        shared.next(&format!("eval {}", shown(&run.folder)));
        Ok(Status::Done)
    }

    /// The tokens that are written, without their end.
    fn write(&self, model: &Switch, prompt: &[u32], device: &Device) -> Vec<u32> {
        let text = [prompt, &[UnigramVocab::END]].concat();
        let mut generator = SwitchGenerator::new(model, self.sampling, UnigramVocab::PAD, device)
            .stop_tokens(&[UnigramVocab::END])
            .banned(&[UnigramVocab::PAD]);
        let mut written = Vec::new();
        generator.run(&text, self.n_tokens, |token| {
            if token.id != UnigramVocab::END {
                written.push(token.id);
            }
            true
        });
        written
    }
}

/// The number of gaps, which are numbered from 0 in the order of the text.
fn n_gaps(prompt: &[u32]) -> anyhow::Result<usize> {
    let gaps = prompt.iter().filter_map(|id| UnigramVocab::gap(*id));
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

/// What was written about a prompt.
struct Written<'a> {
    vocab: &'a Vocab,
    prompt: &'a [u32],
    written: &'a [u32],
    n_gaps: usize,
}

impl Written<'_> {
    fn written(&self) -> String {
        self.vocab.decode(self.written)
    }

    /// Each gap with what is in it.
    fn gaps(&self) -> String {
        let fills = fills(self.written, self.n_gaps);
        let lines = fills.iter().enumerate().map(|(gap, fill)| {
            let fill = fill.as_ref().map_or_else(
                || "nothing was written about it".to_owned(),
                |ids| format!("\"{}\"", visible(&self.vocab.decode(ids))),
            );
            format!("<extra_id_{gap}>  {fill}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The prompt with its gaps filled.
    fn filled(&self) -> String {
        let fills = fills(self.written, self.n_gaps);
        let ids = self
            .prompt
            .iter()
            .flat_map(|&id| match UnigramVocab::gap(id) {
                Some(gap) => fills[gap].clone().unwrap_or_else(|| vec![id]),
                None => vec![id],
            });
        self.vocab.decode(&ids.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_numbered_in_order() {
        let sentinel = UnigramVocab::sentinel;
        let prompt = |gaps: &[usize]| -> Vec<u32> {
            let ids = gaps.iter().flat_map(|gap| [200, sentinel(*gap)]);
            ids.collect()
        };
        assert_eq!(n_gaps(&prompt(&[])).expect("none"), 0);
        assert_eq!(n_gaps(&prompt(&[0, 1])).expect("two"), 2);
        let error = n_gaps(&prompt(&[0, 2])).expect_err("no second").to_string();
        assert!(error.contains("<extra_id_2> where <extra_id_1>"), "{error}");
    }
}
