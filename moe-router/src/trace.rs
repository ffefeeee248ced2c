//! Traces of routings, and their form as text.

use crate::{Assignments, Plan, RouterError, RouterInput, Routing};
use std::fmt;

/// Assignments of one layer: the experts of each position of each sequence.
///
/// As text, experts are separated by spaces, tokens by commas, sequences by semicolons: `0 3,1 2;4,5` is
/// a sequence of two tokens with two experts each, and one of two tokens with one each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// The experts of each token, by sequence and position.
    pub sequences: Vec<Vec<Vec<u32>>>,
}

impl Trace {
    /// Trace of a routing: its kept assignments.
    ///
    /// # Panics
    ///
    /// Panics if the routing's plan is soft.
    pub fn of(routing: &Routing) -> Self {
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a soft plan mixes tokens: there is nobody who went somewhere");
        };
        let group_size = routing.n_tokens() / routing.n_groups;
        let mut sequences = vec![vec![Vec::new(); group_size]; routing.n_groups];
        let a = &plan.assignments;
        for n in (0..a.len()).filter(|&n| a.kept()[n]) {
            let token = a.tokens()[n] as usize;
            sequences[token / group_size][token % group_size].push(a.experts()[n]);
        }
        Self { sequences }
    }

    /// Reads the traces of the layers of a model, separated by slashes. The empty text has none.
    ///
    /// # Errors
    ///
    /// Returns which expert is not a number.
    pub fn read_layers(text: &str) -> Result<Vec<Self>, RouterError> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        text.split('/').map(Self::read).collect()
    }

    fn read(text: &str) -> Result<Self, RouterError> {
        let number = |word: &str| {
            word.parse().map_err(|_| {
                RouterError::Trace(format!("\"{word}\" is not the number of an expert"))
            })
        };
        let token = |text: &str| text.split_whitespace().map(number).collect();
        let sequence = |text: &str| text.split(',').map(token).collect();
        let sequences = text.split(';').map(sequence).collect::<Result<_, _>>()?;
        Ok(Self { sequences })
    }

    /// Checks that every expert exists and that no token has one twice.
    ///
    /// # Errors
    ///
    /// Returns the token and the expert.
    pub fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        for (s, sequence) in self.sequences.iter().enumerate() {
            for (t, experts) in sequence.iter().enumerate() {
                for (i, &expert) in experts.iter().enumerate() {
                    let wrong = if expert as usize >= n_experts {
                        format!("there are experts.n_experts = {n_experts}, from 0")
                    } else if experts[..i].contains(&expert) {
                        "it is named twice".to_owned()
                    } else {
                        continue;
                    };
                    return Err(RouterError::Trace(format!(
                        "token {t} of sequence {s} has expert {expert}, but {wrong}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The mean number of experts of a token; 0 without tokens.
    pub fn experts_per_token(&self) -> f64 {
        let tokens = self.sequences.iter().flatten();
        let (n, sum) = tokens.fold((0, 0), |(n, sum), experts| (n + 1, sum + experts.len()));
        sum as f64 / f64::from(n.max(1))
    }

    /// The trace's choice for the tokens of an input: by the sequence's place in the batch and the
    /// position in the sequence, each starting over behind the trace's last.
    ///
    /// # Panics
    ///
    /// Panics if the trace has no sequence, or one without tokens.
    pub fn assign(&self, input: &RouterInput) -> Assignments {
        let mut assignments = Assignments::default();
        for t in (0..input.n_tokens()).filter(|&t| !input.is_padding(t)) {
            let group = t / input.group_size();
            let position = input.start + t % input.group_size();
            let sequence = &self.sequences[group % self.sequences.len()];
            for &expert in &sequence[position % sequence.len()] {
                assignments.push(t as u32, expert);
            }
        }
        assignments
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (s, sequence) in self.sequences.iter().enumerate() {
            f.write_str(if s > 0 { ";" } else { "" })?;
            for (t, experts) in sequence.iter().enumerate() {
                f.write_str(if t > 0 { "," } else { "" })?;
                for (i, expert) in experts.iter().enumerate() {
                    let space = if i > 0 { " " } else { "" };
                    write!(f, "{space}{expert}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use proptest::prelude::*;

    fn read(text: &str) -> Trace {
        Trace::read_layers(text).unwrap().remove(0)
    }

    #[test]
    fn tokens_are_found_by_sequence_and_position() {
        let trace = read("0 3,1;2,,4");
        assert_eq!(trace.experts_per_token(), 1.0); // 2 + 1 + 1 + 0 + 1 of five tokens
        // three sequences of two tokens, one token into them; the third replays the first again
        let input = RouterInput::new(Tensor::zeros([6, 1], &Device::flex()));
        let assignments = trace.assign(&input.groups(3).start(1));
        assert_eq!(assignments.tokens(), [0, 1, 1, 3, 4, 5, 5]);
        assert_eq!(assignments.experts(), [1, 0, 3, 4, 1, 0, 3]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text| match Trace::read_layers(text) {
            Ok(traces) => traces[0].validate(4).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error("0,1,x").contains("\"x\" is not the number"));
        assert!(error("0;1,4").contains("token 1 of sequence 1 has expert 4"));
        assert!(error("2 1 2").contains("named twice"));
        assert_eq!(Trace::read_layers(" "), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn text_holds_all_of_a_trace(
            layers in prop::collection::vec(
                prop::collection::vec(
                    prop::collection::vec(prop::collection::vec(0u32..9, 0..4), 2..5), 1..4),
                1..4),
        ) {
            let traces: Vec<Trace> =
                layers.into_iter().map(|sequences| Trace { sequences }).collect();
            let text: Vec<String> = traces.iter().map(Trace::to_string).collect();
            prop_assert_eq!(Trace::read_layers(&text.join("/")), Ok(traces));
        }
    }
}
