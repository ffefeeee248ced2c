//! Faults of published systems, planted: each is noticed by the comparison with one process.

use crate::left::{Left, config, difference, left, left_after};
use moe_parallel::{Communicator, Mesh, Threads};
use moe_train::config::RunConfig;
use moe_train::task::TaskData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a rank does wrong with what it hears.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Sums are twice as large (DeepSpeed 5618, PyTorch 160285).
    Doubled,
    /// Sums are divided by the number of ranks once more (MegaBlocks 86).
    Halved,
    /// What others have is left out (DeepSpeed 8475: each rank's norm its own).
    OwnAlone,
    /// The same for the counts of a step, the third that ranks gather (torchtitan 1304).
    OwnCounts,
    /// Parts are added in another order than that of the ranks, as in order of arrival.
    Arrival,
}

#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Communicator>,
    fault: Fault,
    calls: AtomicUsize,
    is_over: Arc<AtomicBool>,
}

impl Faulty {
    fn wrap(inner: Arc<dyn Communicator>, fault: Fault, is_over: &Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fault,
            calls: AtomicUsize::new(0),
            is_over: is_over.clone(),
        })
    }

    fn scaled(&self, parts: Vec<Vec<u8>>, factor: f32) -> Vec<Vec<u8>> {
        let scale = |part: Vec<u8>| {
            // whole numbers of f32 are sums; flags and counts are not
            if !part.len().is_multiple_of(4) || part.is_empty() {
                return part;
            }
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(&part);
            let scaled: Vec<f32> = values.into_iter().map(|x| x * factor).collect();
            bytemuck::cast_slice(&scaled).to_vec()
        };
        parts.into_iter().map(scale).collect()
    }
}

impl Communicator for Faulty {
    fn engine(&self) -> &'static str {
        "faulty"
    }

    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut received = self.inner.exchange(parts);
        if self.fault == Fault::Arrival {
            received.rotate_left(1);
        }
        received
    }

    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        let all = self.inner.gather(mine);
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.is_over.load(Ordering::Relaxed) {
            return all;
        }
        let own = || vec![mine.to_vec(); all.len()];
        match self.fault {
            Fault::Doubled => self.scaled(all, 2.0),
            Fault::Halved => self.scaled(all, 0.5),
            Fault::OwnAlone => own(),
            Fault::OwnCounts if call % 3 == 2 => own(),
            Fault::OwnCounts | Fault::Arrival => all,
        }
    }

    fn split(&self, color: usize) -> Arc<dyn Communicator> {
        self.inner.split(color)
    }
}

const STEPS: usize = 3;

fn alone(config: &RunConfig, data: &TaskData) -> Left {
    left(config, data, STEPS, Mesh::one())
}

/// Runs four ranks, two for the experts, with a mesh that `spoil` changes, and returns what differs.
fn spoiled(router: &str, spoil: impl Fn(Mesh, &Arc<AtomicBool>) -> Mesh + Sync) -> Option<String> {
    let config = config("mixtral", router, &[]);
    let data = TaskData::load(&config, &AtomicBool::new(false)).unwrap();
    let expected = alone(&config, &data);
    let all = Threads::run(4, |world| {
        let is_over = Arc::new(AtomicBool::new(false));
        let mesh = spoil(Mesh::new(world, 2).unwrap(), &is_over);
        let over = || is_over.store(true, Ordering::Relaxed);
        left_after(&config, &data, STEPS, mesh, over)
    });
    all.iter().find_map(|left| difference(&expected, left))
}

fn world(mesh: Mesh, fault: Fault, is_over: &Arc<AtomicBool>) -> Mesh {
    Mesh {
        world: Faulty::wrap(mesh.world.clone(), fault, is_over),
        ..mesh
    }
}

fn experts(mesh: Mesh, fault: Fault, is_over: &Arc<AtomicBool>) -> Mesh {
    Mesh {
        experts: Faulty::wrap(mesh.experts.clone(), fault, is_over),
        ..mesh
    }
}

fn replicas(mesh: Mesh, fault: Fault, is_over: &Arc<AtomicBool>) -> Mesh {
    Mesh {
        replicas: Faulty::wrap(mesh.replicas.clone(), fault, is_over),
        ..mesh
    }
}

#[test]
fn without_a_fault_nothing_differs() {
    assert_eq!(spoiled("loss_free", |mesh, _| mesh), None);
}

#[test]
fn expert_gradients_that_are_too_large_or_too_small() {
    for fault in [Fault::Doubled, Fault::Halved] {
        let what = spoiled("loss_free", |mesh, over| replicas(mesh, fault, over));
        assert!(what.is_some(), "{fault:?}");
    }
}

#[test]
fn a_norm_of_each_ranks_own_experts() {
    let what = spoiled("mixtral", |mesh, over| experts(mesh, Fault::OwnAlone, over)).unwrap();
    assert!(what.contains("grad_norm"), "{what}");
}

#[test]
fn a_bias_that_moves_by_a_ranks_own_counts() {
    let what = spoiled("loss_free", |mesh, over| {
        world(mesh, Fault::OwnCounts, over)
    });
    assert!(what.is_some());
}

#[test]
fn sums_in_another_order() {
    let what = spoiled("mixtral", |mesh, over| world(mesh, Fault::Arrival, over));
    assert!(what.is_some());
}

#[test]
fn a_checkpoint_that_holds_one_ranks_experts_for_all() {
    let config = config("mixtral", "mixtral", &[]);
    let data = TaskData::load(&config, &AtomicBool::new(false)).unwrap();
    let expected = alone(&config, &data);
    let all = Threads::run(2, |world| {
        let is_over = Arc::new(AtomicBool::new(true));
        let mesh = experts(Mesh::new(world, 2).unwrap(), Fault::OwnAlone, &is_over);
        // right while it trains, wrong while it saves
        left_after(&config, &data, STEPS, mesh, || {
            is_over.store(false, Ordering::Relaxed)
        })
    });
    let what = difference(&expected, &all[0]).unwrap();
    assert!(what.contains("experts"), "{what}");
}

#[test]
fn a_seed_that_holds_the_rank() {
    let config = config("mixtral", "noisy_topk", &[]);
    let data = TaskData::load(&config, &AtomicBool::new(false)).unwrap();
    let expected = alone(&config, &data);
    let all = Threads::run(2, |world| {
        let mut own = config.clone();
        own.seed += world.rank() as u64;
        left(&own, &data, STEPS, Mesh::new(world, 1).unwrap())
    });
    assert!(all.iter().any(|left| difference(&expected, left).is_some()));
}

#[test]
fn a_capacity_of_a_ranks_own_tokens() {
    let whole = config("mixtral", "switch", &["router.capacity_factor=1.0"]);
    let data = TaskData::load(&whole, &AtomicBool::new(false)).unwrap();
    // a micro-batch that two ranks split between them, instead of each taking whole ones
    let mut split = whole.clone();
    split.train.batch_size /= 2;
    split.train.accumulate *= 2;
    let expected = alone(&whole, &data);
    let all = Threads::run(2, |world| {
        left(&split, &data, STEPS, Mesh::new(world, 1).unwrap())
    });
    assert!(difference(&expected, &all[0]).is_some());
}
