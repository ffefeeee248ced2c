//! Times of a layer of experts, beside dense layers of equal active FLOP, the machine's limits and other
//! frameworks.

use crate::compare::{Comparison, Timed, comparisons};
use crate::contest::{Contest, Contestant};
use crate::dense::BurnDense;
use crate::machine::{Machine, ReadPass};
use crate::pass::Pass;
use crate::peer::{Peer, PeerError};
use crate::timing::Timing;
use crate::workloads::{Workload, WorkloadGroup};
use burn::tensor::Device;
use moe_experts::{Activation, Dispatch};
use moe_router::{Plan, RouterInput};
use serde::Serialize;
use std::cell::RefCell;

/// A device to time, with its limits.
#[derive(Debug, Clone)]
pub struct BenchDevice {
    /// Its name.
    pub name: String,
    /// The device, without automatic differentiation.
    pub device: Device,
    /// Limits of the machine.
    pub machine: Machine,
}

/// Workloads, activation and pass of one contest.
#[derive(Debug, Clone)]
pub struct LayerCase {
    /// The workloads.
    pub group: WorkloadGroup,
    /// The experts' activation.
    pub activation: Activation,
    /// Pass that is timed.
    pub pass: Pass,
}

/// The times of one contest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerBench {
    /// The group of workloads.
    pub group: &'static str,
    /// Its workloads.
    pub workloads: Vec<Workload>,
    /// The experts' activation.
    pub activation: Activation,
    /// Pass that was timed.
    pub pass: Pass,
    /// All that was timed.
    pub rows: Vec<Speed>,
    /// Times of layers as multiples of those of others.
    pub comparisons: Vec<Comparison>,
}

/// Subjects of a contest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A mixture's layer, router included.
    Layer,
    /// The dense layer of equal active FLOP, by the experts' operation.
    OneExpert,
    /// The same by Burn's own modules.
    BurnDense,
    /// A way of a peer; `dense` is its dense layer.
    Peer(String),
}

/// Speed of a subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speed {
    /// The subject.
    pub subject: Subject,
    /// The workload's name.
    pub workload: &'static str,
    /// The device, or the peer.
    pub place: String,
    /// The number of assignments that experts computed.
    pub n_rows: usize,
    /// Seconds a call.
    pub time: Timing,
    /// GFLOP a second of the experts' matrix products.
    pub gflop_per_s: f64,
    /// As a share of the best matrix product of the device.
    pub share_of_gemm: Option<f64>,
    /// GB of weights read a second, where one token alone is computed forward.
    pub gb_per_s: Option<f64>,
    /// As a share of what memory gave in the same rounds.
    pub share_of_read: Option<f64>,
}

/// Something to time.
struct Entry<'a> {
    subject: Subject,
    workload: &'a Workload,
    place: String,
    gemm: Option<f64>,
    n_rows: usize,
}

/// All that is timed, with what does it, in the same order.
#[derive(Default)]
struct Entries<'a> {
    entries: Vec<Entry<'a>>,
    contestants: Vec<Contestant<'a, PeerError>>,
}

impl LayerCase {
    /// Times the layers on all devices, their dense layers, and all ways of the peers, alternating.
    ///
    /// # Errors
    ///
    /// A peer fails.
    ///
    /// # Panics
    ///
    /// Panics if the contest has no rounds.
    pub fn run(
        &self,
        contest: &Contest,
        devices: &[BenchDevice],
        peers: &[RefCell<Peer>],
    ) -> Result<LayerBench, PeerError> {
        let mut entries = Entries::default();
        for device in devices {
            self.layers(device, &mut entries);
        }
        for peer in peers {
            self.ways(peer, &mut entries)?;
        }
        let timed = self.time(contest, entries)?;
        for peer in peers {
            peer.borrow_mut().forget()?;
        }
        Ok(LayerBench {
            group: self.group.name,
            workloads: self.group.workloads.clone(),
            activation: self.activation,
            pass: self.pass,
            comparisons: comparisons(&timed),
            rows: timed.into_iter().map(|timed| timed.speed).collect(),
        })
    }

    /// Returns `true` if the time is that of reading weights: one token, forward.
    fn reads_weights_once(&self) -> bool {
        let single = self.group.workloads.iter().all(|w| w.n_tokens == 1);
        single && self.pass == Pass::Forward
    }

