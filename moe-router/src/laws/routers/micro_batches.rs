use super::advance::{advanced, one_sided, same_routing};
use crate::laws::host::Table;
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};
use crate::{Load, RouterInput};

pub(super) const LAW: Law = Law {
    name: "micro-batches",
    sentence: "a step split into micro-batches, or twice as large, advances the state alike",
    check,
    if_never: "",
};

const STEPS: usize = 100;

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let x_td = case.distinct(&subject.device);
    let ids = case.ids(case.n_tokens(), 0);
    let route =
        |router: &dyn crate::laws::Specimen| Table::read(&router.route(case.input(x_td.clone())));
    let before = route(&*router)?;
    let moves = !same_routing(
        &before,
        &route(&*advanced(&*router, &one_sided(case), 300))?,
    );
    applies(moves, "advancing changes no routing")?;

    let whole = router.route(case.input(x_td.clone())).load();
    let size = case.group_size;
    let split = (0..case.n_groups).fold(Load::default(), |sum, group| {
        let x_md = x_td.clone().narrow(0, group * size, size);
        let ids = ids[group * size..(group + 1) * size].into();
        sum.merge(&router.route(RouterInput::new(x_md).token_ids(ids)).load())
    });
    let twice = whole.clone().merge(&whole);
    let expected = route(&*advanced(&*router, &whole, STEPS))?;
    for (name, load) in [("split into sequences", split), ("twice as large", twice)] {
        let found = route(&*advanced(&*router, &load, STEPS))?;
        ensure(same_routing(&expected, &found), || {
            format!("the step {name} leaves another state: load {load:?} against {whole:?}")
        })?;
    }
    Ok(())
}
