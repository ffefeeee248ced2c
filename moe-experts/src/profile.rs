//! The time of a training step by its parts.
//!
//! A step is cut at the tensors that pass from one part to the next, and [`between`] marks such a tensor. On the way
//! forward the time since the mark before belongs to the part that made it; on the way back, when its gradient comes,
//! to the part that had taken it. What has no tensor to mark calls [`lap`]. So the parts are the whole step: no time
//! is counted twice or left out between the first mark and the last.
//!
//! Outside of [`record`] a mark is the tensor itself, and nothing is added to its graph. On a device that queues its
//! work every mark waits for it, which a step that is not recorded does not.

use crate::grouped::is_listed;
use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{
    Autodiff, Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor,
};
use burn::tensor::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A part of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Drawing the batch.
    Data,
    /// Embedding of tokens or patches.
    Embedding,
    /// Norms, and the sums of the residual stream.
    Norms,
    /// Attention with its projections.
    Attention,
    /// Routers.
    Router,
    /// Experts, shared and dense ones too.
    Experts,
    /// The output head and the cross entropy.
    Head,
    /// Balance losses, and the numbers that are read for the log.
    Metrics,
    /// Collecting and adding up gradients.
    Gradients,
    /// Clipping.
    Clipping,
    /// The optimizer.
    Optimizer,
}

/// A direction through the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// From the batch to the loss, and what follows the gradients.
    Forward,
    /// From the loss to the gradients.
    Backward,
}

/// Time that a part took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time {
    /// By the clock on the wall.
    pub wall: Duration,
    /// Of all processors together.
    pub processors: Duration,
}

/// The times of parts.
pub type Times = BTreeMap<(Part, Pass), Time>;

impl Time {
    fn plus(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            processors: self.processors + other.processors,
        }
    }
}

struct Recording {
    times: Times,
    /// Time before an operation that is counted by itself: it belongs to the next mark.
    pending: Time,
    wall: Instant,
    processors: Duration,
    clock: fn() -> Duration,
}

impl Recording {
    fn since_last(&mut self) -> Time {
        let (wall, processors) = (Instant::now(), (self.clock)());
        let time = Time {
            wall: wall - self.wall,
            processors: processors.saturating_sub(self.processors),
        };
        (self.wall, self.processors) = (wall, processors);
        time
    }

    fn count(&mut self, part: Part, pass: Pass, time: Time) {
        let sum = self.times.entry((part, pass)).or_default();
        *sum = sum.plus(time);
    }
}

thread_local! {
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Runs `body`, and returns the times of its parts up to the last mark. `processors` tells the time that the processors
/// have worked for this process so far. A recording within another takes its place until it ends.
pub fn record<T>(processors: fn() -> Duration, body: impl FnOnce() -> T) -> (T, Times) {
    let recording = Recording {
        times: Times::new(),
        pending: Time::default(),
        wall: Instant::now(),
        processors: processors(),
        clock: processors,
    };
    let before = RECORDING.replace(Some(recording));
    let result = body();
    let recording = RECORDING.replace(before);
    (result, recording.map_or_else(Times::new, |r| r.times))
}

/// Counts the time since the last mark for a part.
pub fn lap(part: Part, pass: Pass) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            let time = recording.since_last().plus(recording.pending);
            recording.pending = Time::default();
            recording.count(part, pass, time);
        }
    });
}

/// Marks a tensor that passes from one part to the next. It is the tensor itself outside of a recording.
pub fn between<const D: usize>(from: Part, to: Part, x: Tensor<D>) -> Tensor<D> {
    if !is_recording() || !is_listed(&x) {
        return x;
    }
    Tensor::from_dispatch(<Dispatch as ProfileBackend>::mark(
        x.into_dispatch(),
        from,
        to,
    ))
}

/// Runs an operation that is counted for its part wherever in the backward pass it comes.
pub(crate) fn apart<T>(part: Part, pass: Pass, operation: impl FnOnce() -> T) -> T {
    if !is_recording() {
        return operation();
    }
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            recording.pending = recording.since_last().plus(recording.pending);
        }
    });
    let result = operation();
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            let time = recording.since_last();
            recording.count(part, pass, time);
        }
    });
    result
}

fn is_recording() -> bool {
    RECORDING.with_borrow(Option::is_some)
}

