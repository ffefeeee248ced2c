//! The tables of what a trace shows.

use super::communication::communication_text;
use super::{Align, columns, counted, paragraph, significant, thousands};
use moe_lab::analyze::{Domains, TokenLift};
use moe_lab::trace::{Chains, LawFound, Link, ShownLayer, TraceCheck, TraceShow};

/// So many tokens or labels of an expert are printed.
const MOST: usize = 6;

/// The doings of experts in a trace, as text.
pub fn trace_text(shown: &TraceShow) -> String {
    let mut parts = vec![head(shown), loads(shown)];
    parts.extend(takings(shown));
    if !shown.chains.is_empty() {
        parts.push(chains(&shown.chains));
    }
    parts.extend(shown.communication.as_ref().map(communication_text));
    if shown.communication.is_some() && shown.communication_step > 1 {
        let step = thousands(shown.communication_step);
        parts.push(format!("Of ranks: one token of each {step} was taken."));
    }
    parts.join("\n\n")
}

/// The model, the engine and the sizes, in a line.
pub(crate) fn head(shown: &TraceShow) -> String {
    let model = shown.model.as_deref().unwrap_or("a model without a name");
    let engine = shown.engine.as_deref().map(|engine| format!(", {engine}"));
    let padding = match shown.n_padding {
        0 => String::new(),
        n => format!(" and {} of padding", thousands(n)),
    };
    format!(
        "{model}{}: {} tokens{padding} in {} of {} experts, {} assignments",
        engine.unwrap_or_default(),
        thousands(shown.n_tokens),
        counted(shown.layers.len(), "layer"),
        thousands(shown.n_experts as u64),
        thousands(shown.n_assignments),
    )
}

/// The columns of the table of layers.
pub(crate) const LAYER_COLUMNS: [&str; 11] = [
    "layer",
    "load entropy",
    "router entropy",
    "MaxVio",
    "dead experts",
    "dropped (%)",
    "mean k",
    "label (bits)",
    "label (%)",
    "token (bits)",
    "token (%)",
];

/// The meaning of these columns.
pub(crate) const LAYER_NOTE: &str = "load entropy, router entropy: 1 is even. label, token: bits that the expert of an assignment tells about the label \
     and the id of its token, less those by chance; %: of all that there is to know.";

/// The cells of a layer.
pub(crate) fn layer_cells(i: usize, layer: &ShownLayer) -> Vec<String> {
    let number = |x: f64| significant(x, 3);
    let maybe = |x: Option<f64>| x.map_or("–".to_owned(), number);
    let label = layer.labels.as_ref().map(|found| found.information);
    let token = layer.token_information;
    vec![
        i.to_string(),
        number(layer.load_entropy),
        maybe(layer.entropy),
        number(layer.max_vio),
        thousands(layer.dead_experts as u64),
        number(100.0 * layer.drop_rate),
        number(layer.mean_k),
        maybe(label.map(|found| found.bits)),
        maybe(label.map(|found| 100.0 * found.share)),
        maybe(token.map(|found| found.bits)),
        maybe(token.map(|found| 100.0 * found.share)),
    ]
}

fn loads(shown: &TraceShow) -> String {
    let rows = shown.layers.iter().enumerate();
    let rows = rows.map(|(i, layer)| layer_cells(i, layer));
    let header = LAYER_COLUMNS.map(String::from).to_vec();
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    let table = columns(&rows, &[Align::Right; 11]);
    format!("{table}\n{}", paragraph(LAYER_NOTE))
}

/// A table for each layer: the tokens and the labels that its experts take beyond their base rate.
fn takings(shown: &TraceShow) -> Vec<String> {
    let layers = shown.layers.iter().enumerate();
    let table = |(i, layer): (usize, &ShownLayer)| {
        if layer.labels.is_none() && layer.tokens.is_empty() {
            return None;
        }
        let header = ["expert", "computed", "tokens ×lift", "labels ×lift"];
        let row = |e: usize| {
            let tokens = layer
                .tokens
                .get(e)
                .map_or(String::new(), |found| words(found));
            let labels = layer
                .labels
                .as_ref()
                .map(|found| labels(found, e, &shown.labels));
            let computed = thousands(layer.computed[e] as u64);
            vec![
                format!("e{e}"),
                computed,
                tokens,
                labels.unwrap_or_default(),
            ]
        };
        let rows = (0..layer.computed.len()).map(row);
        let header = header.map(String::from).to_vec();
        let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
        let align = [Align::Left, Align::Right, Align::Left, Align::Left];
        Some(format!("layer {i}\n{}", columns(&rows, &align)))
    };
    layers.filter_map(table).collect()
}

