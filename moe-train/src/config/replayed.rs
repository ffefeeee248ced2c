//! The trace of a file, in place of its name: a run stays a function of its configuration.

use super::{ConfigError, RunConfig};
use moe_checkpoint::trace::TraceReader;
use moe_router::RouterConfig;
use std::path::Path;

/// The first character of a trace that is the name of a file.
const FILE: char = '@';

impl RunConfig {
    /// Replaces `router.trace = "@FILE"` by what the file holds.
    pub(super) fn read_trace(&mut self) -> Result<(), ConfigError> {
        let RouterConfig::Replay(replay) = &mut self.router else {
            return Ok(());
        };
        let Some(path) = replay.trace.strip_prefix(FILE) else {
            return Ok(());
        };
        let traces = TraceReader::open(Path::new(path)).and_then(|reader| reader.replayed())?;
        let layers: Vec<String> = traces.iter().map(ToString::to_string).collect();
        replay.trace = layers.join("/");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_checkpoint::trace::{LayerChunk, TraceChunk, TraceMeta, TraceWriter};

    #[test]
    fn a_file_becomes_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.safetensors");
        let meta = TraceMeta {
            n_experts: 4,
            ..TraceMeta::default()
        };
        let mut writer = TraceWriter::new(&path, meta);
        let layer = |experts: [i32; 6], kept: [bool; 6]| LayerChunk {
            width: 2,
            experts: experts.to_vec(),
            kept: Some(kept.to_vec()),
            ..LayerChunk::default()
        };
        let chunk = TraceChunk {
            n_tokens: 3,
            group: Some(vec![0, 0, 1]),
            layers: vec![
                layer([0, 3, 1, -1, 2, 1], [true; 6]),
                layer([1, 0, 2, 3, 3, 0], [true, false, true, true, true, true]),
            ],
            ..TraceChunk::default()
        };
        writer.add(&chunk).expect("written");
        writer.finish().expect("written");
        let trace = format!("router.trace=@{}", path.display());
        let overrides = ["router.name=replay", "experts.n_experts=4", &trace];
        let config = RunConfig::of_overrides(&overrides).expect("a configuration");
        let RouterConfig::Replay(replay) = &config.router else {
            panic!("the router replays");
        };
        assert_eq!(replay.trace, "0 3,1;2 1/1,2 3;3 0");
        // the experts of the trace must be there
        let fewer = ["router.name=replay", "experts.n_experts=3", &trace];
        let error = RunConfig::of_overrides(&fewer).expect_err("an expert is missing");
        assert!(error.to_string().contains("has expert 3"), "{error}");
        let error = RunConfig::of_overrides(&["router.name=replay", "router.trace=@none"]);
        assert!(error.expect_err("no file").to_string().contains("none"));
    }
}
