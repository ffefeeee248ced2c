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

/// A row of the answer.
struct Row<'a> {
    name: &'a str,
    n_bytes: u64,
    score: TextScore,
}

/// The columns of the table.
const HEADER: [&str; 6] = [
    "domain",
    "bytes",
    "tokens",
    "bits/byte",
    "perplexity",
    "accuracy (%)",
];

impl DomainScore {
    /// The bits a byte so far, if the bytes are as many as the share of the windows.
    pub(super) fn bits_per_byte(&self) -> f64 {
        let share = self.done as f64 / self.n_windows as f64;
        self.score.bits_per_byte(1) / (self.n_bytes as f64 * share)
    }
}

impl Scored {
    pub(super) fn show(&self, shared: &Shared) -> anyhow::Result<()> {
        let rows = self.rows();
        if !shared.json {
            return Ok(print(&self.text(&rows))?);
        }
        let value = |row: &Row| {
            json!({"n_bytes": row.n_bytes, "n_tokens": row.score.n_tokens,
                "bits_per_byte": row.score.bits_per_byte(row.n_bytes),
                "perplexity": row.score.perplexity(), "accuracy": row.score.accuracy()})
        };
        let [domains @ .., all] = &rows[..] else {
            return Ok(());
        };
        let domains = domains.iter().map(|row| (row.name.to_owned(), value(row)));
        let domains: serde_json::Map<_, _> = domains.collect();
        print_json(&json!({"question": self.question, "domains": domains, "all": value(all)}))
    }

    /// The domains, and all of them together.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut all = Row {
            name: "all",
            n_bytes: 0,
            score: TextScore::default(),
        };
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(self.domains.len() + 1);
        for domain in &self.domains {
            all.score.add(domain.score);
            all.n_bytes += domain.n_bytes;
            rows.push(Row {
                name: &domain.name,
                n_bytes: domain.n_bytes,
                score: domain.score,
            });
        }
        rows.push(all);
        rows
    }

    fn text(&self, rows: &[Row<'_>]) -> String {
        let mut align = vec![Align::Left];
        align.resize(HEADER.len(), Align::Right);
        let cells = rows.iter().map(Row::cells);
        let header = HEADER.map(str::to_owned).to_vec();
        let cells: Vec<Vec<String>> = [header].into_iter().chain(cells).collect();
        let asked = &self.question;
        format!(
            "{}, {}: windows of {} tokens, {} apart\n\n{}",
            asked.model,
            asked.weights,
            asked.seq_length,
            asked.stride,
            columns(&cells, &align)
        )
    }
}

impl Row<'_> {
    fn cells(&self) -> Vec<String> {
        let score = &self.score;
        vec![
            self.name.to_owned(),
            thousands(self.n_bytes),
            thousands(score.n_tokens),
            significant(score.bits_per_byte(self.n_bytes), 4),
            significant(score.perplexity(), 4),
            significant(100.0 * score.accuracy(), 3),
        ]
    }
}
