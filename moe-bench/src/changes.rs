//! What changed between two files of measurements, such as those of `moe bench suite` or of any measurement's `--json`.
//!
//! A measurement is a [`Timing`] somewhere in the file. Its name is what stands on the way to it: keys, and the texts of
//! the objects around it (`router: noisy_topk, training: time`). Two measurements of one name are compared.

use crate::table::{columns, milliseconds};
use crate::timing::Timing;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// A measurement that both files have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Time in the first file.
    pub before: Timing,
    /// Time in the second.
    pub after: Timing,
    /// Median time after as a multiple of that before.
    pub ratio: f64,
    /// Set if every time of one file is longer than every time of the other. Of five times each, equal programs on a
    /// quiet machine do that once in 126 comparisons (2 in 10 over 5).
    pub is_beyond_noise: bool,
}

/// All measurements of two files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// Those that both have.
    pub compared: Vec<Change>,
    /// Names that the first alone has.
    pub gone: Vec<String>,
    /// Names that the second alone has.
    pub new: Vec<String>,
}

impl Changes {
    /// Compares the measurements of two files.
    pub fn of(before: &Value, after: &Value) -> Self {
        let [before, mut after] = [before, after].map(|file| {
            let mut found = BTreeMap::new();
            collect(file, String::new(), &mut found);
            found
        });
        let mut changes = Self {
            compared: Vec::new(),
            gone: Vec::new(),
            new: Vec::new(),
        };
        for (name, before) in before {
            match after.remove(&name) {
                Some(after) => changes.compared.push(Change::new(name, before, after)),
                None => changes.gone.push(name),
            }
        }
        changes.new = after.into_keys().collect();
        changes
    }
}

impl Change {
    fn new(name: String, before: Timing, after: Timing) -> Self {
        Self {
            name,
            before,
            after,
            ratio: after.median_s / before.median_s,
            is_beyond_noise: after.min_s > before.max_s || after.max_s < before.min_s,
        }
    }
}

fn collect(value: &Value, name: String, found: &mut BTreeMap<String, Timing>) {
    match value {
        Value::Object(fields) => {
            if let Ok(timing) = serde_json::from_value::<Timing>(value.clone()) {
                found.insert(free_name(name, found), timing);
                return;
            }
            let name = joined(&name, &texts(fields).join(" "), " ");
            for (key, value) in fields {
                collect(value, joined(&name, key, ": "), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, name.clone(), found);
            }
        }
        _ => {}
    }
}

/// The texts of an object, and of objects in it that hold nothing else.
fn texts(fields: &Map<String, Value>) -> Vec<&str> {
    fields.values().flat_map(texts_of).collect()
}

fn texts_of(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Object(inner) if inner.values().all(Value::is_string) => {
            inner.values().filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    }
}

fn joined(name: &str, more: &str, by: &str) -> String {
    match (name, more) {
        ("", _) => more.to_owned(),
        (_, "") => name.to_owned(),
        _ => format!("{name}{by}{more}"),
    }
}

/// The name, with a number if another measurement has it.
fn free_name(name: String, found: &BTreeMap<String, Timing>) -> String {
    let numbered = (2..).map(|i| format!("{name} ({i})"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !found.contains_key(name)).unwrap_or(name)
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beyond: Vec<&Change> = self.compared.iter().filter(|c| c.is_beyond_noise).collect();
        if !beyond.is_empty() {
            let mut rows =
                vec![["measurement", "before, ms", "after, ms", "ratio"].map(str::to_owned)];
            rows.extend(beyond.iter().map(|change| {
                [
                    change.name.clone(),
                    milliseconds(change.before.median_s),
                    milliseconds(change.after.median_s),
                    format!("{:.3}", change.ratio),
                ]
            }));
            let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
            writeln!(f, "{}\n", columns(&rows))?;
        }
        write!(
            f,
            "{} of {} measurements changed beyond noise: every time of one is longer than every time of the other",
            beyond.len(),
            self.compared.len()
        )?;
        for (names, what) in [(&self.gone, "only before"), (&self.new, "only after")] {
            if !names.is_empty() {
                write!(f, "\n{what}: {}", names.join("; "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn timing(min: f64, median: f64, max: f64) -> Value {
        json!({"median_s": median, "min_s": min, "max_s": max, "repetitions": 5})
    }

    #[test]
    fn times_that_overlap_are_noise_and_others_a_change() {
        let file = |switch: Value, base: Value| {
            json!({"machine": {"threads": 2}, "rows": [
                {"router": "switch", "mode": "training", "time": switch},
                {"router": "base", "mode": "training", "time": base},
            ]})
        };
        let before = file(timing(1.0, 2.0, 3.0), timing(1.0, 2.0, 3.0));
        // 3.5 to 5 lies above 1 to 3, 2.5 to 5 does not
        let after = file(timing(3.5, 4.0, 5.0), timing(2.5, 4.0, 5.0));
        let changes = Changes::of(&before, &after);
        let of = |name: &str| {
            let mut all = changes.compared.iter();
            all.find(|change| change.name.contains(name))
                .expect("compared")
        };
        assert_eq!(
            (of("switch").ratio, of("switch").is_beyond_noise),
            (2.0, true)
        );
        assert_eq!((of("base").ratio, of("base").is_beyond_noise), (2.0, false));
        let text = changes.to_string();
        assert!(text.contains("switch") && !text.contains("base"), "{text}");
        assert!(text.contains("1 of 2 measurements"), "{text}");
    }

    #[test]
    fn names_tell_apart_what_differs() {
        let value = json!([
            {"subject": {"peer": "dense"}, "workload": "A", "time": timing(1.0, 1.0, 1.0)},
            {"subject": "layer", "workload": "A", "time": timing(1.0, 1.0, 1.0)},
            {"subject": "layer", "workload": "A", "time": timing(1.0, 1.0, 1.0)},
        ]);
        let names: Vec<String> = Changes::of(&value, &value)
            .compared
            .into_iter()
            .map(|change| change.name)
            .collect();
        assert_eq!(
            names,
            ["dense A: time", "layer A: time", "layer A: time (2)"]
        );
    }

    #[test]
    fn what_one_file_lacks_is_told() {
        let [one, both] = [
            json!({"a": timing(1.0, 1.0, 1.0)}),
            json!({"a": timing(1.0, 1.0, 1.0), "b": timing(1.0, 1.0, 1.0)}),
        ];
        assert_eq!(Changes::of(&one, &both).new, ["b"]);
        assert_eq!(Changes::of(&both, &one).gone, ["b"]);
    }
}
