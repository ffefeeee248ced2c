//! Objects of JSON as rows: one in each line, or an array of them.

use super::error::ResultsError;
use super::table::{Layout, MOST_COLUMNS, MOST_ROWS, Place, Row, Table, at, fault};
use csv::StringRecord;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Numbers that Python writes and JSON does not have, the longer before what it ends in.
const PYTHON: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads an object in each line; empty lines are passed over.
pub(super) fn lines(name: &str, text: &str) -> Result<Table, ResultsError> {
    let mut objects = Objects::new(name);
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() {
            continue;
        }
        let place = Place::Line(number);
        let object: Map<String, Value> = serde_json::from_str(&python_numbers(line))
            .map_err(|error| at(name, &place, format!("it is no object of JSON: {error}")))?;
        objects.push(place, object)?;
    }
    Ok(objects.table(Layout::Rows))
}

/// Reads an array of objects.
pub(super) fn array(name: &str, text: &str) -> Result<Table, ResultsError> {
    let rows: Vec<Map<String, Value>> = serde_json::from_str(&python_numbers(text))
        .map_err(|error| fault(name, format!("it is no array of JSON objects: {error}")))?;
    let mut objects = Objects::new(name);
    for (row, number) in rows.into_iter().zip(1..) {
        objects.push(Place::Object(number), row)?;
    }
    Ok(objects.table(Layout::Rows))
}

/// Objects with the keys of all of them, those of inner objects with dots.
pub(super) struct Objects {
    name: String,
    header: Vec<String>,
    places: HashMap<String, usize>,
    rows: Vec<Flat>,
}

/// The cells of an object by their columns.
struct Flat {
    place: Place,
    cells: Vec<Cell>,
}

struct Cell {
    column: usize,
    text: String,
}

impl Objects {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            header: Vec::new(),
            places: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Adds an object as a row.
    pub(super) fn push(
        &mut self,
        place: Place,
        object: Map<String, Value>,
    ) -> Result<(), ResultsError> {
        if self.rows.len() == MOST_ROWS {
            return Err(fault(
                &self.name,
                format!("it has more than {MOST_ROWS} rows"),
            ));
        }
        let mut cells = Vec::new();
        self.flatten("", object, &mut cells);
        let mut columns: Vec<usize> = cells.iter().map(|cell| cell.column).collect();
        columns.sort_unstable();
        if let Some(pair) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("it has `{}` twice", self.header[pair[0]]);
            return Err(at(&self.name, &place, what));
        }
        if self.header.len() > MOST_COLUMNS {
            return Err(fault(
                &self.name,
                format!("it has more than {MOST_COLUMNS} columns"),
            ));
        }
        self.rows.push(Flat { place, cells });
        Ok(())
    }

    fn flatten(&mut self, prefix: &str, object: Map<String, Value>, cells: &mut Vec<Cell>) {
        for (key, value) in object {
            let key = format!("{prefix}{key}");
            let text = match value {
                Value::Object(inner) => {
                    self.flatten(&format!("{key}."), inner, cells);
                    continue;
                }
                Value::Null => String::new(),
                Value::String(text) => text.trim().to_owned(),
                other => other.to_string(),
            };
            let n_columns = self.header.len();
            let column = *self.places.entry(key).or_insert_with_key(|key| {
                self.header.push(key.clone());
                n_columns
            });
            cells.push(Cell { column, text });
        }
    }

    /// The table of all rows, with empty cells for keys that an object does not have.
    pub(super) fn table(self, layout: Layout) -> Table {
        let n_columns = self.header.len();
        let row = |flat: Flat| {
            let mut cells = vec![""; n_columns];
            for cell in &flat.cells {
                cells[cell.column] = &cell.text;
            }
            Row {
                place: flat.place,
                cells: StringRecord::from(cells),
            }
        };
        Table {
            name: self.name,
            layout,
            header: self.header,
            rows: self.rows.into_iter().map(row).collect(),
            goals: BTreeMap::new(),
            own: None,
        }
    }
}

/// The text with NaN and Infinity, as Python writes them, in quotation marks.
pub(super) fn python_numbers(text: &str) -> Cow<'_, str> {
    if !PYTHON.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len());
    let (mut rest, mut is_text, mut is_escaped) = (text, false, false);
    while let Some(c) = rest.chars().next() {
        let word = PYTHON
            .iter()
            .find(|word| !is_text && rest.starts_with(**word));
        if let Some(word) = word {
            quoted.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        is_text ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && is_text && !is_escaped;
        quoted.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cells(table: &Table) -> Vec<Vec<&str>> {
        table
            .rows
            .iter()
            .map(|row| row.cells.iter().collect())
            .collect()
    }

    #[test]
    fn inner_objects_have_dots_and_missing_keys_are_empty() {
        let text = "{\"arm\": \"a\", \"config\": {\"seed\": 3}, \"loss\": NaN}\n\n{\"loss\": -Infinity, \"ok\": true}\n";
        let table = lines("a.jsonl", text).unwrap();
        assert_eq!(table.header, ["arm", "config.seed", "loss", "ok"]);
        assert_eq!(
            cells(&table),
            [["a", "3", "NaN", ""], ["", "", "-Infinity", "true"]]
        );
        assert_eq!(table.rows[1].place, Place::Line(3));
        let array = array("a.json", "[{\"arm\": \"a\", \"loss\": 0.1}]").unwrap();
        assert_eq!(cells(&array), [["a", "0.1"]]);
    }

    #[test]
    fn words_within_texts_stay() {
        let text = r#"{"a": "NaN \" NaN", "b": [NaN], "c\\": Infinity}"#;
        let expected = r#"{"a": "NaN \" NaN", "b": ["NaN"], "c\\": "Infinity"}"#;
        assert_eq!(python_numbers(text), expected);
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let error = lines("a.jsonl", "{\"a\": 1}\n{\"a\": \n")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("a.jsonl, line 2: it is no object of JSON"),
            "{error}"
        );
        let error = lines("a.jsonl", "{\"a.b\": 1, \"a\": {\"b\": 2}}")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 1: it has `a.b` twice"), "{error}");
        assert!(array("a.json", "[1]").is_err());
    }
}
