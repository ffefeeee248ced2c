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
    let is_error = ended.stderr.lines().any(|line| line.starts_with("error: "));
    assert!(is_error, "{}", ended.stderr);
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
        &["has no `train-images-idx3-ubyte`", "docs/guide/data.md"],
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
fn classes_are_counted_from_the_folders_and_a_picture_that_is_cut_off_is_named() {
    let place = place();
    // a PNG of one grey pixel
    let png = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\
                \x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\x60\x00\x00\x00\x02\x00\x01\xe5\x27\xde\xfc\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";
    for class in ["cat", "dog", "emu"] {
        fs::create_dir_all(place.path("pictures").join(class)).unwrap();
        for i in 0..5 {
            let picture = place.path("pictures").join(class).join(format!("{i}.png"));
            fs::write(picture, png).unwrap();
        }
    }
    let line = "train vision.toml data.name=images data.path=pictures";
    let counted = place.moe(&format!("{line} --dry-run"));
    assert_eq!(counted.code, 0, "{}", counted.stderr);
    assert!(
        counted.stdout.contains("n_classes = 3"),
        "{}",
        counted.stdout
    );
    let wrong = format!("{line} data.n_classes=10");
    refuses(
        &place,
        &wrong,
        &["has 3 class folders", "data.n_classes = 3"],
    );

    let cut = place.path("pictures/cat/0.png");
    fs::write(&cut, &png[..png.len() - 5]).unwrap();
    refuses(&place, line, &["cat/0.png`", "cut off"]);
}

#[test]
fn text_of_other_formats() {
    let place = place();
    fs::write(place.path("text.toml"), "[train]\nseq_length = 8\n").unwrap();
    let rows: String = (0..90)
        .map(|i| format!("{i},\"of {i}, and more\"\n"))
        .collect();
    fs::write(place.path("posts.csv"), format!("\u{FEFF}id,text\n{rows}")).unwrap();
    let line = "train text.toml data.name=text data.path=posts.csv";
    refuses(
        &place,
        line,
        &["posts.csv", "`id`, `text`", "set data.column"],
    );
    let read = place.moe(&format!("{line} data.column=text --dry-run"));
    assert_eq!(read.code, 0, "{}", read.stderr);
    let line = "train text.toml data.name=text data.path=posts.parquet";
    fs::write(place.path("posts.parquet"), "PAR1").unwrap();
    refuses(
        &place,
        line,
        &["posts.parquet`", "read_parquet", "data.column"],
    );
}

#[test]
fn validation_has_files_of_its_own() {
    let place = Place::new();
    fs::write(place.path("train.txt"), "to be or not to be, ".repeat(100)).unwrap();
    fs::write(place.path("val.txt"), "that is the question, ".repeat(30)).unwrap();
    let line = "train tiny.toml data.path=train.txt data.validation_path=val.txt train.steps=10";
    let trained = place.json(line);
    // all of the file validates: 660 bytes but for the first, which nothing predicts
    let scored = &trained["summary"]["validation"]["n_bytes"];
    assert_eq!(scored.as_u64(), Some(659), "{trained:#}");
    let hash = |runs: &str| fs::read(place.run_folder(runs).join("data.sha256")).unwrap();
    let first = hash("runs");

    // another text for validation is other data: the run does not go on
    fs::write(place.path("val.txt"), "that is an answer now, ".repeat(30)).unwrap();
    let folder = place.run_folder("runs");
    fs::remove_file(folder.join("summary.json")).unwrap();
    let changed = place.moe(line);
    assert_ne!(changed.code, 0, "{}", changed.stdout);
    assert_eq!(place.moe(&format!("{line} --runs others")).code, 0);
    assert_ne!(hash("others"), first);

    for (path, words) in [
        ("nowhere.txt", &["nowhere.txt"][..]),
        (
            "text",
            &["english, french", "has train", "same name in both"],
        ),
    ] {
        let line = format!("train tiny.toml data.path=train.txt data.validation_path={path}");
        refuses(&place, &line, words);
    }
    let line = "train tiny.toml data.name=nine_domains data.path=\"\" data.validation_path=val.txt";
    refuses(
        &place,
        line,
        &["data.validation_path", "their own validation part"],
    );
}

#[test]
fn compressed_text_is_read_and_what_is_cut_off_is_named() {
    let place = Place::new();
    // one frame of Zstandard (RFC 8878, section 3.1.1): a block that repeats one byte 2,000 times
    let mut frame = b"\x28\xB5\x2F\xFD\x60\xD0\x06".to_vec();
    let header = (2_000_u32 << 3) | (1 << 1) | 1;
    frame.extend(&header.to_le_bytes()[..3]);
    frame.push(b'a');
    fs::write(place.path("a.txt.zst"), &frame).unwrap();
    let line = "train tiny.toml data.path=a.txt.zst train.steps=1";
    let read = place.json(line);
    // 5 % of 2,000 bytes but for the first
    assert_eq!(
        read["summary"]["validation"]["n_bytes"].as_u64(),
        Some(99),
        "{read:#}"
    );
    fs::write(place.path("a.txt.zst"), &frame[..9]).unwrap();
    let cut = place.moe(&format!("{line} train.lr=1e-3"));
    assert!(
        cut.code != 0 && cut.stderr.contains("a.txt.zst"),
        "{}",
        cut.stderr
    );
    fs::write(place.path("a.txt.xz"), "").unwrap();
    refuses(
        &place,
        "train tiny.toml data.path=a.txt.xz",
        &["a.txt.xz`", "xz -d"],
    );
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
