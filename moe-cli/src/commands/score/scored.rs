//! Scores of texts, as they are printed and kept.

use crate::shared::Shared;
use crate::terminal::{print, print_json};
use moe_lab::score::TextScore;
use moe_view::{Align, columns, significant, thousands};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The answer, and what a file of progress holds.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Scored {
    pub(super) question: Question,
    pub(super) domains: Vec<DomainScore>,
}

/// Everything that the scores depend on.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) model: String,
    pub(super) weights: String,
    pub(super) device: String,
    pub(super) seq_length: usize,
    pub(super) stride: usize,
    /// SHA-256 of the texts and their names.
    pub(super) texts: String,
}

/// A domain, as far as it is scored.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct DomainScore {
    pub(super) name: String,
    /// The bytes of all tokens but the first.
    pub(super) n_bytes: u64,
    pub(super) n_windows: usize,
    pub(super) done: usize,
    #[serde(flatten)]
    pub(super) score: TextScore,
}

impl DomainScore {
    /// The bits a byte so far, if the bytes are as many as the share of the windows.
    pub(super) fn bits_per_byte(&self) -> f64 {
        let share = self.done as f64 / self.n_windows as f64;
        self.score.bits_per_byte(1) / (self.n_bytes as f64 * share)
    }
}

impl Scored {
    pub(super) fn show(&self, shared: &Shared) -> anyhow::Result<()> {
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
