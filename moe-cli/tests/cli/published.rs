//! What can be done with the folder of a published model that is no decoder.

use crate::place::Place;
use serde_json::{Value, json};
use std::fs;

/// The first tokens of the tokenizer below.
const SPECIAL: [&str; 3] = ["<pad>", "</s>", "<extra_id_0>"];
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../moe-models/tests/fixtures");

/// A copy of the Switch fixture with a tokenizer of the words `w2`, `w3`, ... and three special tokens.
fn with_tokenizer(place: &Place) {
    fs::create_dir(place.path("switch")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        let from = format!("{FIXTURES}/switch_capacity/{file}");
        fs::copy(from, place.path("switch").join(file)).unwrap();
    }
    let words = (SPECIAL.len()..96).map(|id| format!("w{id}"));
    let words = SPECIAL.iter().map(ToString::to_string).chain(words);
    let vocab: serde_json::Map<String, Value> = words.zip((0..).map(Value::from)).collect();
    let added: Vec<Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": true,
                "rstrip": true, "normalized": false, "special": true})
        })
        .collect();
    let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null,
        "added_tokens": added, "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "<pad>"}});
    fs::write(place.path("switch/tokenizer.json"), tokenizer.to_string()).unwrap();
}

#[test]
fn a_published_switch_model_writes_what_its_reference_writes() {
    let place = Place::new();
    // the second text of the goldens without its padding, and gen.new_ids
    let line = format!(
        "generate {FIXTURES}/switch_capacity --temperature 0 -n 20 \
         -p '30 52 2 52 33 17 61 74 26 54 59 68 93 91'"
    );
    let ended = place.moe(&line);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let expected = "72 72 72 72 72 72 72 72 46 85 85 85 85 85 85 85 85 43 43 43";
    assert_eq!(ended.stdout.trim(), expected);

    let wide = format!("generate {FIXTURES}/switch_capacity -p '3 96'");
    let ended = place.moe(&wide);
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(ended.stderr.contains("the token 96"), "{}", ended.stderr);
    let text = format!("generate {FIXTURES}/switch_capacity -p words");
    let ended = place.moe(&text);
    assert!(
        ended.stderr.contains("no tokenizer.json"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_tokenizer_gives_words_ends_and_gaps() {
    let place = Place::new();
    with_tokenizer(&place);
    let ids = format!("generate {FIXTURES}/switch_capacity --temperature 0 -n 5");
    let words = "generate switch --temperature 0 -n 5";
    // the end is put behind the words
    let by_ids = place.json(&format!("{ids} -p '30 52 1'"));
    let by_words = place.json(&format!("{words} -p 'w30 w52'"));
    let named: Vec<String> = by_ids["written"]
        .as_str()
        .unwrap()
        .split(' ')
        .map(|id| match SPECIAL.get(id.parse::<usize>().unwrap()) {
            Some(special) => (*special).to_owned(),
            None => format!("w{id}"),
        })
        .collect();
    assert_eq!(named.len(), 5);
    assert_eq!(by_words["written"], named.join(" "));

    let gap = place.moe(&format!("{words} -p 'w30 <extra_id_0> w52'"));
    assert_eq!(gap.code, 0, "{}", gap.stderr);
    assert!(gap.stdout.starts_with("<extra_id_0>  "), "{}", gap.stdout);
    assert!(gap.stdout.contains("w30"), "{}", gap.stdout);
}

#[test]
fn inspect_counts_switch_models() {
    let place = Place::new();
    let base = place.json("inspect switch-base-8");
    assert_eq!(base["params_total"], 619_339_008);
    assert_eq!(base["sparse_decoder_layers"], json!([1, 3, 5, 7, 9, 11]));
    let folder = place.json(&format!("inspect {FIXTURES}/switch_capacity"));
    let file = fs::read(format!("{FIXTURES}/switch_capacity/model.safetensors")).unwrap();
    let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    // all its tensors are f32, and none is a copy
    assert_eq!(folder["params_total"], (file.len() - 8 - header) / 4);
    let ended = place.moe("inspect switch-base-8 --seq-length 18446744073709551615");
    assert_eq!(ended.code, 2, "{}", ended.stdout);
    assert!(ended.stderr.contains("seq_length"), "{}", ended.stderr);
    let ended = place.moe("inspect switch-base-8 model.n_layers=2");
    assert_eq!(ended.code, 2, "{}", ended.stdout);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    let vision = format!("{FIXTURES}/vmoe_last1_noise_bpr_drop");
    for (line, needle) in [
        (format!("generate {vision} -p text"), "writes no text"),
        (
            format!("generate {FIXTURES}/switch_capacity -p 3 --show-experts"),
            "--show-experts is for decoders",
        ),
    ] {
        let ended = place.moe(&line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.stdout);
        assert!(ended.stderr.contains(needle), "{line}: {}", ended.stderr);
    }
    let before = place.entries();
    let would = place.moe(&format!(
        "generate {FIXTURES}/switch_capacity -p 3 --dry-run"
    ));
    assert_eq!(would.code, 0, "{}", would.stderr);
    assert_eq!(place.entries(), before);
}

#[test]
fn a_switch_folder_goes_there_and_back() {
    let place = Place::new();
    let source = format!("{FIXTURES}/switch_untied_all_sparse");
    for line in [
        format!("convert {source} ours"),
        "convert ours theirs".to_owned(),
        format!("verify theirs --forward-only --goldens {source}/goldens.safetensors"),
    ] {
        let ended = place.moe(&line);
        assert_eq!(ended.code, 0, "{line}: {}{}", ended.stdout, ended.stderr);
    }
    assert!(place.path("ours/model.bpk").is_file());
}

#[test]
fn a_released_vmoe_becomes_a_published_one() {
    let place = Place::new();
    let index = format!("{FIXTURES}/vmoe_released/tiny.index");
    let native = place.moe(&format!("convert {index} ours --to native"));
    assert_eq!(native.code, 2, "{}", native.stdout);
    for line in [
        format!("convert {index} theirs"),
        "inspect theirs".to_owned(),
    ] {
        let ended = place.moe(&line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
    }
}
