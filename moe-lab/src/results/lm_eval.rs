//! The result files of lm-eval (EleutherAI's lm-evaluation-harness): one run a file.
//!
//! ```text
//! FOLDER/<model>/results_<date>.json
//!   results.<task>.<metric>,<filter>    number, beside <metric>_stderr,<filter>
//!   higher_is_better.<task>.<metric>    bool
//!   model_name, config.model_args, config.random_seed
//! ```
//!
//! A column is called `<task>/<metric>`, and `<task>/<metric>,<filter>` where the filter is not `none`. Its standard
//! errors are over the questions of a task and say nothing of another seed, so they are not read.

use super::error::ResultsError;
use super::json::{Objects, python_numbers};
use super::table::{Layout, Place, Table, at, fault};
use crate::stats::Goal;
use moe_checkpoint::disk;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The columns before those of the metrics.
pub(super) const MODEL: &str = "model";
pub(super) const SEED: &str = "random_seed";
pub(super) const FILE: &str = "file";

/// The largest result file; with samples in it, it is larger than need be.
const MOST_BYTES: u64 = 1 << 27;

/// The most result files, and the deepest folder.
const MOST_FILES: usize = 10_000;
const DEEPEST: usize = 16;

/// Reads all result files below a folder, in the order of their names.
pub(super) fn folder(path: &Path) -> Result<Table, ResultsError> {
    let mut files = Vec::new();
    find(path, 0, &mut files)?;
    files.sort();
    let name = path.display().to_string();
    if files.is_empty() {
        let what = "it is a folder without lm-eval's results_*.json; give such a folder, or a file of rows";
        return Err(fault(&name, what));
    }
    let mut results = Results::new(&name);
    for file in files {
        let unreadable = |reason: String| ResultsError::File {
            path: file.clone(),
            reason,
        };
        let text = disk::read_text(&file, MOST_BYTES).map_err(|e| unreadable(e.to_string()))?;
        let below = file.strip_prefix(path).unwrap_or(&file);
        let place = Place::File(below.display().to_string());
        let document: Map<String, Value> = serde_json::from_str(&python_numbers(&text))
            .map_err(|error| at(&name, &place, format!("it is no object of JSON: {error}")))?;
        results.push(place, &document)?;
    }
    Ok(results.table())
}

/// Reads one result file; `None` if the text is none.
pub(super) fn file(name: &str, text: &str) -> Option<Result<Table, ResultsError>> {
    let document: Map<String, Value> = serde_json::from_str(&python_numbers(text)).ok()?;
    document.get("results")?.as_object()?;
    let mut results = Results::new(name);
    let pushed = results.push(Place::File(name.to_owned()), &document);
    Some(pushed.map(|()| results.table()))
}

fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ResultsError> {
    let unreadable = |reason: String| ResultsError::File {
        path: folder.to_owned(),
        reason,
    };
    for entry in fs::read_dir(folder).map_err(|e| unreadable(e.to_string()))? {
        let entry = entry.map_err(|e| unreadable(e.to_string()))?;
        let kind = entry.file_type().map_err(|e| unreadable(e.to_string()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // links to folders are not followed, which could lead round in a circle
        let is_file = kind.is_file() || kind.is_symlink() && !entry.path().is_dir();
        if kind.is_dir() && depth == DEEPEST {
            return Err(unreadable(format!(
                "folders in it are deeper than {DEEPEST}; give one that is nearer to the result files"
            )));
        } else if kind.is_dir() {
            find(&entry.path(), depth + 1, files)?;
        } else if is_file && name.starts_with("results") && name.ends_with(".json") {
            files.push(entry.path());
        }
        if files.len() > MOST_FILES {
            return Err(unreadable(format!(
                "it holds more than {MOST_FILES} result files"
            )));
        }
    }
    Ok(())
}

/// The rows so far, with the directions that the files say.
struct Results {
    objects: Objects,
    name: String,
    goals: BTreeMap<String, Goal>,
}

impl Results {
    fn new(name: &str) -> Self {
        Self {
            objects: Objects::new(name),
            name: name.to_owned(),
            goals: BTreeMap::new(),
        }
    }

    fn push(&mut self, place: Place, document: &Map<String, Value>) -> Result<(), ResultsError> {
        let Some(Value::Object(tasks)) = document.get("results") else {
            return Err(at(
                &self.name,
                &place,
                "it has no `results`, and so is none of lm-eval's",
            ));
        };
        let mut row = Map::new();
        row.insert(MODEL.into(), Value::String(model(document, &place)));
        let seed = document.get("config").and_then(|config| config.get(SEED));
        row.insert(SEED.into(), seed.cloned().unwrap_or(Value::Null));
        row.insert(FILE.into(), Value::String(place_text(&place)));
        for (task, metrics) in tasks {
            for (key, value) in metrics.as_object().into_iter().flatten() {
                let (metric, filter) = key.split_once(',').unwrap_or((key, "none"));
                if metric.ends_with("_stderr") || !(value.is_number() || is_not_finite(value)) {
                    continue;
                }
                let column = match filter {
                    "none" => format!("{task}/{metric}"),
                    filter => format!("{task}/{metric},{filter}"),
                };
                let goal = document.get("higher_is_better");
                let goal = goal.and_then(|tasks| tasks.get(task)?.get(metric)?.as_bool());
                if let Some(is_higher) = goal {
                    let goal = if is_higher { Goal::Higher } else { Goal::Lower };
                    self.goals.insert(column.clone(), goal);
                }
                row.insert(column, value.clone());
            }
        }
        self.objects.push(place, row)
    }

    fn table(self) -> Table {
        Table {
            goals: self.goals,
            ..self.objects.table(Layout::LmEval)
        }
    }
}

fn is_not_finite(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<f64>().is_ok_and(|x| !x.is_finite()))
}

fn place_text(place: &Place) -> String {
    match place {
        Place::File(file) => file.clone(),
        other => other.to_string(),
    }
}

/// The name of the model: as it is, from the arguments, or the folder's.
fn model(document: &Map<String, Value>, place: &Place) -> String {
    let name = document.get("model_name").and_then(Value::as_str);
    if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
        return name.trim().to_owned();
    }
    let arguments = document
        .get("config")
        .and_then(|config| config.get("model_args"));
    let keys = ["peft", "delta", "pretrained", "model", "path"];
    let of_arguments = keys.iter().find_map(|key| match arguments? {
        Value::Object(arguments) => arguments.get(*key)?.as_str().map(str::to_owned),
        Value::String(arguments) => arguments
            .split(',')
            .find_map(|pair| pair.trim().strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned),
        _ => None,
    });
    of_arguments.unwrap_or_else(|| {
        let file = place_text(place);
        let folder = Path::new(&file)
            .parent()
            .filter(|folder| *folder != Path::new(""));
        folder.map_or(file.clone(), |folder| folder.display().to_string())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = r#"{
      "results": {
        "hellaswag": {"alias": "hellaswag", "acc,none": 0.5, "acc_stderr,none": 0.01, "acc_norm,none": 0.75},
        "gsm8k": {"exact_match,strict-match": 0.25, "exact_match_stderr,strict-match": "N/A"},
        "wikitext": {"word_perplexity,none": NaN}
      },
      "higher_is_better": {"hellaswag": {"acc": true}, "wikitext": {"word_perplexity": false}},
      "config": {"model_args": "pretrained=org/a,dtype=float", "random_seed": 7},
      "model_name": "org/a"
    }"#;

    #[test]
    fn a_file_is_a_row() {
        let table = file("results_1.json", TEXT).unwrap().unwrap();
        let expected = [
            "file",
            "gsm8k/exact_match,strict-match",
            "hellaswag/acc",
            "hellaswag/acc_norm",
            "model",
            "random_seed",
            "wikitext/word_perplexity",
        ];
        assert_eq!(table.header, expected);
        let cells: Vec<&str> = table.rows[0].cells.iter().collect();
        assert_eq!(
            cells,
            ["results_1.json", "0.25", "0.5", "0.75", "org/a", "7", "NaN"]
        );
        assert_eq!(table.goals["hellaswag/acc"], Goal::Higher);
        assert_eq!(table.goals["wikitext/word_perplexity"], Goal::Lower);
        assert_eq!(table.goals.get("hellaswag/acc_norm"), None);
        assert!(file("a", "{\"results\": 1}").is_none());
    }

    #[test]
    fn a_model_without_a_name_has_that_of_its_arguments_or_its_folder() {
        let named = |text: &str| {
            let document: Map<String, Value> = serde_json::from_str(text).unwrap();
            model(&document, &Place::File("org__a/results_1.json".into()))
        };
        assert_eq!(
            named(r#"{"config": {"model_args": "dtype=x, pretrained=org/b"}}"#),
            "org/b"
        );
        assert_eq!(
            named(r#"{"config": {"model_args": {"pretrained": "org/c"}}}"#),
            "org/c"
        );
        assert_eq!(named(r#"{"model_name": " "}"#), "org__a");
    }

    #[cfg(unix)]
    #[test]
    fn links_to_files_are_followed_and_those_that_lead_nowhere_are_errors() {
        let place = tempfile::tempdir().unwrap();
        let runs = place.path().join("runs");
        fs::create_dir(&runs).unwrap();
        fs::write(place.path().join("elsewhere"), TEXT).unwrap();
        let link = |from: &str, to: &str| std::os::unix::fs::symlink(from, runs.join(to)).unwrap();
        link("../elsewhere", "results_1.json");
        // a circle
        link(".", "round");
        assert_eq!(folder(&runs).unwrap().rows.len(), 1);
        link("../nowhere", "results_2.json");
        let error = folder(&runs).unwrap_err().to_string();
        assert!(error.contains("results_2.json"), "{error}");
    }

    #[test]
    fn folders_that_are_too_deep_are_not_passed_over() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("results_1.json"), TEXT).unwrap();
        // 16 folders below the first are searched, and not the 17th
        let deepest = place.path().join(["d"; 16].join("/"));
        fs::create_dir_all(&deepest).unwrap();
        fs::write(deepest.join("results_2.json"), TEXT).unwrap();
        assert_eq!(folder(place.path()).unwrap().rows.len(), 2);
        fs::create_dir(deepest.join("d")).unwrap();
        let error = folder(place.path()).unwrap_err().to_string();
        assert!(error.contains("deeper than 16"), "{error}");
    }

    #[test]
    fn a_folder_is_searched_at_any_depth() {
        let place = tempfile::tempdir().unwrap();
        let error = folder(place.path()).unwrap_err().to_string();
        assert!(
            error.contains("without lm-eval's results_*.json"),
            "{error}"
        );
        fs::create_dir_all(place.path().join("deep/org__a")).unwrap();
        for name in ["deep/org__a/results_2.json", "results_1.json"] {
            fs::write(place.path().join(name), TEXT).unwrap();
        }
        fs::write(place.path().join("deep/samples_1.jsonl"), "x").unwrap();
        assert_eq!(folder(place.path()).unwrap().rows.len(), 2);
        fs::write(place.path().join("results_3.json"), "{\"results\": ").unwrap();
        let error = folder(place.path()).unwrap_err().to_string();
        assert!(
            error.contains("file `results_3.json`: it is no object of JSON"),
            "{error}"
        );
    }
}
