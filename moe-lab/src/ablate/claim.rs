//! A claim: an ablation that was fixed in a file before it was run, with the rules that decide it.
//!
//! ```toml
//! [claim]
//! hypothesis = "..."
//! source = "arXiv ..."
//! seeds = 10
//! look = 5                           # optional: a look after so many seeds, which ends the claim if it is decided
//! sweep = "balance.load_balance"     # optional: the key whose values make a curve
//! ranks = 8                          # optional: the ranks that `fan_out`, `bytes_token` and `busiest_rank` spread experts over
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
//! [explored]                         # optional: what was looked at before the rules were fixed
//! seeds = [0, 1]
//! what = "sizes and thresholds, 40 runs"
//!
//! [tune]                             # optional: each arm at its own best value, found on seeds of its own
//! key = "train.lr"
//! values = [1e-3, 2e-3, 4e-3]
//! seeds = [0, 1]
//! alike = [["a", "b"]]               # optional: arms that are one model by different means, which take one value
//!
//! [scale]                            # optional: the baseline at other budgets, which says what differences are worth
//! budgets = [0.5, 1, 2, 4]
//!
//! [[rule]]
//! arms = ["no balance"]
//! metric = "dead_experts"
//! above = 0.5                        # or the name of an arm
//! ```
//!
//! A rule says one thing of each of its arms: `above` or `below` a bound; `not_above` or `not_below` it by a `margin`;
//! `equal` to it within a `margin`; or of all of them together that a metric has a `trend` ("rising", "falling")
//! `along` a key. Rules are decided by Student's t interval of the paired differences, of 95 %, for equality of 90 %,
//! and a trend by Page's test at 5 %. Each stands for itself, without a correction for the number of rules. With a look
//! both times are decided at one higher level. A rule between arms whose `budget` ("active", "total" or "steps")
//! differs is inconclusive. Overrides or another number of seeds leave the claim undecided.

mod explored;
mod tables;

pub use explored::Explored;

use super::rule::Rule;
use super::{Arm, Tune};
use moe_train::resolve::{ConfigFile, ResolveError, typed};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tables::Document;
use toml::{Table, Value};

/// The fewest seeds that decide a claim: with fewer an interval is little more than the range of the seeds.
pub(crate) const MIN_SEEDS: u64 = 5;

/// The most seeds of an ablation.
const MOST_SEEDS: u64 = 1000;

