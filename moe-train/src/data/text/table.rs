//! Tables of texts, `.csv`, `.tsv` and `.jsonl`: one column of them, a document in each row.

use crate::data::{DataError, read::check_stop};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use thiserror::Error;

/// Separator of two documents: an empty line.
const SEPARATOR: &str = "\n\n";

/// Errors of a table of texts.
#[derive(Debug, Error, PartialEq)]
pub enum TableError {
    /// A table, and no column chosen.
    #[error(
        "`{path}` is a table, and data.column does not say what to read of it; it has {columns}: set data.column to one of them, or rename the file to .txt to read it as it is"
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The columns that there are.
        columns: String,
    },
    /// A column that the table does not have.
    #[error(
        "`{path}`, line {line}: there is no column `{column}`; it has {columns}: set data.column"
    )]
    OtherColumn {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column asked for.
        column: String,
        /// The columns that there are.
        columns: String,
    },
    /// A column, and a file that is no table.
    #[error(
        "`{path}` has no columns, but data.column = \"{column}\"; leave it out, or give .csv, .tsv or .jsonl files"
    )]
    NoTable {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
    },
    /// A line that is not as it should be.
    #[error("`{path}`, line {line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Fault of the table.
        what: String,
    },
}

/// The kind of a table, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum TableKind {
    /// Cells divided by this byte, as RFC 4180 describes, under a line of names.
    Cells(u8),
    /// An object of JSON in each line.
    Objects,
}

impl TableKind {
    /// The kind that an extension in lower case stands for.
    pub(super) fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "csv" => Some(Self::Cells(b',')),
            "tsv" => Some(Self::Cells(b'\t')),
            "jsonl" | "ndjson" => Some(Self::Objects),
            _ => None,
        }
    }
}

/// The documents in a column of a table, with an empty line between two. Documents without a character are
/// passed over.
pub(super) fn documents(
    path: &Path,
    text: &str,
    kind: TableKind,
    column: &str,
    stop: &AtomicBool,
) -> Result<String, DataError> {
    let mut documents = Documents(String::new());
    match kind {
        TableKind::Cells(delimiter) => {
            check_quotes(path, text, delimiter)?;
            read_cells(path, text, delimiter, column, |text| {
                documents.push(text);
                check_stop(stop)
            })?;
        }
        TableKind::Objects => {
            for (line, number) in text.lines().zip(1..) {
                check_stop(stop)?;
                if !line.trim().is_empty() {
                    documents.push(&field(path, line, number, column)?);
                }
            }
        }
    }
    if documents.0.is_empty() {
        return Err(DataError::EmptyFile { path: path.into() });
    }
    Ok(documents.0)
}

struct Documents(String);

impl Documents {
    fn push(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push_str(SEPARATOR);
        }
        self.0.push_str(text);
    }
}

/// Hands each cell of a column to `take`.
fn read_cells(
    path: &Path,
    text: &str,
    delimiter: u8,
    column: &str,
    mut take: impl FnMut(&str) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(delimiter).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| csv_error(path, &error))?;
    let columns = listed(names.iter());
    let mut places = names.iter().enumerate().filter(|(_, name)| *name == column);
    let (place, second) = (places.next(), places.next());
    let Some((place, _)) = place else {
        return Err(missing(path, 1, column, columns).into());
    };
    if second.is_some() {
        let what = format!("there are two columns `{column}`; rename one");
        return Err(line_error(path, 1, what).into());
    }
    let mut row = csv::StringRecord::new();
    while reader
        .read_record(&mut row)
        .map_err(|error| csv_error(path, &error))?
    {
        take(&row[place])?;
    }
    Ok(())
}

/// The text in a line that is an object of JSON.
fn field(path: &Path, line: &str, number: u64, column: &str) -> Result<String, TableError> {
    let object: Map<String, Value> = serde_json::from_str(line).map_err(|error| {
        let what = format!("it is no object of JSON: {error}");
        line_error(path, number, what)
    })?;
    match object.get(column) {
        Some(Value::String(text)) if text.contains('\0') => {
            let what = format!("`{column}` has a NUL in it; remove it");
            Err(line_error(path, number, what))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => {
            let what = format!("`{column}` is no string; set data.column to one that is");
            Err(line_error(path, number, what))
        }
        None => {
            let columns = listed(object.keys().map(String::as_str));
            Err(missing(path, number, column, columns))
        }
    }
}

/// Checks that each quotation mark that opens a cell closes it, for what follows it would be its text.
fn check_quotes(path: &Path, text: &str, delimiter: u8) -> Result<(), TableError> {
    match quoting_fault(text, delimiter) {
        None => Ok(()),
        Some((line, what)) => Err(line_error(path, line, what.to_owned())),
    }
}

/// The first line, from 1, in which a quotation mark that opens a cell does not close it, and the fault; `None` if all do.
pub fn quoting_fault(text: &str, delimiter: u8) -> Option<(u64, &'static str)> {
    let (mut line, mut opened) = (1, None);
    let mut bytes = text.bytes().peekable();
    let mut begins = true;
    while let Some(byte) = bytes.next() {
        let ends = byte == delimiter || byte == b'\n' || byte == b'\r';
        match opened {
            Some(_) if byte == b'"' => {
                if bytes.peek() == Some(&b'"') {
                    bytes.next();
                } else {
                    opened = None;
                    let next = bytes.peek().copied();
                    if !next.is_none_or(|c| c == delimiter || c == b'\n' || c == b'\r') {
                        let what = "text follows a closing quotation mark; write \"\" for one \
                                    within a quoted cell";
                        return Some((line, what));
                    }
                }
            }
            None if byte == b'"' && begins => opened = Some(line),
            _ => {}
        }
        begins = ends && opened.is_none();
        line += u64::from(byte == b'\n');
    }
    let what = "a quotation mark is never closed; the file is cut off or damaged";
    opened.map(|line| (line, what))
}

fn missing(path: &Path, line: u64, column: &str, columns: String) -> TableError {
    if column.is_empty() {
        return TableError::NoColumn {
            path: path.into(),
            columns,
        };
    }
    TableError::OtherColumn {
        path: path.into(),
        line,
        column: column.to_owned(),
        columns,
    }
}

fn csv_error(path: &Path, error: &csv::Error) -> TableError {
    let line = error.position().map_or(1, csv::Position::line);
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} cells where the first line has {expected_len}"),
        _ => error.to_string(),
    };
    line_error(path, line, what)
}

