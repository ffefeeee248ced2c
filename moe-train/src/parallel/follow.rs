//! The ranks that do what rank 0 says.

use super::command::agree;
use super::{Command, Opening};
use crate::config::RunConfig;
use crate::data::Split;
use crate::run::{RunError, RunFolder, Scope, Silent, Trainer, Watch, evaluate, open_shared};
use crate::task::TaskData;
use burn::module::Module;
use burn::tensor::Device;
use moe_parallel::Mesh;
use std::sync::atomic::AtomicBool;

/// Takes part in the runs of rank 0, until it is [dismissed](dismiss). Nothing is printed and no file is written.
pub fn follow(mesh: &Mesh, device: &Device) {
    loop {
        match Command::hear(mesh) {
            Command::Open(opening) => take_part(mesh, device, &opening),
            Command::Quit => return,
            // of a run that could not be opened
            _ => {}
        }
    }
}

/// Lets the other ranks go, at the end of the program of rank 0.
pub fn dismiss(mesh: &Mesh) {
    if mesh.is_root() {
        Command::Quit.say(mesh);
    }
}

fn take_part(mesh: &Mesh, device: &Device, opening: &Opening) {
    let opened = open(mesh, device, opening);
    let said = opened.as_ref().map(|_| ()).map_err(ToString::to_string);
    let is_agreed = agree(mesh, said).is_ok();
    let Ok((config, data, mut trainer)) = opened else {
        return;
    };
    if !is_agreed {
        return;
    }
    let mut batches = data.batches(config.seed, trainer.consumed(), config.train.batch_size);
    loop {
        match Command::hear(mesh) {
            Command::Step => {
                let step = trainer.step(&mut batches);
                step.expect("the data was loaded for this model");
            }
            Command::Evaluate { split, most } => score(&trainer, &data, split, most),
            Command::Save => trainer.give_share(),
            Command::Close | Command::Quit | Command::Open(_) => return,
        }
    }
}

fn open(
    mesh: &Mesh,
    device: &Device,
    opening: &Opening,
) -> Result<(RunConfig, TaskData, Trainer), RunError> {
    let folder = RunFolder::new(&opening.folder);
    if !folder.config().is_file() {
        return Err(RunError::NotShared(opening.folder.clone()));
    }
    let config = RunConfig::load_resolved(&folder.config())?;
    let data = open_shared(&config, &folder, &opening.data)?;
    let state = opening.state.as_ref();
    let trainer = Trainer::open(&config, device, mesh.clone(), &folder, state)?;
    Ok((config, data, trainer))
}

/// Scores this rank's batches; the result is rank 0's.
fn score(trainer: &Trainer, data: &TaskData, split: Split, most: Option<usize>) {
    let device = trainer.device().clone().without_autodiff();
    let model = trainer.whole_model().valid();
    let scope = Scope {
        split,
        most,
        batch_size: trainer.config().train.batch_size,
        world: &*trainer.mesh().world,
    };
    let mut watch = Watch {
        observer: &mut Silent,
        stop: &AtomicBool::new(false),
    };
    let of = model
        .with(data)
        .expect("the data was loaded for this model");
    // an error is every rank's, and rank 0 reports it
    let _ = evaluate(of, scope, &device, &mut watch);
}
