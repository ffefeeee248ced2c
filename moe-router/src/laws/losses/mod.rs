//! The laws of balance losses: plain functions of a routing.

mod case;
mod closed_form;
mod laws;
mod subject;

pub use laws::{LOSS_LAWS, LossLaw};
pub use subject::{LossSubject, check_loss, loss_subjects};