fn line_error(path: &Path, line: u64, what: String) -> TableError {
    TableError::Line {
        path: path.into(),
        line,
        what,
    }
}

/// Names for a message; at most ten of them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.take(11).map(|name| format!("`{name}`")).collect();
    if names.len() == 11 {
        names[10] = "more".to_owned();
    }
    if names.is_empty() {
        return "no columns".to_owned();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CSV: TableKind = TableKind::Cells(b',');

    fn read(kind: TableKind, column: &str, text: &str) -> Result<String, String> {
        let stop = AtomicBool::new(false);
        let documents = documents(Path::new("a"), text, kind, column, &stop);
        documents.map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_is_a_document() {
        let csv = "id,text\r\n1,\"one, \"\"two\"\"\r\nthree\"\r\n2,four\r\n3,\n";
        let expected = "one, \"two\"\r\nthree\n\nfour";
        assert_eq!(read(CSV, "text", csv).unwrap(), expected);
        let tsv = "text\tid\nsaid \"so\"\t1\nfive\t2\n";
        let kind = TableKind::Cells(b'\t');
        assert_eq!(read(kind, "text", tsv).unwrap(), "said \"so\"\n\nfive");
        let jsonl = "{\"text\": \"one\\ntwo\", \"id\": 1}\n\n{\"id\": 2, \"text\": \"é\"}";
        let read = read(TableKind::Objects, "text", jsonl).unwrap();
        assert_eq!(read, "one\ntwo\n\né");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let objects = TableKind::Objects;
        for (kind, column, text, words) in [
            (
                CSV,
                "",
                "id,text\n1,a\n",
                "it has `id`, `text`: set data.column",
            ),
            (
                CSV,
                "body",
                "id,text\n1,a\n",
                "no column `body`; it has `id`, `text`",
            ),
            (CSV, "text", "text,text\n1,a\n", "two columns `text`"),
            (
                CSV,
                "text",
                "id,text\n1,a\n2\n",
                "line 3: 1 cells where the first line has 2",
            ),
            (
                CSV,
                "text",
                "id,text\n1,\"a\n2,b\n",
                "line 2: a quotation mark is never closed",
            ),
            (
                CSV,
                "text",
                "id,text\n1,\"a\"b\n",
                "line 2: text follows a closing",
            ),
            (CSV, "text", "id,text\n1,\n", "`a` is empty"),
            (CSV, "text", "", "no column `text`; it has no columns"),
            (
                objects,
                "",
                "{\"a\": 1, \"b\": \"c\"}",
                "it has `a`, `b`: set data.column",
            ),
            (
                objects,
                "c",
                "{\"c\": \"1\"}\n{\"a\": 1}",
                "line 2: there is no column `c`",
            ),
            (objects, "a", "{\"a\": 1}", "line 1: `a` is no string"),
            (
                objects,
                "a",
                "{\"a\": \"1\"}\n{\"a\": \"1",
                "line 2: it is no object",
            ),
            (objects, "a", "[\"a\"]", "line 1: it is no object"),
            (
                objects,
                "a",
                "{\"a\": \"\\u0000\"}",
                "line 1: `a` has a NUL",
            ),
            (objects, "a", "\n", "`a` is empty"),
        ] {
            let error = read(kind, column, text).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn reading_ends_when_it_is_asked_to() {
        for (kind, text) in [(CSV, "a\n1\n"), (TableKind::Objects, "{\"a\": \"1\"}")] {
            let stop = AtomicBool::new(true);
            let error = documents(Path::new("a"), text, kind, "a", &stop).unwrap_err();
            assert!(matches!(error, DataError::Interrupted), "{error}");
        }
    }
}
