//! Values to text, SVG and HTML: numbers and tables, figures of routers, ablations and generated text, and pages
//! that stand alone.
//!
//! [moe-router]: moe_router
//! [moe-lab]: moe_lab
#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod ablation;
mod agreement;
mod analysis;
mod colour;
mod communication;
pub mod drawing;
pub mod export;
pub mod generation;
mod information;
mod numbers;
pub mod pages;
mod quote;
pub mod router;
mod runs;
mod scores;
pub mod svg;
mod table;
mod trace;
mod visible;

pub use agreement::{agreement_notes, agreement_svg, agreement_text, trace_agreement_text};
pub use analysis::analysis_text;
pub use colour::{EXPERT_COLOURS, ExpertColour, ExpertStyle, has_colour};
pub use numbers::{bytes, counted, duration, elapsed, si, significant, thousands};
pub use quote::{last_parts, quote};
pub use runs::{RUN_COLUMNS, difference_text, run_rows};
pub use scores::{domain_table, evaluated_with, layer_table, writing};
pub use table::{Align, columns, columns_within, markdown, pairs, paragraph, width};
pub use trace::{trace_check_text, trace_text};
pub use visible::visible;
