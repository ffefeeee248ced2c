//! The topics of `moe list`: one function each.

use super::listing::{Cell, Listing};
use crate::backends::BACKENDS;
use moe_checkpoint::disk::{MOST_TEXT, read_text};
use moe_train::config::{ModelConfig, RunConfig};
use moe_train::data::{Corpus, Domain};
use moe_view::{si, thousands};
use std::fs;
use std::path::{Path, PathBuf};

/// The model families.
pub fn models() -> Listing {
    let row = |family: ModelConfig| {
        let info = family.info();
        vec![
            Cell::Name(family.name().to_owned()),
            Cell::Words(info.rule.to_owned()),
            Cell::Paper(info.paper, info.arxiv),
            Cell::Words(info.reference.to_owned()),
        ]
    };
    let names = ModelConfig::NAMES.iter();
    Listing {
        topic: "models",
        header: vec!["name", "architecture", "paper", "compared with"],
        rows: names
            .filter_map(|name| ModelConfig::from_name(name))
            .map(row)
            .collect(),
        remark: None,
    }
}

/// The settings of the table `[experts]`, each with what it is and its paper.
const EXPERTS: [(&str, &str, (&str, &str)); 7] = [
    (
        "activation=swiglu",
        "three matrices: down(silu(gate(x)) * up(x))",
        ("Shazeer 2020", "2002.05202"),
    ),
    (
        "activation=gelu",
        "two matrices: down(gelu(up(x))), tanh form",
        ("Hendrycks and Gimpel 2016", "1606.08415"),
    ),
    (
        "activation=silu",
        "two matrices: down(silu(up(x)))",
        ("Hendrycks and Gimpel 2016", "1606.08415"),
    ),
    (
        "activation=relu",
        "two matrices: down(relu(up(x)))",
        ("Fedus et al. 2021", "2101.03961"),
    ),
    (
        "dispatch=grouped",
        "all experts in one fused operation",
        ("Gale et al. 2022", "2211.15841"),
    ),
    (
        "dispatch=reference",
        "a loop over the experts: slow and readable",
        ("Shazeer et al. 2017", "1701.06538"),
    ),
    (
        "n_shared_experts=N",
        "N experts more that every token passes through",
        ("Dai et al. 2024", "2401.06066"),
    ),
];

/// The values of the table `[experts]` that are names.
pub fn experts() -> Listing {
    let rows = EXPERTS.map(|(value, what, (authors, arxiv))| {
        vec![
            Cell::Name(value.to_owned()),
            Cell::Words(what.to_owned()),
            Cell::Paper(authors, arxiv),
        ]
    });
    Listing {
        topic: "experts",
        header: vec!["setting", "what", "paper"],
        rows: rows.into(),
        remark: None,
    }
}

/// The pixels of all digits.
const DIGITS_BYTES: u64 = 1797 * 64;

/// The data by name, and the domains of the embedded text.
pub fn data() -> Listing {
    let corpora = [Corpus::nine_domains(), Corpus::random_text()];
    let row = |corpus: &Corpus, domain: &Domain| {
        let bytes: usize = domain.files.iter().map(|file| file.len()).sum();
        vec![
            Cell::Name(corpus.name.clone()),
            Cell::Words(domain.name.clone()),
            Cell::Number(bytes as u64, thousands(bytes as u64)),
        ]
    };
    let texts = corpora.iter().flat_map(|corpus| {
        let rows = corpus.domains.iter().map(|domain| row(corpus, domain));
        rows.collect::<Vec<_>>()
    });
    let digits = vec![
        Cell::Name("digits".to_owned()),
        Cell::Words("1,797 images of 8 x 8 pixels in 10 classes".to_owned()),
        Cell::Number(DIGITS_BYTES, thousands(DIGITS_BYTES)),
    ];
    Listing {
        topic: "data",
        header: vec!["name", "domain", "bytes"],
        rows: texts.chain([digits]).collect(),
        remark: Some(
            "Larger text from packages: moe data list.\n\
             Your own text: data.name=text data.path=FILE_OR_FOLDER, one domain a file or folder.\n\
             Pairs of texts: data.name=spans, text with gaps, or data.name=translation data.path=TABLE, two columns.\n\
             Images: data.name=fashion_mnist data.path=FOLDER, or data.name=images data.path=FOLDER, one class a folder; docs/guide/data.md."
                .to_owned(),
        ),
    }
}

