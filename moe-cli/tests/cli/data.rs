//! Data that is not what it should be: each command names the file, says what to do and writes nothing.

use crate::place::Place;
use std::fs;

/// A vision model on Fashion-MNIST's files in `idx`.
const FASHION: &str =
    "train vision.toml data.name=fashion_mnist data.path=idx model.patch_size=7 train.steps=1";

fn place() -> Place {
    let place = Place::new();
    let vision = "[model]\nfamily = \"vmoe\"\nd_model = 16\nn_layers = 1\nmoe_layers = [0]\n\
                  [attention]\nn_heads = 2\n";
    fs::write(place.path("vision.toml"), vision).unwrap();
    place
}

/// An IDX file of bytes.
fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// A gzip file whose only block is stored, without the sum that ends it: what is left of one cut off.
fn cut_gzip(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() + 100) as u16;
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend(bytes);
    file
}

/// The four files of Fashion-MNIST with 24 training images and two test images.
fn write_fashion(place: &Place) {
    fs::create_dir_all(place.path("idx")).unwrap();
    for (part, n) in [("train", 24u32), ("t10k", 2)] {
        let pixels = vec![7; n as usize * 28 * 28];
        let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
        write(
            place,
            &format!("{part}-images-idx3-ubyte"),
            &idx(&[n, 28, 28], &pixels),
        );
        write(
            place,
            &format!("{part}-labels-idx1-ubyte"),
            &idx(&[n], &labels),
        );
    }
}

fn write(place: &Place, file: &str, bytes: &[u8]) {
    fs::write(place.path("idx").join(file), bytes).unwrap();
}

/// The command fails as a usage error, says all the words and leaves the folder as it was.
fn refuses(place: &Place, line: &str, words: &[&str]) {
    let before = place.entries();
    let ended = place.moe(line);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (2, ""),
        "{line}: {}",
        ended.stderr
    );
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "{line}: no `{word}` in\n{}",
            ended.stderr
        );
    }
    assert_eq!(place.entries(), before, "{line}");
}

#[test]
fn idx_files_that_are_damaged() {
    let place = place();
    write_fashion(&place);
    let good = place.moe(&format!("{FASHION} --dry-run"));
    assert_eq!(good.code, 0, "{}", good.stderr);

    let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte");
    let whole = fs::read(place.path("idx").join(images)).unwrap();
    let label_bytes = fs::read(place.path("idx").join(labels)).unwrap();
    write(&place, images, &whole[..1000]);
    let words = [
        "idx/train-images-idx3-ubyte`",
        "1000 bytes",
        "promises 18832",
        "copy it again",
    ];
    refuses(&place, FASHION, &words);
    // an ablation too, before it trains anything
    let ablation = FASHION.replace(
        "train vision.toml",
        "ablate vision.toml -x train.lr=1e-3,1e-2",
    );
    refuses(&place, &ablation, &words);
    write(&place, images, &whole[..3]);
    refuses(
        &place,
        FASHION,
        &[images, "begins with 00 00 08", "damaged"],
    );

    fs::remove_file(place.path("idx").join(images)).unwrap();
    refuses(
        &place,
        FASHION,
        &["has no `train-images-idx3-ubyte`", "docs/data.md"],
    );
    write(&place, &format!("{images}.gz"), &cut_gzip(&whole[..1000]));
    refuses(
        &place,
        FASHION,
        &[
            "train-images-idx3-ubyte.gz`",
            "cannot read",
            "copy it again",
        ],
    );

    write(&place, images, &whole);
    write(
        &place,
        labels,
        &idx(&[24], &[[3; 23].as_slice(), &[10]].concat()),
    );
    let words = [
        labels,
        "label 23 is 10",
        "the classes are 0 to 9",
        "copy it again",
    ];
    refuses(&place, FASHION, &words);
    write(&place, labels, &idx(&[23], &[3; 23]));
    refuses(
        &place,
        FASHION,
        &["24 images", "23 labels", "not of one set"],
    );
    write(&place, labels, &label_bytes);
    let mended = place.moe(&format!("{FASHION} --dry-run"));
    assert_eq!(mended.code, 0, "{}", mended.stderr);
}

#[test]
fn folders_of_pictures_that_are_empty_or_broken() {
    let place = place();
    let line = "train vision.toml data.name=images data.path=pictures data.n_classes=2";
    refuses(&place, line, &["data.path", "pictures"]);
    fs::create_dir(place.path("pictures")).unwrap();
    refuses(
        &place,
        line,
        &["pictures`", "has no folder in it", "make one a class"],
    );
    for class in ["cat", "dog"] {
        fs::create_dir(place.path("pictures").join(class)).unwrap();
    }
    refuses(&place, line, &["pictures", "cat", "0 images", "at least 5"]);
    let broken = place.path("pictures/cat/a.png");
    fs::write(&broken, "no picture").unwrap();
    refuses(
        &place,
        line,
        &["cat/a.png`", "cannot be read as an image", "convert it"],
    );
    // the signature of a PNG, and then nothing
    fs::write(&broken, b"\x89PNG\r\n\x1a\n").unwrap();
    refuses(&place, line, &["cat/a.png`", "cannot be read as an image"]);
}

#[test]
fn tables_of_translations_that_lack_a_column() {
    let place = place();
    fs::write(place.path("pairs.toml"), "[model]\nfamily = \"switch\"\n").unwrap();
    let line = "train pairs.toml data.name=translation data.path=pairs.tsv";
    refuses(&place, line, &["pairs.tsv"]);
    let rows: Vec<String> = (0..40).map(|i| format!("one {i}\tuno {i}\n")).collect();
    for (row, words) in [
        ("two\n", ["line 8", "one column", "divided by a tab"]),
        (
            "two\tdos\tdeux\n",
            ["line 8", "3 columns", "divided by a tab"],
        ),
        (
            "two\t \n",
            ["line 8", "column 2 is empty", "remove the line"],
        ),
    ] {
        let table = [&rows[..7].concat(), row, &rows[7..].concat()].concat();
        fs::write(place.path("pairs.tsv"), table).unwrap();
        refuses(&place, line, &words);
        refuses(&place, line, &["pairs.tsv`"]);
    }
    fs::write(place.path("pairs.tsv"), "").unwrap();
    refuses(&place, line, &["pairs.tsv` is empty", "a tab"]);
}
