//! A law: each field of a published `config.json` changes the numbers, or its changes are refused, or it is on
//! the list of fields without effect.

use burn::tensor::Device;
use moe_checkpoint::AnyCheckpoint;
use moe_checkpoint::published::{WITHOUT_EFFECT, ends};
use moe_checkpoint::verify::{Goldens, Scope, Verification, verify_any};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CASES: [&str; 14] = [
    "mixtral_base",
    "mixtral_swa",
    "dsv1_norm_batchaux_freq2",
    "dsv1_seqaux",
    "dsv2_group_q",
    "dsv2_lite_greedy_noq",
    "dsv3_fp8",
    "dsv3_groups_yarn",
    "dsv3_mtp",
    "switch_capacity",
    "switch_untied_all_sparse",
    "experts_choose",
    "softmoe_bf16_ref",
    "vmoe_last1_noise_bpr_drop",
];

/// Fields that have an effect elsewhere, and why they have none on the numbers of these fixtures.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    // (beginning of the case, field, reason)
    (
        "",
        "max_position_embeddings",
        "a note for longer prompts; YaRN's context where nothing else says it",
    ),
    (
        "dsv2",
        "aux_loss_alpha",
        "training: the reference has no balance loss",
    ),
    (
        "dsv2",
        "seq_aux",
        "training: the reference has no balance loss",
    ),
    (
        "dsv3",
        "num_nextn_predict_layers",
        "files without such modules are read without them",
    ),
    (
        "dsv2_lite",
        "topk_method",
        "of one group both methods take the same experts",
    ),
    (
        "switch_untied",
        "num_sparse_encoder_layers",
        "3 / 2 layers are rounded down to every layer, as 3 / 3 are",
    ),
    (
        "switch_untied",
        "num_sparse_decoder_layers",
        "no sparse layer of one is read as one, by the reference too",
    ),
    (
        "switch",
        "router_jitter_noise",
        "training: the goldens have none",
    ),
    (
        "",
        "head_bias_init",
        "what the biases of a new head start with",
    ),
    (
        "",
        "encoder.moe.router.noise_std",
        "noise of a router that is deterministic",
    ),
    ("", "f32_soft_dispatch", "Soft-MoE alone rounds"),
    (
        "experts_choose",
        "encoder.moe.router.dispatcher.capacity_ceil_or_round",
        "the capacity is whole",
    ),
];

fn fixture(case: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("tests/fixtures").join(case)
}

/// Everything that a folder computes: how it compares with goldens, and what ends its texts.
#[derive(Debug, PartialEq)]
struct Numbers(Verification, Vec<u32>);

/// A copy of a fixture whose configuration changes, and what its goldens were made of.
struct Subject {
    folder: tempfile::TempDir,
    goldens: Goldens,
}

impl Subject {
    fn new(case: &str) -> Self {
        let (folder, source) = (tempfile::tempdir().expect("a folder"), fixture(case));
        for file in fs::read_dir(&source).expect("a fixture") {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name");
            fs::copy(&path, folder.path().join(name)).expect("a copy");
        }
        let goldens = Goldens::read(&source.join("goldens.safetensors")).expect("goldens");
        Self { folder, goldens }
    }

    /// The numbers of a configuration, or why it is refused.
    fn numbers(&self, config: &Value, scope: Scope) -> Result<Numbers, String> {
        let path = self.folder.path().join("config.json");
        fs::write(path, config.to_string()).expect("a configuration");
        let checkpoint = AnyCheckpoint::open(self.folder.path()).map_err(|e| e.to_string())?;
        let of_config = match &checkpoint {
            AnyCheckpoint::Decoder(decoder) => decoder.config().common().eos_token_ids.clone(),
            AnyCheckpoint::Switch(switch) => switch.config().eos_token_ids.clone(),
            AnyCheckpoint::Vmoe(_) => Vec::new(),
        };
        let ends = ends(self.folder.path(), &of_config).map_err(|e| e.to_string())?;
        let verified = verify_any(&checkpoint, &self.goldens, scope, &Device::flex());
        Ok(Numbers(verified.map_err(|e| e.to_string())?, ends))
    }
}

/// The paths of all fields that hold no fields themselves, and their values.
fn fields(config: &Map<String, Value>, within: &str) -> Vec<(String, Value)> {
    let field = |(key, value): (&String, &Value)| {
        let path = format!("{within}{key}");
        match value {
            Value::Object(inner) => fields(inner, &format!("{path}.")),
            value => vec![(path, value.clone())],
        }
    };
    config.iter().flat_map(field).collect()
}

