//! Kernels of the pure-Rust CPU backend: tiled causal attention (FlashAttention, Dao et al.,
//! arXiv 2205.14135, algorithms 1 and 4) and rotation, in f32.
//!
//! Tensors are read and written in whatever order their heads lie, so that splitting and joining
//! heads copies nothing. Work is cut into tasks by the shapes alone and no two tasks write to the
//! same place: results do not depend on the number of threads.

mod backward;
mod few;
mod forward;
#[allow(unsafe_code)]
mod kernel;
mod lanes;
mod rotate;
mod rows;

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use crate::backend::{
    AttentionBackend, AttentionInputs, AttentionKernel, AttentionKernels, RotationKernel,
    composed_product,
};
use crate::causal::composed_attention;
use crate::rope::composed_rotation;

impl AttentionKernels for Flex {
    fn attention_kernel(x: &FloatTensor<Self>) -> Option<AttentionKernel<Self>> {
        let kernel = AttentionKernel {
            forward: forward::attend,
            backward: backward::gradients,
        };
        (x.dtype() == DType::F32).then_some(kernel)
    }

    fn rotation_kernel(x: &FloatTensor<Self>) -> Option<RotationKernel<Self>> {
        (x.dtype() == DType::F32).then_some(rotate::rotate)
    }
}

impl AttentionBackend for Flex {
    fn causal_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        scale: f64,
        window: Option<usize>,
    ) -> FloatTensor<Self> {
        let inputs = AttentionInputs {
            q,
            k,
            v,
            scale,
            window,
        };
        match Self::attention_kernel(&inputs.q) {
            Some(kernel) => (kernel.forward)(&inputs).out,
            None => composed_attention::<Self>(inputs),
        }
    }

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        match Self::rotation_kernel(&x) {
            Some(kernel) => kernel(x, cos, sin),
            None => composed_rotation::<Self>(x, cos, sin),
        }
    }

    fn few_rows_product(x: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self> {
        let reads = matches!(w.dtype(), DType::F32 | DType::BF16) && w.is_contiguous();
        if x.dtype() == DType::F32 && reads {
            few::few_rows_product(x, w)
        } else {
            composed_product::<Self>(x, w)
        }
    }
}

/// Multiply-adds below which one thread is faster than several.
const PARALLEL_WORK: usize = 1 << 18;

/// Runs tasks that amount to `work` multiply-adds, each with a scratch that its thread reuses. A
/// single task stays on this thread: handing it over costs more than a small one takes.
fn run_all<Scratch: Default, Task: Send>(
    tasks: Vec<Task>,
    work: usize,
    run: impl Fn(&mut Scratch, Task) + Send + Sync,
) {
    if work < PARALLEL_WORK || tasks.len() == 1 {
        let mut scratch = Scratch::default();
        tasks.into_iter().for_each(|task| run(&mut scratch, task));
    } else {
        tasks.into_par_iter().for_each_init(Scratch::default, run);
    }
}
