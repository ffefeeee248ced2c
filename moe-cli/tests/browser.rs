//! What a real browser makes of the pages: each is drawn light and dark, asks nobody for anything, and cuts
//! no label. `.ci/browser` runs this with a Chromium in `MOE_BROWSER`; a plain `cargo test` says that it does
//! not.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "browser/chromium.rs"]
mod chromium;
#[path = "browser/controls.rs"]
mod controls;
#[path = "browser/drawing.rs"]
mod drawing;
#[path = "browser/made.rs"]
mod made;
#[path = "cli/place.rs"]
#[allow(dead_code, reason = "shared with the tests of the command line")]
mod place;

use chromium::{Chromium, Scheme};

fn main() {
    let Some(program) = std::env::var_os("MOE_BROWSER") else {
        println!(
            "browser: NOT RUN, for MOE_BROWSER names no Chromium; `bash .ci/browser` finds or installs one"
        );
        return;
    };
    let browser = Chromium::new(program);
    controls::check_that_checks_bite(&browser);
    let made = made::pages();
    for page in &made.pages {
        let drawings = Scheme::ALL.map(|scheme| {
            let visit = browser.visit(page, scheme);
            visit.check_asks_nobody();
            visit.check_document();
            visit.drawing.check_drawn(scheme);
            visit.drawing
        });
        drawing::check_differ(&drawings);
        // a window of Chromium is at least 500 pixels wide
        for width in [1200, 500] {
            browser.probe(page, width).check_fits(width);
        }
        println!("browser: {} holds", page.file_name().unwrap().display());
    }
    println!("browser: {} pages hold, light and dark", made.pages.len());
}
