//! The law that a step advances the state alike in one batch and in micro-batches.

use super::advance::advanced;
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Specimen, Subject};
use crate::{Load, RouterInput};

pub(super) const LAW: Law = Law {
    name: "micro-batches",
    sentence: "a step split into micro-batches, or twice as large, advances the state alike",
    check,
    if_never: "",
};

const STEPS: usize = 40;

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = || subject.build(case);
    let x_td = case.distinct(&subject.device);
    let ids = case.ids(case.n_tokens(), 0);
    let size = case.group_size;
    let whole = |router: &dyn Specimen| router.route(case.input(x_td.clone())).load();
    let twice = |router: &dyn Specimen| whole(router).merge(&whole(router));
    let split = |router: &dyn Specimen| {
        (0..case.n_groups).fold(Load::default(), |sum, group| {
            let x_md = x_td.clone().narrow(0, group * size, size);
            let ids = ids[group * size..(group + 1) * size].into();
            sum.merge(&router.route(RouterInput::new(x_md).token_ids(ids)).load())
        })
    };
    let built = router()?;
    let moved = built.advance(&whole(&*built)).state() != built.state();
    applies(moved, "nothing to advance")?;
    let expected = parameters(&*advanced(router()?, STEPS, whole));
    let found = [
        (
            "split into sequences",
            parameters(&*advanced(router()?, STEPS, split)),
        ),
        (
            "twice as large",
            parameters(&*advanced(router()?, STEPS, twice)),
        ),
    ];
    for (name, found) in found {
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * (1.0 + a.abs());
        ensure(expected.iter().zip(&found).all(close), || {
            format!("{STEPS} steps, each {name}, lead to {found:?} and not to {expected:?}")
        })?;
    }
    Ok(())
}

/// The parameters that are no matrix: where state lives.
fn parameters(router: &dyn Specimen) -> Vec<f32> {
    let mut all = Vec::new();
    router.edited(&mut |shape, values| {
        if shape.len() == 1 {
            all.extend_from_slice(values);
        }
    });
    all
}
