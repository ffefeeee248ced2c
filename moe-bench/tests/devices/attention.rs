//! Attention on every backend against the equations on the CPU: causal attention, with and without gradients, rotary
//! positions, and the two layers in their ways of computing.

use crate::{devices, difference, tensor};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};
use moe_attention::{
    CausalOptions, GroupedQueryAttentionConfig, MultiHeadLatentAttentionConfig,
    RotaryEmbeddingConfig, causal_attention,
};

/// A case of causal attention.
#[derive(Debug, Clone, Copy)]
struct Case {
    heads: usize,
    kv_heads: usize,
    length: usize,
    /// Keys before the first query.
    cached: usize,
    width: usize,
    value_width: usize,
    scale: f64,
    window: Option<usize>,
    is_padded: bool,
}

const SQUARE: Case = Case {
    heads: 4,
    kv_heads: 4,
    length: 33,
    cached: 0,
    width: 16,
    value_width: 16,
    scale: 0.25,
    window: None,
    is_padded: false,
};

/// Cases for which a backend's own attention may take another way, one at a time.
fn cases() -> Vec<Case> {
    vec![
        SQUARE,
        Case {
            scale: 0.7,
            ..SQUARE
        },
        Case {
            kv_heads: 2,
            ..SQUARE
        },
        Case {
            cached: 9,
            ..SQUARE
        },
        Case {
            window: Some(5),
            ..SQUARE
        },
        Case {
            is_padded: true,
            ..SQUARE
        },
        Case {
            value_width: 8,
            ..SQUARE
        },
        Case {
            length: 1,
            cached: 40,
            ..SQUARE
        },
        Case {
            width: 20,
            value_width: 12,
            kv_heads: 1,
            length: 70,
            scale: 0.3,
            ..SQUARE
        },
    ]
}

/// The keys that padding hides of the second sequence of two.
fn padding(case: &Case, device: &Device) -> Option<Tensor<2, Bool>> {
    let keys = case.cached + case.length;
    let hidden = (0..2 * keys).map(|i| i >= keys && (i - keys) % 7 == 3 && i > keys + 3);
    let mask = TensorData::new(hidden.collect::<Vec<bool>>(), [2, keys]);
    case.is_padded.then(|| Tensor::from_data(mask, device))
}

fn operands(case: &Case, device: &Device) -> [Tensor<4>; 3] {
    let keys = case.cached + case.length;
    [
        tensor([2, case.heads, case.length, case.width], 1, device),
        tensor([2, case.kv_heads, keys, case.width], 2, device),
        tensor([2, case.kv_heads, keys, case.value_width], 3, device),
    ]
}

/// `softmax(scale q k^T) v` over the keys that a query may see, as it is written.
fn equation(case: &Case, [q, k, v]: [Tensor<4>; 3]) -> Tensor<4> {
    let device = q.device();
    let keys = case.cached + case.length;
    let repeated = |x: Tensor<4>| {
        let [batch, heads, keys, width] = x.dims();
        let group = case.heads / heads;
        let x = x.unsqueeze_dim::<5>(2).repeat_dim(2, group);
        x.reshape([batch, heads * group, keys, width])
    };
    let window = case.window.unwrap_or(keys);
    let pairs = (0..case.length).flat_map(|i| (0..keys).map(move |t| (case.cached + i, t)));
    let hidden: Vec<bool> = pairs.map(|(p, t)| t > p || t + window <= p).collect();
    let hidden = TensorData::new(hidden, [1, 1, case.length, keys]);
    let shape = [2, case.heads, case.length, keys];
    let hidden = Tensor::<4, Bool>::from_data(hidden, &device).expand(shape);
    let hidden = match padding(case, &device) {
        Some(padded) => hidden.bool_or(padded.reshape([2, 1, 1, keys]).expand(shape)),
        None => hidden,
    };
    let scores = q.matmul(repeated(k).swap_dims(2, 3)) * case.scale;
    softmax(scores.mask_fill(hidden, -1e30), 3).matmul(repeated(v))
}

fn attention(case: &Case, [q, k, v]: [Tensor<4>; 3]) -> Tensor<4> {
    let mask = padding(case, &q.device());
    let options = CausalOptions::new(case.scale);
    causal_attention(q, k, v, options.window(case.window).mask_pad(mask))
}

/// The output and the gradients of the operands.
fn differentiated(
    case: &Case,
    device: &Device,
    attend: impl Fn(&Case, [Tensor<4>; 3]) -> Tensor<4>,
) -> Vec<TensorData> {
    let leaves = operands(case, &device.clone().autodiff()).map(Tensor::require_grad);
    let out = attend(case, leaves.clone());
    let target = tensor(out.dims(), 4, &out.device());
    let gradients = (out.clone() * target).sum().backward();
    let of = |leaf: Tensor<4>| leaf.grad(&gradients).expect("a gradient").into_data();
    let mut found = vec![out.into_data()];
    found.extend(leaves.map(of));
    found
}

#[test]
fn every_backend_attends_as_the_equation_says() {
    for case in cases() {
        let expected = differentiated(&case, &Device::flex(), equation);
        for (name, device) in devices() {
            let untracked = attention(&case, operands(&case, &device)).into_data();
            let worst = difference(&untracked, &expected[0]);
            assert!(worst < 1e-4, "{name} {case:?}, without gradients: {worst}");
            let found = differentiated(&case, &device, attention);
            for (found, expected) in found.iter().zip(&expected) {
                let worst = difference(found, expected);
                assert!(worst < 1e-4, "{name} {case:?}: {worst}");
            }
        }
    }
}

#[test]
fn every_backend_turns_heads_by_their_positions() {
    let config = RotaryEmbeddingConfig::new(16);
    let of = |device: &Device| {
        let x = tensor([2, 3, 21, 16], 5, device).require_grad();
        let y = config.init(device).forward(x.clone(), 4);
        let gradients = (y.clone() * tensor([2, 3, 21, 16], 6, device))
            .sum()
            .backward();
        let of_x = x.grad(&gradients).expect("a gradient");
        [y.into_data(), of_x.into_data()]
    };
    let expected = of(&Device::flex().autodiff());
    for (name, device) in devices() {
        for (found, expected) in of(&device.autodiff()).iter().zip(&expected) {
            let worst = difference(found, expected);
            assert!(worst < 1e-5, "{name}: {worst}");
        }
    }
}

#[test]
fn layers_are_the_same_on_every_backend() {
    let x = |device: &Device| tensor([2, 19, 32], 7, device);
    let grouped = GroupedQueryAttentionConfig::new(32, 4, 2);
    let latent = MultiHeadLatentAttentionConfig::new(32, 4, 16, 8, 4, 8);
    let host = Device::flex();
    let (grouped_here, latent_here) = (grouped.init(&host), latent.init(&host));
    let expected = [
        grouped_here.forward(x(&host)).into_data(),
        latent_here.forward(x(&host)).into_data(),
    ];
    for (name, device) in devices() {
        let grouped = grouped
            .init(&device)
            .load_record(grouped_here.clone().into_record());
        let latent = latent
            .init(&device)
            .load_record(latent_here.clone().into_record());
        let found = [
            grouped.forward(x(&device)).into_data(),
            latent.forward(x(&device)).into_data(),
        ];
        for (found, expected) in found.iter().zip(&expected) {
            let worst = difference(found, expected);
            assert!(worst < 1e-4, "{name}: {worst}");
        }
    }
}
