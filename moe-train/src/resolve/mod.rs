//! Configuration machinery: typed defaults, merged with a file, merged with `key=value` overrides.
//!
//! Nothing here knows the concrete configuration types. The caller gives the defaults as a TOML
//! table, which lists every legal key and the type of its value:
//!
//! ```text
//! resolved = defaults(selectors) <- file <- overrides       (later wins)
//! ```
//!
//! - A key that the defaults do not have is an error with the nearest known key as a hint.
//! - A value keeps the type of its default; an integer is accepted where a float is expected.
//! - A *selector* (`router.name`, `model.family`) chooses the defaults of its table. What the file
//!   says in that table belongs to the file's choice and is dropped when the choice changes; see
//!   [`resolve`].

mod error;
mod file;
mod implied;
mod known;
mod layers;
mod merge;
mod nearest;
mod overrides;
mod selection;

pub use error::ResolveError;
pub use file::ConfigFile;
pub use implied::Implied;
pub use known::key_hint;
pub use layers::{Defaults, Layers, Resolved, resolve, resolve_with_notes, typed};
pub use nearest::nearest;
pub use overrides::Override;
pub use selection::Selection;
