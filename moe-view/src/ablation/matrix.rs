//! The equivalence of every two arms as text.

use super::text::AblationTable;
use crate::significant;
use crate::{Align, columns_within};
use moe_lab::ablate::Pairing;

impl AblationTable<'_> {
    /// The smallest margin within which each arm is equal to each other one, in the unit of the table.
    pub fn matrix(&self, width: Option<usize>) -> String {
        let report = self.0;
        let scale = report.merit.scale();
        let labels = || report.arms.iter().map(|arm| arm.label.clone());
        let mut rows = vec![vec!["equal within".to_owned()]];
        rows[0].extend(labels());
        for (label, margins) in labels().zip(report.equal_within()) {
            let cell = |margin: Option<f64>| {
                margin.map_or("-".to_owned(), |margin| significant(scale * margin, 3))
            };
            let cells = margins.into_iter().map(cell);
            rows.push([label].into_iter().chain(cells).collect());
        }
        let align: Vec<Align> = (0..rows[0].len())
            .map(|i| if i == 0 { Align::Left } else { Align::Right })
            .collect();
        format!(
            "{}\n\nequal within: the smallest margin at which two one-sided {} at 5 % show two arms to be \
             equal; - of arms with other budgets.",
            columns_within(&rows, &align, width),
            match report.pairing {
                Pairing::Required => "paired t tests",
                Pairing::SameSeeds => "t tests, paired where the seeds are the same,",
                Pairing::Never => "Welch tests",
            }
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use moe_lab::ablate::{AblationConfig, AblationReport, ArmResult};

    #[test]
    fn a_row_and_a_column_for_each_arm() {
        let arms = [
            ArmResult::of_losses("a", &[1.0, 5.0, 2.0]),
            ArmResult::of_losses("b", &[1.1, 5.11, 2.12]),
        ];
        let report = AblationReport::new(&arms, &AblationConfig::default()).unwrap();
        let text = AblationTable(&report).matrix(None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "equal within      a      b");
        assert_eq!(lines[1], "a                 -  0.127");
        assert_eq!(lines[2], "b             0.127      -");
    }
}
