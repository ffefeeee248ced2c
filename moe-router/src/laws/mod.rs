//! The laws as a test kit: what must hold of every router and of every balance loss, checked over
//! generated cases that shrink to a small counterexample.
//!
//! A router of your own takes one call in a test:
//!
//! ```
//! use burn::tensor::Device;
//! use moe_router::{Preset, laws};
//! use moe_router::zoo::{MixtralRouterConfig};
//!
//! laws::check(
//!     |shape, device| MixtralRouterConfig { top_k: 1 }.init(shape, device),
//!     &Device::flex(),
//! );
//! ```
//!
//! The kit knows a router by its behaviour: it chooses tokens, routes them and reads the
//! [`Routing`](crate::Routing). Where scores must be steered (ties, relabelled experts, finite
//! differences) it edits all parameters alike, without knowing their names.
//!
//! A law is checked on each case by itself and passes, fails with a message, or does not apply for a
//! stated reason. It passes for a router if it applied to some case and failed on none.

mod case;
mod host;
mod law;
mod losses;
mod report;
mod routers;
mod runner;
mod specimen;
mod subject;

pub use case::{Case, Tokens};
pub use law::{Held, Law, Stop};
pub use losses::{LOSS_LAWS, LossLaw, LossSubject, check_loss, loss_subjects};
pub use report::{Finding, Report, Verdict};
pub use routers::LAWS;
pub use runner::{Options, check_all, check_cases, check_law};
pub use specimen::{ParamGradient, Specimen};
pub use subject::Subject;

use crate::{Preset, Router, RouterShape};
use burn::tensor::Device;

/// Checks all laws on a router of the reader's own.
///
/// # Panics
///
/// Panics with a report if a law fails.
pub fn check<R: Router + 'static>(init: impl Fn(&RouterShape, &Device) -> R, device: &Device) {
    let name = std::any::type_name::<R>();
    let name = name.rsplit("::").next().unwrap_or(name);
    check_all(&Subject::new(name, init, device), &Options::default()).assert_passed();
}

/// Checks all laws on a preset, over the values of `top_k`, `n_groups` and `topk_groups` if it has them.
///
/// # Panics
///
/// Panics with a report if a law fails.
pub fn check_preset<C: Preset>(name: &str, device: &Device)
where
    C::Router: 'static,
{
    check_all(&Subject::preset::<C>(name, device), &Options::default()).assert_passed();
}
