//! A run that starts from the weights of another, and the runs that one could start from.

use super::folder::step_of;
use super::papers::{run_of, state_at};
use super::{RunError, RunFolder, Trainer, checkpoint};
use crate::config::RunConfig;
use crate::data::Vocab;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use moe_models::ParameterPath;
use std::fs;
use std::path::{Path, PathBuf};

/// The checkpoint that a path names: it is one, or it is a run, whose newest one is meant.
///
/// # Errors
///
/// Returns an error if there is no run or no checkpoint.
pub fn checkpoint_path(path: &Path) -> Result<PathBuf, RunError> {
    let folder = RunFolder::new(run_of(path)?);
    let newest = || folder.checkpoint_steps().map(|steps| steps.last().copied());
    let step = match path.file_name().and_then(|name| step_of(name.to_str()?)) {
        Some(step) => Some(step),
        None => newest()?,
    };
    let missing = || RunError::NoCheckpoint(folder.path().to_owned());
    Ok(folder.checkpoint(step.ok_or_else(missing)?))
}

/// The finished run of the longest training that is the same as a longer one's but for its number of steps.
pub fn shorter_run(config: &RunConfig, runs_dir: &Path) -> Option<(PathBuf, u64)> {
    let questions = fs::read_dir(runs_dir).ok()?.filter_map(Result::ok);
    let shorter = questions.filter_map(|question| {
        let folder = RunFolder::new(question.path().join(format!("seed-{}", config.seed)));
        if !folder.summary().is_file() {
            return None;
        }
        let mut other = RunConfig::load_resolved(&folder.config()).ok()?;
        let steps = std::mem::replace(&mut other.train.steps, config.train.steps);
        (other == *config && steps < config.train.steps).then(|| (folder.path().to_owned(), steps))
    });
    shorter.max_by_key(|(_, steps)| *steps)
}

/// The vocabulary of the run whose weights a run starts from, if it has learned one.
pub(super) fn vocabulary(config: &RunConfig) -> Result<Option<Vocab>, RunError> {
    if config.train.from.is_empty() {
        return Ok(None);
    }
    let folder = RunFolder::new(run_of(Path::new(&config.train.from))?);
    let path = folder.vocabulary();
    let vocab = path.exists().then(|| Vocab::load(path)).transpose()?;
    Ok(vocab)
}

/// Gives a trainer before its first step the weights that its configuration names, if it names any.
pub(super) fn start(trainer: &mut Trainer, config: &RunConfig) -> Result<(), RunError> {
    if config.train.from.is_empty() {
        return Ok(());
    }
    let path = Path::new(&config.train.from);
    let folder = RunFolder::new(run_of(path)?);
    let source = RunConfig::load_resolved(&folder.config())?;
    let missing = || RunError::NoCheckpoint(folder.path().to_owned());
    // checked against the source's own configuration: its files belong to that, not to this run
    let state = state_at(path, &folder, &source)?.ok_or_else(missing)?;
    let model = source.init_model(trainer.device());
    if let Some(what) = difference(&shapes(&model), &shapes(&trainer.model)) {
        let path = path.to_owned();
        return Err(RunError::OtherShapes { path, what });
    }
    trainer.model = checkpoint::load_model(&folder, &state, trainer.model.clone())?;
    Ok(())
}

/// The path and the shape of each parameter.
fn shapes<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Shapes::default();
    module.visit(&mut shapes);
    shapes.all
}

/// The first parameter that two models do not share, in words.
fn difference(there: &[(String, Vec<usize>)], here: &[(String, Vec<usize>)]) -> Option<String> {
    let shape = |of: &[(String, Vec<usize>)], path: &str| {
        let found = of.iter().find(|(other, _)| other == path);
        found.map_or("missing".to_owned(), |(_, shape)| format!("{shape:?}"))
    };
    let mut all = here.iter().chain(there).map(|(path, _)| path);
    let path = all.find(|path| shape(there, path) != shape(here, path))?;
    Some(format!(
        "`{path}` is {} there and {} here",
        shape(there, path),
        shape(here, path)
    ))
}

#[derive(Default)]
struct Shapes {
    path: ParameterPath,
    all: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.all.push((self.path.join(), param.dims().to_vec()));
    }
}
