//! The laws of executors: what must hold of whatever computes experts on their tokens, checked over
//! generated cases that shrink to a small counterexample.
//!
//! An executor is a function of tokens, weight stacks, the assignments' weights, a plan of rows and an
//! activation. One of your own takes one call in a test:
//!
//! ```
//! use burn::tensor::Device;
//! use moe_experts::{laws, moe_ffn};
//!
//! laws::check("my executor", moe_ffn, &Device::flex());
//! ```
//!
//! Reports, verdicts and options are those of the laws of routers, [`moe_router::laws`]. All numbers of a
//! case are representable in f32. Results may differ by 1e-5 of the largest number (of 0.1 if all are
//! smaller), by 1e-10 of it where the executor works in f64.

mod case;
mod checks;
mod formula;
mod law;
mod outcome;
mod problem;
mod subject;

pub use case::{ExecutorCase, Pattern};
pub use law::{EXECUTOR_LAWS, ExecutorLaw};
pub use moe_router::laws::{Options, Report, Verdict};
pub use subject::{ExecutorSubject, check, check_executor, executors};
