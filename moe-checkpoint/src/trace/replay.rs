//! Choices of a trace for the router that replays them.

use super::{TraceError, TraceReader};
use moe_router::Trace;

/// Longer traces are refused, since a configuration holds the choices as text.
const MOST_TOKENS: u64 = 1 << 20;

impl TraceReader {
    /// The kept choices of each layer, a sequence a group; padding is left out.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or if the trace is too long for a configuration.
    pub fn replayed(&self) -> Result<Vec<Trace>, TraceError> {
        if self.n_tokens() > MOST_TOKENS {
            return Err(TraceError::Format {
                path: self.path().clone(),
                what: format!(
                    "{} tokens are too many to replay; record at most {MOST_TOKENS}",
                    self.n_tokens()
                ),
            });
        }
        let mut traces = vec![Trace::default(); self.layers().len()];
        let mut last = None;
        for chunk in self.choices() {
            let chunk = chunk?;
            for t in (0..chunk.n_tokens).filter(|&t| !chunk.is_padding(t)) {
                let group = chunk.group_of(t);
                let begins = last.replace(group) != Some(group);
                for (trace, layer) in traces.iter_mut().zip(&chunk.layers) {
                    let row = layer.row(t).iter().enumerate();
                    let kept = row.filter(|(k, expert)| **expert >= 0 && layer.is_kept(t, *k));
                    let experts = kept.map(|(_, expert)| *expert as u32).collect();
                    if begins {
                        trace.sequences.push(Vec::new());
                    }
                    if let Some(sequence) = trace.sequences.last_mut() {
                        sequence.push(experts);
                    }
                }
            }
        }
        Ok(traces)
    }
}
