//! The recipes of the guide, followed to the letter: what two pages say to write and to run is done in a copy of
//! the workspace.

#![allow(clippy::unwrap_used)]

#[path = "recipes/copy.rs"]
mod copy;
#[path = "recipes/page.rs"]
mod page;
#[path = "recipes/tree.rs"]
mod tree;

use copy::WorkspaceCopy;
use page::Recipe;
use std::sync::LazyLock;

static ROUTER: LazyLock<Recipe> = LazyLock::new(|| Recipe::read("docs/guide/bring-a-router.md"));
static FAMILY: LazyLock<Recipe> = LazyLock::new(|| Recipe::read("docs/guide/add-a-family.md"));

/// The workspace with both recipes, built once.
static COPY: LazyLock<WorkspaceCopy> = LazyLock::new(|| WorkspaceCopy::with(&[&ROUTER, &FAMILY]));

#[test]
fn a_file_and_a_line_add_a_router() {
    assert_eq!(ROUTER.new_files().count(), 1);
    assert_eq!(ROUTER.n_added_lines(), 1);
    follow(
        &ROUTER,
        &["list", "train", "ablate"],
        &[
            "zoo::angle::tests::",
            "no_router_of_the_list_breaks_a_law ... ok",
        ],
    );
}

#[test]
fn two_files_and_their_lines_add_a_family() {
    assert_eq!(FAMILY.new_files().count(), 2);
    follow(
        &FAMILY,
        &["list", "train", "ablate"],
        &[
            "arctic::tests::",
            "every_family_has_a_router_an_attention_and_a_model ... ok",
            "every_decoder_writes_with_a_cache_what_it_reads_at_once ... ok",
            "every_parameter_of_every_model_decays_or_does_not_by_what_it_is ... ok",
        ],
    );
}

/// Runs the commands of a page, among them those of `topics`; its tests must print `tested`.
fn follow(recipe: &Recipe, topics: &[&str], tested: &[&str]) {
    for path in recipe.new_files() {
        assert!(!COPY.built.contains(path), "{path}: {}", COPY.built);
    }
    let runs = tempfile::tempdir().unwrap();
    let mut left = topics.to_vec();
    let mut tests = 0;
    for command in &recipe.commands {
        if let Some(arguments) = command.strip_prefix("cargo run --release -- ") {
            let topic = arguments.split(' ').next().unwrap();
            left.retain(|other| *other != topic);
            let stdout = COPY.moe(arguments, runs.path());
            let needle = expected(topic, recipe.name());
            assert!(stdout.contains(&needle), "{command}: {stdout}");
        } else {
            let output = COPY.cargo(command.strip_prefix("cargo ").unwrap());
            for needle in tested {
                assert!(output.contains(needle), "{command}: no {needle}: {output}");
            }
            tests += 1;
        }
    }
    assert!(left.is_empty(), "no command {left:?}");
    assert_eq!(tests, 1, "one command runs the tests");
}

/// The text by which a command shows that it knows the new part.
fn expected(topic: &str, name: &str) -> String {
    match topic {
        "list" | "ablate" => format!("\n{name} "),
        "train" => "validation bits/byte".to_owned(),
        other => panic!("say here what `moe {other}` must print"),
    }
}
