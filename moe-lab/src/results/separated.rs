//! Rows of cells between separators, as RFC 4180 describes: commas, semicolons or tabs.

use super::error::ResultsError;
use super::table::{Layout, MOST_COLUMNS, MOST_ROWS, Place, Row, Table, at, fault};
use csv::{ReaderBuilder, StringRecord, Trim};
use moe_train::data::quoting_fault;
use std::collections::BTreeMap;

/// The separators, the usual one first.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// The first columns of a table that `moe ablate --csv` wrote.
const ABLATION: [&str; 5] = ["arm", "evaluation", "tuning", "seed", "loss"];

/// Reads rows under a header; empty lines, and rows of empty cells, are passed over.
pub(super) fn rows(name: &str, text: &str) -> Result<Table, ResultsError> {
    let separator = separator(text);
    if let Some((line, what)) = quoting_fault(text, separator) {
        return Err(at(name, &Place::Line(line), what));
    }
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut header: Option<StringRecord> = None;
    let mut rows = Vec::new();
    for record in reader.records() {
        let cells = record.map_err(|error| fault(name, error.to_string()))?;
        let place = Place::Line(line(&cells, text));
        let Some(header) = &header else {
            header = Some(cells);
            continue;
        };
        if cells.iter().all(str::is_empty) {
            continue;
        }
        check_length(name, &place, &cells, header)?;
        if rows.len() == MOST_ROWS {
            return Err(fault(name, format!("it has more than {MOST_ROWS} rows")));
        }
        rows.push(Row { place, cells });
    }
    let header = names(name, header)?;
    Ok(Table {
        name: name.to_owned(),
        layout: layout(&header),
        header,
        rows,
        goals: BTreeMap::new(),
        own: None,
    })
}

/// Refuses a row with more or fewer cells than the header.
fn check_length(
    name: &str,
    place: &Place,
    cells: &StringRecord,
    header: &StringRecord,
) -> Result<(), ResultsError> {
    if cells.len() == header.len() {
        return Ok(());
    }
    let what = format!(
        "it has {} cells, and the header {}; quote cells that hold a separator, and write empty ones out",
        cells.len(),
        header.len()
    );
    Err(at(name, place, what))
}

/// The names of the columns.
fn names(name: &str, header: Option<StringRecord>) -> Result<Vec<String>, ResultsError> {
    let header: Vec<String> = header.iter().flatten().map(str::to_owned).collect();
    if header.len() > MOST_COLUMNS {
        return Err(fault(
            name,
            format!("it has more than {MOST_COLUMNS} columns"),
        ));
    }
    if header.len() < 2 {
        let what = "the first line has one cell; separate columns by commas, semicolons or tabs";
        return Err(at(name, &Place::Line(1), what));
    }
    Ok(header)
}

/// The line of a record; its position is before the empty lines that it follows.
fn line(record: &StringRecord, text: &str) -> u64 {
    let Some(position) = record.position() else {
        return 1;
    };
    let begin = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(begin..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| b"\r\n".contains(byte));
    position.line() + empty.filter(|&&byte| byte == b'\n').count() as u64
}

/// The separator that the first line has most of, outside of quotation marks.
fn separator(text: &str) -> u8 {
    let mut is_quoted = false;
    let mut counts = [0; SEPARATORS.len()];
    for byte in text.trim_start().bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => break,
            _ if is_quoted => (),
            _ => {
                for (count, separator) in counts.iter_mut().zip(SEPARATORS) {
                    *count += usize::from(byte == separator);
                }
            }
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let place = counts.iter().position(|&count| count == most);
    SEPARATORS[place.unwrap_or(0)]
}

fn layout(header: &[String]) -> Layout {
    let begins = |names: &[&str]| {
        header.len() >= names.len() && header.iter().zip(names).all(|(cell, name)| cell == name)
    };
    if begins(&ABLATION) {
        Layout::Ablation
    } else if begins(&["Name"]) && header.iter().any(|name| name == "State") {
        Layout::RunTable
    } else {
        Layout::Rows
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let table = rows("a.csv", text).unwrap();
        let row = |row: &Row| row.cells.iter().map(str::to_owned).collect();
        [table.header.clone()]
            .into_iter()
            .chain(table.rows.iter().map(row))
            .collect()
    }

    #[test]
    fn separators_ends_of_lines_and_quotes() {
        let expected = vec![vec!["arm", "loss"], vec!["a, b", "1.5"]];
        for text in [
            "arm,loss\n\"a, b\",1.5\n",
            "arm,loss\r\n\"a, b\",1.5\r\n\r\n,\r\n",
            "arm;loss\n\"a, b\"; 1.5",
            "arm\tloss\na, b\t1.5\n",
            "\"arm\",\"loss\"\r\"a, b\",1.5",
        ] {
            assert_eq!(cells(text), expected, "{text}");
        }
    }

    #[test]
    fn a_row_keeps_its_line() {
        let table = rows("a.csv", "arm,note\na,\"two\nlines\"\n\nb,x\n").unwrap();
        assert_eq!(table.rows[1].place, Place::Line(5));
    }

    #[test]
    fn damage_is_named_with_its_line() {
        for (text, words) in [
            (
                "arm,loss\na,1\nb\n",
                "line 3: it has 1 cells, and the header 2",
            ),
            (
                "arm,loss\na,1\nb,\"2\n",
                "line 3: a quotation mark is never closed",
            ),
            (
                "arm,loss\n\"a\"b,1\n",
                "line 2: text follows a closing quotation mark",
            ),
            ("arm\na\n", "line 1: the first line has one cell"),
        ] {
            let error = rows("a.csv", text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn programs_are_known_by_their_columns() {
        let layout = |header: &str| rows("a.csv", &format!("{header}\n")).unwrap().layout;
        assert_eq!(layout("arm,seed,loss"), Layout::Rows);
        assert_eq!(
            layout("arm,evaluation,tuning,seed,loss,accuracy"),
            Layout::Ablation
        );
        assert_eq!(layout("\"Name\",\"seed\",\"State\""), Layout::RunTable);
    }
}