/// The backends, built in or not.
pub fn backends() -> Listing {
    let rows = BACKENDS.iter().map(|backend| {
        let device = match backend.index {
            "" => backend.name.to_owned(),
            index => format!("{0}, {0}:I for {index} I", backend.name),
        };
        vec![
            Cell::Name(backend.name.to_owned()),
            Cell::YesNo(backend.is_compiled()),
            Cell::Name(backend.feature.to_owned()),
            Cell::Words(backend.about.to_owned()),
            Cell::Words(device),
        ]
    });
    Listing {
        topic: "backends",
        header: vec!["name", "built in", "feature", "what", "--device"],
        rows: rows.collect(),
        remark: Some(
            "Build another in: cargo run --release --features FEATURE -- COMMAND --device NAME\n\
             `--device cpu` is `flex`. The feature `cpu` builds CubeCL's and downloads LLVM."
                .to_owned(),
        ),
    }
}

/// The run files of the folder `configs`.
pub fn configs() -> Listing {
    let paths = toml_files(Path::new("configs"));
    let remark = if paths.is_empty() {
        Some("There is no configs/*.toml here; run this in the repository's root.".to_owned())
    } else {
        None
    };
    Listing {
        topic: "configs",
        header: vec!["file", "router", "parameters", "active", "steps", "about"],
        rows: paths.iter().map(|path| config_row(path)).collect(),
        remark,
    }
}

fn config_row(path: &Path) -> Vec<Cell> {
    let file = Cell::Name(path.display().to_string());
    let count = |n: u64| Cell::Number(n, si(n as f64));
    let config = match RunConfig::load::<&str>(path, &[]) {
        Ok(resolved) => resolved.config,
        Err(error) => {
            let none = || Cell::Words(String::new());
            let about = Cell::Words(format!("cannot be used: {error}"));
            return vec![file, none(), none(), none(), none(), about];
        }
    };
    let account = config.account();
    vec![
        file,
        Cell::Words(config.router.name().to_owned()),
        count(account.params_total as u64),
        count(account.params_active as u64),
        Cell::Number(config.train.steps, thousands(config.train.steps)),
        Cell::Words(first_comment(path)),
    ]
}

/// The comment that a file begins with, up to the end of its first sentence.
fn first_comment(path: &Path) -> String {
    let text = read_text(path, MOST_TEXT).unwrap_or_default();
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    let comment: Vec<&str> = lines
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let comment = comment.join(" ");
    match comment.find(". ") {
        Some(end) => comment[..=end].to_owned(),
        None => comment,
    }
}

/// The TOML files of a folder, by name.
pub(super) fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_train::config::ModelConfig;
    use std::io::Write;

    #[test]
    fn the_listed_settings_are_those_that_configurations_accept() {
        let file = tempfile::NamedTempFile::new().expect("there is room for an empty file");
        for setting in experts().rows.iter().map(|row| setting(&row[0])) {
            let overrides = [format!("experts.{}", setting.replace("=N", "=1"))];
            assert!(
                RunConfig::load(file.path(), &overrides).is_ok(),
                "{setting}"
            );
        }
        for family in models().rows.iter().map(|row| setting(&row[0])) {
            let overrides = [format!("model.family={family}")];
            assert!(RunConfig::load(file.path(), &overrides).is_ok(), "{family}");
        }
    }

    #[test]
    fn the_listed_models_are_the_families_of_configurations() {
        let listed: Vec<String> = models().rows.iter().map(|row| setting(&row[0])).collect();
        assert_eq!(listed, ModelConfig::NAMES);
    }

    #[test]
    fn a_file_is_described_by_a_whole_sentence() {
        let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
        write!(file, "# One 0.5 and\n# two. Three.\n#\n# Four.\nseed = 1\n").expect("a file");
        assert_eq!(first_comment(file.path()), "One 0.5 and two.");
    }

    fn setting(cell: &Cell) -> String {
        match cell {
            Cell::Name(name) => name.clone(),
            other => panic!("{other:?} is not a name"),
        }
    }
}
