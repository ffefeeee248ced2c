//! The operations against the reference, outputs and gradients.

use std::sync::Arc;

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use proptest::prelude::*;

use super::*;

/// A small problem: every value a pure function of its place, so that a failure can be replayed.
#[derive(Clone, Debug)]
struct Case {
    n_tokens: usize,
    n_experts: usize,
    d_model: usize,
    d_expert: usize,
    activation: Activation,
    /// Token, expert, kept.
    assignments: Vec<(u32, u32, bool)>,
}

/// Values in (-1, 1) from a multiplicative hash of their index.
fn values(n: usize, salt: u32) -> Vec<f32> {
    let hash = |i: u32| (i + salt).wrapping_mul(2_654_435_761) >> 8;
    (0..n as u32)
        .map(|i| hash(i) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

fn tensor<const D: usize>(shape: [usize; D], salt: u32, place: &Place) -> Tensor<D> {
    let data = TensorData::new(values(shape.iter().product(), salt), shape);
    Tensor::from_data(
        data.convert_dtype(place.dtype),
        (&place.device, place.dtype),
    )
}

/// Device and precision of a case. The native path takes f32 alone, so f64 runs the composition of
/// primitives.
struct Place {
    device: Device,
    dtype: DType,
}

impl Case {
    fn plan(&self) -> Arc<RowPlan> {
        let tokens: Vec<u32> = self.assignments.iter().map(|a| a.0).collect();
        let experts: Vec<u32> = self.assignments.iter().map(|a| a.1).collect();
        let kept: Vec<bool> = self.assignments.iter().map(|a| a.2).collect();
        Arc::new(RowPlan::new(
            &tokens,
            &experts,
            &kept,
            self.n_tokens,
            self.n_experts,
        ))
    }

    fn weights(&self, place: &Place) -> ExpertWeights {
        let [e, d, f] = [self.n_experts, self.d_model, self.d_expert];
        let gate = || tensor([e, d, f], 10, place);
        ExpertWeights {
            gate: self.activation.is_gated().then(gate),
            up: tensor([e, d, f], 20, place),
            down: tensor([e, f, d], 30, place),
            biases: None,
        }
    }

    /// Output, then the gradients of x, gates, up, down and, if any, gate.
    fn run(
        &self,
        dtype: DType,
        op: impl Fn(Tensor<2>, ExpertWeights, Tensor<1>) -> Tensor<2>,
    ) -> Vec<TensorData> {
        let device = Device::flex().autodiff();
        let place = &Place { device, dtype };
        let x = tensor([self.n_tokens, self.d_model], 1, place).require_grad();
        let gates = tensor([self.assignments.len()], 2, place).require_grad();
        let weights = tracked(self.weights(place));
        let y = op(x.clone(), weights.clone(), gates.clone());
        let target = tensor([self.n_tokens, self.d_model], 3, place);
        let grads = loss(&y, target, &x).backward();
        let mut results = vec![
            y.into_data(),
            gradient(&x, &grads),
            gradient(&gates, &grads),
            gradient(&weights.up, &grads),
            gradient(&weights.down, &grads),
        ];
        results.extend(weights.gate.map(|gate| gradient(&gate, &grads)));
        results
    }

    /// Native and composed path against the reference.
    fn check(&self) {
        let plan = self.plan();
        let fast = |x, w, g| moe_ffn(x, w, g, plan.clone(), self.activation);
        let slow = |x, w, g| reference::moe_ffn(x, w, g, &plan, self.activation);
        agree(
            &self.run(DType::F32, fast),
            &self.run(DType::F32, slow),
            1e-5,
        );
        agree(
            &self.run(DType::F64, fast),
            &self.run(DType::F64, slow),
            1e-13,
        );
    }

    fn check_product(&self) {
        let plan = self.plan();
        let fast = |x, w| grouped_matmul(x, w, plan.ends());
        let slow = |x, w| reference::grouped_matmul(x, w, plan.ends());
        agree(
            &self.run_product(DType::F32, fast),
            &self.run_product(DType::F32, slow),
            1e-5,
        );
        agree(
            &self.run_product(DType::F64, fast),
            &self.run_product(DType::F64, slow),
            1e-13,
        );
    }

    /// Stacks in bf16 are their numbers, up to the rounding of rows; and they have gradients.
    fn check_bf16(&self) {
        let plan = self.plan();
        let place = &Place {
            device: Device::flex(),
            dtype: DType::F32,
        };
        let halved = cast(self.weights(place), DType::BF16);
        let wide = cast(halved.clone(), DType::F32);
        let x = tensor([self.n_tokens, self.d_model], 1, place);
        let gates = tensor([self.assignments.len()], 2, place);
        let ffn = |x: Tensor<2>, weights, gates| {
            moe_ffn(x, weights, gates, plan.clone(), self.activation)
        };
        let actual = ffn(x.clone(), halved.clone(), gates.clone());
        let expected = ffn(x, wide.clone(), gates);
        agree(&[actual.into_data()], &[expected.into_data()], 2e-2);

        let rows = tensor([plan.n_rows(), self.d_model], 1, place);
        let actual = grouped_matmul(rows.clone(), halved.up, plan.ends());
        let expected = grouped_matmul(rows, wide.up, plan.ends());
        agree(&[actual.into_data()], &[expected.into_data()], 2e-2);

        // differentiated, the stacks are widened: the same numbers, and gradients rounded to bf16
        let of = |dtype| {
            self.run(DType::F32, |x, w, g| {
                ffn(x, cast(cast(w, DType::BF16), dtype), g)
            })
        };
        agree(&of(DType::BF16), &of(DType::F32), 1e-6);
    }

    /// Product of rows and up projections, then its gradients.
    fn run_product(
        &self,
        dtype: DType,
        op: impl Fn(Tensor<2>, Tensor<3>) -> Tensor<2>,
    ) -> Vec<TensorData> {
        let device = Device::flex().autodiff();
        let place = &Place { device, dtype };
        let n_rows = self.plan().n_rows();
        let x = tensor([n_rows, self.d_model], 1, place).require_grad();
        let w = self.weights(place).up.require_grad();
        let y = op(x.clone(), w.clone());
        let target = tensor([n_rows, self.d_expert], 3, place);
        let grads = loss(&y, target, &x).backward();
        vec![y.into_data(), gradient(&x, &grads), gradient(&w, &grads)]
    }
}

fn tracked(weights: ExpertWeights) -> ExpertWeights {
    ExpertWeights {
        gate: weights.gate.map(Tensor::require_grad),
        up: weights.up.require_grad(),
        down: weights.down.require_grad(),
        biases: None,
    }
}

fn cast(weights: ExpertWeights, dtype: DType) -> ExpertWeights {
    ExpertWeights {
        gate: weights.gate.map(|gate| gate.cast(dtype)),
        up: weights.up.cast(dtype),
        down: weights.down.cast(dtype),
        biases: None,
    }
}

/// A loss with the gradient `target`, which depends on `x` even where `y` does not.
fn loss(y: &Tensor<2>, target: Tensor<2>, x: &Tensor<2>) -> Tensor<1> {
    (y.clone() * target).sum() + x.clone().sum() * 0.0
}

/// Equal up to a fraction of the largest expected value.
fn agree(actual: &[TensorData], expected: &[TensorData], tolerance: f64) {
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert_eq!(actual.shape(), expected.shape());
        let scale = expected
            .iter::<f64>()
            .fold(1.0, |max: f64, e| max.max(e.abs()));
        for (a, e) in actual.iter::<f64>().zip(expected.iter::<f64>()) {
            assert!(
                (a - e).abs() <= tolerance * scale,
                "result {i}: {a} and {e}"
            );
        }
    }
}

/// The gradient, or zeros where nothing depended on the tensor.
fn gradient<const D: usize>(x: &Tensor<D>, grads: &Gradients) -> TensorData {
    let grad = x.grad(grads);
    grad.unwrap_or_else(|| x.clone().inner().zeros_like())
        .into_data()
}

/// Every token to `k` experts, picked by a hash.
fn spread(n_tokens: usize, n_experts: usize, k: usize) -> Vec<(u32, u32, bool)> {
    let expert = |t: usize, i: usize| (t * 7 + i * (1 + n_experts / k) + t / 3) % n_experts;
    (0..n_tokens)
        .flat_map(|t| (0..k).map(move |i| (t as u32, expert(t, i) as u32, true)))
        .collect()
}

fn case(n_tokens: usize, n_experts: usize, assignments: Vec<(u32, u32, bool)>) -> Case {
    Case {
        n_tokens,
        n_experts,
        d_model: 5,
        d_expert: 7,
        activation: Activation::SwiGlu,
        assignments,
    }
}

const ACTIVATIONS: [Activation; 4] = [
    Activation::SwiGlu,
    Activation::Gelu,
    Activation::Relu,
    Activation::Silu,
];

#[test]
fn hand_computed() {
    // One token x = 2, two experts with up 3 and 5, down 10 and 100, ReLU, gates 0.5 and 0.25:
    // 0.5 * 10 * relu(6) + 0.25 * 100 * relu(10) = 30 + 250 = 280.
    let device = Device::flex();
    let weights = ExpertWeights {
        gate: None,
        up: Tensor::from_data([[[3.0]], [[5.0]]], &device),
        down: Tensor::from_data([[[10.0]], [[100.0]]], &device),
        biases: None,
    };
    let plan = Arc::new(RowPlan::new(&[0, 0], &[0, 1], &[true, true], 1, 2));
    let x = Tensor::from_data([[2.0]], &device);
    let gates = Tensor::from_data([0.5, 0.25], &device);
    let y = moe_ffn(x, weights, gates, plan, Activation::Relu);
    assert_eq!(y.into_scalar::<f32>(), 280.0);
}

#[test]
fn edges() {
    for activation in ACTIVATIONS {
        for assignments in [
            vec![],
            vec![(0, 0, true)],
            vec![(0, 1, false), (1, 1, false)],
            vec![
                (0, 1, true),
                (0, 2, true),
                (0, 1, true),
                (2, 2, true),
                (1, 0, false),
            ],
            spread(3, 4, 4),
            (0..3).map(|t| (t, 2, true)).collect(),
        ] {
            let case = Case {
                activation,
                ..case(3, 4, assignments)
            };
            case.check();
            case.check_product();
            case.check_bf16();
        }
    }
    case(1, 2, vec![(0, 1, true)]).check();
    case(0, 2, vec![]).check();
}

#[test]
fn larger_than_every_tile() {
    // More rows than a tile, more rows of a matrix than a piece, and few rows for the third expert.
    let mut assignments = vec![(0, 2, true); 5];
    assignments.extend((0..1100).map(|t| (t, u32::from(t % 8 == 0), t % 5 != 0)));
    let case = Case {
        d_model: 261,
        d_expert: 19,
        ..case(1100, 4, assignments)
    };
    case.check();
    case.check_product();
    case.check_bf16();
    Case {
        d_model: 19,
        d_expert: 261,
        ..case
    }
    .check();
}

#[test]
fn same_bits_for_any_number_of_threads() {
    for (n_tokens, d_model) in [(700, 33), (3, 300)] {
        let case = Case {
            d_model,
            d_expert: 17,
            ..case(n_tokens, 3, spread(n_tokens, 3, 2))
        };
        let plan = case.plan();
        let run = || {
            case.run(DType::F32, |x, w, g| {
                moe_ffn(x, w, g, plan.clone(), case.activation)
            })
        };
        let with_threads = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
            pool.expect("threads can be spawned").install(run)
        };
        let one = with_threads(1);
        assert_eq!(one, with_threads(3));
        assert_eq!(one, with_threads(8));
    }
}

