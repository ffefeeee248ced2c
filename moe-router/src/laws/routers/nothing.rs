//! The law that no tokens give an empty routing.

use crate::laws::host::Table;
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};
use burn::tensor::{Device, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) const LAW: Law = Law {
    name: "no-tokens",
    sentence: "no tokens give an empty routing",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    applies(
        multiplies_nothing(&subject.device),
        "the device has no product of a matrix without rows",
    )?;
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

/// Returns `true` if a matrix of no rows can be multiplied on the device; a router cannot be blamed for
/// that.
fn multiplies_nothing(device: &Device) -> bool {
    let product = || {
        let none = Tensor::<2>::zeros([0, 2], device);
        none.matmul(Tensor::zeros([2, 2], device)).into_data()
    };
    catch_unwind(AssertUnwindSafe(product)).is_ok()
}
