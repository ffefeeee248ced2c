//! Tables without box art, so that they paste into papers and issues.

use super::output::width;
use moe_train::draw;
pub use moe_train::draw::Align;

/// Rows as columns two spaces apart, the first row the header, as wide as the terminal if stdout is one.
pub fn columns(rows: &[Vec<String>], align: &[Align]) -> String {
    draw::columns(rows, align, width())
}

/// Sentences in lines as they are, on a terminal as wide as it.
pub fn paragraph(text: &str) -> String {
    if width().is_none() {
        return text.to_owned();
    }
    columns(&[vec![text.replace('\n', " ")]], &[Align::Left])
}

/// Names and values side by side, without a header.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
        .collect();
    columns(&rows, &[Align::Left, Align::Left])
}

/// Rows as a Markdown table, the first row the header.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', r"\|")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    if let Some(header) = rows.first() {
        lines.insert(1, line(&vec!["---".to_owned(); header.len()]));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [["name", "bytes"], ["α", "12"], ["long|er", "3"]]
            .map(|row| row.map(String::from).to_vec())
            .to_vec()
    }

    #[test]
    fn columns_align_by_characters() {
        assert_eq!(
            columns(&rows(), &[Align::Left, Align::Right]),
            "name     bytes\nα           12\nlong|er      3"
        );
    }

    #[test]
    fn markdown_escapes_bars() {
        assert_eq!(
            markdown(&rows()),
            "| name | bytes |\n| --- | --- |\n| α | 12 |\n| long\\|er | 3 |"
        );
    }

    #[test]
    fn pairs_have_no_trailing_spaces() {
        let rows = [("run", String::new()), ("steps", "3".to_owned())];
        assert_eq!(pairs(&rows), "run\nsteps  3");
    }
}