/// Values of the same kind that the field could have as well.
fn others(path: &str, value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(n) if path.ends_with("beta_fast") => {
            let n = n.as_f64().expect("a number");
            vec![json!(2.0 * n), json!(n / 1e5)]
        }
        Value::Number(n) if n.is_u64() => {
            let n = n.as_u64().expect("a whole number");
            let less = n.checked_sub(1).map(|n| json!(n));
            [json!(n + 1), json!(2 * n + 1), json!(100 * n)]
                .into_iter()
                .chain(less)
                .collect()
        }
        Value::Number(n) => vec![json!(n.as_f64().expect("a number") * 1.5 + 0.125)],
        Value::String(text) => {
            let known = [
                "softmax",
                "sigmoid",
                "greedy",
                "group_limited_greedy",
                "noaux_tc",
                "silu",
                "relu",
                "gelu_new",
                "gap",
                "token",
                "map",
                "ceil",
                "round",
                "yarn",
                "default",
                "linear",
            ];
            let same_kind = known.iter().filter(|other| *other != text);
            same_kind.map(|other| json!(other)).collect()
        }
        Value::Array(list) => vec![Value::from(&list[1..])],
        Value::Null if path == "sliding_window" => vec![json!(7)],
        Value::Null if path == "q_lora_rank" => vec![json!(8)],
        Value::Null if path == "rope_scaling" => {
            vec![
                json!({"type": "linear", "factor": 2.0}),
                json!({"type": "yarn", "factor": 2.0}),
            ]
        }
        other => panic!("{path} = {other}: give another value"),
    }
}

fn with_field(config: &Value, path: &str, value: Value) -> Value {
    let mut changed = config.clone();
    let pointer = format!("/{}", path.replace('.', "/"));
    *changed.pointer_mut(&pointer).expect("it is there") = value;
    changed
}

/// Tells whether the list has a field; a `name` within another field is that of something, and the padding of
/// the Switch Transformer stands for labels that are ignored.
fn is_listed(case: &str, path: &str, name: &str) -> bool {
    let is_read =
        path != name && name == "name" || case.starts_with("switch") && name == "pad_token_id";
    WITHOUT_EFFECT.contains(&name) && !is_read
}

fn is_without_effect(case: &str, path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    let here = |(of, field, _): &(&str, &str, &str)| case.starts_with(of) && *field == path;
    is_listed(case, path, name) || ELSEWHERE.iter().any(here)
}

/// Results of changing one field.
#[derive(Default)]
struct Changes {
    /// Changes that changed the numbers.
    n_noticed: usize,
    /// Changes that were accepted and changed nothing.
    unnoticed: Vec<String>,
}

/// Changes each field of a fixture and adds what came of it, by family and field.
fn change_fields(case: &str, all: &mut BTreeMap<(String, String), Changes>) {
    let subject = Subject::new(case);
    let text = fs::read(fixture(case).join("config.json")).expect("a configuration");
    let config: Value = serde_json::from_slice(&text).expect("JSON");
    let family = config
        .get("model_type")
        .unwrap_or(&config["model"])
        .to_string();
    let numbers = |config: &Value| {
        let forward = subject.numbers(config, Scope::ForwardOnly)?;
        Ok::<_, String>((forward, subject.numbers(config, Scope::Everything)?))
    };
    let before = numbers(&config).expect("a fixture");
    for (path, value) in fields(config.as_object().expect("fields"), "") {
        if path == "model_type" || path == "model" || is_without_effect(case, &path) {
            continue;
        }
        let changes = all.entry((family.clone(), path.clone())).or_default();
        for other in others(&path, &value)
            .into_iter()
            .filter(|other| *other != value)
        {
            match numbers(&with_field(&config, &path, other.clone())) {
                Ok(after) if after == before => {
                    let change = format!("{case}: {path} = {value} -> {other}");
                    changes.unnoticed.push(change);
                }
                Ok(_) => changes.n_noticed += 1,
                Err(_) => {}
            }
        }
    }
}

/// A field can be without effect in one fixture: a coefficient of a loss that it has not, a ramp that ends where
/// it ended. Where a family accepts changes of a field, one of them must be noticed.
#[test]
fn no_field_is_passed_over_in_silence() {
    let mut all = BTreeMap::new();
    CASES.iter().for_each(|case| change_fields(case, &mut all));
    let silent = all.into_values().filter(|changes| changes.n_noticed == 0);
    let silent: Vec<String> = silent.flat_map(|changes| changes.unnoticed).collect();
    assert_eq!(silent, Vec::<String>::new());
}

/// Fields on the list are without effect in every fixture that has them.
#[test]
fn fields_on_the_list_change_nothing() {
    for case in CASES {
        let subject = Subject::new(case);
        let text = fs::read(fixture(case).join("config.json")).expect("a configuration");
        let config: Value = serde_json::from_slice(&text).expect("JSON");
        let before = subject
            .numbers(&config, Scope::ForwardOnly)
            .expect("a fixture");
        let mut all = config.clone();
        for (path, value) in fields(config.as_object().expect("fields"), "") {
            let name = path.rsplit('.').next().unwrap_or(&path);
            // these tell which model it is
            let is_name = ["model_type", "model", "name"].contains(&name);
            let listed = is_listed(case, &path, name) && !is_name;
            if let Some(other) = others(&path, &value).pop().filter(|_| listed) {
                all = with_field(&all, &path, other);
            }
        }
        assert_ne!(all, config, "{case}");
        assert_eq!(
            subject.numbers(&all, Scope::ForwardOnly),
            Ok(before),
            "{case}"
        );
    }
}
