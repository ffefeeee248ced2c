//! The runs of one configuration.

use super::difference::{Name, names};
use super::{Curve, CurveKind, Difference, Merit, Run, differences};
use moe_train::config::RunConfig;
use serde::Serialize;

/// The runs of one configuration: they differ in their seed alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Question {
    /// Its name among the others, such as `router.name=switch`.
    pub label: String,
    /// A shorter one for figures, such as `switch`.
    pub short: String,
    /// The configuration, with the first run's seed.
    pub config: RunConfig,
    /// The runs, by seed.
    pub runs: Vec<Run>,
    /// Each kind of curve that has points.
    pub curves: Vec<Curve>,
}

impl Question {
    /// Groups runs by their configuration. Returns besides what they differ in, and what was left out.
    ///
    /// The order is that of each question's first run. Of two runs with the same configuration and seed
    /// the first is kept.
    pub(super) fn group(
        runs: Vec<Run>,
        merit: &Merit,
    ) -> (Vec<Self>, Vec<Difference>, Vec<String>) {
        let (groups, notes) = by_configuration(runs);
        let configs: Vec<&RunConfig> = groups.iter().map(|group| &group[0].config).collect();
        let differences = differences(&configs);
        let names = names(&differences, groups.len());
        let questions = groups.into_iter().zip(names);
        let questions = questions.map(|(runs, name)| Self::of(runs, name, merit));
        (questions.collect(), differences, notes)
    }

    fn of(mut runs: Vec<Run>, name: Name, merit: &Merit) -> Self {
        runs.sort_by_key(|run| run.config.seed);
        let config = runs[0].config.clone();
        let curves = CurveKind::ALL.map(|kind| Curve::of(kind, &runs, merit));
        let own = match config.model().n_moe_layers() {
            0 => config.model.name(),
            _ => config.router.name(),
        };
        let or_own = |text: String| {
            if text.is_empty() {
                own.to_owned()
            } else {
                text
            }
        };
        Self {
            label: or_own(name.long),
            short: or_own(name.short),
            curves: curves
                .into_iter()
                .filter(|curve| !curve.points.is_empty())
                .collect(),
            config,
            runs,
        }
    }

    /// The curve of a kind, if a run has logged it.
    pub fn curve(&self, kind: CurveKind) -> Option<&Curve> {
        self.curves.iter().find(|curve| curve.kind == kind)
    }

    /// The seeds of the runs.
    pub fn seeds(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.config.seed).collect()
    }
}

/// Runs that differ in their seed alone, together; and what was left out.
fn by_configuration(runs: Vec<Run>) -> (Vec<Vec<Run>>, Vec<String>) {
    let (mut groups, mut notes): (Vec<Vec<Run>>, Vec<String>) = Default::default();
    for run in runs {
        let Some(group) = groups
            .iter_mut()
            .find(|group| same_question(&group[0], &run))
        else {
            groups.push(vec![run]);
            continue;
        };
        let same_seed = |other: &&Run| other.config.seed == run.config.seed;
        match group.iter().find(same_seed) {
            None => group.push(run),
            Some(other) => notes.push(format!(
                "{} is the same run as {}; it is left out",
                run.folder.display(),
                other.folder.display()
            )),
        }
    }
    (groups, notes)
}

fn same_question(a: &Run, b: &Run) -> bool {
    let b = RunConfig {
        seed: a.config.seed,
        ..b.config.clone()
    };
    a.config == b
}
