//! `moe report --watch`: the page follows the runs.

use crate::place::{Ended, Place};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A place whose only run looks as if it were still trained; its summary is returned.
fn unfinished() -> (Place, PathBuf, Vec<u8>) {
    let place = Place::new();
    assert_eq!(place.moe("train tiny.toml").code, 0);
    let summary = place.run_folder("runs").join("summary.json");
    let finished = fs::read(&summary).unwrap();
    fs::remove_file(&summary).unwrap();
    (place, summary, finished)
}

fn watch(place: &Place) -> Child {
    let mut command = place.command("report runs -o page.html --watch");
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().unwrap()
}

/// Waits until a page says something.
fn wait_for(page: &Path, words: &str, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if fs::read_to_string(page).is_ok_and(|text| text.contains(words)) {
            return;
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before the page had `{words}`"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no `{words}` within a minute");
}

#[test]
fn a_page_is_made_again_as_a_run_goes_on_until_it_is_finished() {
    let (place, summary, finished) = unfinished();
    let (page, metrics) = (
        place.path("page.html"),
        summary.with_file_name("metrics.jsonl"),
    );
    let mut child = watch(&place);
    wait_for(&page, "not finished: step 20 of 20 was logged", &mut child);

    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{whole}{{\"kind\": \"tr")).unwrap();
    wait_for(&page, "1 line of metrics.jsonl cannot be read", &mut child);

    fs::write(&metrics, whole).unwrap();
    fs::write(&summary, finished).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        !fs::read_to_string(&page)
            .unwrap()
            .contains("What is missing")
    );
    assert!(
        ended.stderr.matches("wrote page.html").count() >= 3,
        "{}",
        ended.stderr
    );
    let words = [
        "not finished: 1 of 1 runs; looking again",
        "not finished: 0 of 1 runs",
    ];
    assert!(
        words.iter().all(|words| ended.stderr.contains(words)),
        "{}",
        ended.stderr
    );
    // the table comes once, at the end
    assert_eq!(
        ended.stdout.matches("1 run\n").count(),
        1,
        "{}",
        ended.stdout
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_watch_and_leaves_the_page() {
    let (place, ..) = unfinished();
    let mut child = watch(&place);
    wait_for(&place.path("page.html"), "</html>", &mut child);
    let id = child.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &id]).status().unwrap().success());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(place.path("page.html").is_file());
}
