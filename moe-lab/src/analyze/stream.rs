//! Counts of a layer over a stream of tokens.

use super::LayerAnalysis;
use super::TokenLift;
use super::layer::LayerCounts;
use super::lift::top_tokens;
use super::visits::{Visit, visits};
use moe_router::Routing;
use serde::Serialize;

/// Counts of a layer's experts, of text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextLayer {
    /// Loads, domains and companions.
    #[serde(flatten)]
    pub layer: LayerAnalysis,
    /// The tokens that each expert takes most beyond their base rate, `[E]`.
    pub tokens: Vec<Vec<TokenLift>>,
}

/// Tokens as an analysis reads them, `T` in all.
#[derive(Debug, Default)]
pub(super) struct Labelled {
    /// The vocabulary id of each token, `[T]`.
    pub(super) ids_t: Vec<u32>,
    /// The domain of each token, `[T]`; none of one that does not count.
    pub(super) domains_t: Vec<Option<usize>>,
}

/// Counts of all layers that read the same tokens.
#[derive(Debug)]
pub(super) struct StreamCounts {
    n_domains: usize,
    /// The number of times that each token came, `[V]`.
    base_v: Vec<f64>,
    layers: Vec<TokenCounts>,
}

/// Counts of a layer.
#[derive(Debug)]
struct TokenCounts {
    layer: LayerCounts,
    /// `[E][V]`.
    tokens: Vec<Vec<f64>>,
}

impl StreamCounts {
    pub(super) fn new(vocab_size: usize, n_domains: usize) -> Self {
        Self {
            n_domains,
            base_v: vec![0.0; vocab_size],
            layers: Vec::new(),
        }
    }

    /// Adds a batch with the routing of each layer.
    pub(super) fn add(&mut self, routings: &[Routing], text: &Labelled) {
        let counted = text.ids_t.iter().zip(&text.domains_t);
        for (&id, _) in counted.filter(|(_, domain)| domain.is_some()) {
            self.base_v[id as usize] += 1.0;
        }
        if self.layers.is_empty() {
            let counts = |routing| TokenCounts {
                layer: LayerCounts::like(routing, self.n_domains),
                tokens: vec![vec![0.0; self.base_v.len()]; routing.n_experts()],
            };
            self.layers = routings.iter().map(counts).collect();
        }
        for (counts, routing) in self.layers.iter_mut().zip(routings) {
            let visits = visits(routing);
            counts.layer.add(routing, &visits, &text.domains_t);
            counts.add(&visits, text);
        }
    }

    /// The tokens that were counted.
    pub(super) fn n_tokens(&self) -> f64 {
        self.base_v.iter().sum()
    }

    /// Returns what was counted, with a name for each layer's place and each token.
    pub(super) fn finish(
        self,
        name: impl Fn(usize) -> String,
        text: impl Fn(u32) -> String,
    ) -> Vec<TextLayer> {
        let finish = |(place, counts): (usize, TokenCounts)| TextLayer {
            layer: counts.layer.finish(name(place)),
            tokens: counts
                .tokens
                .iter()
                .map(|counts_v| top_tokens(counts_v, &self.base_v, &text))
                .collect(),
        };
        self.layers.into_iter().enumerate().map(finish).collect()
    }
}

impl TokenCounts {
    fn add(&mut self, visits: &[Visit], text: &Labelled) {
        let counted = |visit: &&Visit| text.domains_t[visit.token].is_some();
        for visit in visits.iter().filter(counted) {
            let id = text.ids_t[visit.token] as usize;
            self.tokens[visit.expert][id] += visit.mass;
        }
    }
}
