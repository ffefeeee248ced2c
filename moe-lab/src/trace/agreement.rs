//! Agreement of two traces: the same text through two engines or precisions, compared as [`agree`](crate::agree) compares
//! engines.

mod read;

use self::read::Read;
use super::TraceReadError;
use crate::agree::flips::{At, Changed, places};
use crate::agree::{Comparison, Rounding, Seen, compare};
use moe_checkpoint::trace::TraceReader;
use serde::Serialize;

/// Options of a comparison of two traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgreeOptions {
    /// The most tokens that are compared, the first ones.
    pub most: u64,
    /// The most by which rounding moves a token's scores, as a share of its largest.
    pub rounding: f64,
    /// The most by which a weight may differ.
    pub tolerance: f64,
    /// True if tokens read those before them alone.
    pub is_causal: bool,
    /// True if of equal scores an engine may take any, and not those of the lowest index alone.
    pub any_ties: bool,
}

/// Two traces beside one another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceAgreement {
    /// The engine of the first trace.
    pub reference: String,
    /// The tokens of each trace.
    pub n_tokens: [u64; 2],
    /// Flips by layer and cause.
    pub comparison: Comparison,
    /// The routers, a token in a layer, that were compared.
    pub n_routers: u64,
    /// Those that ask for other experts.
    pub n_routers_flipped: u64,
    /// The tokens that ask for other experts in at least one layer.
    pub n_tokens_flipped: u64,
    /// The largest difference of a weight where the experts are the same, at tokens that read nothing that went elsewhere
    /// in an earlier layer; none if a trace has no weights.
    pub weights: Option<f64>,
    /// The most by which they may differ.
    pub tolerance: f64,
}

impl TraceAgreement {
    /// Tells whether the weights of the same experts are the same, as far as both traces say them.
    pub fn weights_agree(&self) -> bool {
        self.weights.is_none_or(|largest| largest <= self.tolerance)
    }

    /// Tells whether no flip is left unexplained, and the weights agree.
    pub fn is_explained(&self) -> bool {
        self.comparison.n_unexplained() == 0 && self.weights_agree()
    }
}

/// Compares two traces of one model and one text.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or if the traces are not of the same tokens and layers.
pub fn agree(
    own: &TraceReader,
    other: &TraceReader,
    options: &AgreeOptions,
) -> Result<TraceAgreement, TraceReadError> {
    check_alike(own, other)?;
    let most = options.most.min(own.n_tokens()).min(other.n_tokens());
    let rule = own.meta().rule.or(other.meta().rule);
    let [first, second] = [own, other].map(|reader| Read::of(reader, most, rule, options.any_ties));
    let (mut first, mut second) = (first?, second?);
    check_columns(&first, &second)?;
    let windows = windows(&first, &second)?;
    check_ends(own, other, &windows)?;
    first.set_windows(&windows);
    second.set_windows(&windows);
    let rounding = Rounding(options.rounding);
    let [seen, seen_there] = [&first, &second].map(|read| &read.seen);
    let found = compare(
        seen,
        seen_there,
        &engine(other),
        rounding,
        options.is_causal,
    );
    let layers = found.layers.iter();
    let routers = layers.fold([0, 0], |[all, flipped], layer| {
        [all + layer.n_tokens as u64, flipped + layer.flipped as u64]
    });
    Ok(TraceAgreement {
        reference: engine(own),
        n_tokens: [own.n_tokens(), other.n_tokens()],
        comparison: found,
        n_routers: routers[0],
        n_routers_flipped: routers[1],
        n_tokens_flipped: n_flipped(seen, seen_there),
        weights: largest_difference(&first, &second, options.is_causal),
        tolerance: options.tolerance,
    })
}

/// The file of a trace, with the words of its engine.
fn engine(reader: &TraceReader) -> String {
    let path = reader.path().display().to_string();
    match &reader.meta().engine {
        Some(engine) => format!("{path} ({engine})"),
        None => path,
    }
}

