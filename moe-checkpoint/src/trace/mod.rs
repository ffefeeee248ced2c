//! Traces of routings: which token went to which experts in each layer, as a safetensors file that is read and written
//! in chunks of tokens, so that it may be larger than memory. The format is `docs/reference/traces.md`.

mod chunk;
mod decode;
mod error;
mod meta;
mod reader;
mod replay;
mod routed;
mod shapes;
mod spool;
mod writer;

pub use chunk::{LayerChunk, NO_EXPERT, NO_LABEL, TraceChunk};
pub use error::TraceError;
pub use meta::TraceMeta;
pub use reader::{TraceLayer, TraceReader};
pub use routed::RoutedExperts;
pub use writer::TraceWriter;
