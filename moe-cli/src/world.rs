//! The processes that run a command together: rank 0 does what the command says, the others what rank 0 says.

use crate::args::Command;
use crate::exit::{Status, Usage};
use crate::interrupt;
use crate::shared::Shared;
use crate::threads;
use moe_parallel::{Communicator, Mesh, One, Threads, Watched, gather_values};
use moe_train::parallel::{dismiss, follow};
use std::sync::Arc;
use std::time::Duration;

/// Runs a command on this process, or takes part in that of rank 0.
///
/// # Errors
///
/// Returns an error if the processes do not fit together, and that of the command.
pub fn run(
    shared: Shared,
    command: &Command,
    work: impl Fn(&Shared) -> anyhow::Result<Status> + Sync,
) -> anyhow::Result<Status> {
    if shared.ranks > 1 {
        return rehearse(&shared, command, &work);
    }
    let Some(world) = started()? else {
        return Ok(Status::Done);
    };
    if world.size() == 1 && shared.expert_parallel > 1 {
        let n = shared.expert_parallel;
        return Err(Usage::error(format!(
            "--expert-parallel {n} needs {n} processes, and this is one: start them with `mpirun -n {n}` or `srun -n {n}`, \
             or try it out with --ranks {n}"
        )));
    }
    if world.rank() > 0 && !command.is_made_by_all() {
        // rank 0 stops all: a signal that this process gets as well changes nothing
        interrupt::leave_to_others()?;
    }
    threads::start(command.jobs())?;
    threads::kept_awake(|| take_part(shared.clone(), world, command, &work))
}

/// Runs ranks as threads of this process, for trying out what processes will do.
fn rehearse(
    shared: &Shared,
    command: &Command,
    work: &(impl Fn(&Shared) -> anyhow::Result<Status> + Sync),
) -> anyhow::Result<Status> {
    // outside of the pool: a rank that waits for another must not keep a thread from computing
    threads::start(1)?;
    let ends = Threads::run(shared.ranks, |world| {
        take_part(shared.clone(), world, command, work)
    });
    ends.into_iter().next().unwrap_or(Ok(Status::Done))
}

fn take_part(
    mut shared: Shared,
    world: Arc<dyn Communicator>,
    command: &Command,
    work: &impl Fn(&Shared) -> anyhow::Result<Status>,
) -> anyhow::Result<Status> {
    if world.size() == 1 {
        return work(&shared);
    }
    let patience = Duration::from_secs(shared.patience);
    let world: Arc<dyn Communicator> = Arc::new(Watched::new(world, patience));
    // every rank finds the same, and rank 0 says it
    let mesh = alike(&*world)
        .and_then(|()| Mesh::new(world.clone(), shared.expert_parallel).map_err(Usage::error));
    let is_root = world.rank() == 0;
    let mesh = match mesh {
        // a launcher that sees this one fail first would end rank 0 before it has said why
        Err(_) if !is_root => return Ok(Status::Done),
        mesh => mesh?,
    };
    shared.mesh = mesh.clone();
    if command.is_made_by_all() {
        shared.quiet |= !is_root;
        return work(&shared);
    }
    if is_root {
        let end = work(&shared);
        dismiss(&mesh);
        return end;
    }
    let device = shared.open_device()?;
    follow(&mesh, &device.device);
    Ok(Status::Done)
}

/// Refuses processes of another version, or with other arguments.
fn alike(world: &dyn Communicator) -> anyhow::Result<()> {
    let mine = (
        env!("CARGO_PKG_VERSION").to_owned(),
        std::env::args().skip(1).collect::<Vec<_>>(),
    );
    let all = gather_values(world, mine);
    let other = all.iter().enumerate().find(|(_, other)| **other != all[0]);
    match other {
        None => Ok(()),
        Some((rank, (version, arguments))) if *version == all[0].0 => Err(Usage::error(format!(
            "rank {rank} was started with other arguments than rank 0: `{}` and `{}`",
            arguments.join(" "),
            all[0].1.join(" ")
        ))),
        Some((rank, (version, _))) => Err(Usage::error(format!(
            "rank {rank} is version {version} of the program, and rank 0 is {}: install one on all hosts",
            all[0].0
        ))),
    }
}

/// The number of processes that a launcher says it has started, and this one's number.
fn launched() -> Option<(usize, usize)> {
    // OpenMPI; MPICH, Intel MPI and Slurm's PMI; Slurm with PMIx
    let pairs = [
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("PMI_SIZE", "PMI_RANK"),
        ("SLURM_STEP_NUM_TASKS", "PMIX_RANK"),
    ];
    let number = |name| std::env::var(name).ok()?.parse::<usize>().ok();
    let pair = |(size, rank)| Some((number(size)?, number(rank)?));
    pairs
        .into_iter()
        .find_map(pair)
        .filter(|(size, _)| *size > 1)
}

#[cfg(feature = "mpi")]
fn started() -> anyhow::Result<Option<Arc<dyn Communicator>>> {
    if launched().is_none() {
        return Ok(Some(Arc::new(One)));
    }
    let world = moe_parallel::Mpi::start();
    let world = world.ok_or_else(|| anyhow::anyhow!("MPI does not start, or not with threads"))?;
    Ok(Some(Arc::new(world)))
}

#[cfg(not(feature = "mpi"))]
fn started() -> anyhow::Result<Option<Arc<dyn Communicator>>> {
    match launched() {
        None => Ok(Some(Arc::new(One))),
        Some((size, 0)) => Err(Usage::error(format!(
            "{size} processes were started, and this program cannot speak to others: build it with `--features mpi`, or \
             start one"
        ))),
        // rank 0 has said it
        Some(_) => Ok(None),
    }
}
