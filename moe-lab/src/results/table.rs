//! A table of runs as text.

use super::error::{ResultsError, listed};
use super::{chart, json, lm_eval, separated};
use crate::ablate::{ArmResult, from_csv};
use crate::stats::Goal;
use csv::StringRecord;
use moe_checkpoint::disk;
use moe_train::resolve::nearest;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The largest file that is read.
const MOST_BYTES: u64 = 1 << 28;

/// The most rows of a table.
pub(super) const MOST_ROWS: usize = 1_000_000;

/// The most columns of a table.
pub(super) const MOST_COLUMNS: usize = 20_000;

/// The program that a table is of, as its columns tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Any rows under a header.
    Rows,
    /// The runs that `moe ablate --csv` wrote.
    Ablation,
    /// The table of a project's runs, exported by W&B.
    RunTable,
    /// The lines of a chart, exported by W&B.
    Chart,
    /// The result files of lm-eval.
    LmEval,
}

/// A table of runs.
#[derive(Debug, Clone)]
pub struct Table {
    /// The file or folder, as messages name it.
    pub(super) name: String,
    pub(super) layout: Layout,
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// The better direction of columns, where the program says it.
    pub(super) goals: BTreeMap<String, Goal>,
    /// The runs of a whole table of `moe ablate`.
    pub(super) own: Option<Vec<ArmResult>>,
}

/// A row with its place.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) place: Place,
    /// As many cells as the header has.
    pub(super) cells: StringRecord,
}

/// The place of a row in its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A line, from 1.
    Line(u64),
    /// A file below the folder.
    File(String),
    /// An object of an array, from 1.
    Object(u64),
    /// A column of a chart.
    Column(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::File(file) => write!(f, "file `{file}`"),
            Self::Object(number) => write!(f, "object {number}"),
            Self::Column(column) => write!(f, "column `{column}`"),
        }
    }
}

impl Table {
    /// Reads a file of rows, or lm-eval's folder.
    ///
    /// # Errors
    ///
    /// Returns what cannot be read, with its place, and what to do.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        if path.is_dir() {
            return lm_eval::folder(path);
        }
        let unreadable = |reason: String| ResultsError::File {
            path: path.to_owned(),
            reason,
        };
        let bytes = disk::read_at_most(path, MOST_BYTES).map_err(|e| unreadable(e.to_string()))?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, ResultsError> {
        let text = decoded(name, bytes)?;
        let table = match text.trim_start().chars().next() {
            None => {
                return Err(fault(
                    name,
                    "it is empty; write a header and a row for each run",
                ));
            }
            Some('{') => match lm_eval::file(name, text) {
                Some(table) => table?,
                None => json::lines(name, text)?,
            },
            Some('[') => json::array(name, text)?,
            Some(_) => separated::rows(name, text)?,
        };
        if table.rows.is_empty() {
            return Err(fault(
                name,
                "it has a header and no rows; write a row for each run",
            ));
        }
        let table = chart::melted(table)?;
        let own = (table.layout == Layout::Ablation).then(|| from_csv(bytes, None).ok());
        Ok(Self {
            own: own.flatten().map(|made| made.rows),
            ..table
        })
    }

    /// The program that the table is of.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The place of a column.
    pub(super) fn column(&self, option: &str, name: &str) -> Result<usize, ResultsError> {
        let mut places = (0..self.header.len()).filter(|&i| self.header[i] == name);
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(self.fault(format!(
                "there are two columns `{name}`; rename one, since {option} must mean one"
            ))),
            (None, _) => {
                let names = || self.header.iter().map(String::as_str);
                let hint = match nearest(name, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the columns are {}", listed(names())),
                };
                Err(self.fault(format!("{option}: there is no column `{name}`; {hint}")))
            }
        }
    }

    /// A fault of the whole table.
    pub(super) fn fault(&self, fault: impl Into<String>) -> ResultsError {
        self::fault(&self.name, fault)
    }

    /// A fault in a row.
    pub(super) fn fault_at(&self, row: &Row, fault: impl fmt::Display) -> ResultsError {
        at(&self.name, &row.place, fault)
    }
}

/// A fault of a table.
pub(super) fn fault(table: &str, fault: impl Into<String>) -> ResultsError {
    ResultsError::Table {
        table: table.to_owned(),
        fault: fault.into(),
    }
}

/// A fault at a place of a table.
pub(super) fn at(table: &str, place: &Place, fault: impl fmt::Display) -> ResultsError {
    ResultsError::At {
        table: table.to_owned(),
        place: place.to_string(),
        fault: fault.to_string(),
    }
}

/// The text of a file without its byte order mark.
fn decoded<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ResultsError> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(fault(
            name,
            "it is UTF-16; save it as UTF-8 (in a spreadsheet: CSV UTF-8)",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
        at(
            name,
            &Place::Line(line),
            "it is not UTF-8; save the file as UTF-8",
        )
    })?;
    if let Some(before) = text.find('\0') {
        let line = 1 + text[..before].matches('\n').count() as u64;
        return Err(at(
            name,
            &Place::Line(line),
            "it has a NUL in it; the file is damaged",
        ));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn error(text: &[u8]) -> String {
        Table::parse("a.csv", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_text_says_how_to_save_it() {
        assert!(error(b"").contains("a.csv: it is empty"));
        assert!(error(b" \n\n").contains("it is empty"));
        assert!(error(b"a,b\n").contains("no rows"));
        assert!(error(b"\xFF\xFEa\0,\0").contains("UTF-16; save it as UTF-8"));
        assert!(error(b"a,b\n1,\xE9\n").starts_with("a.csv, line 2: it is not UTF-8"));
        assert!(error(b"a,b\n1,\0\n").starts_with("a.csv, line 2: it has a NUL"));
    }

    #[test]
    fn columns_are_found_or_the_nearest_is_named() {
        let table = Table::parse(
            "a.csv",
            "\u{feff}arm,seed,val_loss,x,x\na,0,1,2,3".as_bytes(),
        )
        .unwrap();
        assert_eq!(table.column("--arm", "arm").unwrap(), 0);
        let error = |name: &str| table.column("--metric", name).unwrap_err().to_string();
        assert_eq!(
            error("val_los"),
            "a.csv: --metric: there is no column `val_los`; did you mean `val_loss`?"
        );
        assert!(error("zzz").ends_with("the columns are `arm`, `seed`, `val_loss`, `x`, `x`"));
        assert!(error("x").contains("there are two columns `x`"));
    }
}
