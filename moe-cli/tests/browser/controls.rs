//! Pages that must fail, so that those that pass mean something.

use crate::chromium::{Chromium, Scheme};
use std::fs;

/// A page with a body and a style.
fn page(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><style>body {{ background: #fff }}</style></head><body>{body}</body></html>\n"
    )
}

/// Panics if an empty page passes for a drawn one, if a page that asks for something outside is not
/// noticed, or if a label that is cut is not.
pub fn check_that_checks_bite(browser: &Chromium) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.html");
    let write = |body: &str| fs::write(&path, page(body)).unwrap();

    write("");
    let empty = browser.visit(&path, Scheme::Dark);
    assert_eq!(empty.drawing.variety(), (1, 0.0));
    assert!(empty.drawing.ground() > 200, "a page without dark colours");
    empty.check_asks_nobody();

    write("<img src=\"http://outside.invalid/pixel.png\" alt=\"\">");
    let asking = browser.visit(&path, Scheme::Light);
    assert_eq!(asking.asked, ["http://outside.invalid/pixel.png"]);

    write("<svg width=\"50\" height=\"20\"><text x=\"30\" y=\"15\">a long label</text></svg>");
    assert!(!browser.probe(&path, 1200).fits(1200));
    write("<svg width=\"200\" height=\"20\"><text x=\"30\" y=\"15\">a label</text></svg>");
    assert!(browser.probe(&path, 1200).fits(1200));
    write("<div style=\"width: 600px\">wide</div>");
    assert!(!browser.probe(&path, 500).fits(500));
}
