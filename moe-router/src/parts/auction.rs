//! Balanced linear assignment by an auction (Bertsekas 1979; for equal objects Bertsekas and Castanon
//! 1989).

/// The expert of each token in a balanced assignment. Every expert gets `M / E` of the `M` tokens, rounded
/// down or up. The sum of the scores is within `(M + E) * epsilon` of the largest that is possible.
///
/// Tokens bid for places at experts, one after the other. A token values an expert at its score less the
/// price of the expert's cheapest place. It takes that place of its best expert, and raises its price until
/// its second best would do as well, plus `epsilon`. The token that held the place bids again. If `E` does
/// not divide `M`, each expert has one more place than `M / E`, and blank bidders without a preference take
/// those that stay free.
///
/// # Shapes
///
/// - scores_me: `[M, E]`, row by row; what is not finite counts as the least that is
/// - output: `[M]`
///
/// # Panics
///
/// Panics if `epsilon` is not above zero, or if the rows are not whole.
pub fn balanced_assignment(scores_me: &[f32], n_experts: usize, epsilon: f64) -> Vec<u32> {
    assert!(epsilon > 0.0, "an auction without increments need not end");
    assert!(
        scores_me.len().is_multiple_of(n_experts.max(1)),
        "{} scores are not {n_experts} a token",
        scores_me.len()
    );
    let mut auction = Auction::new(scores_me, n_experts, epsilon);
    auction.run();
    auction.expert_of_token()
}

/// Places of one kind at an expert: what each costs and who holds it.
struct Stall {
    prices: Vec<f64>,
    holders: Vec<Option<usize>>,
    cheapest: usize,
}

struct Auction {
    scores_me: Vec<f64>,
    n_tokens: usize,
    n_experts: usize,
    epsilon: f64,
    /// Stalls of the experts: for each its `M / E` places; then, if `E` does not divide `M`, for each one
    /// more.
    stalls: Vec<Stall>,
    /// The first of the stalls that blank bidders may use.
    first_optional: usize,
    n_bidders: usize,
}

/// The best stall for a bidder, and by how much it is better than the second best.
struct Bid {
    stall: usize,
    margin: f64,
}

impl Stall {
    fn new(n_places: usize) -> Self {
        Self {
            prices: vec![0.0; n_places],
            holders: vec![None; n_places],
            cheapest: 0,
        }
    }

    fn price(&self) -> f64 {
        self.prices[self.cheapest]
    }

    /// Sells the cheapest place for `raise` more than its price; returns who held it.
    fn sell(&mut self, bidder: usize, raise: f64) -> Option<usize> {
        self.prices[self.cheapest] += raise;
        let old = self.holders[self.cheapest].replace(bidder);
        let places = 0..self.prices.len();
        // `min_by` returns the first of equal prices, so the auction is the same in every run
        self.cheapest = places
            .min_by(|&a, &b| self.prices[a].total_cmp(&self.prices[b]))
            .unwrap_or(0);
        old
    }
}

impl Auction {
    fn new(scores_me: &[f32], n_experts: usize, epsilon: f64) -> Self {
        let n_tokens = scores_me.len() / n_experts.max(1);
        let (each, more) = (n_tokens / n_experts.max(1), n_tokens % n_experts.max(1));
        let mut places = Vec::new();
        if each > 0 {
            places.resize(n_experts, each);
        }
        let first_optional = places.len();
        if more > 0 {
            places.resize(places.len() + n_experts, 1);
        }
        let least = scores_me
            .iter()
            .copied()
            .filter(|s| s.is_finite())
            .reduce(f32::min)
            .unwrap_or(0.0);
        Self {
            scores_me: scores_me
                .iter()
                .map(|&s| f64::from(if s.is_finite() { s } else { least }))
                .collect(),
            n_tokens,
            n_experts,
            epsilon,
            n_bidders: places.iter().sum(),
            stalls: places.into_iter().map(Stall::new).collect(),
            first_optional,
        }
    }

    /// Lets those without a place bid until nobody is.
    fn run(&mut self) {
        // popped from the end: bidders without a place bid in the order of tokens, blank ones last
        let mut waiting: Vec<usize> = (0..self.n_bidders).rev().collect();
        while let Some(bidder) = waiting.pop() {
            let bid = if bidder < self.n_tokens {
                let row_e = &self.scores_me[bidder * self.n_experts..][..self.n_experts];
                // an expert's second stall is valued as its first
                best(&self.stalls, row_e.iter().chain(row_e))
            } else {
                let bid = best(&self.stalls[self.first_optional..], std::iter::repeat(&0.0));
                Bid {
                    stall: bid.stall + self.first_optional,
                    ..bid
                }
            };
            let raise = bid.margin + self.epsilon;
            waiting.extend(self.stalls[bid.stall].sell(bidder, raise));
        }
    }

