//! A table of two columns divided by a tab, a text and its translation in each line.

use super::PairError;
use crate::data::DataError;
use crate::data::read::read_text_bytes;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The text and its translation.
    pub(super) texts: [String; 2],
    /// The line in the file, from 1.
    pub(super) line: u64,
}

/// Reads a table. There is no quoting: a quotation mark is a character as any other. Lines without a
/// character are passed over.
pub(super) fn read_table(path: &Path, stop: &AtomicBool) -> Result<Vec<Line>, DataError> {
    let bytes = read_text_bytes(path, stop)?;
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let lines = lines.map(|(line, number)| (line.strip_suffix(b"\r").unwrap_or(line), number));
    let lines: Vec<Line> = lines
        .filter(|(line, _)| !line.is_empty())
        .map(|(line, number)| read_line(path, line, number))
        .collect::<Result<_, _>>()?;
    if lines.is_empty() {
        return Err(PairError::Empty(path.to_owned()).into());
    }
    Ok(lines)
}

fn read_line(path: &Path, bytes: &[u8], line: u64) -> Result<Line, PairError> {
    let record: Vec<&[u8]> = bytes.split(|byte| *byte == b'\t').collect();
    if record.len() != 2 {
        return Err(PairError::Columns {
            path: path.to_owned(),
            line,
            found: match record.len() {
                1 => "one column".to_owned(),
                n => format!("{n} columns"),
            },
        });
    }
    let text = |column: usize| {
        let path = path.to_owned();
        let text = std::str::from_utf8(record[column - 1]).map_err(|_| PairError::InvalidUtf8 {
            path: path.clone(),
            line,
            column,
        })?;
        match text.trim() {
            "" => Err(PairError::EmptyColumn { path, line, column }),
            text => Ok(text.to_owned()),
        }
    };
    Ok(Line {
        texts: [text(1)?, text(2)?],
        line,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Line>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.tsv");
        std::fs::write(&path, bytes).unwrap();
        read_table(&path, &AtomicBool::new(false)).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_keep_their_numbers_and_quotes() {
        let lines = read("one\tuno\r\n\n\"two\"\tdos \n".as_bytes()).unwrap();
        let line = |a: &str, b: &str, line| Line {
            texts: [a.to_owned(), b.to_owned()],
            line,
        };
        assert_eq!(lines, [line("one", "uno", 1), line("\"two\"", "dos", 3)]);
        let marked = read("\u{FEFF}one\tuno\n".as_bytes()).unwrap();
        assert_eq!(marked, [line("one", "uno", 1)]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (bytes, what) in [
            (b"".as_slice(), "pairs.tsv` is empty"),
            (b"\n\n", "pairs.tsv` is empty"),
            (b"a\tb\nc\n", "line 2: one column where there should be two"),
            (b"a\tb\tc\n", "line 1: 3 columns where there should be two"),
            (b"a\tb\n\nc\t \n", "line 3: column 2 is empty"),
            (b"a\tb\nc\t\xFFd\n", "line 2: column 2 is not UTF-8"),
            (b"a\tb\0\n", "has a NUL at byte 3"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(
                error.contains(what) && error.contains("pairs.tsv"),
                "{error}"
            );
        }
        let gone = read_table(Path::new("gone.tsv"), &AtomicBool::new(false))
            .unwrap_err()
            .to_string();
        assert!(gone.contains("gone.tsv"), "{gone}");
    }
}
