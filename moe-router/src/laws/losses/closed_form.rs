//! The closed forms of the losses, in f64 on the host, written out from the papers.

use crate::parts::top_k;
use crate::{Plan, Routing, to_vec};

/// Properties of a loss that are known beside its code.
#[derive(Clone, Copy)]
pub struct Known {
    /// Its value by the paper's formula.
    pub closed_form: fn(&Host) -> f64,
    /// Its value when every expert has the same load and probability, if that does not depend on `E`.
    pub at_balance: Option<f64>,
    /// Effect of adding a constant to all scores of a token.
    pub shift: Shift,
}

/// Effect on a loss of adding a constant to all scores of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// Nothing: it reads probabilities.
    Invariant,
    /// It changes it: that is what the loss is for.
    Sensitive,
}

/// Properties known of the loss of this name.
pub fn known(name: &str) -> Option<Known> {
    let (closed_form, at_balance, shift): (fn(&Host) -> f64, _, _) = match name {
        "load_balance" => (load_balance, Some(1.0), Shift::Invariant),
        "z" => (z, None, Shift::Sensitive),
        "importance" => (importance, Some(0.0), Shift::Invariant),
        "load" => (load, Some(0.0), Shift::Invariant),
        "sequence" => (sequence, Some(1.0), Shift::Invariant),
        _ => return None,
    };
    Some(Known {
        closed_form,
        at_balance,
        shift,
    })
}

/// A routing in f64.
pub struct Host {
    logits_te: Vec<f64>,
    probs_te: Vec<f64>,
    /// Token, expert, weight of each assignment, dropped ones included.
    asked: Vec<(usize, usize, f64)>,
    /// The tokens of each sequence that are not padding.
    tokens_g: Vec<Vec<usize>>,
    n_experts: usize,
    top_k: usize,
}

impl Host {
    pub fn read(routing: &Routing, top_k: usize) -> Self {
        let wide = |x| -> Vec<f64> { to_vec::<2>(x).into_iter().map(f64::from).collect() };
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("the cases of losses are sparse");
        };
        let weights = to_vec(plan.weights.clone().detach());
        let assignments = &plan.assignments;
        let size = routing.n_tokens() / routing.n_groups;
        let is_padding = |t: usize| routing.padding.as_ref().is_some_and(|p| p[t]);
        let group = |g: usize| {
            (g * size..(g + 1) * size)
                .filter(|&t| !is_padding(t))
                .collect()
        };
        Self {
            logits_te: wide(routing.logits.clone().detach()),
            probs_te: wide(routing.probs().detach()),
            asked: (0..assignments.len())
                .map(|n| {
                    let (t, e) = (assignments.tokens()[n], assignments.experts()[n]);
                    (t as usize, e as usize, f64::from(weights[n]))
                })
                .collect(),
            tokens_g: (0..routing.n_groups).map(group).collect(),
            n_experts: routing.n_experts(),
            top_k,
        }
    }

    fn tokens(&self) -> impl Iterator<Item = usize> {
        self.tokens_g.iter().flatten().copied()
    }

    /// The sum of something over the assignments of each expert.
    fn by_expert(&self, amount: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_experts];
        self.asked
            .iter()
            .for_each(|&(_, e, w)| sums[e] += amount(w));
        sums
    }
}

/// Fedus et al. 2021, equations 4 to 6, shares summing to 1.
fn load_balance(host: &Host) -> f64 {
    let counts = host.by_expert(|_| 1.0);
    let n: f64 = host.tokens().count() as f64;
    let expert = |e: usize| {
        let p: f64 = host
            .tokens()
            .map(|t| host.probs_te[t * host.n_experts + e])
            .sum();
        counts[e] / host.asked.len() as f64 * p / n
    };
    host.n_experts as f64 * (0..host.n_experts).map(expert).sum::<f64>()
}

/// Zoph et al. 2022, equation 5.
fn z(host: &Host) -> f64 {
    let row = |t: usize| &host.logits_te[t * host.n_experts..(t + 1) * host.n_experts];
    let square = |t: usize| {
        let max = row(t).iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row(t).iter().map(|z| (z - max).exp()).sum();
        (max + sum.ln()).powi(2)
    };
    host.tokens().map(square).sum::<f64>() / host.tokens().count() as f64
}

/// Shazeer et al. 2017, equations 6 and 7.
fn importance(host: &Host) -> f64 {
    cv_squared(&host.by_expert(|weight| weight))
}

/// Shazeer et al. 2017, equation 11, of counts: without noise.
fn load(host: &Host) -> f64 {
    cv_squared(&host.by_expert(|_| 1.0))
}

fn cv_squared(x: &[f64]) -> f64 {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    variance / mean.powi(2)
}

/// DeepSeek-AI 2024, equations 17 to 20, averaged over sequences.
fn sequence(host: &Host) -> f64 {
    let n_experts = host.n_experts;
    let one = |tokens: &Vec<usize>| {
        let mut loss = 0.0;
        for e in 0..n_experts {
            let chosen = tokens.iter().filter(|&&t| {
                let row = &host.probs_te[t * n_experts..(t + 1) * n_experts];
                let row: Vec<f32> = row.iter().map(|&p| p as f32).collect();
                top_k(&row, host.top_k).contains(&(e as u32))
            });
            let f = n_experts as f64 / (host.top_k * tokens.len()) as f64 * chosen.count() as f64;
            let p: f64 = tokens
                .iter()
                .map(|t| host.probs_te[t * n_experts + e])
                .sum();
            loss += f * p / tokens.len() as f64;
        }
        loss
    };
    host.tokens_g.iter().map(one).sum::<f64>() / host.tokens_g.len() as f64
}
