//! Routers that are programs of another language, held to the laws of routers.
//!
//! The program reads cases from its standard input and answers each on its standard output, until the input ends. A message is
//! its length in bytes, a little-endian number of 8 bytes, and a safetensors file. The names of an answer are those of a
//! trace. The case brings the gate too, so that laws may make experts tie or change places.

mod error;
mod message;
mod process;
mod specimen;

pub use error::ProgramError;

use burn::tensor::Device;
use moe_router::RouterShape;
use moe_router::laws::{Options, Report, Specimen, Subject, check_all};
use process::Process;
use serde_json::{Map, Value};
use specimen::{ProgramRouter, Rules};
use std::sync::Arc;

/// A program that routes, and what is known of it.
#[derive(Debug, Clone)]
pub struct RouterProgram {
    /// The command line, given to a shell.
    pub command: String,
    /// The values that it takes from each case; others it knows itself.
    pub takes: Vec<ProgramKey>,
    /// `true` if later tokens may influence earlier ones.
    pub leaks: bool,
}

/// Values of a case that a program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKey {
    /// The number of experts a token.
    TopK,
    /// The number of groups of experts.
    NGroups,
    /// The number of groups that a token may use.
    TopkGroups,
}

impl ProgramKey {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TopK, Self::NGroups, Self::TopkGroups];

    /// Its name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::TopK => "top_k",
            Self::NGroups => "n_groups",
            Self::TopkGroups => "topk_groups",
        }
    }
}

/// Experts of the smallest cases of a program that has a number of experts a token of its own.
const MIN_EXPERTS: usize = 4;

/// Checks all laws of routers on a program. Laws of gradients and of state do not apply.
///
/// # Errors
///
/// Says why the program could not be asked: it did not start, it ended, it was silent, or its answer cannot be read.
pub fn check_program(
    program: &RouterProgram,
    device: &Device,
    options: &Options,
) -> Result<Report, ProgramError> {
    let process = Arc::new(Process::start(&program.command)?);
    let rules = Rules {
        takes: program.takes.iter().map(|key| key.name()).collect(),
        leaks: program.leaks,
    };
    // laws set these to the values of each case
    let keys = program
        .takes
        .iter()
        .map(|key| (key.name().to_owned(), Value::from(1)));
    let keys: Map<String, Value> = keys.collect();
    let min_experts = if keys.contains_key(ProgramKey::TopK.name()) {
        1
    } else {
        MIN_EXPERTS
    };
    let build = |values: &Map<String, Value>, shape: &RouterShape| -> Box<dyn Specimen> {
        Box::new(ProgramRouter::new(process.clone(), &rules, values, shape))
    };
    let subject = Subject::outside(&program.command, keys, min_experts, device, build);
    let report = check_all(&subject, options);
    match process.fault() {
        Some(error) => Err(error),
        None => Ok(report),
    }
}