    /// The layers of all workloads and the two dense layers on one device.
    fn layers<'a>(&'a self, on: &BenchDevice, entries: &mut Entries<'a>) {
        let device = self.pass.device(&on.device);
        let mut push = |subject, workload: &'a Workload, n_rows, work: Box<dyn FnMut() + 'a>| {
            let entry = Entry {
                subject,
                workload,
                place: on.name.clone(),
                gemm: Some(on.machine.gemm_gflop_per_s),
                n_rows,
            };
            entries.push(entry, Contestant::of(work));
        };
        for workload in &self.group.workloads {
            let layer = workload.init(self.activation, &device);
            let inputs = workload.inputs(&device);
            let n_rows = n_rows(&layer.forward_tokens(inputs[0].clone()).routing.plan);
            let forward = move |input| layer.forward_tokens(input).output;
            let work = self.pass.work(device.clone(), inputs, forward);
            push(Subject::Layer, workload, n_rows, work);
        }
        let workload = &self.group.workloads[0];
        let n_rows = workload.n_tokens * workload.top_k;
        let inputs = workload.inputs(&device);
        let config = workload.dense(self.activation);
        let expert = config.init(&device);
        let ends = [workload.n_tokens as u32];
        let forward =
            move |input: RouterInput| expert.forward_rows(input.x_td, &ends, Dispatch::Grouped);
        let work = self.pass.work(device.clone(), inputs.clone(), forward);
        push(Subject::OneExpert, workload, n_rows, work);
        let dense = BurnDense::new(&config, &device);
        let forward = move |input: RouterInput| dense.forward(input.x_td);
        let work = self.pass.work(device.clone(), inputs, forward);
        push(Subject::BurnDense, workload, n_rows, work);
    }

    /// All ways of a peer, its dense layer once.
    fn ways<'a>(
        &'a self,
        peer: &'a RefCell<Peer>,
        entries: &mut Entries<'a>,
    ) -> Result<(), PeerError> {
        for (i, workload) in self.group.workloads.iter().enumerate() {
            let ways = peer
                .borrow_mut()
                .prepare(workload, self.activation, self.pass)?;
            let wanted = |way: &str| i == 0 || way != "dense";
            for (way, n_rows) in ways.rows.into_iter().filter(|(way, _)| wanted(way)) {
                let entry = Entry {
                    subject: Subject::Peer(way.clone()),
                    workload,
                    place: peer.borrow().name().to_owned(),
                    gemm: None,
                    n_rows,
                };
                entries.push(entry, Peer::contestant(peer, workload.name, way));
            }
        }
        Ok(())
    }

    /// Times everything; a pass over memory besides, where reading weights is what costs.
    fn time(&self, contest: &Contest, timed: Entries<'_>) -> Result<Vec<Timed>, PeerError> {
        let pass = self.reads_weights_once().then(ReadPass::new);
        let Entries {
            entries,
            mut contestants,
        } = timed;
        contestants.extend(pass.as_ref().map(|pass| Contestant::of(|| pass.run())));
        let samples = contest.run(&mut contestants)?;
        let read = samples.last().filter(|_| pass.is_some());
        let timed = entries.iter().zip(&samples).map(|(entry, samples)| {
            let mut speed = self.speed(entry, samples.timing());
            if let (Some(pass), Some(read)) = (&pass, read) {
                let bytes = entry.workload.active_bytes(self.activation) as f64;
                let share = bytes / pass.bytes() as f64 / samples.ratio_to(read).median;
                speed.gb_per_s = Some(bytes / speed.time.median_s / 1e9);
                speed.share_of_read = Some(share);
            }
            let samples = samples.clone();
            Timed { speed, samples }
        });
        Ok(timed.collect())
    }

    fn speed(&self, entry: &Entry<'_>, time: Timing) -> Speed {
        let forward = entry.workload.flops(self.activation, entry.n_rows);
        let gflop_per_s = self.pass.flops(forward) as f64 / time.median_s / 1e9;
        Speed {
            subject: entry.subject.clone(),
            workload: entry.workload.name,
            place: entry.place.clone(),
            n_rows: entry.n_rows,
            time,
            gflop_per_s,
            share_of_gemm: entry.gemm.map(|gemm| gflop_per_s / gemm),
            gb_per_s: None,
            share_of_read: None,
        }
    }
}

impl<'a> Entries<'a> {
    fn push(&mut self, entry: Entry<'a>, contestant: Contestant<'a, PeerError>) {
        self.entries.push(entry);
        self.contestants.push(contestant);
    }
}

/// The number of assignments that a plan's experts compute.
fn n_rows(plan: &Plan) -> usize {
    match plan {
        Plan::Sparse(plan) => plan.assignments.kept().iter().filter(|&&kept| kept).count(),
        Plan::Soft(plan) => plan.dispatch.dims()[0] * plan.dispatch.dims()[2],
    }
}

impl Speed {
    /// Name of the subject and of its device, in words.
    pub fn name(&self) -> String {
        match &self.subject {
            Subject::Layer => format!("{} on {}", self.workload, self.place),
            Subject::OneExpert => format!("one expert on {}", self.place),
            Subject::BurnDense => format!("Burn's dense on {}", self.place),
            Subject::Peer(way) if way == "dense" => format!("{} dense", self.place),
            Subject::Peer(way) => format!("{} {way}, {}", self.place, self.workload),
        }
    }
}
