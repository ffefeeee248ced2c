//! Laws that a trace can show, whoever wrote it: each with how often it was checked, and the first counterexample in words.

mod law;
mod places;
mod rows;
mod scores;
mod suspects;
#[cfg(test)]
mod tests;

pub use law::{Law, LawFound};

use self::law::Findings;
use self::places::Places;
use self::rows::check_row;
use self::scores::{Ranked, check_scores};
use super::TraceReadError;
use moe_checkpoint::trace::{TraceChunk, TraceLayer, TraceReader};
use serde::Serialize;

/// Options of a check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckOptions {
    /// The most by which a weight may differ from what follows from the logits, and a score from that of a better expert,
    /// as a share of the largest. Weights of short types may differ by a step of theirs.
    pub tolerance: f64,
    /// True if of equal scores any may be taken, and not those of the lowest index alone.
    pub any_ties: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            tolerance: 5e-5,
            any_ties: false,
        }
    }
}

/// What a trace shows of all laws.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceCheck {
    /// The tokens, padding included.
    pub n_tokens: u64,
    /// The laws, in their order.
    pub laws: Vec<LawFound>,
}

impl TraceCheck {
    /// Tells whether no law has a counterexample.
    pub fn holds(&self) -> bool {
        self.laws.iter().all(|found| found.n_violations == 0)
    }
}

/// A token of a layer, with what is known of both.
struct At<'a> {
    reader: &'a TraceReader,
    chunk: &'a TraceChunk,
    layer: usize,
    t: usize,
    tolerance: f64,
    any_ties: bool,
}

impl At<'_> {
    /// The place of the token in the trace.
    fn token(&self) -> u64 {
        self.chunk.start + self.t as u64
    }

    /// The place in words.
    fn words(&self) -> String {
        format!("layer {}, token {}", self.layer, self.token())
    }

    fn n_experts(&self) -> usize {
        self.reader.meta().n_experts
    }

    fn of_layer(&self) -> &TraceLayer {
        &self.reader.layers()[self.layer]
    }

    /// The experts of the token that exist, from best to worst.
    fn experts(&self) -> Vec<u32> {
        let row = self.chunk.layers[self.layer].row(self.t).iter();
        let exists = |expert: &&i32| usize::try_from(**expert).is_ok_and(|e| e < self.n_experts());
        row.filter(exists).map(|&expert| expert as u32).collect()
    }
}

/// Reads a trace and holds every token to the laws.
///
/// # Errors
///
/// Returns an error if the file cannot be read.
pub fn check(reader: &TraceReader, options: &CheckOptions) -> Result<TraceCheck, TraceReadError> {
    let mut findings = Findings::new(reader);
    let layers = 0..reader.layers().len();
    let mut places: Vec<Places> = layers
        .map(|layer| Places::new(reader, layer, options.tolerance))
        .collect();
    let mut last_group = 0;
    for chunk in reader.chunks() {
        let chunk = chunk?;
        check_groups(&chunk, &mut last_group, &mut findings);
        for t in 0..chunk.n_tokens {
            for (layer, places) in places.iter_mut().enumerate() {
                let at = At {
                    reader,
                    chunk: &chunk,
                    layer,
                    t,
                    tolerance: options.tolerance,
                    any_ties: options.any_ties,
                };
                check_row(&at, &mut findings);
                if chunk.is_padding(t) {
                    continue;
                }
                let ranked = Ranked::of(&at);
                if let Some(ranked) = &ranked {
                    check_scores(&at, ranked, &mut findings);
                }
                places.add(&at, ranked.as_ref(), &mut findings);
            }
        }
    }
    for places in &mut places {
        places.finish_group(&mut findings);
    }
    Ok(TraceCheck {
        n_tokens: reader.n_tokens(),
        laws: findings.finish(),
    })
}

/// Checks that the tokens of a group follow one another.
fn check_groups(chunk: &TraceChunk, last: &mut u32, findings: &mut Findings) {
    let Some(group) = &chunk.group else {
        return;
    };
    for (t, &group) in group.iter().enumerate() {
        findings.judge(Law::Groups, group >= *last, || {
            let token = chunk.start + t as u64;
            format!("token {token} is of group {group}, behind one of group {last}")
        });
        *last = group;
    }
}
