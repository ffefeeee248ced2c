//! A claim: an ablation that was fixed in a file before it was run, with the rules that decide it.
//!
//! ```toml
//! [claim]
//! hypothesis = "..."
//! source = "arXiv ..."
//! seeds = 5
//! sweep = "balance.load_balance"     # optional: the key whose values make a curve
//!
//! [base]                             # a run file's tables, or base = "../quickstart.toml"
//! model.d_model = 64
//!
//! [[arm]]                            # the first is the baseline
//! name = "no balance"
//! set = { "balance.load_balance" = 0.0 }
//!
//! [[evaluate]]                       # optional: each trained run is evaluated with other values of its router,
//! name = "C = 0.5"                   # and arms evaluated alike are compared; "no balance, C = 0.5" in rules
//! set = { router.capacity_factor = 0.5 }
//!
//! [[rule]]
//! arms = ["no balance"]
//! metric = "dead_experts"
//! above = 0.5                        # or the name of an arm; or: below
//! ```
//!
//! A rule is decided by the bootstrap interval (95 %) of the mean difference over the seeds. The interval of
//! each rule stands for itself, without a correction for the number of rules: five paired seeds, the fewest
//! that a claim may have, reach an exact two-sided p of 0.0625 at best, so that a corrected test of several
//! rules could never pass. A rule between arms that are not comparable is inconclusive. Overrides or another
//! number of seeds leave the claim undecided.

use super::Arm;
use super::rule::Rule;
use moe_train::resolve::{ConfigFile, ResolveError, typed};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The fewest seeds that decide a claim: with fewer an interval is little more than the range of the seeds.
const MIN_SEEDS: u64 = 5;

/// The most seeds of an ablation.
const MOST_SEEDS: u64 = 1000;

/// Why a claim could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The file, or the file of its base.
    #[error(transparent)]
    File(#[from] ResolveError),
    /// The file's tables are not those of a claim.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The claim's file.
        path: PathBuf,
        /// The fault, and what to write instead.
        reason: String,
    },
}

/// The content of a claim's file, its base read.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The claim.
    pub hypothesis: String,
    /// The authors of the claim, and where they make it.
    pub source: String,
    /// The number of seeds of each arm.
    pub seeds: u64,
    /// The key whose values make a curve over the arms that differ in it alone.
    pub sweep: Option<String>,
    /// The rules that decide the claim.
    pub rules: Vec<Rule>,
    /// The configuration that all arms start from.
    pub base: ConfigFile,
    /// The arms, the baseline first.
    pub arms: Vec<Arm>,
    /// The evaluations of each run; none means as it was trained.
    pub evaluations: Vec<Arm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    claim: Header,
    base: Value,
    arm: Vec<ArmTable>,
    #[serde(default)]
    evaluate: Vec<ArmTable>,
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    hypothesis: String,
    source: String,
    seeds: u64,
    sweep: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArmTable {
    name: String,
    #[serde(default)]
    set: Table,
}

impl Claim {
    /// Reads a file; `None` if it has no table `[claim]`, and so is a configuration.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do: a missing or broken file, a table or a key that a
    /// claim does not have, two arms of one name, a rule about an arm that there is not.
    pub fn read(path: &Path) -> Result<Option<Self>, ClaimError> {
        let file = ConfigFile::read(path)?;
        if !file.table().contains_key("claim") {
            return Ok(None);
        }
        let invalid = |reason: String| ClaimError::Invalid {
            path: path.into(),
            reason,
        };
        let document: Document = typed(file.table().clone()).map_err(|e| invalid(e.to_string()))?;
        let base = match &document.base {
            Value::String(base) => {
                ConfigFile::read(path.parent().unwrap_or(Path::new("")).join(base))?
            }
            _ => file.part("base").ok_or_else(|| {
                invalid("`base` must be the path of a configuration, or its tables".into())
            })?,
        };
        let claim = Self {
            hypothesis: document.claim.hypothesis,
            source: document.claim.source,
            seeds: document.claim.seeds,
            sweep: document.claim.sweep,
            rules: document.rule,
            base,
            arms: document.arm.into_iter().map(arm).collect(),
            evaluations: document.evaluate.into_iter().map(arm).collect(),
        };
        claim.check().map_err(invalid)?;
        Ok(Some(claim))
    }

