//! All measurements in one document, to compare two programs or two machines.

use crate::attention::AttentionBench;
use crate::layer::LayerBench;
use crate::machine::Machine;
use crate::model::ModelBench;
use crate::routing::RouterBench;
use crate::train::TrainBench;
use moe_train::run::Manifest;
use serde::Serialize;

/// All measurements of one program on one machine.
#[derive(Debug, Clone, Serialize)]
pub struct Suite {
    /// The program, the machine and the command.
    pub made: Manifest,
    /// The machine's limits.
    pub machine: Machine,
    /// Training of configurations.
    pub train: Vec<TrainBench>,
    /// Layers of experts beside dense ones.
    pub layer: Vec<LayerBench>,
    /// Routers.
    pub router: RouterBench,
    /// Decoding by context.
    pub attention: AttentionBench,
    /// Prompts and decoding.
    pub model: Vec<ModelBench>,
}
