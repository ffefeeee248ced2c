//! Simulated studies without any difference: at most 5 % of them find one, whatever the design. `MOE_STUDIES` is their number.

use moe_lab::stats::{
    BootstrapConfig, CompareConfig, Comparison, Goal, Verdict, compare, compare_unpaired, holm,
    smallest_holm,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

const ALPHA: f64 = 0.05;

/// The number of studies of a design.
fn studies() -> usize {
    let given = std::env::var("MOE_STUDIES").ok();
    given.map_or(10_000, |n| n.parse().expect("MOE_STUDIES is a number"))
}

/// The largest share that is at most 5 % but for the draws: two standard errors, 0.4 points in 10,000 studies.
fn most() -> f64 {
    ALPHA + 2.0 * (ALPHA * (1.0 - ALPHA) / studies() as f64).sqrt()
}

/// The bootstrap decides nothing, and would take most of the time.
fn config(margin: Option<f64>) -> CompareConfig {
    let bootstrap = BootstrapConfig {
        resamples: 1,
        ..BootstrapConfig::default()
    };
    CompareConfig { margin, bootstrap }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

fn skewed(rng: &mut ChaCha8Rng) -> f64 {
    Exp1.sample(rng)
}

/// The verdicts of a study on all arms, corrected for their number.
fn verdicts(mut comparisons: Vec<Comparison>) -> Vec<Verdict> {
    let n_tests = comparisons.len();
    let known: Vec<f64> = comparisons.iter().filter_map(|c| c.p).collect();
    for (comparison, p) in comparisons.iter_mut().zip(holm(&known)) {
        comparison.p_holm = Some(p);
        comparison.n_tests = n_tests;
        comparison.smallest_p_holm = smallest_holm(comparison.smallest_p, n_tests);
    }
    let verdict = |c: &Comparison| c.verdict(Goal::Lower, ALPHA);
    comparisons.iter().map(verdict).collect()
}

/// The share of studies for which something holds of an arm.
fn share(study: impl FnMut(usize) -> Vec<Comparison>, holds: fn(&Verdict) -> bool) -> f64 {
    let all = (0..studies()).map(study);
    let found = all.filter(|arms| verdicts(arms.clone()).iter().any(holds));
    found.count() as f64 / studies() as f64
}

fn is_difference(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Better | Verdict::Worse)
}

fn is_equal(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Equal { .. })
}

/// A way to draw a number.
type Draw = fn(&mut ChaCha8Rng) -> f64;

#[test]
fn paired_studies_find_a_difference_in_five_percent_at_most() {
    for (n_seeds, n_arms, draw) in [
        (6, 1, normal as Draw),
        (8, 1, normal),
        (8, 3, normal),
        (7, 2, skewed),
    ] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let study = |_| {
            // seeds that are hard for all arms alike
            let seeds: Vec<f64> = (0..n_seeds).map(|_| 3.0 * draw(&mut rng)).collect();
            let mut arm =
                || -> Vec<f64> { seeds.iter().map(|hard| hard + draw(&mut rng)).collect() };
            let baseline = arm();
            (0..n_arms)
                .map(|_| compare(&baseline, &arm(), &config(None)))
                .collect()
        };
        let found = share(study, is_difference);
        assert!(found <= ALPHA, "{n_seeds} seeds, {n_arms} arms: {found}");
        assert!(found > 0.005, "{n_seeds} seeds, {n_arms} arms: {found}");
    }
}

/// The share of studies of two independent samples, of these sizes and spreads, that find a difference.
fn share_of_samples(sizes: [usize; 2], spreads: [f64; 2], draw: Draw) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let study = |_| {
        let mut arm =
            |i: usize| -> Vec<f64> { (0..sizes[i]).map(|_| spreads[i] * draw(&mut rng)).collect() };
        vec![compare_unpaired(&arm(0), &arm(1), &config(None))]
    };
    share(study, is_difference)
}

#[test]
fn independent_samples_find_a_difference_in_five_percent_at_most() {
    for (sizes, draw) in [
        ([4, 4], normal as Draw),
        ([5, 5], normal),
        ([3, 6], normal),
        ([4, 8], normal),
        ([6, 5], skewed),
    ] {
        let found = share_of_samples(sizes, [1.0, 1.0], draw);
        assert!(found <= ALPHA, "{sizes:?}: {found}");
        assert!(found > 0.005, "{sizes:?}: {found}");
    }
}

#[test]
fn samples_of_unequal_spread_find_one_in_five_percent_at_most() {
    for (sizes, spreads) in [
        ([5, 5], [1.0, 3.0]),
        ([4, 8], [3.0, 1.0]),
        ([4, 8], [1.0, 3.0]),
        ([3, 8], [4.0, 1.0]),
        ([10, 6], [1.0, 5.0]),
    ] {
        let found = share_of_samples(sizes, spreads, normal);
        println!("{sizes:?} seeds, spreads {spreads:?}: {found}");
        // of 4 and 8 the level is 5 % at the ratio of variances that is the worst, and this is near to it
        assert!(found <= most(), "{sizes:?}, {spreads:?}: {found}");
    }
}

#[test]
fn several_arms_of_either_kind_are_corrected_together() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let study = |_| {
        let mut arm = |n: usize| -> Vec<f64> { (0..n).map(|_| normal(&mut rng)).collect() };
        let baseline = arm(7);
        vec![
            compare(&baseline, &arm(7), &config(None)),
            compare_unpaired(&baseline, &arm(5), &config(None)),
        ]
    };
    let found = share(study, is_difference);
    assert!(found <= ALPHA, "{found}");
}

#[test]
fn arms_that_differ_by_the_margin_are_equal_in_five_percent_at_most() {
    let margin = 1.5;
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for is_paired in [true, false] {
        let study = |_| {
            let n = rng.random_range(5..9);
            let mut arm =
                |shift: f64| -> Vec<f64> { (0..n).map(|_| shift + normal(&mut rng)).collect() };
            let (baseline, arm) = (arm(0.0), arm(margin));
            let compare = if is_paired { compare } else { compare_unpaired };
            vec![compare(&baseline, &arm, &config(Some(margin)))]
        };
        let found = share(study, is_equal);
        assert!(found <= ALPHA, "paired {is_paired}: {found}");
    }
}
