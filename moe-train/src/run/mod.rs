//! A run: the step loop, its folder, its checkpoints, its evaluation.

mod bleu;
mod checkpoint;
mod clip;
mod continued;
mod error;
mod evaluate;
mod files;
mod folder;
mod loaded;
mod manifest;
mod measured;
mod metrics;
mod observer;
mod optimizer;
mod schedule;
mod score_images;
mod score_pairs;
mod score_text;
mod step;
mod train;

pub use clip::clip_by_global_norm;
pub use error::RunError;
pub use evaluate::evaluate;
pub use folder::{RunFolder, run_folder};
pub(crate) use loaded::read_summary;
pub use loaded::{LoadedRun, evaluate_run, read_manifest};
pub use manifest::{BURN_VERSION, Manifest};
pub use measured::Measured;
pub(crate) use metrics::LayerMeter;
pub use metrics::{EvalMetrics, LayerMetrics, StepMetrics, Summary};
pub use observer::{Event, Observer, Silent};
pub use optimizer::adamw;
pub use schedule::learning_rate;
pub(crate) use score_images::group_images;
pub use step::Trainer;
pub use train::{Outcome, RunOptions, finished, train};