/// A backend whose tensors can be marked.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(feature = "cube"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Autodiff
)]
pub trait ProfileBackend: Backend {
    /// See [`between`].
    fn mark(x: FloatTensor<Self>, from: Part, _to: Part) -> FloatTensor<Self> {
        finish::<Self>(&x, from, Pass::Forward);
        x
    }
}

/// Waits for a device that queues its work, and ends a part.
fn finish<B: Backend>(x: &FloatTensor<B>, part: Part, pass: Pass) {
    if let Err(error) = B::sync(&x.device()) {
        panic!("the device cannot be waited for: {error:?}");
    }
    lap(part, pass);
}

#[cfg(feature = "flex")]
impl ProfileBackend for burn::backend::Flex {}
#[cfg(feature = "cube")]
impl ProfileBackend for burn::backend::Cube {}
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
impl ProfileBackend for burn::backend::NdArray {}
#[cfg(feature = "tch")]
#[allow(deprecated)]
impl ProfileBackend for burn::backend::LibTorch {}

impl<B: Backend, C: CheckpointStrategy> ProfileBackend for Autodiff<B, C> {
    fn mark(x: FloatTensor<Self>, from: Part, to: Part) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        finish::<B>(&x, from, Pass::Forward);
        match Mark.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(to, x),
            OpsKind::UnTracked(prep) => prep.finish(x),
        }
    }
}

#[derive(Debug)]
struct Mark;

impl<B: Backend> Backward<B, 1> for Mark {
    type State = Part;

    fn backward(self, ops: Ops<Part, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        finish::<B>(&gradient, ops.state, Pass::Backward);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MoeLayer, MoeLayerConfig};
    use burn::tensor::{Device, Distribution};
    use moe_router::RouterConfig;

    fn no_processors() -> Duration {
        Duration::ZERO
    }

    /// The layer's output and the gradients of all that it learns from, as bits.
    fn learned(layer: &MoeLayer, x: &Tensor<3>) -> Vec<f32> {
        let x = Tensor::from_inner(x.clone()).require_grad();
        let output = layer.forward(x.clone()).output;
        let gradients = output.clone().square().sum().backward();
        lap(Part::Embedding, Pass::Backward);
        let of_x = x.grad(&gradients).expect("x is tracked");
        let of_up = layer.experts.up.val().grad(&gradients).expect("weights");
        [
            moe_router::to_vec(output.detach()),
            moe_router::to_vec(of_x),
            moe_router::to_vec(of_up),
        ]
        .concat()
    }

    #[test]
    fn marks_change_no_bit_and_their_times_are_the_whole() {
        let x = Tensor::random([2, 8, 16], Distribution::Default, &Device::flex());
        let layer = MoeLayerConfig::new(16, 4, 24)
            .with_n_shared_experts(1)
            .with_router(RouterConfig::mixtral(2))
            .init(&Device::flex().autodiff());
        let plain = learned(&layer, &x);
        let start = Instant::now();
        let (recorded, times) = record(no_processors, || learned(&layer, &x));
        let whole = start.elapsed();
        assert_eq!(plain, recorded);
        use Pass::{Backward, Forward};
        let parts: Vec<(Part, Pass)> = times.keys().copied().collect();
        for part in [
            (Part::Router, Forward),
            (Part::Router, Backward),
            (Part::Experts, Forward),
            (Part::Experts, Backward),
        ] {
            assert!(parts.contains(&part), "{parts:?}");
        }
        let sum: Duration = times.values().map(|time| time.wall).sum();
        // what follows the last mark is not counted
        assert!(sum <= whole && !sum.is_zero(), "{sum:?} of {whole:?}");
    }

    #[test]
    fn an_operation_apart_takes_nothing_from_what_is_around_it() {
        let pause = || std::thread::sleep(Duration::from_millis(20));
        let ((), times) = record(no_processors, || {
            pause();
            apart(Part::Experts, Pass::Backward, || ());
            pause();
            lap(Part::Router, Pass::Backward);
        });
        let of = |part| times[&(part, Pass::Backward)].wall.as_millis();
        assert!(
            of(Part::Router) >= 40 && of(Part::Experts) < 20,
            "{times:?}"
        );
    }

    #[test]
    fn nothing_is_recorded_outside() {
        lap(Part::Data, Pass::Forward);
        let ((), times) = record(no_processors, || ());
        assert!(times.is_empty());
    }
}
