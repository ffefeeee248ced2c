//! Rectangles and text of a picture.

use crate::svg::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The parts of a picture, in whole units. Rectangles that look alike become one path.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    paths: BTreeMap<Look, String>,
    text: String,
}

/// The look of a rectangle: what it is, and how opaque in per cent. Later ones lie above earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// The ground that tokens stand on.
    Ground,
    /// In the router's colour, this opaque in per cent.
    Filled(u8),
    /// An outline.
    Outlined,
    /// A line.
    Line,
    /// A faint line.
    Faint,
}

impl Look {
    fn attributes(self) -> String {
        match self {
            Look::Ground => "class=\"ground\"".to_owned(),
            Look::Filled(100) => "class=\"on\"".to_owned(),
            Look::Filled(opacity) => format!("class=\"on\" fill-opacity=\".{opacity:02}\""),
            Look::Outlined => "class=\"off\"".to_owned(),
            Look::Line => "class=\"line\"".to_owned(),
            Look::Faint => "class=\"faint\"".to_owned(),
        }
    }
}

impl Canvas {
    /// A rectangle from its upper left corner; none without an extent.
    pub(super) fn rect(&mut self, look: Look, [x, y]: [usize; 2], [width, height]: [usize; 2]) {
        if width > 0 && height > 0 {
            let path = self.paths.entry(look).or_default();
            let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
    }

    /// Text from the left end of its base line.
    pub(super) fn text(&mut self, class: &str, [x, y]: [usize; 2], text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        );
    }

    /// All paths, one a line, and all text.
    pub(super) fn finish(self) -> String {
        let mut body = String::new();
        for (look, path) in self.paths {
            let _ = writeln!(body, "<path {} d=\"{path}\"/>", look.attributes());
        }
        body + &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_one_path() {
        let mut canvas = Canvas::default();
        canvas.rect(Look::Filled(100), [1, 2], [3, 4]);
        canvas.rect(Look::Filled(5), [0, 0], [1, 1]);
        canvas.rect(Look::Filled(100), [5, 2], [3, 4]);
        canvas.rect(Look::Outlined, [5, 2], [0, 4]);
        canvas.text("small", [7, 8], "a<b");
        let expected = "\
<path class=\"on\" fill-opacity=\".05\" d=\"M0 0h1v1h-1z\"/>
<path class=\"on\" d=\"M1 2h3v4h-3zM5 2h3v4h-3z\"/>
<text class=\"small\" x=\"7\" y=\"8\">a&lt;b</text>
";
        assert_eq!(canvas.finish(), expected);
    }
}
