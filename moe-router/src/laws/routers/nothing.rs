use crate::laws::host::Table;
use crate::laws::law::ensure;
use crate::laws::{Case, Held, Law, Subject};
use burn::tensor::Tensor;

pub(super) const LAW: Law = Law {
    name: "no-tokens",
    sentence: "no tokens give an empty routing",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let x_td = Tensor::zeros([0, case.d_model], &subject.device);
    let routing = router.route(case.input(x_td));
    let dims = routing.logits.dims();
    ensure(dims[0] == 0, || {
        format!("logits of shape {dims:?} for no tokens")
    })?;
    let n = Table::read(&routing)?.entries().count();
    ensure(n == 0, || format!("{n} assignments of no tokens"))
}
