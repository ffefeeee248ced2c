//! The commands, one a file: arguments, a call into the crates below, and what is printed.

pub mod ablate;
pub mod agree;
pub mod analyze;
pub mod audit;
pub mod bench;
pub mod claims;
mod communication;
pub mod compare;
pub mod completions;
pub mod convert;
pub mod data;
pub mod diff;
pub mod doctor;
mod encoder_decoder;
pub mod eval;
pub mod export;
pub mod figure;
mod fill;
pub mod generate;
mod generate_args;
pub mod inspect;
pub mod laws;
pub mod list;
pub mod matching;
pub mod report;
mod routers;
pub mod runs;
mod score;
pub mod trace;
pub mod train;
pub mod verify;
mod vision;

mod causality;
mod dispatch;
mod listing;
mod parameters;
mod plan;
mod precision;
mod published;
mod topics;
mod weights;

pub use dispatch::run;
