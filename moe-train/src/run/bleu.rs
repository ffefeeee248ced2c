//! BLEU (Papineni et al. 2002) of translations, by Burn's metric.

use burn::data::dataloader::Progress;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_train::metric::{BleuInput, BleuScore, Metric, MetricMetadata, Numeric};
use std::collections::HashMap;

/// Stands behind the words of a shorter text.
const PAD: i64 = 0;

/// The BLEU of texts and what they should be, from 0 to 100: over all texts together, up to four words in
/// a row, words being what spaces divide.
pub(super) fn bleu(texts: &[[String; 2]], device: &Device) -> f64 {
    let mut numbers: HashMap<&str, i64> = HashMap::new();
    let rows: Vec<[Vec<i64>; 2]> = texts
        .iter()
        .map(|pair| {
            pair.each_ref().map(|text| {
                let words = text.split_whitespace();
                words
                    .map(|word| {
                        // from 1: zero is the padding
                        let next = numbers.len() as i64 + 1;
                        *numbers.entry(word).or_insert(next)
                    })
                    .collect()
            })
        })
        .collect();
    let length = rows
        .iter()
        .flatten()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
        .max(1);
    let side = |i: usize| {
        let padded = rows.iter().flat_map(|pair| {
            let rest = length - pair[i].len();
            pair[i]
                .iter()
                .copied()
                .chain(std::iter::repeat_n(PAD, rest))
        });
        let data = TensorData::new(padded.collect::<Vec<i64>>(), [rows.len(), length]);
        Tensor::<2, Int>::from_data(data, device)
    };
    let mut metric = BleuScore::new().with_pad_token(PAD as usize);
    let metadata = MetricMetadata {
        progress: Progress::new(rows.len(), rows.len(), None),
        iteration: None,
        lr: None,
    };
    // one update with all texts: the metric averages over updates
    let updated = metric.update(&BleuInput::new(side(0), side(1)), &metadata);
    updated.expect("numbers of words are read as they were written");
    metric.value().map_or(f64::NAN, |value| value.current())
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn of(pairs: &[[&str; 2]]) -> f64 {
        let pairs: Vec<[String; 2]> = pairs.iter().map(|p| p.map(str::to_owned)).collect();
        bleu(&pairs, &Device::flex())
    }

    #[test]
    fn the_same_text_scores_all_and_another_nothing() {
        assert_abs_diff_eq!(of(&[["a b c d", "a b  c d"]]), 100.0, epsilon = 1e-9);
        assert_eq!(of(&[["e f g h", "a b c d"]]), 0.0);
    }

    #[test]
    fn texts_are_scored_together() {
        // 9 of 10 words, 7 of 8 pairs, 5 of 6 threes, 3 of 4 fours: (0.9 * 0.875 * 0.8333 * 0.75)^(1/4)
        let score = of(&[["a b c d e", "a b c d e"], ["a b c d x", "a b c d e"]]);
        let product: f64 = 9.0 / 10.0 * 7.0 / 8.0 * 5.0 / 6.0 * 3.0 / 4.0;
        assert_abs_diff_eq!(score, 100.0 * product.powf(0.25), epsilon = 1e-6);
    }
}
