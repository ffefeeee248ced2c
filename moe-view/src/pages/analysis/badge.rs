//! An expert's name on its colour.

use super::super::html::Html;

/// An expert's name on its colour, the same as in generated text.
pub fn badge(expert: usize) -> Html {
    let attributes = format!("class=\"badge e{expert}\"");
    Html::element("span", &attributes, Html::text(&format!("e{expert}")))
}
