//! Tables without box art, so that they paste into papers and issues.

/// On which side a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows as columns two spaces apart, the first row the header; a row ends without spaces.
pub fn columns(rows: &[Vec<String>], align: &[Align]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).zip(align);
        let cells: Vec<String> = cells
            .map(|((cell, width), align)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    lines.join("\n")
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
