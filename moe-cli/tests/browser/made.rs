//! The pages of the program, of runs of a few steps.

use crate::place::Place;
use std::fs;
use std::path::{Path, PathBuf};

/// Pages with the folder that they lie in.
pub struct Made {
    pub pages: Vec<PathBuf>,
    _place: Place,
}

/// A repository's configuration.
fn config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../configs")
        .join(name);
    path.display().to_string()
}

/// A report on text and one on images, and the experts of text, of images and of slots.
pub fn pages() -> Made {
    let place = Place::new();
    let moe = |line: &str| {
        let ended = place.moe(&format!("{line} -q"));
        assert_eq!(ended.code, 0, "moe {line}: {}", ended.stderr);
    };
    let digits = config("vmoe-digits.toml");
    let short = "train.steps=6 train.eval_every=3 train.log_every=1 train.batch_size=16 train.warmup_steps=1";
    moe("ablate tiny.toml -x router.name=mixtral,switch -s 2 --runs text-runs");
    moe(&format!(
        "ablate '{digits}' -x router.priority=position,score -s 2 --runs image-runs {short}"
    ));
    moe(&format!(
        "train '{digits}' {short} router.name=soft_moe router.slots_per_expert=2 --runs soft-runs"
    ));
    moe("report text-runs -o report-text.html");
    moe("report image-runs -o report-images.html");
    for kind in ["text", "image", "soft"] {
        let run = first_run(&place.path(&format!("{kind}-runs")));
        moe(&format!(
            "analyze '{}' --world 2,4 --link nvlink4 --tflops 400 -o experts-{kind}.html",
            run.display()
        ));
    }
    let run = first_run(&place.path("text-runs"));
    moe(&format!(
        "generate '{}' -p 'The quick' -n 40 --html words.html",
        run.display()
    ));
    let mut pages: Vec<PathBuf> = fs::read_dir(place.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "html"))
        .collect();
    pages.sort();
    assert_eq!(pages.len(), 6, "{pages:?}");
    Made {
        pages,
        _place: place,
    }
}

/// The first seed of the first question.
fn first_run(runs: &Path) -> PathBuf {
    let mut questions: Vec<PathBuf> = fs::read_dir(runs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("seed-0").is_dir())
        .collect();
    questions.sort();
    questions[0].join("seed-0")
}