/// The ranks of the metrics of communication: the devices of DeepSeek-V2, and a node of eight.
const RANKS: usize = 8;

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
    /// The seeds after which the claim is looked at, and ends if it is decided.
    pub look: Option<u64>,
    /// The key whose values make a curve over the arms that differ in it alone.
    pub sweep: Option<String>,
    /// The ranks that experts are spread over for the metrics of communication. Default: 8
    pub n_ranks: usize,
    /// The rules that decide the claim.
    pub rules: Vec<Rule>,
    /// Looks at the data before the rules were fixed.
    pub explored: Option<Explored>,
    /// The budgets of the baseline that say what differences are worth, if they are asked for.
    pub budgets: Option<Vec<f64>>,
    /// The tuning of each arm, if there is one.
    pub tune: Option<Tune>,
    /// The file's name without extension.
    pub name: String,
    /// The hash of the file and its base; comments and order of tables do not change it.
    pub hash: String,
    /// The configuration that all arms start from.
    pub base: ConfigFile,
    /// The arms, the baseline first.
    pub arms: Vec<Arm>,
    /// The evaluations of each run; none means as it was trained.
    pub evaluations: Vec<Arm>,
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
        if file.table().contains_key("results") {
            let compare = format!("moe compare {}", path.display());
            return Err(invalid(format!(
                "this claim is decided by the table of [results], not by runs: `{compare}`"
            )));
        }
        let document: Document = typed(file.table().clone()).map_err(|e| invalid(e.to_string()))?;
        let base = match &document.base {
            Value::String(base) => {
                ConfigFile::read(path.parent().unwrap_or(Path::new("")).join(base))?
            }
            _ => file.part("base").ok_or_else(|| {
                invalid("`base` must be the path of a configuration, or its tables".into())
            })?,
        };
        let tune = document.tune.map(Tune::try_from);
        let claim = Self {
            explored: document.explored,
            budgets: document.scale.map(|scale| scale.budgets),
            tune: tune.transpose().map_err(invalid)?,
            name: path
                .file_stem()
                .map_or(String::new(), |name| name.to_string_lossy().into_owned()),
            hash: hash(&[file.table(), base.table()]),
            hypothesis: document.claim.hypothesis,
            source: document.claim.source,
            seeds: document.claim.seeds,
            look: document.claim.look,
            sweep: document.claim.sweep,
            n_ranks: document.claim.ranks.unwrap_or(RANKS),
            rules: document.rule,
            base,
            arms: document.arm.into_iter().map(Arm::from).collect(),
            evaluations: document.evaluate.into_iter().map(Arm::from).collect(),
        };
        claim.check().map_err(invalid)?;
        Ok(Some(claim))
    }

    /// Refuses decisions on seeds that were looked at before, or that arms are tuned on.
    pub(super) fn check_seeds(&self, decision: &[u64]) -> Result<(), String> {
        let explored = self.explored.as_ref().map(|explored| &explored.seeds);
        let tuned = self.tune.as_ref().map(|tune| &tune.seeds);
        for (table, seeds) in [("explored", explored), ("tune", tuned)] {
            let Some(seed) = seeds.and_then(|seeds| seeds.iter().find(|s| decision.contains(s)))
            else {
                continue;
            };
            return Err(format!(
                "the seed {seed} of [{table}] is among those of the decision, {} to {}: set `seed` in [base] so that \
                 the decision is drawn on seeds that nobody has looked at",
                decision[0],
                decision[decision.len() - 1]
            ));
        }
        Ok(())
    }

    /// The claim as a run's manifest names it.
    pub(super) fn mark(&self) -> String {
        format!("{} {}", self.name, self.hash)
    }

    /// Tells whether a mark is that of this claim's file when it said something else.
    pub(super) fn is_other_version(&self, mark: &str) -> bool {
        mark.rsplit_once(' ')
            .is_some_and(|(name, hash)| name == self.name && hash != self.hash)
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
        if self
            .look
            .is_some_and(|look| look < MIN_SEEDS || look >= self.seeds)
        {
            return Err(format!(
                "a look is made after {MIN_SEEDS} seeds at least, and before the last of {}",
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
        let alike = self.tune.iter().flat_map(|tune| tune.alike.concat());
        let is_arm = |name: &String| self.arms.iter().any(|arm| arm.label == *name);
        if let Some(unknown) = alike.into_iter().find(|name| !is_arm(name)) {
            return Err(format!(
                "`alike` of [tune] names `{unknown}`, which is no arm"
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

/// A short hash of tables, whatever the order of their keys.
fn hash(tables: &[&Table]) -> String {
    let mut hasher = Sha256::new();
    for table in tables {
        hasher.update(sorted(&Value::Table((*table).clone())).to_string());
    }
    let digest = hasher.finalize();
    digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Table(table) => {
            let mut entries: Vec<(&String, &Value)> = table.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            let entry = |(name, value): (&String, &Value)| (name.clone(), sorted(value));
            Value::Table(entries.into_iter().map(entry).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        value => value.clone(),
    }
}

/// The name of an arm in an evaluation.
pub(super) fn evaluated(arm: &str, evaluation: &str) -> String {
    format!("{arm}, {evaluation}")
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
    fn explored_and_tuning_seeds_are_not_decided_on() {
        let text = TEXT.replace(
            "[base]",
            "[explored]\nseeds = [0, 1]\nwhat = \"sizes\"\n\
             [tune]\nkey = \"train.lr\"\nvalues = [1e-3, 2e-3]\nseeds = [7]\n[base]",
        );
        let claim = read(&text).unwrap().unwrap();
        assert_eq!(claim.tune.as_ref().unwrap().values, ["0.001", "0.002"]);
        assert_eq!(claim.check_seeds(&[2, 3, 4, 5, 6]), Ok(()));
        let explored = claim.check_seeds(&[1, 2, 3]).unwrap_err();
        assert!(explored.contains("the seed 1 of [explored]"), "{explored}");
        let tuned = claim.check_seeds(&[5, 6, 7]).unwrap_err();
        assert!(tuned.contains("the seed 7 of [tune]"), "{tuned}");
    }

    #[test]
    fn the_hash_is_of_the_claim_and_not_of_its_comments() {
        let hash = |text: &str| read(text).unwrap().unwrap().hash;
        assert_eq!(hash(TEXT), hash(&format!("# a remark\n{TEXT}")));
        assert_ne!(hash(TEXT), hash(&TEXT.replace("top_k = 1", "top_k = 2")));
        assert_ne!(
            hash(TEXT),
            hash(&TEXT.replace("name = \"switch\"", "name = \"hash\""))
        );
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
            ("seeds = 5", "seeds = 8\nlook = 4", "a look is made after 5"),
            ("seeds = 5", "seeds = 5\nlook = 5", "before the last of 5"),
            ("seeds = 5", "seeds = 5\nseed = 0", "unknown field `seed`"),
            (
                "below = \"a\"",
                "below = 1.0\nabove = 0.0",
                "one of `above`, `below`",
            ),
            (
                "below = \"a\"",
                "equal = \"a\"\nmargin = 0.0",
                "a margin is a positive number",
            ),
            ("below = \"a\"", "equal = \"a\"", "`equal` needs a `margin`"),
            (
                "below = \"a\"",
                "below = \"a\"\nmargin = 0.1",
                "`margin` goes with",
            ),
            (
                "below = \"a\"",
                "trend = \"rising\"",
                "needs both `trend` and `along`",
            ),
            (
                "below = \"a\"",
                "trend = \"rising\"\nalong = \"train.lr\"",
                "a trend over 1 arms: it needs 3 to 8",
            ),
            (
                "[base]",
                "[tune]\nkey = \"train.lr\"\nvalues = [1e-3]\nseeds = [0]\n[base]",
                "a tuning needs at least two values",
            ),
            (
                "[base]",
                "[tune]\nkey = \"train.lr\"\nvalues = [1e-3, 2e-3]\nseeds = [0]\nalike = [[\"a\", \"x\"]]\n[base]",
                "names `x`, which is no arm",
            ),
            ("\"loss\"", "\"los\"", "unknown variant `los`"),
        ] {
            let message = read(&TEXT.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
            assert!(message.contains("claim.toml"), "{message}");
        }
    }
}
