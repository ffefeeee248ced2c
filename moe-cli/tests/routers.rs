//! docs/reference/routers.md has every router of the list, and its figures are what the program draws.

#![allow(clippy::unwrap_used)]

use moe_router::RouterConfig;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DRAW: &str = "cargo run --release -- figure all -o docs/reference/routers";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference")
}

fn page() -> String {
    fs::read_to_string(docs().join("routers.md")).unwrap()
}

fn moe(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_moe"))
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The text of each section of routers, by its heading.
fn sections(page: &str) -> Vec<(&str, &str)> {
    page.split("\n### ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap())
        .collect()
}

#[test]
fn the_table_is_the_programs_own_with_numbers() {
    let page = page();
    let table = moe(&["list", "routers", "--format", "md"]);
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert_eq!(rows.len(), RouterConfig::NAMES.len());
    for (i, row) in rows.iter().enumerate() {
        let row = format!("\n| {} {row}\n", i + 1);
        assert!(
            page.contains(&row),
            "docs/reference/routers.md lacks the row{row}"
        );
    }
}

#[test]
fn every_router_has_its_section_its_figure_and_its_keys() {
    let page = page();
    let sections = sections(&page);
    let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        RouterConfig::NAMES,
        "the sections of docs/reference/routers.md"
    );
    for (name, text) in sections {
        let figure = format!("](routers/{name}.svg)");
        assert!(text.contains(&figure), "{name} has no figure");
        let config = RouterConfig::from_name(name).unwrap();
        let values = serde_json::to_value(&config).unwrap();
        for key in values.as_object().unwrap().keys().filter(|k| *k != "name") {
            assert!(text.contains(&format!("`{key}`")), "{name} lacks `{key}`");
        }
    }
}

fn svgs(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_figures_are_what_the_program_draws() {
    assert!(page().lines().any(|line| line == DRAW));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    moe(&["figure", "all", "-o", out]);
    let (drawn, committed) = (svgs(folder.path()), svgs(&docs().join("routers")));
    let names = |svgs: &BTreeMap<String, String>| svgs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&drawn), names(&committed));
    for (name, svg) in &drawn {
        assert!(svg == &committed[name], "{name} differs; run: {DRAW}");
    }
}

#[test]
fn a_dry_run_writes_nothing_and_json_lists_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.svg");
    let file = file.to_str().unwrap();
    let arguments = ["figure", "switch", "router.capacity_factor=4.0", "-o", file];
    let text = moe(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(text.trim(), format!("would write {file}"));
    assert!(!Path::new(file).exists());

    let json = moe(&[&arguments[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["files"], serde_json::json!([file]));
    // 16 places an expert for 32 tokens hold all that come
    let svg = fs::read_to_string(file).unwrap();
    assert!(svg.contains("dropped 0.0 %"), "{svg}");
    assert!(!svg.contains("capacity "), "{svg}");
}

#[test]
fn the_list_says_what_each_documented_router_is_for() {
    let list = moe(&["list", "routers"]);
    let header = list.lines().next().unwrap();
    let place = header.find("use it for").expect("a column");
    for name in RouterConfig::NAMES {
        let mut rows = list.lines();
        let row = rows.find(|row| row.split(' ').next() == Some(name));
        let purpose = row.and_then(|row| row.get(place..)).unwrap();
        assert!(!purpose.starts_with(' '), "{name}");
    }
}
