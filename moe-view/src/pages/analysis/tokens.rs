//! The section on the tokens that experts take.

use super::super::html::{Column, Html, Table};
use super::badge::badge;
use crate::{significant, thousands};
use moe_lab::analyze::{LEAST_COUNT, TokenLift};

/// The tokens that each expert takes most beyond their base rate.
pub fn tokens(computed: &[f64], tokens: &[Vec<TokenLift>]) -> Html {
    let mut table = Table::new(&format!(
        "Tokens that each expert takes most beyond their base rate: ×lift (count), by count × log2(lift), at least {LEAST_COUNT} times"
    ))
    .column(Column::Name, "expert")
    .column(Column::Number, "computed")
    .column(Column::Words, "tokens");
    for (expert, (tokens, computed)) in tokens.iter().zip(computed).enumerate() {
        let chips = if tokens.is_empty() {
            Html::text("none")
        } else {
            Html::element("ul", "class=\"chips\"", tokens.iter().map(chip).collect())
        };
        let computed = thousands(computed.round() as u64);
        table.row([badge(expert), Html::text(&computed), chips]);
    }
    table.finish()
}

/// A token with its numbers; a space is drawn, so that it is seen.
fn chip(token: &TokenLift) -> Html {
    let text = Html::element("code", "", Html::text(&token.text.replace(' ', "\u{2423}")));
    let numbers = format!(
        "×{} ({})",
        significant(token.lift, 2),
        thousands(token.count.round() as u64)
    );
    let numbers = Html::element("small", "", Html::text(&numbers));
    Html::element("li", "", text.then(Html::text(" ")).then(numbers))
}
