//! Colours of experts, told apart by colour-blind readers too (after Okabe and Ito 2008).

use std::io::{self, IsTerminal};

/// Eight base colours: for pages as red, green and blue, for terminals as the nearest of 256 that is
/// legible on dark and on light.
pub const EXPERT_COLOURS: [ExpertColour; 8] = [
    ExpertColour {
        rgb: 0xE69F00,
        code: 214,
        light: 0xF7B24D,
        dark: 0x704400,
    },
    ExpertColour {
        rgb: 0x56B4E9,
        code: 117,
        light: 0xA9DAF5,
        dark: 0x2B6488,
    },
    ExpertColour {
        rgb: 0x009E73,
        code: 36,
        light: 0x5CC4A1,
        dark: 0x00573F,
    },
    ExpertColour {
        rgb: 0xF0E442,
        code: 221,
        light: 0xF8F08C,
        dark: 0x766F00,
    },
    ExpertColour {
        rgb: 0x0072B2,
        code: 32,
        light: 0x6F9DDD,
        dark: 0x123E75,
    },
    ExpertColour {
        rgb: 0xD55E00,
        code: 166,
        light: 0xE66F43,
        dark: 0x5E1A00,
    },
    ExpertColour {
        rgb: 0xCC79A7,
        code: 175,
        light: 0xF5C6DF,
        dark: 0x985179,
    },
    ExpertColour {
        rgb: 0x8C8C8C,
        code: 245,
        light: 0xB4B4B4,
        dark: 0x4A4A4A,
    },
];

/// A base colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertColour {
    /// Red, green and blue.
    pub rgb: u32,
    /// The nearest of a terminal's 256 colours.
    code: u8,
    /// A ground for dark text; the grounds differ in lightness too.
    pub light: u32,
    /// A ground for light text.
    pub dark: u32,
}

/// The look of an expert's tokens: a base colour, and for each further eight experts another mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertStyle {
    /// The place of the base colour.
    pub colour: usize,
    /// The number of times that the base colours were used up.
    pub cycle: usize,
}

impl ExpertStyle {
    /// The style of an expert.
    pub fn of(expert: usize) -> Self {
        Self {
            colour: expert % EXPERT_COLOURS.len(),
            cycle: expert / EXPERT_COLOURS.len(),
        }
    }

    /// Text in this style on a terminal: the cycle counts in underline, bold and italic.
    pub fn paint(self, text: &str) -> String {
        let marks = ["4;", "1;", "3;"].iter().enumerate();
        let marks: String = marks
            .filter(|(bit, _)| self.cycle >> bit & 1 == 1)
            .map(|(_, mark)| *mark)
            .collect();
        let code = EXPERT_COLOURS[self.colour].code;
        format!("\x1b[{marks}38;5;{code}m{text}\x1b[0m")
    }
}

/// Tells whether stdout is a terminal whose user wants colour (<https://no-color.org>).
pub fn has_colour() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn sixty_four_experts_look_different() {
        let looks: BTreeSet<String> = (0..64).map(|e| ExpertStyle::of(e).paint("x")).collect();
        assert_eq!(looks.len(), 64);
    }

    #[test]
    fn the_second_cycle_is_underlined_the_third_bold() {
        assert_eq!(ExpertStyle::of(0).paint("x"), "\x1b[38;5;214mx\x1b[0m");
        assert_eq!(ExpertStyle::of(8).paint("x"), "\x1b[4;38;5;214mx\x1b[0m");
        assert_eq!(ExpertStyle::of(16).paint("x"), "\x1b[1;38;5;214mx\x1b[0m");
    }
}