    fn expert_of_token(&self) -> Vec<u32> {
        let mut expert_m = vec![0; self.n_tokens];
        for (s, stall) in self.stalls.iter().enumerate() {
            for &holder in stall.holders.iter().flatten() {
                // holders beyond the tokens are blank bidders
                if let Some(expert) = expert_m.get_mut(holder) {
                    *expert = (s % self.n_experts) as u32;
                }
            }
        }
        expert_m
    }
}

/// The stall of largest value less price; of equals the first.
fn best<'a>(stalls: &[Stall], values: impl Iterator<Item = &'a f64>) -> Bid {
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let mut stall = 0;
    for (s, (candidate, value)) in stalls.iter().zip(values).enumerate() {
        let worth = value - candidate.price();
        if worth > first {
            second = first;
            first = worth;
            stall = s;
        } else if worth > second {
            second = worth;
        }
    }
    // one stall alone has no second best, and its price rises by epsilon
    let margin = if second.is_finite() {
        first - second
    } else {
        0.0
    };
    Bid { stall, margin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(expert_m: &[u32], n_experts: usize) -> Vec<usize> {
        let mut counts = vec![0; n_experts];
        expert_m.iter().for_each(|&e| counts[e as usize] += 1);
        counts
    }

    fn total(scores: &[f32], n_experts: usize, expert_m: &[u32]) -> f32 {
        let of = |(m, &e): (usize, &u32)| scores[m * n_experts + e as usize];
        expert_m.iter().enumerate().map(of).sum()
    }

    /// The largest total over all ways to fill the experts evenly.
    fn brute_force(scores: &[f32], n_experts: usize) -> f32 {
        let n_tokens = scores.len() / n_experts;
        let mut best = f32::NEG_INFINITY;
        for code in 0..n_experts.pow(n_tokens as u32) {
            let expert_m: Vec<u32> = (0..n_tokens as u32)
                .map(|m| (code / n_experts.pow(m) % n_experts) as u32)
                .collect();
            let n = counts(&expert_m, n_experts);
            let (low, high) = (n_tokens / n_experts, n_tokens.div_ceil(n_experts));
            if n.iter().all(|&n| n == low || n == high) {
                best = best.max(total(scores, n_experts, &expert_m));
            }
        }
        best
    }

    #[test]
    fn the_sum_counts_and_not_the_first_come() {
        // both prefer expert 0, which the second token would miss more: 0.8 + 0.9 beats 0.9 + 0.1
        let scores = [0.9, 0.8, 0.9, 0.1];
        assert_eq!(balanced_assignment(&scores, 2, 1e-3), [1, 0]);
    }

    #[test]
    fn what_is_not_a_number_still_finds_a_place() {
        let scores = [f32::NAN, f32::NAN, 0.5, 0.1];
        assert_eq!(balanced_assignment(&scores, 2, 1e-3), [1, 0]);
        assert_eq!(
            counts(&balanced_assignment(&[f32::NAN; 8], 2, 1e-3), 2),
            [2, 2]
        );
    }

    #[test]
    fn no_tokens_and_one_expert() {
        assert!(balanced_assignment(&[], 4, 1e-3).is_empty());
        assert_eq!(balanced_assignment(&[0.3, 0.1], 1, 1e-3), [0, 0]);
    }

    #[test]
    #[should_panic(expected = "3 scores are not 2 a token")]
    fn a_row_that_is_not_whole_panics() {
        let _ = balanced_assignment(&[0.0; 3], 2, 1e-3);
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            n_experts in 2usize..4,
            n_tokens in 1usize..8,
            scores in prop::collection::vec((-6i8..7).prop_map(f32::from), 21),
        ) {
            let scores = &scores[..n_tokens * n_experts];
            // whole scores, so a total within (7 + 3) * 0.05 < 1 of the largest is the largest
            let expert_m = balanced_assignment(scores, n_experts, 0.05);
            prop_assert_eq!(total(scores, n_experts, &expert_m), brute_force(scores, n_experts));
        }

        #[test]
        fn every_expert_gets_its_share(
            n_experts in 1usize..9,
            scores in prop::collection::vec(-1.0f32..1.0, 1..200),
        ) {
            let n_tokens = scores.len() / n_experts;
            let expert_m = balanced_assignment(&scores[..n_tokens * n_experts], n_experts, 0.01);
            prop_assert_eq!(expert_m.len(), n_tokens);
            for n in counts(&expert_m, n_experts) {
                prop_assert!(n == n_tokens / n_experts || n == n_tokens.div_ceil(n_experts));
            }
        }
    }
}
