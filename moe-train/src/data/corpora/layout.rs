//! Layouts of texts in packages: how a member is cut into documents.

use serde::Deserialize;

/// The layout of the texts of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A document a file.
    Plain,
    /// A play a file, in Markdown.
    Play,
    /// Verses in lines of JSON, a document a book.
    Verses,
    /// Poems in a list of JSON, a document each.
    Poems,
    /// Theorems of Metamath, a document a section.
    Theorems,
}

/// A document as it is laid out: a name and a text.
pub(super) type Named = (String, String);

impl Layout {
    /// The documents of a member, or what is wrong with it.
    pub(super) fn documents(self, name: &str, text: String) -> Result<Vec<Named>, String> {
        match self {
            Self::Plain => Ok(vec![(name.to_owned(), text)]),
            Self::Play => Ok(vec![(name.to_owned(), play(&text))]),
            Self::Verses => books(&text),
            Self::Poems => poems(name, &text),
            Self::Theorems => Ok(sections(name, &text)),
        }
    }
}

/// A play without its marks: `**HAMLET**` speaks as `HAMLET:`, `_Exit_` is `[Exit]`.
fn play(text: &str) -> String {
    let lines = text.lines().map(play_line);
    lines.collect::<Vec<_>>().join("\n")
}

fn play_line(line: &str) -> String {
    let line = line.trim().trim_start_matches('#').trim_start();
    let speaker = line
        .strip_prefix("**")
        .and_then(|line| line.strip_suffix("**"));
    if let Some(speaker) = speaker {
        return format!("{speaker}:");
    }
    let line = line.replace(['\\', '*'], "");
    let bare = line.trim_matches('_');
    let has = |bracket| bare.contains(bracket);
    let (begins, ends) = (line.starts_with('_'), line.ends_with('_'));
    let open = if begins && !has('[') { "[" } else { "" };
    let close = if ends && !has(']') { "]" } else { "" };
    format!("{open}{bare}{close}")
}

#[derive(Deserialize)]
struct Verse {
    text: String,
    book: String,
    chapter: u64,
    verse: u64,
}

/// The books, each verse a paragraph: chapters that two books share differ in where they are cut.
fn books(text: &str) -> Result<Vec<Named>, String> {
    let mut books: Vec<Named> = Vec::new();
    let mut chapter = 0;
    for (line, number) in text.lines().zip(1..) {
        let verse: Verse =
            serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        if books.last().is_none_or(|(book, _)| *book != verse.book) {
            books.push((verse.book.clone(), String::new()));
            chapter = 0;
        }
        let Some((book, text)) = books.last_mut() else {
            continue;
        };
        if chapter != verse.chapter {
            chapter = verse.chapter;
            text.push_str(&format!("{book} {chapter}\n\n"));
        }
        text.push_str(&format!("{} {}\n\n", verse.verse, verse.text));
    }
    Ok(books)
}

#[derive(Deserialize)]
struct Poem {
    author: String,
    paragraphs: Vec<String>,
    title: String,
}

/// The poems, title and author in a paragraph of their own: one poem may stand under two of them.
fn poems(name: &str, text: &str) -> Result<Vec<Named>, String> {
    let poems: Vec<Poem> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let file = name.rsplit('/').next().unwrap_or(name);
    let document = |(poem, number): (Poem, u64)| {
        let (title, author) = (poem.title, poem.author);
        let text = format!("{title}\n{author}\n\n{}", poem.paragraphs.join("\n"));
        // a title alone is no poem
        let is_empty = poem.paragraphs.iter().all(|line| line.trim().is_empty());
        let text = if is_empty { String::new() } else { text };
        (format!("{file}/{number} {title}"), text)
    };
    Ok(poems.into_iter().zip(1..).map(document).collect())
}

/// Begins of the lines that frame the title of a section.
const FRAMES: [&str; 4] = ["####", "#*#*", "=-=-", "-.-."];

/// The sections of a database, each from the comment that is its title on.
fn sections(name: &str, text: &str) -> Vec<Named> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut sections = vec![String::new()];
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |line| line.trim_start());
        let is_title = line.trim() == "$(" && FRAMES.iter().any(|frame| next.starts_with(frame));
        if is_title {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(line);
        }
    }
    let named = |(text, number): (String, u64)| (format!("{file}/{number}"), text);
    let with_text = sections.into_iter().filter(|text| !text.trim().is_empty());
    with_text.zip(1..).map(named).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_play_loses_its_marks() {
        let text = "# Hamlet\n\n## ACT I\n\n_Enter A_\n\n**FRANCISCO**  \nNay, \\*answer* me:  \n_\\[Aside]_  \nwho?\n\n_Exit\nall_\n";
        let expected = "Hamlet\n\nACT I\n\n[Enter A]\n\nFRANCISCO:\nNay, answer me:\n[Aside]\nwho?\n\n[Exit\nall]";
        assert_eq!(play(text), expected);
    }

    #[test]
    fn a_book_is_a_document_and_a_verse_a_paragraph() {
        let verse = |book: &str, chapter: u64, verse: u64| {
            format!(
                "{{\"text\": \"t{verse}\", \"book\": \"{book}\", \"chapter\": {chapter}, \"verse\": {verse}}}\n"
            )
        };
        let text = [
            verse("A", 1, 1),
            verse("A", 1, 2),
            verse("A", 2, 1),
            verse("B", 1, 1),
        ];
        let books = Layout::Verses.documents("kjv", text.concat()).unwrap();
        let expected = "A 1\n\n1 t1\n\n2 t2\n\nA 2\n\n1 t1\n\n";
        assert_eq!(books[0], ("A".to_owned(), expected.to_owned()));
        assert_eq!(books[1].1, "B 1\n\n1 t1\n\n");
        let error = Layout::Verses
            .documents("kjv", "{}\n".to_owned())
            .unwrap_err();
        assert!(error.starts_with("line 1: missing field"), "{error}");
    }

    #[test]
    fn a_poem_is_a_document() {
        let text = r#"[{"author": "B", "paragraphs": ["c", "d"], "title": "A"},
            {"author": "B", "paragraphs": [], "title": "E"}]"#;
        let poems = Layout::Poems
            .documents("x/p.json", text.to_owned())
            .unwrap();
        assert_eq!(
            poems[0],
            ("p.json/1 A".to_owned(), "A\nB\n\nc\nd".to_owned())
        );
        assert_eq!(poems[1].1, "");
        assert!(Layout::Poems.documents("p", "[1]".to_owned()).is_err());
    }

    #[test]
    fn a_section_begins_with_its_title() {
        let text =
            "$( head $)\n\n$(\n#*#*#\n  One\n#*#*#\n$)\n  a\n\n  $(\n-.-.\n  Two\n-.-.\n$)\n  b\n";
        let sections = sections("x/set.mm", text);
        let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["set.mm/1", "set.mm/2", "set.mm/3"]);
        let all: String = sections.into_iter().map(|(_, text)| text).collect();
        assert_eq!(all, text);
    }
}
