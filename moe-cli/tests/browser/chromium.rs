//! Calls of a headless Chromium that reaches nothing outside.

use crate::drawing::Drawing;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What the reader of a page prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Dark,
    Light,
}

impl Scheme {
    pub const ALL: [Self; 2] = [Self::Light, Self::Dark];
}

/// A browser, with a folder for what it writes.
pub struct Chromium {
    program: OsString,
    folder: TempDir,
}

/// A page as a browser drew it.
pub struct Visit {
    /// The document after it was read.
    document: String,
    /// The addresses that the page asked for.
    pub asked: Vec<String>,
    pub drawing: Drawing,
}

/// What a script measured in a copy of a page.
pub struct Probe {
    /// The width of all that is drawn, pixels.
    width: f64,
    /// The texts that reach out of their picture.
    cut: Vec<String>,
}

/// Added to a copy of a page: how wide it is, and which labels of pictures are cut.
const MEASURE: &str = r#"<script>
const cut = [...document.querySelectorAll("svg text")].filter(text => {
  const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
  return inner.width > 0 && (inner.left < outer.left - 1 || inner.right > outer.right + 1
    || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1);
}).map(text => text.textContent);
const found = document.createElement("pre");
found.id = "found";
found.textContent = JSON.stringify({ width: document.documentElement.scrollWidth, cut });
document.body.replaceChildren(found);
</script>
"#;

impl Chromium {
    pub fn new(program: OsString) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { program, folder }
    }

    /// Runs the browser on a page; returns the document that it ends with.
    fn run(&self, page: &Path, width: u32, more: &[String]) -> String {
        let output = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args([
                "--disable-component-update",
                "--disable-default-apps",
                "--dump-dom",
            ])
            .args([
                "--proxy-server=127.0.0.1:9",
                "--host-resolver-rules=MAP * ~NOTFOUND",
            ])
            .arg(format!("--user-data-dir={}", self.folder.path().display()))
            .arg(format!("--window-size={width},3000"))
            .args(more)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", page.display());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Draws a page.
    pub fn visit(&self, page: &Path, scheme: Scheme) -> Visit {
        let [picture, log] = ["page.png", "net.json"].map(|name| self.folder.path().join(name));
        let arguments = [
            format!("--blink-settings=preferredColorScheme={}", scheme as u8),
            format!("--screenshot={}", picture.display()),
            format!("--log-net-log={}", log.display()),
        ];
        let document = self.run(page, 1200, &arguments);
        let visit = Visit {
            document,
            asked: asked(&fs::read_to_string(&log).unwrap()),
            drawing: Drawing::read(&picture),
        };
        for path in [picture, log] {
            fs::remove_file(path).unwrap();
        }
        visit
    }

    /// Measures a copy of a page in a window of a width.
    pub fn probe(&self, page: &Path, width: u32) -> Probe {
        let copy = self.folder.path().join("copy.html");
        let text = fs::read_to_string(page).unwrap();
        assert!(text.contains("</body>"), "{}", page.display());
        fs::write(&copy, text.replace("</body>", &format!("{MEASURE}</body>"))).unwrap();
        let document = self.run(&copy, width, &[]);
        let (_, found) = document.split_once("<pre id=\"found\">").unwrap();
        let (found, _) = found.split_once("</pre>").unwrap();
        let found: Value = serde_json::from_str(&found.replace("&amp;", "&")).unwrap();
        let texts = found["cut"].as_array().unwrap().iter();
        Probe {
            width: found["width"].as_f64().unwrap(),
            cut: texts
                .map(|text| text.as_str().unwrap().to_owned())
                .collect(),
        }
    }
}

/// The addresses that pages asked for by a net log; what the browser asks for itself, its own updates, has no
/// origin.
fn asked(log: &str) -> Vec<String> {
    let log: Value = serde_json::from_str(log).unwrap();
    let events = log["events"].as_array().unwrap();
    assert!(!events.is_empty(), "a log of nothing");
    let of_page = |params: &&Value| match params["initiator"].as_str() {
        Some(initiator) => initiator != "not an origin",
        None => false,
    };
    let requests = events.iter().map(|event| &event["params"]).filter(of_page);
    let urls = requests.filter_map(|params| params["url"].as_str());
    urls.map(str::to_owned).collect()
}

impl Visit {
    /// Panics if the page asked anybody for anything.
    pub fn check_asks_nobody(&self) {
        assert!(self.asked.is_empty(), "asked for {:?}", self.asked);
    }

    /// Panics if the document is empty, or names something outside.
    pub fn check_document(&self) {
        let document = &self.document;
        for part in ["<title>", "<h1>", "<style>"] {
            assert!(document.contains(part), "no {part}");
        }
        let n_elements = document.matches("</").count();
        assert!(n_elements > 50, "a document of {n_elements} elements");
        for part in [
            "<script", "src=", "<link", "<iframe", "@import", "url(", "://",
        ] {
            // the name of a format is no address to ask
            let document = document.replace("http://www.w3.org/2000/svg", "");
            assert!(!document.contains(part), "{part} in the document");
        }
    }
}

impl Probe {
    /// Whether all fits into a window, which tables scroll in by themselves.
    pub fn fits(&self, width: u32) -> bool {
        self.width <= f64::from(width) && self.cut.is_empty()
    }

    /// Panics unless all fits.
    pub fn check_fits(&self, width: u32) {
        assert!(
            self.fits(width),
            "{} pixels wide in a window of {width}; labels that are cut: {:?}",
            self.width,
            self.cut
        );
    }
}
