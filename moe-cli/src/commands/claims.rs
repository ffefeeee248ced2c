//! The claims of `moe list claims`.

use super::listing::{Cell, Listing};
use super::topics::toml_files;
use moe_lab::ablate::Claim;
use std::path::Path;

/// The claims of the folder `configs/claims`.
pub fn claims() -> Listing {
    let paths = toml_files(Path::new("configs/claims"));
    let remark = if paths.is_empty() {
        "There is no configs/claims/*.toml here; run this in the repository's root."
    } else {
        "Run one: moe ablate FILE; its rules decide it."
    };
    Listing {
        topic: "claims",
        header: vec!["file", "arms", "seeds", "hypothesis", "source"],
        rows: paths.iter().map(|path| row(path)).collect(),
        remark: Some(remark.to_owned()),
    }
}

fn row(path: &Path) -> Vec<Cell> {
    let count = |n: u64| Cell::Number(n, n.to_string());
    let (arms, seeds, hypothesis, source) = match Claim::read(path) {
        Ok(Some(claim)) => (
            claim.arms.len() as u64,
            claim.seeds,
            claim.hypothesis,
            claim.source,
        ),
        Ok(None) => (
            0,
            0,
            "no claim: it has no table [claim]".to_owned(),
            String::new(),
        ),
        Err(error) => (0, 0, format!("cannot be used: {error}"), String::new()),
    };
    vec![
        Cell::Name(path.display().to_string()),
        count(arms),
        count(seeds),
        Cell::Words(hypothesis),
        Cell::Words(source),
    ]
}
