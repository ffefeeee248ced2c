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
    let mut flipped: Vec<bool> = Vec::new();
    let pairs = reference.layers.iter().zip(&seen.layers).enumerate();
    let layers = pairs.map(|(place, (own, other))| {
        let elsewhere = elsewhere(own, other);
        if flipped.is_empty() {
            flipped.clone_from(&elsewhere);
        } else if flipped.len() == elsewhere.len() {
            flipped
                .iter_mut()
                .zip(elsewhere)
                .for_each(|(any, here)| *any |= here);
        }
        layer(place, own, other, rounding, &mut changed, &mut gaps)
    });
    let layers = layers.collect();
    let differing = reference
        .best
        .iter()
        .zip(&seen.best)
        .filter(|(l, r)| l != r);
    Comparison {
        engine: engine.to_owned(),
        rounding,
        layers,
        n_tokens: flipped.len(),
        n_flipped: flipped.iter().filter(|any| **any).count(),
        outputs: largest_difference(&reference.outputs, &seen.outputs),
        loss: mean(&seen.losses),
        reference_loss: mean(&reference.losses),
        best_differs: differing.count() as f64 / seen.best.len().max(1) as f64,
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
    own.kept
        .iter()
        .zip(&other.kept)
        .map(|(l, r)| l != r)
        .collect()
}

/// Compares a layer, and adds the tokens that go elsewhere to what later layers read.
fn layer(
    place: usize,
    own: &SeenLayer,
    other: &SeenLayer,
    rounding: f64,
    changed: &mut Changed,
    gaps: &mut [GapBin],
) -> LayerAgreement {
    let mut found = LayerAgreement::new(place, own.ranking.is_some());
    let mut gone = Vec::new();
    for at in places(own) {
        let t = at.token;
        if own.kept[t] != other.kept[t] {
            gone.push(at);
        }
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
    gone.into_iter().for_each(|at| changed.add(at));
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
