//! Kinds of files of text, by their names: plain text, tables, and what is refused with a way to convert it.

use super::table::TableKind;
use crate::data::{DataError, read::Packing};
use std::path::Path;

/// Formats that hold no plain text: extensions, what they are, and what to do.
const OTHERS: [(&[&str], &str, &str); 7] = [
    (
        &["parquet", "arrow", "feather", "orc", "avro"],
        "a binary table",
        "convert it: python -c \"import pandas as pd; pd.read_parquet('in.parquet').to_json('out.jsonl', orient='records', lines=True)\" (read_feather, read_orc), then set data.column",
    ),
    (
        &["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff"],
        "a picture",
        "choose model.family = \"vmoe\" and data.name = \"images\" for pictures, or move it away or hide it (a leading dot)",
    ),
    (
        &["xz", "bz2", "lz4"],
        "compressed",
        "unpack it first (xz -d, bzip2 -d or lz4 -d), or compress it by gzip or zstd",
    ),
    (
        &["zip", "tar", "tgz", "7z", "rar"],
        "an archive",
        "unpack it into a folder first, and set data.path to that",
    ),
    (
        &["pdf", "docx", "odt", "epub", "doc"],
        "a document with a layout",
        "convert it to text first (pdftotext FILE, pandoc FILE -o FILE.txt)",
    ),
    (
        &["xlsx", "xls", "ods"],
        "a workbook",
        "save the sheet as .csv, and set data.column",
    ),
    (
        &[
            "npy",
            "npz",
            "pt",
            "pth",
            "safetensors",
            "pkl",
            "h5",
            "db",
            "sqlite",
            "bin",
        ],
        "binary data",
        "write its texts to a .txt or .jsonl file",
    ),
];

/// Kind of table that a file of text is read as; `None` for plain text.
///
/// # Errors
///
/// If its name says that it holds no plain text.
pub(in crate::data) fn table_kind(path: &Path) -> Result<Option<TableKind>, DataError> {
    let inner = if Packing::of(path).is_some() {
        path.with_extension("")
    } else {
        path.to_owned()
    };
    let extension = inner.extension().unwrap_or_default();
    let extension = extension.to_string_lossy().to_lowercase();
    let other = OTHERS
        .iter()
        .find(|(names, _, _)| names.contains(&extension.as_str()));
    match other {
        Some(&(_, what, remedy)) => Err(DataError::Format {
            path: path.into(),
            what,
            remedy,
        }),
        None => Ok(TableKind::of_extension(&extension)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_say_what_files_hold() {
        let kind = |name: &str| table_kind(Path::new(name)).unwrap();
        assert_eq!(kind("a.csv"), Some(TableKind::Cells(b',')));
        assert_eq!(kind("a.TSV.gz"), Some(TableKind::Cells(b'\t')));
        assert_eq!(kind("a.jsonl"), Some(TableKind::Objects));
        for name in ["a.txt", "a.md.gz", "a.txt.zst", "a", "csv", "a.json"] {
            assert_eq!(kind(name), None, "{name}");
        }
        for (name, words) in [
            ("a.parquet", "`a.parquet` is a binary table"),
            ("a.PNG", "is a picture"),
            ("a.txt.xz", "xz -d"),
            ("a.tar.zst", "unpack it into a folder"),
            ("a.tar.gz", "unpack it into a folder"),
            ("a.pdf", "pdftotext"),
        ] {
            let error = table_kind(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
