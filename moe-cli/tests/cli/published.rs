//! What can be done with the folder of a published model that is no decoder.

use crate::place::Place;
use serde_json::{Value, json};
use std::fs;

/// The first tokens of the tokenizer below.
const SPECIAL: [&str; 3] = ["<pad>", "</s>", "<extra_id_0>"];
const FIXTURES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../moe-checkpoint/tests/fixtures"
);

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
fn a_damaged_tokenizer_is_told_as_what_it_is() {
    let place = Place::new();
    with_tokenizer(&place);
    // the library takes for granted that a decoder is JSON, and panics
    let damaged = r#"{"version":"1.0","decoder":{"type"}}"#;
    fs::write(place.path("switch/tokenizer.json"), damaged).unwrap();
    let ended = place.moe("generate switch -p w30");
    assert_ne!(ended.code, 0, "{}", ended.stdout);
    assert_eq!(
        ended.stderr.matches("error: ").count(),
        1,
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("tokenizer.json: it cannot"),
        "{}",
        ended.stderr
    );
    for text in ["bug in moe", "panicked", "unwrap"] {
        assert!(!ended.stderr.contains(text), "{}", ended.stderr);
    }
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

/// A copy of a fixture in a folder of the place.
fn copy(place: &Place, case: &str, to: &str) {
    fs::create_dir(place.path(to)).unwrap();
    for file in fs::read_dir(format!("{FIXTURES}/{case}")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap();
        fs::copy(&path, place.path(to).join(name)).unwrap();
    }
}

/// Overwrites the first numbers of a tensor in a file of the folder.
fn overwrite(place: &Place, file: &str, tensor: &str, numbers: &[f32]) {
    let mut bytes = fs::read(place.path(file)).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let start = header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    for (i, x) in numbers.iter().enumerate() {
        let at = 8 + length + start + 4 * i;
        bytes[at..at + 4].copy_from_slice(&x.to_le_bytes());
    }
    fs::write(place.path(file), bytes).unwrap();
}

#[test]
fn what_is_no_number_ends_a_command_and_leaves_nothing() {
    let place = Place::new();
    copy(&place, "mixtral_swa", "nan");
    overwrite(
        &place,
        "nan/model.safetensors",
        "model.norm.weight",
        &[f32::NAN],
    );
    for line in [
        "generate nan -p '1 15 7' -n 8",
        "verify nan",
        "convert nan ours",
        "convert nan again --to published",
    ] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 1, "{line}: {}", ended.stdout);
        let names = ended.stderr.contains("model.norm.weight holds NaN");
        assert!(names, "{line}: {}", ended.stderr);
    }
    assert!(!place.path("ours").exists() && !place.path("again").exists());

    // finite weights whose sums are not: the prompt was written, and stays
    copy(&place, "mixtral_swa", "huge");
    overwrite(
        &place,
        "huge/model.safetensors",
        "model.norm.weight",
        &[3e38; 32],
    );
    let ended = place.moe("generate huge -p '1 15 7' -n 8");
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert_eq!(ended.stdout.trim(), "1 15 7");
    let says = ended.stderr.contains("token 1 after the prompt") && ended.stderr.contains("scores");
    assert!(says, "{}", ended.stderr);
    let json = place.moe("generate huge -p '1 15 7' -n 8 --json");
    assert_eq!((json.code, json.stderr.contains("scores")), (1, true));

    copy(&place, "switch_capacity", "gaps");
    let norm = "decoder.final_layer_norm.weight";
    overwrite(&place, "gaps/model.safetensors", norm, &[3e38; 24]);
    let ended = place.moe("generate gaps -p '3 4' -n 8");
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stderr.contains("token 1 after"), "{}", ended.stderr);
}

