//! The few elements that pages are made of. Text is escaped here, and nowhere else.

use crate::svg::escape;
use std::fmt::Write;

/// HTML that is ready to be put into a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Html(String);

impl Html {
    /// Text, escaped.
    pub fn text(text: &str) -> Self {
        Self(escape(text))
    }

    /// Markup that was made by this program.
    pub fn raw(markup: impl Into<String>) -> Self {
        Self(markup.into())
    }

    /// An element with attributes as they are written in its tag.
    pub fn element(tag: &str, attributes: &str, content: Html) -> Self {
        let space = if attributes.is_empty() { "" } else { " " };
        Self(format!("<{tag}{space}{attributes}>{content}</{tag}>"))
    }

    /// A paragraph.
    pub fn paragraph(class: &str, text: &str) -> Self {
        Self::element("p", &format!("class=\"{class}\""), Self::text(text)).line()
    }

    /// A list of sentences.
    pub fn list(class: &str, items: &[String]) -> Self {
        let items: Self = items
            .iter()
            .map(|item| Self::element("li", "", Self::text(item)).line())
            .collect();
        Self::element("ul", &format!("class=\"{class}\""), items).line()
    }

    /// Content behind a line that opens it.
    pub fn details(summary: &str, content: Html) -> Self {
        let summary = Self::element("summary", "", Self::text(summary));
        Self::element("details", "", summary.line().then(content)).line()
    }

    /// This and then more.
    pub fn then(mut self, more: Html) -> Self {
        self.0.push_str(&more.0);
        self
    }

    /// Ends the line.
    pub fn line(mut self) -> Self {
        self.0.push('\n');
        self
    }
}

impl std::fmt::Display for Html {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(parts: I) -> Self {
        parts.into_iter().fold(Self::default(), Self::then)
    }
}

/// A table: a header, and rows whose first cell names the row.
#[derive(Debug, Clone, Default)]
pub struct Table {
    caption: String,
    head: Vec<(Column, String)>,
    rows: String,
}

/// The kinds of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Words, which may be broken into lines.
    Words,
    /// A name, which is not broken.
    Name,
    /// Numbers.
    Number,
}

impl Column {
    fn class(self) -> &'static str {
        match self {
            Self::Words => " class=\"t\"",
            Self::Name => " class=\"w\"",
            Self::Number => " class=\"n\"",
        }
    }
}

impl Table {
    /// A table that says what it is.
    pub fn new(caption: &str) -> Self {
        Self {
            caption: caption.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a column.
    pub fn column(mut self, column: Column, head: &str) -> Self {
        self.head.push((column, head.to_owned()));
        self
    }

    /// Adds a row of a cell a column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Html>) {
        self.rows.push_str("<tr>");
        for (i, (cell, (column, _))) in cells.into_iter().zip(&self.head).enumerate() {
            let class = column.class();
            let _ = match i {
                0 => write!(self.rows, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => write!(self.rows, "<td{class}>{cell}</td>"),
            };
        }
        self.rows.push_str("</tr>\n");
    }

    /// The table, which scrolls by itself where it is wider than the page.
    pub fn finish(self) -> Html {
        let head: String = self
            .head
            .iter()
            .map(|(column, text)| {
                let class = column.class();
                format!("<th scope=\"col\"{class}>{}</th>", escape(text))
            })
            .collect();
        Html(format!(
            "<p class=\"caption\">{caption}</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
             aria-label=\"{caption}\">\n<table aria-label=\"{caption}\">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
             </table>\n</div>\n",
            caption = escape(&self.caption),
            rows = self.rows,
        ))
    }
}
