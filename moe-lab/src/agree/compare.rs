//! Comparison of what two engines made of the same tokens.

use super::flips::{Changed, judge, places};
use super::{Comparison, GapBin, LayerAgreement, Rounding, Seen, SeenLayer};

/// Compares an engine with the reference. In a causal model a token reads only those before it, so that fewer flips
/// follow from earlier ones.
///
/// # Panics
///
/// Panics if the two have not seen the same tokens with the same layers.
pub fn compare(
    reference: &Seen,
    seen: &Seen,
    engine: &str,
    Rounding(rounding): Rounding,
    is_causal: bool,
) -> Comparison {
    assert_eq!(
        (reference.layers.len(), reference.outputs.len()),
        (seen.layers.len(), seen.outputs.len()),
        "both engines compute the same model on the same tokens"
    );
    let mut changed = Changed::new(is_causal);
    let mut gaps = GapBin::all();
    let mut gone_t: Vec<bool> = Vec::new();
    let pairs = reference.layers.iter().zip(&seen.layers).enumerate();
    let layers = pairs.map(|(place, (own, other))| {
        let here_t = elsewhere(own, other);
        let found = layer(place, own, other, rounding, &changed, &mut gaps);
        let gone = places(own).into_iter().filter(|at| here_t[at.token]);
        gone.for_each(|at| changed.add(at));
        if gone_t.is_empty() {
            gone_t = here_t;
        } else if gone_t.len() == here_t.len() {
            gone_t = gone_t
                .iter()
                .zip(here_t)
                .map(|(any, here)| any | here)
                .collect();
        }
        found
    });
    let layers = layers.collect();
    let best = reference.best.iter().zip(&seen.best);
    let n_other = best.filter(|(own, other)| own != other).count();
    Comparison {
        engine: engine.to_owned(),
        rounding,
        layers,
        n_tokens: gone_t.len(),
        n_flipped: gone_t.iter().filter(|any| **any).count(),
        outputs: largest_difference(&reference.outputs, &seen.outputs),
        loss: mean(&seen.losses),
        reference_loss: mean(&reference.losses),
        best_differs: n_other as f64 / seen.best.len().max(1) as f64,
        text: None,
        gaps,
    }
}

/// The tokens that are not computed by the same experts, `[T]`.
fn elsewhere(own: &SeenLayer, other: &SeenLayer) -> Vec<bool> {
    assert_eq!(
        own.windows, other.windows,
        "both engines route the same tokens"
    );
    let kept = own.kept.iter().zip(&other.kept);
    kept.map(|(own, other)| own != other).collect()
}

/// Compares a layer.
fn layer(
    place: usize,
    own: &SeenLayer,
    other: &SeenLayer,
    rounding: f64,
    changed: &Changed,
    gaps: &mut [GapBin],
) -> LayerAgreement {
    let mut found = LayerAgreement::new(place, own.ranking.is_some());
    for at in places(own) {
        let t = at.token;
        // padding, or a soft plan
        if own.asked[t].is_empty() && other.asked[t].is_empty() {
            continue;
        }
        let has_flipped = own.asked[t] != other.asked[t];
        found.n_tokens += 1;
        found.flipped += usize::from(has_flipped);
        found.places += usize::from(!has_flipped && own.kept[t] != other.kept[t]);
        if let Some(judged) = judge(own, other, at, changed, rounding) {
            found.add(&judged, rounding);
            GapBin::count(gaps, &judged);
        }
    }
    found.finish()
}

fn largest_difference(own: &[f32], other: &[f32]) -> f64 {
    let largest = own.iter().fold(0f32, |max, y| max.max(y.abs()));
    let pairs = own.iter().zip(other);
    let difference = pairs.fold(0f32, |max, (l, r)| max.max((l - r).abs()));
    if difference == 0.0 {
        return 0.0;
    }
    f64::from(difference) / f64::from(largest)
}

fn mean(losses: &[f32]) -> f64 {
    let sum: f64 = losses.iter().copied().map(f64::from).sum();
    sum / losses.len().max(1) as f64
}