#[test]
fn without_tracking_the_same_output() {
    let case = case(6, 4, spread(6, 4, 2));
    let place = &Place {
        device: Device::flex(),
        dtype: DType::F32,
    };
    let x = || tensor([6, 5], 1, place);
    let gates = || tensor([12], 2, place);
    let weights = case.weights(place);
    let fast = moe_ffn(x(), weights.clone(), gates(), case.plan(), case.activation);
    let slow = reference::moe_ffn(x(), weights, gates(), &case.plan(), case.activation);
    agree(&[fast.into_data()], &[slow.into_data()], 1e-5);
}

#[test]
fn strided_inputs() {
    let place = &Place {
        device: Device::flex(),
        dtype: DType::F32,
    };
    let x = tensor([5, 6], 1, place).transpose();
    let w = tensor([4, 7, 5], 2, place)
        .swap_dims(1, 2)
        .slice_dim(0, 1..4);
    let fast = grouped_matmul(x.clone(), w.clone(), [2, 2, 6]);
    let slow = reference::grouped_matmul(x, w, &[2, 2, 6]);
    agree(&[fast.into_data()], &[slow.into_data()], 1e-5);
}

#[test]
#[should_panic(expected = "must rise to the number of rows")]
fn ends_must_reach_the_rows() {
    let place = &Place {
        device: Device::flex(),
        dtype: DType::F32,
    };
    grouped_matmul(
        tensor([3, 2], 1, place),
        tensor([2, 2, 2], 2, place),
        [1, 2],
    );
}

#[test]
#[should_panic(expected = "a gate stack goes with a gated activation")]
fn gate_stack_must_match_the_activation() {
    let case = case(3, 4, vec![]);
    let place = &Place {
        device: Device::flex(),
        dtype: DType::F32,
    };
    let [x, gates] = [tensor([3, 5], 1, place), tensor([0, 1], 2, place)];
    moe_ffn(
        x,
        case.weights(place),
        gates.flatten(0, 1),
        case.plan(),
        Activation::Relu,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn equals_the_reference(
        n_tokens in 0usize..9,
        n_experts in 1usize..6,
        d_model in 1usize..20,
        d_expert in 1usize..20,
        activation in prop::sample::select(&ACTIVATIONS[..]),
        picks in prop::collection::vec((any::<u32>(), any::<u32>(), prop::bool::weighted(0.8)), 0..30),
    ) {
        let picks = if n_tokens == 0 { vec![] } else { picks };
        let assignments = picks
            .into_iter()
            .map(|(t, e, kept)| (t % n_tokens as u32, e % n_experts as u32, kept))
            .collect();
        let case = Case { n_tokens, n_experts, d_model, d_expert, activation, assignments };
        case.check();
        case.check_product();
        case.check_bf16();
    }
}