/// Refuses traces of other models.
fn check_alike(own: &TraceReader, other: &TraceReader) -> Result<(), TraceReadError> {
    let sizes = |reader: &TraceReader| (reader.layers().len(), reader.meta().n_experts);
    let ((layers, experts), (layers_there, experts_there)) = (sizes(own), sizes(other));
    if sizes(own) != sizes(other) {
        return Err(TraceReadError::NotAlike(format!(
            "one has {layers} layers of {experts} experts, the other {layers_there} of {experts_there}"
        )));
    }
    Ok(())
}

/// Refuses traces whose tokens differ, as far as both say them.
fn check_columns(own: &Read, other: &Read) -> Result<(), TraceReadError> {
    let pairs = own.tokens.iter().zip(&other.tokens).enumerate();
    for (t, (id, there)) in pairs {
        if let (Some(id), Some(there)) = (id, there)
            && id != there
        {
            return Err(TraceReadError::NotAlike(format!(
                "token {t} is {id} in one and {there} in the other"
            )));
        }
    }
    Ok(())
}

/// The group of each token, of the trace that has groups, from 0. One of the traces may lack the last tokens, as those of
/// serving engines do, but not those of each group.
fn windows(own: &Read, other: &Read) -> Result<Vec<u32>, TraceReadError> {
    match (own.has_groups, other.has_groups) {
        (true, true) if own.groups != other.groups => Err(TraceReadError::NotAlike(
            "their tokens form other groups".to_owned(),
        )),
        (true, _) => Ok(own.groups.clone()),
        _ => Ok(other.groups.clone()),
    }
}

/// Refuses traces of different lengths whose groups one of them does not say: which tokens lack the other is not known.
fn check_ends(
    own: &TraceReader,
    other: &TraceReader,
    windows: &[u32],
) -> Result<(), TraceReadError> {
    let (n, there) = (own.n_tokens(), other.n_tokens());
    let are_told = own.has("group") && other.has("group");
    if n == there || are_told || windows.last() == Some(&0) {
        return Ok(());
    }
    Err(TraceReadError::NotAlike(format!(
        "one has {n} tokens and the other {there}, and one of them does not say which belong together"
    )))
}

/// The tokens that ask for other experts in at least one layer.
fn n_flipped(own: &Seen, other: &Seen) -> u64 {
    let n_tokens = own.layers.first().map_or(0, |layer| layer.asked.len());
    let differs = |&t: &usize| {
        let mut layers = own.layers.iter().zip(&other.layers);
        layers.any(|(own, other)| own.asked[t] != other.asked[t])
    };
    (0..n_tokens).filter(differs).count() as u64
}

/// The largest difference of a weight at tokens with the same experts that read nothing that went elsewhere in an earlier
/// layer; infinite where one alone is a number.
fn largest_difference(own: &Read, other: &Read, is_causal: bool) -> Option<f64> {
    let (weights, weights_there) = (own.weights.as_ref()?, other.weights.as_ref()?);
    let layers = own.seen.layers.iter().zip(&other.seen.layers);
    let n_layers = own.seen.layers.len();
    let mut changed = Changed::new(is_causal);
    let mut largest = 0f64;
    for (l, (layer, layer_there)) in layers.enumerate() {
        let places = places(layer);
        let untouched = places.iter().filter(|at| !changed.reaches(**at));
        let of_token = |at: &At| {
            let row = at.token * n_layers + l;
            difference(&weights[row], &weights_there[row])
        };
        largest = untouched.map(of_token).fold(largest, f64::max);
        let flipped = |at: &&At| layer.asked[at.token] != layer_there.asked[at.token];
        places
            .iter()
            .filter(flipped)
            .for_each(|at| changed.add(*at));
    }
    Some(largest)
}

/// The largest difference of a token's weights; 0 if it has other experts.
fn difference(own: &[(u32, f32)], other: &[(u32, f32)]) -> f64 {
    let experts = |of: &[(u32, f32)]| of.iter().map(|(expert, _)| *expert).collect::<Vec<_>>();
    if experts(own) != experts(other) {
        return 0.0;
    }
    let of_pair = |((_, weight), (_, there)): (&(u32, f32), &(u32, f32))| {
        let difference = f64::from((weight - there).abs());
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    own.iter().zip(other).map(of_pair).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
