//! The native path on Burn's CPU backend: its tensors' memory goes to the kernels as slices.

mod backward;
mod curve;
mod few_rows;
mod forward;
mod grouped_product;
mod in_blocks;
#[allow(unsafe_code)] // the one module that has it
mod kernel;
mod tile;
mod weight;

use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, Shape, bf16};
use burn_flex::{FlexTensor, Layout};
use moe_quant::{Format, Q4Tile, Q8Tile};

use self::forward::{Ffn, PreActivations};
use self::grouped_product::Product;
use self::weight::Weight;
use super::blocks::Blocks;
use super::kernels::{FfnInputs, FfnKept, FfnTracked, MoeKernels};
use super::portable;
use crate::{Activation, RowPlan};

impl MoeKernels for Flex {
    fn blocks(ends: &[u32], _: &Self::Device) -> Blocks {
        Blocks::by_expert(ends)
    }

    fn product(x: FlexTensor, w: FlexTensor, ends: &[u32]) -> FlexTensor {
        let shape = [x.shape()[0], w.shape()[2]];
        let [x, w] = [x.to_contiguous(), laid_out(&w)];
        let y = match Held::of(&[&x], &w) {
            Some(Held::F32) => product::<f32>(&x, &w, ends).forward(),
            Some(Held::Bf16) => product::<bf16>(&x, &w, ends).forward(),
            Some(Held::Blocks(Format::Q8)) => product::<Q8Tile>(&x, &w, ends).forward(),
            Some(Held::Blocks(Format::Q4)) => product::<Q4Tile>(&x, &w, ends).forward(),
            None => return portable::product::<Self>(x, w, &Blocks::by_expert(ends)),
        };
        tensor(y, shape)
    }

    fn product_backward(
        x: FlexTensor,
        w: FlexTensor,
        ends: &[u32],
        d_y: FlexTensor,
    ) -> [FlexTensor; 2] {
        if !all_f32(&[&x, &w, &d_y]) {
            return portable::product_backward::<Self>(x, w, &Blocks::by_expert(ends), d_y);
        }
        let [x, w, d_y] = [x.to_contiguous(), w.to_contiguous(), d_y.to_contiguous()];
        let product = product::<f32>(&x, &w, ends);
        [
            tensor(product.d_x(d_y.storage()), x.shape()),
            tensor(product.d_w(d_y.storage()), w.shape()),
        ]
    }

    fn ffn(inputs: FfnInputs<FlexTensor>, plan: &RowPlan, activation: Activation) -> FlexTensor {
        let held = Held::of(&[&inputs.x, &inputs.gates], &inputs.up);
        let Some((held, inputs)) = held.zip(contiguous(&inputs, inputs.up.dtype())) else {
            // types that the kernels do not read
            let places = Self::places(plan, &inputs.x);
            return portable::ffn::<Self>(inputs, &places, activation).out;
        };
        let out = match held {
            Held::F32 => ffn::<f32>(&inputs, plan, activation).forward(),
            Held::Bf16 => ffn::<bf16>(&inputs, plan, activation).forward(),
            Held::Blocks(Format::Q8) => ffn::<Q8Tile>(&inputs, plan, activation).forward(),
            Held::Blocks(Format::Q4) => ffn::<Q4Tile>(&inputs, plan, activation).forward(),
        };
        tensor(out, inputs.x.shape())
    }

    fn ffn_tracked(
        inputs: FfnInputs<FlexTensor>,
        plan: &RowPlan,
        activation: Activation,
    ) -> FfnTracked<FlexTensor> {
        let Some(inputs) = contiguous(&inputs, DType::F32) else {
            let places = Self::places(plan, &inputs.x);
            return portable::ffn::<Self>(inputs, &places, activation);
        };
        let mut pre = PreActivations::default();
        let out = ffn::<f32>(&inputs, plan, activation).forward_keeping(&mut pre);
        let shape = [plan.n_rows(), inputs.up.shape()[2]];
        FfnTracked {
            out: tensor(out, inputs.x.shape()),
            kept: FfnKept {
                gate: inputs.gate.is_some().then(|| tensor(pre.gate, shape)),
                up: tensor(pre.up, shape),
            },
        }
    }

