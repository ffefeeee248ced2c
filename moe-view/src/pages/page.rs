//! A page in the making.

use super::html::Html;
use crate::svg::escape;

/// A page in the making: a heading, remarks, and sections that are listed under it.
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    style: String,
    head: Html,
    sections: Vec<Section>,
}

#[derive(Debug, Clone)]
struct Section {
    id: String,
    heading: String,
    body: Html,
}

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            style: include_str!("page.css").to_owned(),
            head: Html::default(),
            sections: Vec::new(),
        }
    }

    /// Adds rules to the style.
    pub fn style(mut self, rules: &str) -> Self {
        self.style.push_str(rules);
        self
    }

    /// Adds something under the heading.
    pub fn head(mut self, more: Html) -> Self {
        self.head = self.head.then(more);
        self
    }

    /// Adds a section.
    pub fn section(mut self, id: &str, heading: &str, body: Html) -> Self {
        self.sections.push(Section {
            id: id.to_owned(),
            heading: heading.to_owned(),
            body,
        });
        self
    }

    /// The whole document.
    pub fn finish(self) -> String {
        let links: String = self
            .sections
            .iter()
            .map(|s| format!("<li><a href=\"#{}\">{}</a></li>", s.id, escape(&s.heading)))
            .collect();
        let sections: String = self
            .sections
            .iter()
            .map(|section| {
                let Section { id, heading, body } = section;
                let heading = escape(heading);
                format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>\n{body}</section>\n")
            })
            .collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
             {head}<nav aria-label=\"Sections\"><ul>{links}</ul></nav>\n</header>\n<main>\n{sections}</main>\n\
             </body>\n</html>\n",
            title = escape(&self.title),
            style = self.style,
            head = self.head,
        )
    }
}
