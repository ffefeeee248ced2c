//! A list of things as text, Markdown or JSON.

use moe_view::{Align, columns, markdown, paragraph};
use serde_json::{Map, Value, json};

/// A cell of a list.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Something that is typed: code in Markdown.
    Name(String),
    /// Words.
    Words(String),
    /// A number, with its text.
    Number(u64, String),
    /// Yes or no.
    YesNo(bool),
    /// A publication and its arXiv number, which may be empty.
    Paper(&'static str, &'static str),
    /// A value that JSON alone shows.
    Value(Value),
}

/// A list: one header, one cell a column in each row.
#[derive(Debug)]
pub struct Listing {
    /// The topic.
    pub topic: &'static str,
    /// The names of the columns, also the keys in JSON.
    pub header: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// A remark where a list is empty or goes on elsewhere.
    pub remark: Option<String>,
}

impl Listing {
    /// The list as columns.
    pub fn text(&self) -> String {
        let align: Vec<Align> = match self.rows.first() {
            Some(row) => row.iter().map(Cell::align).collect(),
            None => vec![Align::Left; self.header.len()],
        };
        let mut text = columns(&self.table(Cell::text), &align);
        if let Some(remark) = &self.remark {
            text = format!("{text}\n{}", paragraph(remark));
        }
        text
    }

    /// The list as a Markdown table.
    pub fn markdown(&self) -> String {
        markdown(&self.table(Cell::markdown))
    }

    /// The list as an array of objects.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let keys = self.header.iter().map(|key| key.replace(' ', "_"));
            Value::Object(keys.zip(row.iter().map(Cell::json)).collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    fn table(&self, cell: fn(&Cell) -> String) -> Vec<Vec<String>> {
        let header = self.header.iter().map(ToString::to_string).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(cell).collect());
        [header].into_iter().chain(rows).collect()
    }
}

impl Cell {
    fn align(&self) -> Align {
        match self {
            Cell::Number(..) => Align::Right,
            _ => Align::Left,
        }
    }

    /// Its words.
    pub fn text(&self) -> String {
        match self {
            Cell::Name(text) | Cell::Words(text) | Cell::Number(_, text) => text.clone(),
            Cell::YesNo(true) => "yes".to_owned(),
            Cell::YesNo(false) => "no".to_owned(),
            Cell::Paper(authors, "") => (*authors).to_owned(),
            Cell::Paper(authors, arxiv) => format!("{authors}, arXiv {arxiv}"),
            Cell::Value(value) => value.to_string(),
        }
    }

    fn markdown(&self) -> String {
        match self {
            Cell::Name(name) => format!("`{name}`"),
            Cell::Paper(authors, arxiv) if !arxiv.is_empty() => {
                format!("[{authors}](https://arxiv.org/abs/{arxiv})")
            }
            _ => self.text(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Name(text) | Cell::Words(text) => json!(text),
            Cell::Number(number, _) => json!(number),
            Cell::YesNo(value) => json!(value),
            Cell::Value(value) => value.clone(),
            Cell::Paper(authors, arxiv) => json!({ "authors": authors, "arxiv": arxiv }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        Listing {
            topic: "things",
            header: vec!["name", "size in bytes", "ok", "paper"],
            rows: vec![
                vec![
                    Cell::Name("a".into()),
                    Cell::Number(1200, "1,200".into()),
                    Cell::YesNo(true),
                    Cell::Paper("A 2024", "2401.1"),
                ],
                vec![
                    Cell::Name("b|c".into()),
                    Cell::Number(3, "3".into()),
                    Cell::YesNo(false),
                    Cell::Paper("B 1999", ""),
                ],
            ],
            remark: Some("That is all.".into()),
        }
    }

    #[test]
    fn text() {
        let expected = "\
name  size in bytes  ok   paper
a             1,200  yes  A 2024, arXiv 2401.1
b|c               3  no   B 1999
That is all.";
        assert_eq!(listing().text(), expected);
    }

    #[test]
    fn markdown() {
        let expected = "\
| name | size in bytes | ok | paper |
| --- | --- | --- | --- |
| `a` | 1,200 | yes | [A 2024](https://arxiv.org/abs/2401.1) |
| `b\\|c` | 3 | no | B 1999 |";
        assert_eq!(listing().markdown(), expected);
    }

    #[test]
    fn json() {
        let first = json!({
            "name": "a", "size_in_bytes": 1200, "ok": true,
            "paper": { "authors": "A 2024", "arxiv": "2401.1" },
        });
        assert_eq!(listing().json()[0], first);
    }
}