    fn check(&self) -> Result<(), String> {
        if self.seeds < MIN_SEEDS || self.arms.len() < 2 || self.rules.is_empty() {
            return Err(format!(
                "a claim needs at least two arms, {MIN_SEEDS} seeds and a rule"
            ));
        }
        if self.seeds > MOST_SEEDS {
            return Err(format!(
                "seeds = {}: an ablation has at most {MOST_SEEDS}",
                self.seeds
            ));
        }
        let names = self.tested();
        if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
            return Err(format!(
                "two arms are called `{}`; give each its own name",
                names[i]
            ));
        }
        self.rules.iter().try_for_each(|rule| rule.check(&names))
    }

    /// The names of the rows: the arms, each in each evaluation.
    fn tested(&self) -> Vec<String> {
        let arms = || self.arms.iter().map(|arm| arm.label.as_str());
        match &self.evaluations[..] {
            [] => arms().map(str::to_owned).collect(),
            several => several
                .iter()
                .flat_map(|way| arms().map(|arm| evaluated(arm, &way.label)))
                .collect(),
        }
    }
}

/// The name of an arm in an evaluation.
pub(super) fn evaluated(arm: &str, evaluation: &str) -> String {
    format!("{arm}, {evaluation}")
}

fn arm(table: ArmTable) -> Arm {
    let mut overrides = Vec::new();
    flatten("", &table.set, &mut overrides);
    Arm {
        label: table.name,
        overrides,
    }
}

/// Writes nested tables as `a.b=value`.
fn flatten(prefix: &str, table: &Table, overrides: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, overrides),
            value => overrides.push(format!("{prefix}{name}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = r#"
[claim]
hypothesis = "h"
source = "s"
seeds = 5
[base]
router.name = "switch"
[[arm]]
name = "a"
[[arm]]
name = "b"
set = { "router.name" = "mixtral", router.top_k = 1, balance.load_balance = 1e-2 }
[[rule]]
arms = ["b"]
metric = "loss"
below = "a"
"#;

    fn read(text: &str) -> Result<Option<Claim>, ClaimError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claim.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("base.toml"), "seed = 7").unwrap();
        Claim::read(&path)
    }

    #[test]
    fn arms_are_overrides_under_names() {
        let claim = read(TEXT).unwrap().unwrap();
        assert_eq!(
            claim.base.table()["router"]["name"].as_str(),
            Some("switch")
        );
        assert_eq!((claim.seeds, claim.arms[0].overrides.len()), (5, 0));
        assert_eq!(claim.arms[1].label, "b");
        let mut overrides = claim.arms[1].overrides.clone();
        overrides.sort();
        assert_eq!(
            overrides,
            [
                "balance.load_balance=0.01",
                "router.name=\"mixtral\"",
                "router.top_k=1"
            ]
        );
    }

    #[test]
    fn a_base_may_be_a_file_beside_it() {
        let text = TEXT.replace("[base]\nrouter.name = \"switch\"\n", "");
        let claim = read(&format!("base = \"base.toml\"\n{text}"))
            .unwrap()
            .unwrap();
        assert_eq!(claim.base.table()["seed"].as_integer(), Some(7));
    }

    #[test]
    fn rules_are_about_arms_in_an_evaluation_if_there_are_some() {
        let way =
            "[[evaluate]]\nname = \"C = 1\"\nset = { router.capacity_factor = 1.0 }\n[[rule]]";
        let text = TEXT.replace("[[rule]]", way);
        let message = read(&text).unwrap_err().to_string();
        assert!(
            message.contains("the arms are a, C = 1, b, C = 1"),
            "{message}"
        );

        let text = text.replace("[\"b\"]", "[\"b, C = 1\"]");
        let claim = read(&text.replace("below = \"a\"", "below = \"a, C = 1\"")).unwrap();
        let ways = claim.unwrap().evaluations;
        assert_eq!(ways[0].overrides, ["router.capacity_factor=1.0"]);
    }

    #[test]
    fn a_configuration_is_no_claim() {
        assert!(read("seed = 1").unwrap().is_none());
    }

    #[test]
    fn errors_say_what_to_do() {
        for (from, to, words) in [
            ("\"b\"\nset", "\"a\"\nset", "two arms are called `a`"),
            (
                "below = \"a\"",
                "below = \"c\"",
                "no arm `c`; the arms are a, b",
            ),
            ("arms = [\"b\"]", "arms = [\"d\"]", "no arm `d`"),
            ("seeds = 5", "seeds = 1001", "at most 1000"),
            ("seeds = 5", "seeds = 4", "at least two arms, 5 seeds"),
            ("seeds = 5", "seeds = 5\nseed = 0", "unknown field `seed`"),
            (
                "below = \"a\"",
                "below = 1.0\nabove = 0.0",
                "one of `above` and `below`",
            ),
            ("\"loss\"", "\"los\"", "unknown variant `los`"),
        ] {
            let message = read(&TEXT.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
            assert!(message.contains("claim.toml"), "{message}");
        }
    }
}
