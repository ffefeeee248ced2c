//! Text tables: aligned columns without box art, so that they paste into papers and issues.

use std::io::{self, IsTerminal};
use std::ops::RangeInclusive;

/// Between two columns.
const GAP: &str = "  ";
/// A column of words is as wide as its longest word, or as the first of these at which all columns fit.
const NARROWEST: RangeInclusive<usize> = 8..=16;

/// On which side a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words, which may be broken into lines.
    Left,
    /// Numbers.
    Right,
}

/// Rows as columns two spaces apart, the first row the header; a line ends without spaces. Where lines are longer
/// than `width`, the widest columns of words are broken at spaces until they fit.
pub fn columns_within(rows: &[Vec<String>], align: &[Align], width: Option<usize>) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| count(cell)).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..align.len()).map(widest).collect();
    if let Some(width) = width {
        narrow(&mut widths, &least_widths(rows, align, width), width);
    }
    let lines = rows.iter().flat_map(|row| lines(row, &widths, align));
    lines.collect::<Vec<_>>().join("\n")
}

/// Rows as columns, as wide as the terminal if stdout is one.
pub fn columns(rows: &[Vec<String>], align: &[Align]) -> String {
    columns_within(rows, align, width())
}

/// The number of characters of a line, if stdout is a terminal.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = console::Term::stdout().size_checked();
    size.map(|(_, columns)| usize::from(columns))
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

fn count(text: &str) -> usize {
    text.chars().count()
}

/// The widths below which columns are not narrowed: of numbers their own, of words that of a long one.
fn least_widths(rows: &[Vec<String>], align: &[Align], width: usize) -> Vec<usize> {
    let least = |limit: usize| -> Vec<usize> {
        let of_column = |(column, align): (usize, &Align)| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            match align {
                Align::Right => cells.map(|cell| count(cell)).max().unwrap_or(0),
                Align::Left => {
                    let words = cells.flat_map(|cell| cell.split(' ')).map(count);
                    words.max().unwrap_or(0).min(limit)
                }
            }
        };
        align.iter().enumerate().map(of_column).collect()
    };
    let gaps = GAP.len() * align.len().saturating_sub(1);
    let fits = |widths: &Vec<usize>| widths.iter().sum::<usize>() + gaps <= width;
    let mut candidates = NARROWEST.rev().map(least);
    candidates
        .find(fits)
        .unwrap_or_else(|| least(*NARROWEST.start()))
}

/// Takes width from the widest columns that are wider than they must be.
fn narrow(widths: &mut [usize], least: &[usize], width: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let wider = widths.iter_mut().zip(least);
        let wider = wider.filter(|(width, least)| **width > **least);
        match wider.max_by_key(|(width, _)| **width) {
            Some((widest, _)) => *widest -= 1,
            None => return,
        }
    }
}

/// A row as the lines that its longest cell takes.
fn lines(row: &[String], widths: &[usize], align: &[Align]) -> Vec<String> {
    let broken = |(cell, width): (&String, &usize)| broken(cell, *width);
    let cells: Vec<Vec<String>> = row.iter().zip(widths).map(broken).collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let line = |i: usize| {
        let cells = cells.iter().zip(widths).zip(align);
        let cells: Vec<String> = cells
            .map(|((cell, width), align)| {
                let text = cell.get(i).map_or("", String::as_str);
                match align {
                    Align::Left => format!("{text:<width$}"),
                    Align::Right => format!("{text:>width$}"),
                }
            })
            .collect();
        cells.join(GAP).trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// A text in lines of at most `width` characters, broken at spaces; within a word only if it is longer.
fn broken(text: &str, width: usize) -> Vec<String> {
    if count(text) <= width {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let last = lines.last_mut().expect("there is a line");
        if last.is_empty() {
            last.extend(word.drain(..word.len().min(width)));
        } else if count(last) + 1 + word.len() <= width {
            last.push(' ');
            last.extend(word.drain(..));
        }
        for part in word.chunks(width.max(1)) {
            lines.push(part.iter().collect());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [
            ["arm", "loss", "note"],
            ["a ±", "2.0", ""],
            ["long", "10.25", "one two three four five"],
        ]
        .map(|row| row.map(String::from).to_vec())
        .to_vec()
    }

    const ALIGN: [Align; 3] = [Align::Left, Align::Right, Align::Left];

    #[test]
    fn columns_align_by_characters() {
        let text = "\
arm    loss  note
a ±     2.0
long  10.25  one two three four five";
        assert_eq!(columns_within(&rows(), &ALIGN, None), text);
        assert_eq!(columns_within(&rows(), &ALIGN, Some(36)), text);
    }

    #[test]
    fn words_are_broken_where_a_line_is_too_long() {
        let text = "\
arm    loss  note
a ±     2.0
long  10.25  one two three
             four five";
        assert_eq!(columns_within(&rows(), &ALIGN, Some(30)), text);
        let narrowest = "\
arm    loss  note
a ±     2.0
long  10.25  one
             two
             three
             four
             five";
        assert_eq!(columns_within(&rows(), &ALIGN, Some(3)), narrowest);
    }

    #[test]
    fn words_longer_than_a_line_are_broken_within() {
        assert_eq!(broken("ab cdefgh i", 3), ["ab", "cde", "fgh", "i"]);
        assert_eq!(broken("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(broken("a b", 3), ["a b"]);
    }

    fn names() -> Vec<Vec<String>> {
        [["name", "bytes"], ["α", "12"], ["long|er", "3"]]
            .map(|row| row.map(String::from).to_vec())
            .to_vec()
    }

    #[test]
    fn markdown_escapes_bars() {
        assert_eq!(
            markdown(&names()),
            "| name | bytes |\n| --- | --- |\n| α | 12 |\n| long\\|er | 3 |"
        );
    }

    #[test]
    fn pairs_have_no_trailing_spaces() {
        let rows = [("run", String::new()), ("steps", "3".to_owned())];
        assert_eq!(pairs(&rows), "run\nsteps  3");
    }
}
