//! Texts that a Switch model writes from a cache.

use super::VerifyError;
use super::checker::Checker;
use super::forward::tokens;
use super::goldens::Ids;
use super::switch::Batch;
use burn::tensor::Device;
use moe_models::switch::Switch;

/// A model that writes, and between which tokens.
pub(super) struct Writer<'a> {
    pub(super) model: &'a Switch,
    pub(super) start: u32,
    pub(super) ends: Vec<u32>,
    pub(super) vocab_size: usize,
}

/// The texts that the reference wrote, perhaps behind a start token.
struct Written<'a> {
    expected: &'a Ids,
    begin: Option<i64>,
}

impl Writer<'_> {
    /// Compares what is written about the texts from a cache, `gen.new_ids`, and with the start token
    /// before it, `gen.sequences`.
    pub(super) fn check(
        &self,
        checker: &mut Checker<'_>,
        batch: &Batch,
        device: &Device,
    ) -> Result<(), VerifyError> {
        let goldens = checker.goldens;
        let start = i64::from(self.start);
        for (name, begin) in [("gen.new_ids", None), ("gen.sequences", Some(start))] {
            let Some(expected) = goldens.tokens(name, self.vocab_size)? else {
                continue;
            };
            if expected.batch != batch.texts.batch {
                return Err(goldens.problem(format!(
                    "{name} has {} rows, and input_ids {}",
                    expected.batch, batch.texts.batch
                )));
            }
            let written = Written {
                expected: &expected,
                begin,
            };
            let ours = self.greedy(&written, batch, device);
            let shape = [expected.batch, expected.length];
            checker.ids(name, &shape, &ours);
        }
        Ok(())
    }

    /// The likeliest texts `[B, N]`, row by row. After a token that ends a text the reference writes
    /// padding, whatever it is: its own ids stand for ours from there on.
    fn greedy(&self, written: &Written<'_>, batch: &Batch, device: &Device) -> Vec<i64> {
        let n_texts = batch.texts.batch;
        let encoded = self
            .model
            .encode(tokens(&batch.texts, device), batch.padding.clone());
        let mut cache = self.model.new_cache(&encoded);
        let mut rows: Vec<Vec<i64>> = vec![written.begin.into_iter().collect(); n_texts];
        let mut pending = vec![i64::from(self.start); n_texts];
        for n in rows[0].len()..written.expected.length {
            let step = Ids {
                ids: pending,
                batch: n_texts,
                length: 1,
            };
            let logits = self.model.decode(tokens(&step, device), &mut cache).logits;
            let best: Vec<i64> = logits.argmax(2).into_data().iter::<i64>().collect();
            let expected = written.expected.rows();
            for (row, (best, expected)) in rows.iter_mut().zip(best.iter().zip(expected)) {
                let begun = usize::from(written.begin.is_some());
                let ended = row[begun..].iter().any(|id| self.is_end(*id));
                row.push(if ended { expected[n] } else { *best });
            }
            pending = rows.iter().map(|row| row[n]).collect();
        }
        rows.concat()
    }

    fn is_end(&self, id: i64) -> bool {
        self.ends.iter().any(|end| i64::from(*end) == id)
    }
}
