//! The score of an encoder with a decoder on pairs of texts.

use super::bleu::bleu;
use super::evaluate::Scope;
use super::metrics::{LayerMeter, add_meters, add_routings};
use super::{EvalMetrics, Watch};
use crate::data::pairs::{Pair, fills};
use crate::data::{PairBatch, PairData, PairName, UnigramVocab};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::switch::Switch;
use moe_models::{NotFinite, Scores, token_losses};
use moe_router::to_vec;

/// Scores pairs, each once: what each token of a target costs, and what the model writes of itself, the
/// most likely token at a time.
pub(super) fn score_pairs(
    model: &Switch,
    data: &PairData,
    scope: &Scope<'_>,
    device: &Device,
    watch: &mut Watch<'_>,
) -> Result<Option<EvalMetrics>, NotFinite> {
    let names = data.domain_names();
    let mut sums = vec![PairSum::default(); names.len()];
    let mut meters: Vec<LayerMeter> = Vec::new();
    let mut written: Vec<[String; 2]> = Vec::new();
    let batches = data.eval_batches(scope.split, scope.most, scope.batch_size);
    let n_scored = batches.iter().map(|batch| batch.pairs.len()).sum();
    let score = |n: usize| score_batch(model, &batches[n], n, scope, device);
    let take = |n: usize, (losses, texts, of_batch): Scored| {
        add_meters(&mut meters, &of_batch);
        let batch = &batches[n];
        let rows = losses.chunks(batch.target_length());
        for (i, (pair, losses)) in batch.pairs.iter().zip(rows).enumerate() {
            let sum = &mut sums[usize::from(batch.domains[i])];
            let costs = losses[..pair.target.len()].iter();
            // in f64, pair after pair: the order of the sum does not depend on the batch size
            sum.nats += costs.map(|loss| f64::from(*loss)).sum::<f64>();
            sum.n_targets += pair.target.len();
            sum.judge(data.name(), pair, &texts[i]);
        }
        if data.name() == PairName::Translation {
            let text = |ids: &[u32]| data.vocab().decode(until_end(ids));
            let pairs = texts.iter().zip(&batch.pairs);
            written.extend(pairs.map(|(ours, pair)| [text(ours), text(&pair.target)]));
        }
    };
    let all = scope.each(batches.len(), watch, n_scored, score, take)?;
    if all.is_none() {
        return Ok(None);
    }
    let total = sums.iter().fold(PairSum::default(), PairSum::plus);
    Ok(Some(EvalMetrics {
        exact_match: Some(total.n_exact as f64 / total.n_judged.max(1) as f64),
        bleu: (data.name() == PairName::Translation).then(|| bleu(&written, device)),
        loss: total.loss(),
        n_targets: Some(total.n_targets),
        domains: names
            .into_iter()
            .zip(&sums)
            .filter(|(_, sum)| sum.n_targets > 0)
            .map(|(name, sum)| (name, sum.loss()))
            .collect(),
        layers: meters.iter().map(LayerMeter::metrics).collect(),
        ..scope.empty(n_scored, data.n_eval(scope.split))
    }))
}

/// Losses, texts and loads of a batch.
type Scored = (Vec<f32>, Vec<Vec<u32>>, Vec<LayerMeter>);

/// Scores the `n`-th batch.
fn score_batch(
    model: &Switch,
    batch: &PairBatch,
    n: usize,
    scope: &Scope<'_>,
    device: &Device,
) -> Result<Scored, NotFinite> {
    let output = model.forward(batch.input(device));
    let routings = [output.encoder_routings, output.decoder_routings].concat();
    let mut meters = Vec::new();
    add_routings(&mut meters, &routings);
    let losses = to_vec(token_losses(output.logits, batch.targets(device)));
    scope.check(&losses, n)?;
    let texts = write(model, batch, || scope.place(n), device)?;
    Ok((losses, texts, meters))
}

/// The most likely texts, at most as long as the longest target of the batch: until all have ended.
fn write(
    model: &Switch,
    batch: &PairBatch,
    place: impl Fn() -> String,
    device: &Device,
) -> Result<Vec<Vec<u32>>, NotFinite> {
    let input = batch.input(device);
    let mut cache = model.new_cache(&model.encode(input.tokens, input.padding));
    let n_texts = batch.pairs.len();
    let mut texts = vec![Vec::new(); n_texts];
    // T5's decoder starts from the padding token
    let mut last = vec![i64::from(UnigramVocab::PAD); n_texts];
    for _ in 0..batch.target_length() {
        let data = TensorData::new(last, [n_texts, 1]);
        let tokens = Tensor::<2, Int>::from_data(data, device);
        let scores = to_vec(model.decode(tokens, &mut cache).logits);
        last = Vec::with_capacity(n_texts);
        for (text, scores) in texts.iter_mut().zip(scores.chunks(scores.len() / n_texts)) {
            let best = Scores::new(scores.to_vec(), &place)?.most_likely();
            text.push(best);
            last.push(i64::from(best));
        }
        if texts.iter().all(|text| text.contains(&UnigramVocab::END)) {
            break;
        }
    }
    Ok(texts)
}

fn until_end(ids: &[u32]) -> &[u32] {
    let end = ids.iter().position(|id| *id == UnigramVocab::END);
    &ids[..end.unwrap_or(ids.len())]
}

#[derive(Debug, Clone, Copy, Default)]
struct PairSum {
    nats: f64,
    n_targets: usize,
    n_exact: usize,
    n_judged: usize,
}

impl PairSum {
    /// Counts the gaps that were filled as they had been, or the translations that are the table's.
    fn judge(&mut self, name: PairName, pair: &Pair, ours: &[u32]) {
        match name {
            PairName::Translation => {
                self.n_judged += 1;
                self.n_exact += usize::from(until_end(ours) == until_end(&pair.target));
            }
            PairName::Spans => {
                let n_gaps = pair
                    .target
                    .iter()
                    .filter(|id| UnigramVocab::gap(**id).is_some());
                let n_gaps = n_gaps.count();
                let (ours, theirs) = (fills(ours, n_gaps), fills(&pair.target, n_gaps));
                self.n_judged += n_gaps;
                self.n_exact += ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            }
        }
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            nats: self.nats + other.nats,
            n_targets: self.n_targets + other.n_targets,
            n_exact: self.n_exact + other.n_exact,
            n_judged: self.n_judged + other.n_judged,
        }
    }

    fn loss(&self) -> f64 {
        self.nats / self.n_targets.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_judged_one_by_one_and_translations_whole() {
        let pair = Pair {
            input: vec![],
            target: vec![2, 200, 201, 3, 202, 4, 203, 1],
        };
        let mut spans = PairSum::default();
        // the first is right, the second has a token too many, the third is missing
        spans.judge(PairName::Spans, &pair, &[2, 200, 201, 3, 202, 202, 1, 4]);
        assert_eq!((spans.n_exact, spans.n_judged), (1, 3));
        let mut whole = PairSum::default();
        whole.judge(
            PairName::Translation,
            &pair,
            &[2, 200, 201, 3, 202, 4, 203, 1, 9],
        );
        whole.judge(
            PairName::Translation,
            &pair,
            &[2, 200, 201, 3, 202, 4, 203, 9, 1],
        );
        assert_eq!((whole.n_exact, whole.n_judged), (1, 2));
    }
}
