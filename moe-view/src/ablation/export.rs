//! The table of an ablation for a paper: LaTeX and Markdown.

use super::AblationTable;
use crate::markdown;

impl AblationTable<'_> {
    /// The columns that decide as a LaTeX `tabular`, without packages, and the notes as comments.
    pub fn latex(&self) -> String {
        let rows = self.main_rows();
        let columns: String = (0..rows[0].len())
            .map(|i| {
                if i == 0 || i == rows[0].len() - 1 {
                    'l'
                } else {
                    'r'
                }
            })
            .collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
            format!("{} \\\\", cells.join(" & "))
        };
        let mut lines: Vec<String> = self
            .caption()
            .iter()
            .map(|note| format!("% {note}"))
            .collect();
        lines.push(format!("\\begin{{tabular}}{{{columns}}}"));
        lines.push("\\hline".into());
        lines.push(line(&rows[0]));
        lines.push("\\hline".into());
        lines.extend(rows[1..].iter().map(line));
        lines.push("\\hline".into());
        lines.push("\\end{tabular}\n".into());
        lines.join("\n")
    }

    /// The columns that decide as a Markdown table, and the notes below it.
    pub fn markdown(&self) -> String {
        let notes: Vec<String> = self
            .caption()
            .iter()
            .map(|note| format!("- {note}"))
            .collect();
        format!("{}\n\n{}\n", markdown(&self.main_rows()), notes.join("\n"))
    }

    fn caption(&self) -> Vec<String> {
        let title = self.title();
        title
            .lines()
            .map(str::to_owned)
            .chain(self.notes())
            .collect()
    }
}

/// Text as LaTeX shows it.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '±' => escaped.push_str("$\\pm$"),
            '†' => escaped.push_str("\\dag{}"),
            '‡' => escaped.push_str("\\ddag{}"),
            '<' => escaped.push_str("$<$"),
            '>' => escaped.push_str("$>$"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::ablate::{AblationConfig, AblationReport, ArmResult};

    fn report() -> AblationReport {
        let arms = [
            ArmResult::of_losses("router.top_k=1", &[2.1, 2.11, 2.12]),
            ArmResult::of_losses("router.top_k=2", &[2.0; 3]),
        ];
        AblationReport::new(&arms, &AblationConfig::default()).unwrap()
    }

    #[test]
    fn latex_escapes_what_it_must() {
        let report = report();
        let text = AblationTable(&report).latex();
        for line in [
            "% 2 arms, seeds 0, 1, 2; loss is validation bits per byte, lower is better.",
            "\\begin{tabular}{lrrrrl}",
            "router.top\\_k & loss (bits/byte) & difference & 95 \\% interval & p & verdict \\\\",
            "1 & 2.110 $\\pm$ 0.010 & - & - & - & baseline \\\\",
            "\\end{tabular}",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert_eq!(
            escape("a\\b~^{}"),
            "a\\textbackslash{}b\\textasciitilde{}\\textasciicircum{}\\{\\}"
        );
    }

    #[test]
    fn markdown_has_the_notes_below() {
        let report = report();
        let text = AblationTable(&report).markdown();
        assert!(text.contains("| 2.110 ± 0.010 |"), "{text}");
        assert!(
            text.contains("\n- ±: standard deviation over seeds"),
            "{text}"
        );
    }
}
