//! The look of the arms of a figure: a colour, a dash and a name each.

use moe_lab::report::Question;

/// Colours of the style, `--c0` to `--c7`; the first is the baseline's grey.
const N_COLOURS: usize = 8;
/// Dashes, so that colour is not all that tells lines apart.
const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "4 2"];
/// Longer names are cut at the ends of lines.
const LONGEST: usize = 17;

/// The look of an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmStyle {
    /// Its name at the end of a line.
    pub name: String,
    /// Its colour, a value of CSS.
    pub colour: String,
    dash: &'static str,
}

impl ArmStyle {
    /// The styles of all arms. Names that are cut begin with a letter, so that they stay different.
    pub fn all(questions: &[Question]) -> Vec<Self> {
        let is_long = |question: &Question| question.short.chars().count() > LONGEST;
        let lettered = questions.iter().any(is_long);
        let style = |(i, question): (usize, &Question)| Self {
            name: if lettered {
                cut(&format!("{} {}", letter(i), question.short))
            } else {
                question.short.clone()
            },
            colour: format!("var(--c{})", i % N_COLOURS),
            dash: DASHES[i % DASHES.len()],
        };
        questions.iter().enumerate().map(style).collect()
    }

    /// The attributes of a line.
    pub fn stroke(&self) -> String {
        let dash = match self.dash {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        };
        format!("style=\"stroke:{}\"{dash}", self.colour)
    }

    /// A piece of the line, to stand before a name.
    pub fn swatch(&self) -> String {
        format!(
            "<svg class=\"swatch\" viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"line\" {} d=\"M0 6h26\"/></svg>",
            self.stroke()
        )
    }
}

/// A, B, ... Z, A1, B1, ...
fn letter(i: usize) -> String {
    let letter = char::from(b'A' + (i % 26) as u8);
    match i / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= LONGEST + 2 {
        return name.to_owned();
    }
    let head: String = name.chars().take(LONGEST + 1).collect();
    format!("{}…", head.trim_end())
}
