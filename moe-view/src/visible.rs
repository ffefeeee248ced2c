//! Text for people, whatever is in it.

/// Text that a terminal shows and does not obey: control characters become their pictures.
pub fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\0'..' ' => char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(
            visible("a\x1b[31m\n\tb\u{9b}\r\0\x7f"),
            "a␛[31m\n\tb\u{fffd}␍␀\u{fffd}"
        );
    }
}
