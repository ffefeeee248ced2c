//! The lines of `metrics.jsonl` as rows of a long table, read one at a time.

use moe_checkpoint::disk;
use moe_train::run::RunError;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The most bytes of a line.
const MOST: u64 = 1 << 26;

/// The numbers of a logged step or of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricLine {
    /// The step.
    pub step: u64,
    /// The numbers: those of the whole model by name, then those of each layer.
    pub rows: Vec<MetricRow>,
}

/// A number of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRow {
    /// The place among the layers with experts, from 0; none of a number of the whole model.
    pub layer: Option<usize>,
    /// The expert; none of a number of all experts.
    pub expert: Option<usize>,
    /// `train/` or the part of the data, then the field: `train/loss`, `validation/domains/law`.
    pub metric: String,
    /// The value.
    pub value: f64,
}

impl MetricLine {
    /// Reads a line; nothing of one that is torn or of another kind. Fields that are no numbers are left out.
    pub fn parse(line: &str) -> Option<Self> {
        let Value::Object(mut fields) = serde_json::from_str(line).ok()? else {
            return None;
        };
        let part = match fields.remove("kind")?.as_str()? {
            "train" => "train".to_owned(),
            "eval" => fields.remove("split")?.as_str()?.to_owned(),
            _ => return None,
        };
        let step = fields.remove("step")?.as_u64()?;
        let layers = fields.remove("layers").unwrap_or_default();
        let mut rows = Vec::new();
        add_fields(&mut rows, &part, &fields);
        let layers = layers.as_array().into_iter().flatten().enumerate();
        for (layer, fields) in layers {
            add_layer(&mut rows, &part, layer, fields.as_object()?);
        }
        Some(Self { step, rows })
    }
}

/// Adds the numbers of fields and of fields within them.
fn add_fields(rows: &mut Vec<MetricRow>, prefix: &str, fields: &Map<String, Value>) {
    for (name, value) in fields {
        let metric = format!("{prefix}/{name}");
        match value {
            Value::Object(fields) => add_fields(rows, &metric, fields),
            value => rows.extend(row(&metric, None, None, value)),
        }
    }
}

/// Adds the numbers of a layer, a list being one number an expert.
fn add_layer(rows: &mut Vec<MetricRow>, part: &str, layer: usize, fields: &Map<String, Value>) {
    for (name, value) in fields {
        let metric = format!("{part}/{name}");
        match value {
            Value::Array(experts) => {
                let experts = experts.iter().enumerate();
                rows.extend(
                    experts.filter_map(|(expert, value)| {
                        row(&metric, Some(layer), Some(expert), value)
                    }),
                );
            }
            value => rows.extend(row(&metric, Some(layer), None, value)),
        }
    }
}

fn row(
    metric: &str,
    layer: Option<usize>,
    expert: Option<usize>,
    value: &Value,
) -> Option<MetricRow> {
    Some(MetricRow {
        layer,
        expert,
        metric: metric.to_owned(),
        value: value.as_f64()?,
    })
}

/// The lines of a file, in its order. Lines that cannot be read are counted and passed over.
#[derive(Debug)]
pub struct MetricReader {
    path: PathBuf,
    reader: BufReader<File>,
    unread: u64,
}

impl MetricReader {
    /// Opens a `metrics.jsonl`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let file = disk::open_regular(path).map_err(|source| unreadable(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(file),
            unread: 0,
        })
    }

    /// The number of lines so far that could not be read, such as one torn by a kill.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// The bytes of the next line, at most [`MOST`]; none at the end.
    fn bytes(&mut self) -> Result<Option<Vec<u8>>, RunError> {
        let mut bytes = Vec::new();
        let mut piece = self.reader.by_ref().take(MOST);
        let read = piece.read_until(b'\n', &mut bytes);
        let n = read.map_err(|source| unreadable(&self.path, source))?;
        Ok((n > 0).then_some(bytes))
    }
}

impl Iterator for MetricReader {
    type Item = Result<MetricLine, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = match self.bytes() {
                Ok(bytes) => bytes?,
                Err(error) => return Some(Err(error)),
            };
            match std::str::from_utf8(&bytes).ok().and_then(MetricLine::parse) {
                Some(line) => return Some(Ok(line)),
                None => self.unread += 1,
            }
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> RunError {
    RunError::File {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STEP: &str = r#"{"kind":"train","step":5,"loss":2.5,"balance":{"z":0.5},"layers":[{"load_share":[0.75,0.25],"max_vio":0.5}]}"#;
    const EVAL: &str = r#"{"kind":"eval","step":5,"split":"validation","whole":true,"loss":null,"domains":{"law":1.5},"layers":[]}"#;

    fn rows(line: &str) -> Vec<(Option<usize>, Option<usize>, String, f64)> {
        let rows = MetricLine::parse(line).unwrap().rows.into_iter();
        rows.map(|row| (row.layer, row.expert, row.metric, row.value))
            .collect()
    }

    #[test]
    fn every_number_of_a_line_is_a_row() {
        let name = |text: &str| text.to_owned();
        assert_eq!(
            rows(STEP),
            [
                (None, None, name("train/balance/z"), 0.5),
                (None, None, name("train/loss"), 2.5),
                (Some(0), Some(0), name("train/load_share"), 0.75),
                (Some(0), Some(1), name("train/load_share"), 0.25),
                (Some(0), None, name("train/max_vio"), 0.5),
            ]
        );
        // a loss that is no number, and yes or no, have no row
        assert_eq!(
            rows(EVAL),
            [(None, None, name("validation/domains/law"), 1.5)]
        );
        assert_eq!(MetricLine::parse(&STEP[..40]), None);
        assert_eq!(MetricLine::parse(r#"{"kind":"other","step":1}"#), None);
    }

    #[test]
    fn torn_lines_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, format!("{STEP}\n\u{ff}\n{EVAL}\n{}", &STEP[..40])).unwrap();
        let mut reader = MetricReader::open(&path).unwrap();
        let steps: Vec<u64> = reader.by_ref().map(|line| line.unwrap().step).collect();
        assert_eq!((steps, reader.unread()), (vec![5, 5], 2));
        assert!(MetricReader::open(&folder.path().join("none")).is_err());
    }
}
