//! Columns of text.

/// Rows as columns two spaces apart, the first row the header: the first column to the left, the others
/// to the right.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(i, (cell, width))| match i {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A whole number in groups of three: `2,048`.
pub(crate) fn thousands(n: usize) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", thousands(n / 1000), n % 1000),
    }
}

/// Seconds as milliseconds with three or four digits.
pub(crate) fn milliseconds(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    match ms {
        0.0..10.0 => format!("{ms:.3}"),
        10.0..100.0 => format!("{ms:.2}"),
        _ => format!("{ms:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let rows = [["what", "ms"], ["a", "12.5"]].map(|row| row.map(String::from).to_vec());
        assert_eq!(columns(&rows), "what    ms\na     12.5");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(1_002_048), "1,002,048");
        assert_eq!(thousands(999), "999");
        assert_eq!(milliseconds(0.0012345), "1.234");
        assert_eq!(milliseconds(0.0123456), "12.35");
        assert_eq!(milliseconds(0.1234), "123.4");
    }
}