    fn ffn_backward(
        inputs: FfnInputs<FlexTensor>,
        mut kept: FfnKept<FlexTensor>,
        plan: &RowPlan,
        activation: Activation,
        d_out: FlexTensor,
    ) -> FfnInputs<FlexTensor> {
        let Some(inputs) = contiguous(&inputs, DType::F32).filter(|_| all_f32(&[&d_out])) else {
            let places = Self::places(plan, &inputs.x);
            return portable::ffn_backward::<Self>(inputs, kept, &places, activation, d_out);
        };
        let d_out = d_out.to_contiguous();
        // in place: the pre-activations become their own gradients
        let pre_gate = kept.gate.as_mut().map(|t| t.storage_mut::<f32>());
        let grads = ffn::<f32>(&inputs, plan, activation).backward(
            pre_gate.unwrap_or_default(),
            kept.up.storage_mut(),
            d_out.storage(),
        );
        FfnInputs {
            x: tensor(grads.x, inputs.x.shape()),
            gate: inputs.gate.map(|w| tensor(grads.gate, w.shape())),
            up: tensor(grads.up, inputs.up.shape()),
            down: tensor(grads.down, inputs.down.shape()),
            gates: tensor(grads.gates, inputs.gates.shape()),
        }
    }
}

/// The type that weights beside rows in f32 are held in.
enum Held {
    F32,
    Bf16,
    Blocks(Format),
}

impl Held {
    /// That of `weights`; none if the kernels do not read it, or not all rows are in f32.
    fn of(rows: &[&FlexTensor], weights: &FlexTensor) -> Option<Self> {
        match weights.dtype() {
            _ if !all_f32(rows) => None,
            DType::F32 => Some(Self::F32),
            DType::BF16 => Some(Self::Bf16),
            other => Format::of(other).map(Self::Blocks),
        }
    }
}

fn product<'a, W: Weight>(x: &'a FlexTensor, w: &'a FlexTensor, ends: &'a [u32]) -> Product<'a, W> {
    Product {
        x: x.storage(),
        w: W::of(w),
        ends,
        d_in: w.shape()[1],
        d_out: w.shape()[2],
    }
}

fn ffn<'a, W: Weight>(
    inputs: &'a FfnInputs<FlexTensor>,
    plan: &'a RowPlan,
    activation: Activation,
) -> Ffn<'a, W> {
    Ffn {
        x: inputs.x.storage(),
        gate: inputs.gate.as_ref().map(W::of),
        up: W::of(&inputs.up),
        down: W::of(&inputs.down),
        gates: inputs.gates.storage(),
        plan,
        activation,
        d_model: inputs.up.shape()[1],
        d_expert: inputs.up.shape()[2],
    }
}

/// The inputs as plain row-major memory, or nothing if the stacks are not of type `weights` or anything
/// else is not f32.
fn contiguous(inputs: &FfnInputs<FlexTensor>, weights: DType) -> Option<FfnInputs<FlexTensor>> {
    let FfnInputs {
        x,
        gate,
        up,
        down,
        gates,
    } = inputs;
    let mut stacks = [up, down].into_iter().chain(gate);
    let fits = all_f32(&[x, gates]) && stacks.all(|stack| stack.dtype() == weights);
    fits.then(|| FfnInputs {
        x: x.to_contiguous(),
        gate: gate.as_ref().map(laid_out),
        up: laid_out(up),
        down: laid_out(down),
        gates: gates.to_contiguous(),
    })
}

/// Plain row-major memory; blocks lie as they were made.
fn laid_out(weights: &FlexTensor) -> FlexTensor {
    match Format::of(weights.dtype()) {
        Some(_) => weights.clone(),
        None => weights.to_contiguous(),
    }
}

fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|t| t.dtype() == DType::F32)
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape.into()),
        DType::F32,
    )
}
