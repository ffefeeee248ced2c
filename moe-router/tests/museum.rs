//! The bug museum: mistakes of published MoE code, each rebuilt as a broken router or loss, and the law
//! that finds it.

#[path = "museum/broken.rs"]
mod broken;
#[path = "museum/losses.rs"]
mod losses;
#[path = "museum/wrapped.rs"]
mod wrapped;

use broken::{BrokenConfig, fault::*};
use burn::tensor::{Device, Tensor};
use moe_router::Routing;
use moe_router::laws::{
    LAWS, LOSS_LAWS, LossSubject, Options, Report, Subject, Verdict, check_all, check_loss,
};
use std::collections::BTreeSet;
use std::path::Path;
use wrapped::{Change, wrapped};

/// A mistake on display.
struct Exhibit {
    /// Name of the fault.
    name: &'static str,
    /// Place where it happened: project and issue, or empty.
    history: &'static str,
    /// The laws that fail, all of them, first the one that names the mistake; empty for a survivor.
    killed_by: &'static [&'static str],
    /// Message of the first law, in part.
    says: &'static str,
    report: fn() -> Report,
}

fn broken<const F: usize>() -> Report {
    let subject = Subject::preset::<BrokenConfig<F>>("broken", &Device::flex());
    check_all(&subject, &Options::default())
}

fn changed(name: &'static str, change: Change) -> Report {
    let subject = Subject::new(name, wrapped(name, change), &Device::flex());
    check_all(&subject, &Options::default())
}

fn loss(of: &str, loss: fn(&Routing) -> Tensor<1>) -> Report {
    let subject = LossSubject::new("broken", of, loss, &Device::flex());
    check_loss(&subject, &Options::default())
}

/// Writes the list of exhibits.
macro_rules! museum {
    ($($name:literal, $history:literal, [$($law:literal),*], $says:literal, $report:expr;)+) => {
        const MUSEUM: &[Exhibit] = &[$(Exhibit {
            name: $name,
            history: $history,
            killed_by: &[$($law),*],
            says: $says,
            report: || $report,
        }),+];
    };
}

