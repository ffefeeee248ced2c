//! Routers of other crates, known by name beside those of the list.
//!
//! A [`Registry`] names configurations that implement [`Preset`]. Once installed, a
//! [`RouterConfig`](crate::RouterConfig) of such a name can be read, built, trained and written like any
//! other: behind [`OutsideConfig`] and [`OutsideRouter`] stands the reader's own type.

mod bridge;
mod config;
mod registry;
mod router;

pub use config::OutsideConfig;
pub use registry::{Registry, RegistryError};
pub use router::OutsideRouter;

pub(crate) use registry::{registered, registered_names};
