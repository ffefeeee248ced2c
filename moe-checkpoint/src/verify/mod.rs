//! Holding a published checkpoint to what its reference implementation computed: a file of goldens.

mod any;
mod checker;
mod error;
mod forward;
mod further;
mod generate;
mod goldens;
mod objective;
mod quantity;
mod switch;
mod switch_writing;
mod tables;
mod training;
mod verification;
mod vision;
mod vision_routing;

pub use any::verify_any;
pub use error::VerifyError;
pub use goldens::Goldens;
pub use quantity::{Quantity, Tolerance};
pub use switch::verify_switch;
pub use verification::{Scope, Verification, verify};
pub use vision::verify_vmoe;
