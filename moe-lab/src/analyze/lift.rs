//! Tokens that an expert takes more often than chance.

use serde::Serialize;

/// Tokens that an expert took less often than this are not listed.
pub const LEAST_COUNT: f64 = 5.0;
/// At most so many tokens of an expert are listed.
pub const MOST_TOKENS: usize = 12;

/// A token that an expert takes beyond its base rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenLift {
    /// The vocabulary id.
    pub id: u32,
    /// The token for display on one line.
    pub text: String,
    /// The number of times that the expert computed it.
    pub count: f64,
    /// Its share of what the expert computed, over its share of all tokens.
    pub lift: f64,
}

/// The tokens with the largest `count * log2(lift)` of those that an expert takes beyond their base rate:
/// so neither a rare token of large lift comes first nor a frequent one of small lift.
///
/// # Shapes
///
/// - counts_v: `[V]`, how often the expert computed each token
/// - base_v: `[V]`, how often each token came
pub(crate) fn top_tokens(
    counts_v: &[f64],
    base_v: &[f64],
    text: impl Fn(u32) -> String,
) -> Vec<TokenLift> {
    let (computed, came): (f64, f64) = (counts_v.iter().sum(), base_v.iter().sum());
    let mut lifted: Vec<(f64, TokenLift)> = Vec::new();
    for (id, (&count, &base)) in counts_v.iter().zip(base_v).enumerate() {
        let lift = count / computed / (base / came);
        if count >= LEAST_COUNT && lift > 1.0 {
            let token = TokenLift {
                id: id as u32,
                text: String::new(),
                count,
                lift,
            };
            lifted.push((count * lift.log2(), token));
        }
    }
    lifted.sort_by(|a, b| b.0.total_cmp(&a.0));
    lifted.truncate(MOST_TOKENS);
    let named = |(_, token): (f64, TokenLift)| TokenLift {
        text: text(token.id),
        ..token
    };
    lifted.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lift_is_share_over_base_rate() {
        // the expert computed 8, 10, 2, 0 of 10, 20, 2, 68 tokens: shares 0.4, 0.5, 0.1, 0 over
        // 0.1, 0.2, 0.02, 0.68 are lifts 4, 2.5, 5 (of only two) and 0
        let counts = [8.0, 10.0, 2.0, 0.0];
        let base = [10.0, 20.0, 2.0, 68.0];
        let tokens = top_tokens(&counts, &base, |id| format!("t{id}"));
        // 8 log2 4 = 16, 10 log2 2.5 = 13.2
        let found: Vec<(&str, f64, f64)> = tokens
            .iter()
            .map(|token| (token.text.as_str(), token.count, token.lift))
            .collect();
        assert_eq!(found, [("t0", 8.0, 4.0), ("t1", 10.0, 2.5)]);
    }

    #[test]
    fn an_expert_without_tokens_lists_none() {
        assert!(top_tokens(&[0.0; 3], &[1.0; 3], |_| String::new()).is_empty());
    }
}