#[test]
fn both_layouts_go_wherever_a_checkpoint_goes_and_small_files_come_along() {
    let place = Place::new();
    copy(&place, "mixtral_base", "theirs");
    fs::write(
        place.path("theirs/generation_config.json"),
        r#"{"eos_token_id": [2, 11, 64]}"#,
    )
    .unwrap();
    fs::write(place.path("theirs/README.md"), "about").unwrap();
    let converted = place.json("convert theirs ours");
    assert_eq!(
        converted["copied"],
        json!(["README.md", "generation_config.json"])
    );
    assert_eq!(
        converted["left"],
        json!(["goldens.json", "goldens.safetensors"])
    );
    for line in ["convert ours back", "convert theirs again --to published"] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("copied README.md"),
            "{}",
            ended.stderr
        );
    }
    let mut texts = Vec::new();
    for folder in ["theirs", "ours", "back", "again"] {
        let line = format!("generate {folder} -p '1 15 7' -n 40 --temperature 0");
        let ended = place.moe(&line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        texts.push(ended.stdout);
        let line = format!("verify {folder} --forward-only --goldens theirs/goldens.safetensors");
        let ended = place.moe(&line);
        assert_eq!(ended.code, 0, "{line}: {}{}", ended.stdout, ended.stderr);
        assert_eq!(place.moe(&format!("inspect {folder}")).code, 0);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    // the ids of generation_config.json end the text
    assert!(texts[0].trim().ends_with(" 64"), "{}", texts[0]);
    let again = place.moe("convert ours ours-again --to native");
    assert_eq!(again.code, 2, "{}", again.stdout);
}

#[test]
fn switch_and_vision_models_are_read_in_our_layout_too() {
    let place = Place::new();
    for case in ["switch_capacity", "experts_choose"] {
        let source = format!("{FIXTURES}/{case}");
        for line in [
            format!("convert {source} {case}"),
            format!("verify {case} --forward-only --goldens {source}/goldens.safetensors"),
        ] {
            let ended = place.moe(&line);
            assert_eq!(ended.code, 0, "{line}: {}{}", ended.stdout, ended.stderr);
        }
    }
    let by = |folder: &str| place.moe(&format!("generate {folder} -p '3 4' -n 5 --temperature 0"));
    let theirs = by(&format!("{FIXTURES}/switch_capacity"));
    assert_eq!(
        (by("switch_capacity").stdout, 0),
        (theirs.stdout, theirs.code)
    );
}

#[test]
fn what_is_odd_about_a_checkpoint_is_said() {
    let place = Place::new();
    let long = (0..95)
        .map(|id| (id % 90 + 2).to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let ended = place.moe(&format!(
        "generate {FIXTURES}/dsv3_groups_yarn -p '{long}' -n 1"
    ));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("64 positions"), "{}", ended.stderr);

    copy(&place, "mixtral_swa", "lfs");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 4920739024\n";
    fs::write(place.path("lfs/model.safetensors"), pointer).unwrap();
    let ended = place.moe("generate lfs -p 1");
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stderr.contains("git lfs pull"), "{}", ended.stderr);

    copy(&place, "mixtral_swa", "odd");
    let text = fs::read_to_string(place.path("odd/config.json")).unwrap();
    let odd = text.replacen('{', r#"{"soft_cap": 30.0, "#, 1);
    fs::write(place.path("odd/config.json"), odd).unwrap();
    let ended = place.moe("inspect odd");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("not read: soft_cap"),
        "{}",
        ended.stderr
    );
}

#[test]
fn inspect_takes_names_as_they_are_spelled_and_says_what_is_near() {
    let place = Place::new();
    for name in ["mixtral8x7b", "mixtral-8x7B", "mistralai/Mixtral-8x7B-v0.1"] {
        let json = place.json(&format!("inspect {name}"));
        assert_eq!(json["params_total"], 46_702_792_704u64, "{name}");
        assert_eq!(json["params_active"], 12_879_925_248u64, "{name}");
    }
    for (line, needle) in [
        ("inspect mixtral-8x7c", "did you mean `mixtral-8x7b`?"),
        (
            "inspect gpt2",
            "no published model of that name; known: mixtral-8x7b",
        ),
        (
            "inspect tiny.toml --precision fp8",
            "--precision: a configuration",
        ),
        (
            "inspect tiny.toml --seq-length 77",
            "set train.seq_length=N",
        ),
        ("inspect none.toml", "none.toml"),
    ] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.stdout);
        assert!(ended.stderr.contains(needle), "{line}: {}", ended.stderr);
    }
    let v3 = place.moe("inspect deepseek-ai/DeepSeek-R1");
    assert!(
        v3.stdout.contains("(MTP), not counted above"),
        "{}",
        v3.stdout
    );
    // the same words for both kinds, and what they are in JSON
    let (published, own) = (
        place.moe("inspect mixtral-8x7b"),
        place.moe("inspect tiny.toml"),
    );
    for words in [
        "active, without embedding (2)",
        "(3) params_active_no_embedding",
    ] {
        assert!(published.stdout.contains(words), "{}", published.stdout);
        assert!(own.stdout.contains(words), "{}", own.stdout);
    }
    for line in ["inspect mixtral-8x7b", "inspect tiny.toml"] {
        let json = place.json(line);
        for key in ["params_active_head_only", "params_active_no_embedding"] {
            assert!(json[key].is_u64(), "{line}: {key}");
        }
    }
}

#[test]
fn a_configuration_of_an_unknown_family_is_counted_by_what_is_understood() {
    let place = Place::new();
    let config = json!({"model_type": "gpt_oss", "vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 6, "num_local_experts": 4, "num_experts_per_tok": 2,
        "swiglu_limit": 7.0});
    fs::write(place.path("config.json"), config.to_string()).unwrap();
    let ended = place.moe("inspect config.json --json");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let counted: Value = serde_json::from_str(&ended.stdout).unwrap();
    // embedding and head, three norms, attention, gate, 4 experts
    let total = 2 * 800 + 3 * 8 + 4 * 64 + 32 + 4 * 3 * 8 * 6;
    assert_eq!(counted["params_total"], total);
    assert_eq!(counted["model_type"], "gpt_oss");
    assert_eq!(counted["counted_as"], "deepseek");
    assert_eq!(counted["not_counted"], json!(["swiglu_limit"]));
    for part in ["gpt_oss is not known here", "not counted: swiglu_limit"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }

    fs::write(place.path("other.json"), "{\"model_type\": \"clip\"}").unwrap();
    let ended = place.moe("inspect other.json");
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("\"clip\" is not known here"),
        "{}",
        ended.stderr
    );
}
