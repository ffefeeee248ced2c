//! Files that flags name: what is written, what is kept, and what is no file at all.

use crate::place::Place;
use std::fs;

/// The commands that write a picture or a page, each with a name of the right kind.
fn writers(run: &str) -> [(String, &'static str); 9] {
    let generate = format!("generate {run} -p a -n 4");
    [
        ("figure switch -o".to_owned(), "svg"),
        ("figure switch -o".to_owned(), "png"),
        ("figure switch -o".to_owned(), "pdf"),
        (format!("{generate} --svg"), "svg"),
        (format!("{generate} --svg"), "png"),
        (format!("{generate} --html"), "html"),
        (
            "ablate tiny.toml -x router.top_k=2,1 -s 1 --svg".to_owned(),
            "svg",
        ),
        ("report runs -o".to_owned(), "html"),
        (format!("analyze {run} -o"), "html"),
    ]
}

fn trained() -> (Place, String) {
    let place = Place::new();
    let ended = place.moe("train tiny.toml train.steps=2");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = place.run_folder("runs");
    let run = run.strip_prefix(place.dir.path()).unwrap();
    let run = run.display().to_string();
    (place, run)
}

#[test]
fn every_command_keeps_what_it_did_not_make() {
    let (place, run) = trained();
    for (i, (command, extension)) in writers(&run).into_iter().enumerate() {
        let name = format!("mine{i}.{extension}");
        fs::write(place.path(&name), "mine").unwrap();
        let refused = place.moe(&format!("{command} {name}"));
        assert_eq!(refused.code, 2, "{command}: {}", refused.stderr);
        assert!(refused.stderr.contains("add --force"), "{}", refused.stderr);
        assert_eq!(fs::read_to_string(place.path(&name)).unwrap(), "mine");

        let forced = place.moe(&format!("{command} {name} --force"));
        assert_eq!(forced.code, 0, "{command}: {}", forced.stderr);
        let wrote = format!("note: wrote {name}\n");
        assert!(forced.stderr.contains(&wrote), "{}", forced.stderr);
        // and what the command made itself is replaced without a word
        let again = place.moe(&format!("{command} {name} -q"));
        assert_eq!((again.code, again.stderr.as_str()), (0, ""), "{command}");
        assert!(fs::read(place.path(&name)).unwrap().len() > 100);

        let other = place.moe(&format!("{command} other{i}.csv"));
        assert_eq!(other.code, 2, "{command}");
        assert!(other.stderr.contains("this writes ."), "{}", other.stderr);
        assert!(!place.path(&format!("other{i}.csv")).exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn devices_and_pipes_are_written_to_and_stay_what_they_are() {
    let place = Place::new();
    let piped = place.moe("figure switch -o /dev/stdout");
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    assert!(piped.stdout.starts_with("<svg ") && piped.stdout.ends_with("</svg>\n"));

    let pipe = place.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let unread = place.moe("figure switch -o pipe"); // and does not wait for a reader
    assert_eq!(unread.code, 1, "{}", unread.stderr);
    assert!(unread.stderr.contains("`pipe`"), "{}", unread.stderr);

    let link = place.path("link.svg");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    assert_eq!(place.moe("figure switch -o link.svg").code, 0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn control_characters_of_names_are_shown() {
    let place = Place::new();
    for line in [
        "train \x1b]0;title\x07.toml",
        "inspect tiny.toml router.\x1b[31m=1",
        "train tiny.toml --device \x1b[31m",
        "eval runs/\u{9b}31m",
        "list --\x1b[31m",
        "\x1b[31m",
    ] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(!ended.stderr.contains(is_control), "{:?}", ended.stderr);
    }
}
