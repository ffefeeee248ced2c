//! Traces that the tests write and read again.

use super::{Recorder, TracedTokens};
use moe_checkpoint::trace::{TraceChunk, TraceMeta, TraceReader, TraceWriter};
use moe_router::Routing;
use tempfile::TempDir;

/// An open trace, and the folder that it is in.
pub struct Written {
    _folder: TempDir,
    pub reader: TraceReader,
}

fn written(write: impl FnOnce(&std::path::Path)) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.safetensors");
    write(&path);
    Written {
        reader: TraceReader::open(&path).unwrap(),
        _folder: folder,
    }
}

/// A trace of these chunks.
pub fn write(chunks: &[TraceChunk], meta: TraceMeta, biases: Vec<Option<Vec<f32>>>) -> Written {
    written(|path| {
        let mut writer = TraceWriter::new(path, meta);
        writer.set_biases(biases);
        chunks.iter().for_each(|chunk| writer.add(chunk).unwrap());
        writer.finish().unwrap();
    })
}

/// A trace of a batch.
pub fn record(routings: &[Routing], meta: TraceMeta) -> Written {
    written(|path| {
        let mut recorder = Recorder::new(path);
        recorder.add(routings, TracedTokens::default()).unwrap();
        recorder.finish(meta).unwrap();
    })
}

impl Written {
    /// The whole trace.
    pub fn chunk(&self) -> TraceChunk {
        let mut chunks = self.reader.chunks();
        let chunk = chunks.next().unwrap().unwrap();
        assert!(chunks.next().is_none());
        chunk
    }

    /// The same with a fault.
    pub fn planted(&self, fault: impl FnOnce(&mut TraceChunk)) -> Written {
        let mut chunk = self.chunk();
        fault(&mut chunk);
        let layers = self.reader.layers().iter();
        let biases = layers.map(|layer| layer.bias.clone()).collect();
        write(&[chunk], self.reader.meta().clone(), biases)
    }
}