museum! {
    "the selection bias is part of the weights", "vllm#12002, transformers#41647", ["state-and-weights"],
        "but not their weights", broken::<BIAS_IN_WEIGHTS>();
    "masked groups are filled with zero, which beats a negative score", "vllm#13474, sglang#3705, transformers#45440",
        ["expert-groups"], "more than", broken::<MASK_WITH_ZERO>();
    "an expert's group is its index modulo the number of groups", "", ["expert-groups", "ties", "expert-relabelling"], "groups",
        broken::<GROUP_BY_REMAINDER>();
    "of equal scores the last wins, as after an unstable sort", "", ["ties"], "all scores of token",
        broken::<LAST_TIE>();
    "softmax over tokens and not over experts", "", ["causality", "weights", "batch-neighbours", "decode", "padding", "micro-batches"], "were replaced",
        broken::<SOFTMAX_OVER_TOKENS>();
    "the capacity is that of the whole batch", "Tutel#230", ["batch-neighbours", "causality", "capacity", "state-and-weights"], "alone and in the batch",
        broken::<CAPACITY_OF_BATCH>();
    "one expert has room for one token more", "", ["capacity", "expert-relabelling", "state-and-weights"], "drops tokens and keeps",
        broken::<CAPACITY_OFF_BY_ONE>();
    "a full expert drops its earliest tokens", "", ["drop-order", "causality", "state-and-weights"], "keeps the later token",
        broken::<DROP_EARLIEST>();
    "padding is routed", "transformers#28505, Megatron-LM#1984", ["padding"], "padding goes to",
        broken::<ROUTES_PADDING>();
    "weights are cut off from the gate", "candle#3823", ["gradient"], "no gradient reaches the router",
        broken::<DETACHED>();
    "the normaliser is held constant in the gradient", "", ["gradient"], "finite differences give",
        broken::<NORMALISER_DETACHED>();
    "routing counts tokens in hidden state, in evaluation and recomputation too", "torchtitan#1304",
        ["repetition", "ties", "token-permutation", "expert-relabelling", "batch-neighbours", "causality", "decode", "padding", "expert-groups", "advance", "micro-batches"], "the second time", broken::<COUNTS_IN_FORWARD>();
    "the bias moves the wrong way", "", ["advance"], "tokens ask", broken::<WRONG_SIGN>();
    "the bias moves by a count of tokens, so by the size of the batch", "torchtitan#1593", ["micro-batches"],
        "twice as large", broken::<ABSOLUTE_STEP>();
    "the second choice is the first again", "", ["accounting", "ties", "expert-groups", "advance"], "to an expert twice", broken::<CHOSEN_TWICE>();
    "positions are counted from the beginning of the call, not of the sequence", "", ["decode", "token-permutation", "expert-relabelling", "expert-groups", "advance"],
        "whole and by itself", broken::<FORGETS_START>();
    "raw scores as weights", "", ["well-formed"], "weights are finite and not negative",
        broken::<RAW_WEIGHTS>();
    "a token without an active expert divides zero by zero", "ReMoE#4", ["well-formed"], "weight NaN",
        broken::<ZERO_OVER_ZERO>();
    "an expert beyond the last", "", ["well-formed"], "to expert", broken::<EXPERT_OUT_OF_RANGE>();
    "the routing does not say how many sequences it is of", "", ["well-formed"], "call `.groups",
        broken::<FORGETS_GROUPS>();
    "the last choice gets lost", "", ["exact-counts", "expert-groups"], "experts, not", broken::<ONE_TOO_FEW>();
    "a preference for the expert of label 0", "", ["expert-relabelling", "expert-groups", "advance"], "became", broken::<FIXED_LABELS>();
    "weights in the order of experts, assignments in that of tokens", "", ["weights", "token-permutation", "expert-relabelling", "batch-neighbours", "causality", "decode", "state-and-weights"], "has probability",
        broken::<WEIGHTS_IN_EXPERT_ORDER>();
    "a leak is declared that is none", "", ["causality"], "cannot be found", broken::<DECLARED_LEAK>();
    "softmax applied to what is a probability already", "", [], "", broken::<SOFTMAX_TWICE>();
    "no token panics", "", ["no-tokens"], "it panicked", broken::<PANICS_AT_NONE>();
    "the capacity factor divides", "", ["more-room", "state-and-weights"], "at half the capacity", broken::<CAPACITY_DIVIDES>();
    "a single token panics", "", ["well-formed"], "it panicked", broken::<PANICS_AT_ONE>();
    "expert choice in a decoder, called causal", "OLMoE#46", ["causality", "decode"], "were replaced",
        changed("expert_choice", Change::ClaimsCausal);
    "dispatch and combine of soft slots change places", "", ["soft-maps"], "sum to",
        changed("soft_moe", Change::SwapsMaps);
    "padding takes part in soft slots", "", ["padding"], "without padding and with it",
        changed("soft_moe", Change::IgnoresPadding);
    "scores come out transposed", "", ["well-formed"], "logits of shape", changed("mixtral", Change::Transposes);
    "shares of the balance loss sum to k", "transformers#28255", ["loss-at-balance", "loss-closed-form"], "experts a token",
        loss("load_balance", losses::shares_sum_to_k);
    "the balance loss counts kept assignments alone", "", ["loss-closed-form"], "the formula gives",
        loss("load_balance", losses::counts_kept_only);
    "the balance loss counts padding", "transformers#28505", ["loss-padding", "loss-closed-form"], "with it",
        loss("load_balance", losses::counts_padding);
    "shares made of probabilities carry a gradient", "", ["loss-closed-form", "loss-padding"], "the formula gives",
        loss("load_balance", losses::soft_shares);
    "a balance loss without a gradient", "", ["loss-gradient"], "finite differences give",
        loss("load_balance", losses::detached);
    "the z-loss of probabilities", "", ["loss-shift", "loss-closed-form"], "higher", loss("z", losses::z_of_probabilities);
    "the z-loss sums over tokens", "", ["loss-tiling", "loss-closed-form"], "twice over", loss("z", losses::z_summed);
    "the z-loss overflows", "", ["loss-closed-form", "loss-padding", "loss-shift"], "the loss is", loss("z", losses::z_overflows);
    "the importance loss takes the sample variance", "", ["loss-closed-form"], "the formula gives",
        loss("importance", losses::sample_variance);
}

