//! Executors under examination.

use super::outcome::Outcome;
use super::problem::{Place, Problem};
use super::{EXECUTOR_LAWS, ExecutorCase};
use crate::{Activation, ExpertWeights, RowPlan, moe_ffn, reference};
use burn::tensor::activation::{gelu_approximate, silu};
use burn::tensor::{DType, Device, Tensor, TensorData};
use moe_router::laws::{Finding, Options, Report, check_cases};
use std::f64::consts::PI;
use std::sync::Arc;

/// Tokens, stacks, the assignments' weights, rows and activation to the output of
/// [`moe_ffn`](crate::moe_ffn), in its shapes.
pub(super) type Executor<'a> =
    dyn Fn(Tensor<2>, ExpertWeights, Tensor<1>, Arc<RowPlan>, Activation) -> Tensor<2> + 'a;

/// An executor under examination.
pub struct ExecutorSubject<'a> {
    /// The name that reports print.
    pub name: String,
    /// Device that it runs on.
    pub device: Device,
    /// Precision that it runs in. Default: f32
    pub dtype: DType,
    /// Precision of the expected numbers there.
    exact: DType,
    run: Box<Executor<'a>>,
}

impl std::fmt::Debug for ExecutorSubject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExecutorSubject({})", self.name)
    }
}

impl<'a> ExecutorSubject<'a> {
    /// An executor: a function with the shapes of [`moe_ffn`](crate::moe_ffn), in f32.
    pub fn new(
        name: &str,
        run: impl Fn(Tensor<2>, ExpertWeights, Tensor<1>, Arc<RowPlan>, Activation) -> Tensor<2> + 'a,
        device: &Device,
    ) -> Self {
        Self {
            name: name.to_owned(),
            device: device.clone(),
            dtype: DType::F32,
            exact: if computes_in_f64(device) {
                DType::F64
            } else {
                DType::F32
            },
            run: Box::new(run),
        }
    }

    /// The same in another precision.
    pub fn with_dtype(mut self, dtype: DType) -> Self {
        self.dtype = dtype;
        self
    }

    pub(super) fn measure(&self, problem: &Problem) -> Outcome {
        let place = Place {
            device: self.device.clone(),
            dtype: self.dtype,
        };
        problem.measure(&*self.run, &place)
    }

    /// Device and precision of the expected numbers: f64 if the device computes in it.
    pub(super) fn exact_place(&self) -> Place {
        Place {
            device: self.device.clone(),
            dtype: self.exact,
        }
    }

    /// The part of the largest number by which results may differ.
    pub(super) fn tolerance(&self) -> f64 {
        match self.dtype {
            DType::F64 => 1e-10,
            _ => 1e-5,
        }
    }
}

/// The executors of this crate: the fused operation in f32, the composition of primitives that it is in f64
/// if the device computes in that, and the slow loop.
pub fn executors(device: &Device) -> Vec<ExecutorSubject<'static>> {
    let slow = |x, stacks, weights, plan: Arc<RowPlan>, activation| {
        reference::moe_ffn(x, stacks, weights, &plan, activation)
    };
    let grouped = ExecutorSubject::new("grouped f32", moe_ffn, device);
    let in_f64 = grouped.exact == DType::F64;
    let mut subjects = vec![grouped];
    if in_f64 {
        let subject = ExecutorSubject::new("grouped f64", moe_ffn, device);
        subjects.push(subject.with_dtype(DType::F64));
    }
    subjects.push(ExecutorSubject::new("reference f32", slow, device));
    subjects
}

/// Returns `true` if f64 is f64 on a device: some hold such numbers and compute functions in f32, or worse.
fn computes_in_f64(device: &Device) -> bool {
    const X: f64 = 0.9;
    if !device.supports_dtype(DType::F64) {
        return false;
    }
    let bent = (2.0 / PI).sqrt() * (X + 0.044715 * X.powi(3));
    let exact = [X / (1.0 + (-X).exp()), X * (1.0 + bent.tanh()) / 2.0];
    [silu, gelu_approximate]
        .into_iter()
        .zip(exact)
        .all(|(function, exact)| {
            let x = Tensor::<1>::from_data(TensorData::from([X]), (device, DType::F64));
            (function(x).into_scalar::<f64>() - exact).abs() < 1e-12
        })
}

/// Checks all laws of executors on an executor.
pub fn check_executor(subject: &ExecutorSubject<'_>, options: &Options) -> Report {
    let findings = EXECUTOR_LAWS.iter().map(|law| Finding {
        law: law.name,
        sentence: law.sentence,
        verdict: check_cases(&ExecutorCase::strategy(), options, |case| {
            (law.check)(subject, case)
        }),
    });
    Report {
        subject: subject.name.clone(),
        device: format!("{:?}", subject.device),
        seed: options.seed,
        findings: findings.collect(),
    }
}

/// Checks all laws on an executor of the reader's own, in f32.
///
/// # Panics
///
/// Panics with a report if a law fails.
pub fn check(
    name: &str,
    run: impl Fn(Tensor<2>, ExpertWeights, Tensor<1>, Arc<RowPlan>, Activation) -> Tensor<2>,
    device: &Device,
) {
    check_executor(
        &ExecutorSubject::new(name, run, device),
        &Options::default(),
    )
    .assert_passed();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flex_computes_in_f64_and_is_checked_in_it() {
        let device = Device::flex();
        assert!(computes_in_f64(&device));
        let names: Vec<String> = executors(&device).into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["grouped f32", "grouped f64", "reference f32"]);
    }
}
