//! Counts of a layer over a stream of tokens.

use super::frequency::frequency_correlation;
use super::layer::LayerCounts;
use super::lift::top_tokens;
use super::token_class::TokenClasses;
use super::visits::{Visit, visits};
use super::{Domains, Information, LayerAnalysis, LayerInformation, TokenLift};
use moe_router::metrics::LabelCounts;
use moe_router::{Plan, Routing};
use serde::Serialize;

/// Counts of a layer's experts, of text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextLayer {
    /// Loads, domains and companions.
    #[serde(flatten)]
    pub layer: LayerAnalysis,
    /// The tokens that each expert takes most beyond their base rate, `[E]`.
    pub tokens: Vec<Vec<TokenLift>>,
    /// The classes of the tokens of each expert.
    pub classes: Domains,
    /// The information on the class and on the domain of tokens.
    pub information: LayerInformation,
    /// Spearman's correlation of the frequency of a kind of token with its mean number of experts, over the kinds that come
    /// at least [`LEAST_OF_KIND`](super::LEAST_OF_KIND) times. None if all have the same number, and of a soft plan.
    pub frequency: Option<f64>,
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
pub(super) struct StreamCounts<'a> {
    n_domains: usize,
    classes: &'a TokenClasses,
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
    /// Assignments by class and domain, `[E][C * D]`.
    joint: LabelCounts,
    /// The experts with a network, which come first; 0 of a soft plan.
    n_counted: usize,
}

impl<'a> StreamCounts<'a> {
    pub(super) fn new(classes: &'a TokenClasses, n_domains: usize) -> Self {
        Self {
            n_domains,
            classes,
            base_v: vec![0.0; classes.of_v.len()],
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
            self.layers = routings.iter().map(|like| self.new_layer(like)).collect();
        }
        for (counts, routing) in self.layers.iter_mut().zip(routings) {
            let visits = visits(routing);
            counts.layer.add(routing, &visits, &text.domains_t);
            counts.add(&visits, text, self.classes, self.n_domains);
        }
    }

    /// Counts nothing yet of a layer that routes so.
    fn new_layer(&self, like: &Routing) -> TokenCounts {
        let n_experts = like.n_experts();
        TokenCounts {
            layer: LayerCounts::like(like, self.n_domains),
            tokens: vec![vec![0.0; self.base_v.len()]; n_experts],
            joint: LabelCounts::new(n_experts, self.classes.names.len() * self.n_domains),
            n_counted: match like.plan {
                Plan::Sparse(_) => like.n_computed_experts(),
                Plan::Soft(_) => 0,
            },
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
        let (base_v, n_domains) = (&self.base_v, self.n_domains);
        let layers = self.layers.into_iter().enumerate();
        layers
            .map(|(place, counts)| counts.finish(name(place), base_v, n_domains, &text))
            .collect()
    }
}

impl TokenCounts {
    fn add(&mut self, visits: &[Visit], text: &Labelled, classes: &TokenClasses, n_domains: usize) {
        for visit in visits {
            let Some(domain) = text.domains_t[visit.token] else {
                continue;
            };
            let id = text.ids_t[visit.token] as usize;
            self.tokens[visit.expert][id] += visit.mass;
            self.joint.counts[visit.expert][classes.of_v[id] * n_domains + domain] += visit.mass;
        }
    }

    fn finish(
        self,
        name: String,
        base_v: &[f64],
        n_domains: usize,
        text: impl Fn(u32) -> String,
    ) -> TextLayer {
        let chance = self.layer.chance();
        let classes = Domains::of(&over_domains(&self.joint, n_domains), &chance);
        let layer = self.layer.finish(name);
        let both = Information::of(&self.joint, &chance);
        let [class, domain] = [classes.information, layer.domains.information];
        let counted = &self.tokens[..self.n_counted];
        let computed = |id: usize| counted.iter().map(|counts_v| counts_v[id]).sum();
        let computed_v: Vec<f64> = (0..base_v.len()).map(computed).collect();
        let tokens = self.tokens.iter();
        TextLayer {
            tokens: tokens
                .map(|counts_v| top_tokens(counts_v, base_v, &text))
                .collect(),
            information: LayerInformation {
                token_class: class,
                domain,
                class_within_domain: both.within(domain),
                domain_within_class: both.within(class),
            },
            frequency: frequency_correlation(base_v, &computed_v),
            classes,
            layer,
        }
    }
}

/// Counts by class and domain as counts by class, `[E][C]`.
fn over_domains(joint: &LabelCounts, n_domains: usize) -> LabelCounts {
    let of_expert = |row: &Vec<f64>| row.chunks(n_domains).map(|row| row.iter().sum()).collect();
    LabelCounts {
        counts: joint.counts.iter().map(of_expert).collect(),
    }
}