#[test]
fn a_router_without_a_fault_breaks_no_law() {
    broken::<NONE>().assert_passed();
}

#[test]
fn each_exhibit_is_killed_by_its_laws() {
    let mut wrong = Vec::new();
    for exhibit in MUSEUM {
        let report = (exhibit.report)();
        let failed: BTreeSet<&str> = report.failed().into_iter().collect();
        if failed != exhibit.killed_by.iter().copied().collect() {
            wrong.push(format!("{}: {failed:?}\n{report}", exhibit.name));
        }
        let first = exhibit
            .killed_by
            .first()
            .and_then(|law| report.finding(law));
        if let Some(Verdict::Fail { message, .. }) = first.map(|finding| &finding.verdict)
            && !message.contains(exhibit.says)
        {
            wrong.push(format!("{}: {message}", exhibit.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn there_are_many_exhibits_and_few_survivors() {
    let survivors: Vec<&str> = MUSEUM
        .iter()
        .filter(|exhibit| exhibit.killed_by.is_empty())
        .map(|exhibit| exhibit.name)
        .collect();
    assert_eq!(
        survivors,
        ["softmax applied to what is a probability already"]
    );
    assert!(MUSEUM.len() - survivors.len() >= 24, "{}", MUSEUM.len());
}

#[test]
fn every_law_kills_something() {
    let names = LAWS.iter().map(|law| law.name);
    for name in names.chain(LOSS_LAWS.iter().map(|law| law.name)) {
        let kills = MUSEUM
            .iter()
            .any(|exhibit| exhibit.killed_by.contains(&name));
        assert!(kills, "{name} kills nothing");
    }
}

#[test]
fn the_page_of_laws_and_the_changelog_are_up_to_date() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).expect("a page of this repository")
    };
    let expected = tables();
    assert!(
        read("../docs/reference/laws.md").contains(&expected),
        "docs/reference/laws.md should hold:\n\n{expected}"
    );
    let count = format!("{} mistakes of routers and losses", MUSEUM.len());
    assert!(
        read("../CHANGELOG.md").contains(&count),
        "CHANGELOG.md should say \"{count}\""
    );
}

/// The laws with what they kill, then the exhibits.
fn tables() -> String {
    let routers = LAWS.iter().map(|law| (law.name, law.sentence));
    let of_losses = LOSS_LAWS.iter().map(|law| (law.name, law.sentence));
    let mut text = "| law | holds | exhibits that it kills |\n| --- | --- | --- |\n".to_owned();
    for (name, sentence) in routers.chain(of_losses) {
        let killed = MUSEUM
            .iter()
            .filter(|exhibit| exhibit.killed_by.contains(&name));
        let killed: Vec<&str> = killed.map(|exhibit| exhibit.name).collect();
        text += &format!("| `{name}` | {sentence} | {} |\n", killed.join("; "));
    }
    text += "\n| exhibit | where it happened | killed by |\n| --- | --- | --- |\n";
    for exhibit in MUSEUM {
        let laws: Vec<String> = exhibit
            .killed_by
            .iter()
            .map(|law| format!("`{law}`"))
            .collect();
        let laws = if laws.is_empty() {
            "survives".to_owned()
        } else {
            laws.join(", ")
        };
        text += &format!("| {} | {} | {laws} |\n", exhibit.name, exhibit.history);
    }
    text
}
