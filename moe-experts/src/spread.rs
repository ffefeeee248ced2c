//! Experts that are spread over the ranks of a group: rows travel to the experts, and their outputs back.
//!
//! ```text
//! shares      which parameters are shared out, and a rank's share of them
//! operation   what Burn sees: one operation with its own backward pass
//! call        what the operation does: two exchanges forward, two backward
//! bank        the experts of this rank on the rows of one sender
//! gradients   gradients of this rank's experts, by the micro-batch that they come from
//! ```
//!
//! This is the dispatch and combine of GShard (arXiv 2006.16668, section 3.2) without padding: rows and their counts
//! travel (all-to-all with variable counts), as in Megatron-Core and torchtitan. Two things differ from both, for
//! the sake of equal bits whatever the number of ranks. The rows of each sender are computed by themselves, so every
//! product has the shape that it has in one process. And the gradients of an expert are kept by sender until all
//! micro-batches of a step are through, so that they can be added in the order of the micro-batches.
//!
//! Each rank calls the layer equally often, also with no rows: an exchange waits for all.

mod bank;
mod call;
mod gradients;
mod operation;
mod shares;
#[cfg(test)]
mod tests;

use self::bank::Bank;
use self::call::Call;
use self::gradients::Gradients;
use self::operation::SpreadBackend;
use crate::grouped::{biased, is_listed};
use crate::{Dispatch, Experts, RowPlan};
use burn::backend::Dispatch as Backends;
use burn::module::ParamId;
use burn::tensor::Tensor;
use moe_parallel::Communicator;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::shares::{is_shared_out, share};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Spread>>> = const { RefCell::new(None) };
}

/// The exchange of rows among the ranks that hold the experts of one model between them, for one optimizer step or
/// one evaluation.
#[derive(Debug)]
pub struct Spread {
    group: Arc<dyn Communicator>,
    gradients: Mutex<Gradients>,
    calls: AtomicU64,
    traffic: Mutex<Traffic>,
}

/// Bytes and time that exchanges took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    /// Bytes that this rank has sent to others.
    pub bytes: u64,
    /// Seconds in exchanges, waiting for slower ranks included.
    pub seconds: f64,
    /// Seconds of them before the last rank came to the exchange, by the hosts' clocks.
    pub waited: f64,
}

impl Spread {
    /// Spreads experts over a group, each rank of which differentiates `micro_batches` times before the gradients
    /// are [taken](Self::take_gradient).
    pub fn new(group: Arc<dyn Communicator>, micro_batches: usize) -> Arc<Self> {
        Arc::new(Self {
            gradients: Mutex::new(Gradients::new(group.size(), micro_batches)),
            group,
            calls: AtomicU64::new(0),
            traffic: Mutex::default(),
        })
    }

    /// Runs `body`, in which banks of experts that hold a share are parts of a whole that is spread so. The backward
    /// pass may follow outside of it.
    pub fn scope<T>(self: &Arc<Self>, body: impl FnOnce() -> T) -> T {
        /// Puts back what was there, also after a panic.
        struct Restore(Option<Arc<Spread>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| current.replace(self.0.take()));
            }
        }
        let before = CURRENT.with(|current| current.replace(Some(self.clone())));
        let _restore = Restore(before);
        body()
    }

    /// The gradient of a parameter that is shared out, `[n_values]`: the sum over the micro-batches of all senders.
    /// Nothing if no row has come to its experts.
    pub fn take_gradient(&self, id: ParamId) -> Option<Tensor<1>> {
        lock(&self.gradients).take(id)
    }

    /// The bytes and the time of all exchanges so far.
    pub fn traffic(&self) -> Traffic {
        *lock(&self.traffic)
    }

    /// Passes messages, in whose heads the time stands at which their sender came.
    fn exchange(&self, mut parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let came = now();
        let own = self.group.rank();
        let others = parts.iter().enumerate().filter(|(rank, _)| *rank != own);
        let bytes: usize = others.map(|(_, part)| part.len()).sum();
        for part in &mut parts {
            part[call::CAME].copy_from_slice(&came.to_le_bytes());
        }
        let received = self.group.exchange(parts);
        let came_of = |part: &Vec<u8>| {
            let stamp = part.get(call::CAME)?.try_into().ok()?;
            Some(u64::from_le_bytes(stamp))
        };
        let last = received.iter().filter_map(came_of).max().unwrap_or(came);
        let seconds = |ns: u64| ns as f64 / 1e9;
        let mut traffic = lock(&self.traffic);
        traffic.bytes += bytes as u64;
        traffic.seconds += seconds(now().saturating_sub(came));
        traffic.waited += seconds(last - came);
        received
    }

    /// The number of the next call, by which ranks notice that they make different ones.
    fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    fn current() -> Option<Arc<Self>> {
        CURRENT.with(|current| current.borrow().clone())
    }
}

/// Nanoseconds since 1970, by this host's clock.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of experts of the whole that a bank holds all or a share of.
pub(crate) fn n_experts_of(bank: &Experts) -> usize {
    let [held, _, _] = bank.up.dims();
    // a bank of one expert for all tokens is held by every rank
    let ranks = Spread::current().map_or(1, |spread| spread.group.size());
    held * ranks
}

/// As [`Experts::forward`] of a whole of which the bank is this rank's share.
///
/// # Panics
///
/// Panics outside of [`Spread::scope`], if the ranks' shares are not the plan's experts together, or on a device or
/// with a dispatch that has no grouped product.
pub(crate) fn forward(
    bank: &Experts,
    x: Tensor<2>,
    gates: Tensor<1>,
    plan: Arc<RowPlan>,
    dispatch: Dispatch,
) -> Tensor<2> {
    let ([held, _, _], whole) = (bank.up.dims(), plan.n_experts());
    let spread = Spread::current().unwrap_or_else(|| {
        panic!("a bank of {held} experts is given rows of {whole}: a share of a bank runs in a `Spread::scope`")
    });
    assert_eq!(
        held * spread.group.size(),
        whole,
        "the shares of {} ranks are not the plan's experts",
        spread.group.size()
    );
    assert_eq!(
        dispatch,
        Dispatch::Grouped,
        "experts that are spread over ranks need `experts.dispatch = \"grouped\"`"
    );
    assert!(
        is_listed(&x),
        "experts can be spread over ranks on a backend whose feature `moe-experts` has"
    );
    let call = |plan: &Arc<RowPlan>| Arc::new(Call::new(spread, plan.clone(), Bank::of(bank)));
    match &bank.biases {
        Some(biases) if plan.n_rows() > 0 => {
            let call = call(&plan);
            let products = |x: Tensor<2>| run(x, gates.clone(), call);
            biased::around(x, biases.down.val(), &gates, &plan, products)
        }
        _ => run(x, gates, call(&plan)),
    }
}

fn run(x: Tensor<2>, gates: Tensor<1>, call: Arc<Call>) -> Tensor<2> {
    Tensor::from_dispatch(<Backends as SpreadBackend>::spread_ffn(
        x.into_dispatch(),
        gates.into_dispatch(),
        call,
    ))
}