fn words(tokens: &[TokenLift]) -> String {
    let word = |token: &TokenLift| format!("{} ×{}", token.text, significant(token.lift, 2));
    let words: Vec<String> = tokens.iter().take(MOST).map(word).collect();
    words.join("  ")
}

fn labels(found: &Domains, expert: usize, names: &[String]) -> String {
    let lifts = found.share[expert].iter().zip(&found.base).zip(names);
    let lifts = lifts.map(|((share, base), name)| (name, share / base.max(f64::MIN_POSITIVE)));
    let mut lifts: Vec<(&String, f64)> = lifts.filter(|(_, lift)| *lift > 1.0).collect();
    lifts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let word = |(name, lift): &(&String, f64)| format!("{name} ×{}", significant(*lift, 2));
    let words: Vec<String> = lifts.iter().take(MOST).map(word).collect();
    words.join("  ")
}

/// The columns of the table of chains.
pub(crate) const CHAIN_COLUMNS: [&str; 4] = ["layers", "told (bits)", "told (%)", "chains ×lift"];

/// The meaning of these columns.
pub(crate) const CHAIN_NOTE: &str = "Of chains: a token's first expert in a layer and in the next; told: what the one tells about the other, less what it would \
     by chance.";

/// The cells of two layers.
pub(crate) fn chain_cells(found: &Chains) -> Vec<String> {
    let link = |link: &Link| {
        let lift = significant(link.lift, 2);
        format!("e{} → e{} ×{lift}", link.from, link.to)
    };
    let links: Vec<String> = found.links.iter().take(MOST).map(link).collect();
    vec![
        format!("{} → {}", found.layer, found.layer + 1),
        significant(found.information.bits, 3),
        significant(100.0 * found.information.share, 3),
        links.join("  "),
    ]
}

fn chains(chains: &[Chains]) -> String {
    let header = CHAIN_COLUMNS.map(String::from).to_vec();
    let rows = chains.iter().map(chain_cells);
    let rows: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
    let align = [Align::Left, Align::Right, Align::Right, Align::Left];
    format!("{}\n{}", columns(&rows, &align), paragraph(CHAIN_NOTE))
}

/// The laws that a trace was held to, as text.
pub fn trace_check_text(found: &TraceCheck) -> String {
    let header = ["law", "checked", "violations", ""]
        .map(String::from)
        .to_vec();
    let row = |found: &LawFound| {
        let verdict = match (&found.lacks, found.n_violations) {
            (Some(lacks), _) => format!("n/a: {lacks}"),
            (None, 0) => "pass".to_owned(),
            _ => "FAIL".to_owned(),
        };
        vec![
            found.law.words().to_owned(),
            thousands(found.n_checked),
            thousands(found.n_violations),
            verdict,
        ]
    };
    let rows: Vec<Vec<String>> = [header]
        .into_iter()
        .chain(found.laws.iter().map(row))
        .collect();
    let align = [Align::Left, Align::Right, Align::Right, Align::Left];
    let firsts = found.laws.iter().filter_map(|found| {
        let first = found.first.as_ref()?;
        Some(paragraph(&format!("FAIL {}: {first}", found.law.words())))
    });
    let mut parts = vec![columns(&rows, &align)];
    parts.extend(firsts);
    parts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_without_labels_and_logits_has_dashes() {
        let shown = TraceShow {
            model: Some("m".to_owned()),
            engine: None,
            n_tokens: 1200,
            n_padding: 3,
            n_experts: 2,
            n_assignments: 2400,
            labels: Vec::new(),
            layers: vec![ShownLayer {
                computed: vec![1000.0, 1400.0],
                load_entropy: 0.98,
                entropy: None,
                max_vio: 1.0 / 6.0,
                drop_rate: 0.0,
                dead_experts: 0,
                mean_k: 2.0,
                labels: None,
                token_information: None,
                tokens: Vec::new(),
            }],
            chains: Vec::new(),
            communication: None,
            communication_step: 1,
        };
        let text = trace_text(&shown);
        let lines: Vec<&str> = text.lines().collect();
        let head = "m: 1,200 tokens and 3 of padding in 1 layer of 2 experts, 2,400 assignments";
        assert_eq!(lines[0], head);
        let cells: Vec<&str> = lines[3].split_whitespace().collect();
        let expected = [
            "0", "0.980", "–", "0.167", "0", "0", "2.00", "–", "–", "–", "–",
        ];
        assert_eq!(cells, expected);
    }
}
