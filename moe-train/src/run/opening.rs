//! The start of a run in its folder, or the way back to its newest checkpoint.

use super::continued::check_data;
use super::files::{write_json, write_whole};
use super::measured::CostMeter;
use super::metrics_log::MetricsLog;
use super::origin::Origin;
use super::papers::{Papers, belongs};
use super::train::Run;
use super::{
    CheckpointState, Event, Manifest, Observer, RunError, RunFolder, RunOptions, Summary, Trainer,
    World, checkpoint, run_folder,
};
use crate::config::RunConfig;
use crate::data::{Split, Vocab};
use crate::parallel::{Lead, Opening};
use crate::task::TaskData;
use burn::tensor::Device;
use std::time::Instant;

/// A run folder that was opened.
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub(super) enum Opened<'a> {
    /// The run, which is not finished.
    Run(Run<'a>),
    /// What another process has made of it before this one held the folder.
    Finished(Summary),
}

impl<'a> Run<'a> {
    /// Creates the run folder, or goes back to its newest checkpoint.
    pub(super) fn open(
        config: &'a RunConfig,
        device: &Device,
        options: &RunOptions,
        (data, hash): (&'a TaskData, &str),
        observer: &mut dyn Observer,
    ) -> Result<Opened<'a>, RunError> {
        let folder = RunFolder::new(run_folder(config, &options.runs_dir));
        let hold = folder.hold(options.lock)?;
        // under the lock: another process may have gone on in between
        let papers = belongs(&folder, config)?;
        if let Some(summary) = papers.summary {
            return Ok(Opened::Finished(summary));
        }
        create(&folder, config, &papers, (data, hash))?;
        let origin = Origin::read(&folder, config)?;
        let manifest = Manifest {
            claim: options.claim.clone(),
            world: World::of(&options.mesh),
            ..Manifest::new(&options.device_name, &options.argv)
        };
        write_json(&folder.manifest(), &manifest)?;
        checkpoint::remove_unfinished(&folder)?;
        let state = papers.state;
        let (trainer, lead) = together(&folder, config, device, options, hash, state.as_ref())?;
        let metrics = MetricsLog::open(&folder, state.as_ref().map(|state| &state.metrics))?;
        tell(observer, config, data, state.as_ref());
        let run = Self {
            config,
            data,
            folder,
            manifest,
            hold,
            owes_evaluation: state.as_ref().is_some_and(|state| state.owes_evaluation),
            trainer,
            lead,
            origin,
            metrics,
            lm_loss: state.as_ref().map_or(f64::NAN, |state| state.lm_loss),
            cost: state
                .as_ref()
                .map_or_else(CostMeter::default, |state| state.cost.clone()),
            untried: state.as_ref().map(|state| state.step),
            wall_before: state.as_ref().map_or(0.0, |state| state.wall_s),
            started: Instant::now(),
        };
        run.log(&match state {
            Some(state) => format!("continued after step {}", state.step),
            None => "started".to_owned(),
        })?;
        Ok(Opened::Run(run))
    }
}

/// Writes the files that say what a run is, or checks that they say so.
fn create(
    folder: &RunFolder,
    config: &RunConfig,
    papers: &Papers,
    (data, hash): (&TaskData, &str),
) -> Result<(), RunError> {
    if let Some(origin) = &papers.origin {
        return check_data(folder, &origin.data, hash);
    }
    write_whole(&folder.config(), config.to_toml().as_bytes())?;
    if let Some(vocab @ (Vocab::Bpe(_) | Vocab::Unigram(_))) = data.vocab() {
        vocab.save(folder.vocabulary())?;
    }
    // last: the folder counts as created once this is there
    write_whole(&folder.data_hash(), hash.as_bytes())
}

/// This rank's trainer, and the hold on the other ranks, which have opened the run too.
fn together(
    folder: &RunFolder,
    config: &RunConfig,
    device: &Device,
    options: &RunOptions,
    hash: &str,
    state: Option<&CheckpointState>,
) -> Result<(Trainer, Lead), RunError> {
    let mesh = &options.mesh;
    // alone first: an error here is no other rank's
    let trainer = Trainer::open(config, device, mesh.clone(), folder, state)?;
    let opening = Opening {
        folder: folder.path().to_owned(),
        data: hash.to_owned(),
        state: state.cloned(),
    };
    Ok((trainer, Lead::open(mesh, opening)?))
}

/// Tells the observer what starts.
fn tell(
    observer: &mut dyn Observer,
    config: &RunConfig,
    data: &TaskData,
    state: Option<&CheckpointState>,
) {
    let all_windows = data.n_eval(Split::Validation);
    observer.on(Event::Started {
        data: &data.describe(),
        account: &config.account(),
        total_steps: config.train.steps,
        resumed_at: state.map(|state| state.step),
        final_windows: config.train.final_windows().min(all_windows),
        all_windows,
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Outcome, Silent, train};
    use super::*;
    use std::fs;
    use std::sync::atomic::AtomicBool;

    /// The last look before the lock says that nobody trains, and the other process ends in that moment.
    #[test]
    fn a_run_that_another_process_has_just_finished_is_left_as_it_is() {
        let small = [
            "model.d_model=8",
            "model.n_layers=1",
            "attention.n_heads=2",
            "attention.n_kv_heads=1",
            "experts.d_expert=4",
            "train.steps=1",
            "train.batch_size=1",
            "train.seq_length=16",
            "train.final_eval_windows=1",
        ];
        let config = RunConfig::of_overrides(&small).unwrap();
        let runs = tempfile::tempdir().unwrap();
        let options = RunOptions {
            runs_dir: runs.path().to_owned(),
            ..RunOptions::default()
        };
        let (device, stop) = (Device::flex(), AtomicBool::new(false));
        let outcome = train(&config, &device, &options, &mut Silent, &stop).unwrap();
        assert!(matches!(outcome, Outcome::Finished(_)));
        let folder = RunFolder::new(run_folder(&config, runs.path()));
        let before = fs::read(folder.manifest()).unwrap();

        let data = TaskData::load(&config, &stop).unwrap();
        let hash = data.fingerprint(&stop).unwrap();
        let opened = Run::open(&config, &device, &options, (&data, &hash), &mut Silent).unwrap();
        assert!(matches!(opened, Opened::Finished(_)));
        assert_eq!(fs::read(folder.manifest()).unwrap(), before);
    }
}
