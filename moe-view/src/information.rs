//! The table of what experts tell about the class and the domain of tokens.

use super::{Align, columns, paragraph, significant};
use moe_lab::analyze::{Information, LEAST_OF_KIND, TextAnalysis, TextLayer};

/// The columns of the table, after the name of the layer.
pub(crate) const COLUMNS: [&str; 7] = [
    "class (bits)",
    "class (%)",
    "domain (bits)",
    "domain (%)",
    "class within domain (%)",
    "domain within class (%)",
    "rho of k",
];

/// The cells of a layer's row, after its name.
pub(crate) fn cells(found: &TextLayer) -> [String; 7] {
    let number = |x: f64| significant(x, 3);
    let percent = |of: &Information| number(100.0 * of.share);
    let all = &found.information;
    [
        number(all.token_class.bits),
        percent(&all.token_class),
        number(all.domain.bits),
        percent(&all.domain),
        percent(&all.class_within_domain),
        percent(&all.domain_within_class),
        found.frequency.map_or("–".to_owned(), number),
    ]
}

/// The meaning of the columns.
pub(crate) fn notes() -> [String; 2] {
    [
        "class, domain: bits that the expert of an assignment tells about the class of its token (its kind of character) and \
         the domain of its text, less those by chance; %: of all that there is to know. within: for a reader who knows the other."
            .to_owned(),
        format!(
            "rho of k: Spearman's correlation of a token's frequency with its number of experts, over the kinds that come at \
             least {LEAST_OF_KIND} times; below 0, rarer tokens get more. –: all get the same."
        ),
    ]
}

/// The table as text.
pub(crate) fn information_text(analysis: &TextAnalysis) -> String {
    let header = ["layer"].into_iter().chain(COLUMNS).map(String::from);
    let row = |found: &TextLayer| {
        let name = found.layer.name.clone();
        [name].into_iter().chain(cells(found)).collect()
    };
    let rows = analysis.layers.iter().map(row);
    let rows: Vec<Vec<String>> = [header.collect()].into_iter().chain(rows).collect();
    let mut align = vec![Align::Right; rows[0].len()];
    align[0] = Align::Left;
    let notes = notes().map(|note| paragraph(&note));
    format!("{}\n{}", columns(&rows, &align), notes.join("\n"))
}
