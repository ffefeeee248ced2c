//! The tables of an evaluation.

use super::{Align, columns, significant};
use moe_train::run::{EvalMetrics, LayerMetrics};
use moe_train::task::Merit;

/// The score of each domain, or class, and of all.
pub fn domain_table(metrics: &EvalMetrics) -> String {
    let merit = metrics.merit();
    let row = |name: &str, value: f64| {
        let value = significant(merit.scale() * value, 4);
        vec![name.to_owned(), value]
    };
    let [part, score] = match merit {
        Merit::BitsPerByte => ["domain", "bits/byte"],
        Merit::Accuracy => ["class", "accuracy (%)"],
        Merit::TargetLoss => ["domain", "nats/token"],
    };
    let header = vec![part.to_owned(), format!("{} {score}", metrics.split)];
    let domains = metrics
        .domains
        .iter()
        .map(|(name, value)| row(name, *value));
    let all = row("all", metrics.score());
    let rows: Vec<Vec<String>> = [header].into_iter().chain(domains).chain([all]).collect();
    columns(&rows, &[Align::Left, Align::Right])
}

/// The values that are not those of the training, in words.
pub fn evaluated_with(overrides: &[String]) -> String {
    match overrides {
        [] => String::new(),
        values => format!("; evaluated with {}", values.join(" ")),
    }
}

/// The scores of what a model wrote of itself, in words; nothing of one that was not asked to.
pub fn writing(metrics: &EvalMetrics) -> Option<String> {
    let exact = significant(100.0 * metrics.exact_match?, 3);
    Some(match metrics.bleu {
        None => format!("{exact} % of the gaps filled as they had been"),
        Some(bleu) => format!(
            "{exact} % of the translations are the table's, BLEU {}",
            significant(bleu, 3)
        ),
    })
}

/// The use that each layer makes of its experts.
pub fn layer_table(layers: &[LayerMetrics]) -> String {
    let header = [
        "layer",
        "load entropy",
        "MaxVio",
        "dropped (%)",
        "dead experts",
    ];
    let row = |(i, layer): (usize, &LayerMetrics)| {
        vec![
            i.to_string(),
            significant(layer.load_entropy, 3),
            significant(layer.max_vio, 3),
            significant(100.0 * layer.drop_rate, 3),
            layer.dead_experts.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = [header.map(String::from).to_vec()]
        .into_iter()
        .chain(layers.iter().enumerate().map(row))
        .collect();
    columns(&rows, &[Align::Right; 5])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_an_evaluation() {
        let layer = LayerMetrics {
            load_share: vec![0.5, 0.5],
            load_entropy: 0.98765,
            entropy: 0.5,
            max_vio: 0.25,
            drop_rate: 0.0125,
            experts_per_token: None,
            dead_experts: 1,
        };
        let metrics = EvalMetrics {
            step: 10,
            split: "test".into(),
            whole: true,
            n_scored: Some(4),
            n_part: Some(4),
            bits_per_byte: Some(2.3),
            accuracy: None,
            exact_match: None,
            bleu: None,
            loss: 1.6,
            n_bytes: Some(100),
            n_images: None,
            n_targets: None,
            domains: [("law".to_owned(), 2.25), ("prose".to_owned(), 2.3504)].into(),
            layers: vec![layer],
        };
        assert_eq!(
            domain_table(&metrics),
            "domain  test bits/byte\nlaw              2.250\nprose            2.350\nall              2.300"
        );
        assert_eq!(
            layer_table(&metrics.layers),
            "layer  load entropy  MaxVio  dropped (%)  dead experts\n    0         0.988   0.250         1.25             1"
        );
        assert_eq!(writing(&metrics), None);
        let filled = EvalMetrics {
            exact_match: Some(0.125),
            ..metrics
        };
        let text = writing(&filled).expect("it was asked to write");
        assert_eq!(text, "12.5 % of the gaps filled as they had been");
    }
}
