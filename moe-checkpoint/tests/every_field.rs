//! A law: each change of a field of a published `config.json` is noticed, or refused with the field's name, or the
//! field is on a list with the reason why it is not.

use burn::tensor::Device;
use moe_checkpoint::published::{WITHOUT_EFFECT, ends};
use moe_checkpoint::verify::{Goldens, Scope, Verification, verify_any};
use moe_checkpoint::{AnyCheckpoint, CheckpointError};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

const CASES: [&str; 19] = [
    "mixtral_base",
    "mixtral_swa",
    "olmoe_base",
    "olmoe_clip_gqa",
    "qwen3_base",
    "qwen3_sparse_step_tied",
    "llama_base",
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

/// A field of which some change is neither noticed nor refused.
struct Quiet {
    /// The beginning of the names of its fixtures.
    cases: &'static str,
    field: &'static str,
    /// A value at which it is noticed all the same, as JSON; none if there is no such value here.
    noticed_at: Option<&'static str>,
    reason: &'static str,
}

const fn quiet(
    cases: &'static str,
    field: &'static str,
    noticed_at: Option<&'static str>,
    reason: &'static str,
) -> Quiet {
    Quiet {
        cases,
        field,
        noticed_at,
        reason,
    }
}

const QUIET: &[Quiet] = &[
    quiet(
        "",
        "max_position_embeddings",
        None,
        "a note for longer prompts; YaRN's context where nothing else says it",
    ),
    quiet(
        "dsv2",
        "aux_loss_alpha",
        None,
        "training: the reference has no balance loss",
    ),
    quiet(
        "dsv2",
        "seq_aux",
        None,
        "training: the reference has no balance loss",
    ),
    quiet(
        "dsv2_lite",
        "topk_method",
        None,
        "of one group both methods take the same experts",
    ),
    quiet(
        "dsv3_",
        "num_nextn_predict_layers",
        None,
        "files without such modules are read without them",
    ),
    quiet(
        "dsv",
        "rope_scaling.beta_fast",
        Some("0.00032"),
        "the ends of the ramp are whole coordinates, here 0 for all values near",
    ),
    quiet(
        "dsv",
        "rope_scaling.beta_slow",
        Some("0.00001"),
        "the ends of the ramp are whole coordinates",
    ),
    quiet(
        "dsv",
        "rope_scaling.original_max_position_embeddings",
        Some("10000000"),
        "the ends of the ramp are whole coordinates, and the factor is said besides",
    ),
    quiet(
        "qwen3_base",
        "intermediate_size",
        None,
        "the width of dense layers, and there are none",
    ),
    quiet(
        "qwen3",
        "sliding_window",
        None,
        "`use_sliding_window` is false",
    ),
    quiet(
        "qwen3",
        "use_sliding_window",
        None,
        "`sliding_window` is null",
    ),
    quiet(
        "dsv3_fp8",
        "quantization_config",
        None,
        "the files say which tensors are in FP8",
    ),
    quiet(
        "switch_untied",
        "num_sparse_encoder_layers",
        None,
        "3 / 2 layers are rounded down to every layer, as 3 / 3 are",
    ),
    quiet(
        "switch_untied",
        "num_sparse_decoder_layers",
        None,
        "no sparse layer of one is read as one, by the reference too",
    ),
    quiet(
        "switch_untied",
        "router_z_loss_coef",
        None,
        "training, of which this fixture has no goldens",
    ),
    quiet(
        "switch_untied",
        "router_aux_loss_coef",
        None,
        "training, of which this fixture has no goldens",
    ),
    quiet(
        "switch_untied",
        "router_jitter_noise",
        None,
        "training, of which this fixture has no goldens",
    ),
    quiet(
        "",
        "head_bias_init",
        None,
        "what the biases of a new head start with",
    ),
    quiet(
        "experts_choose",
        "f32_soft_dispatch",
        None,
        "Soft-MoE alone rounds",
    ),
    quiet("vmoe", "f32_soft_dispatch", None, "Soft-MoE alone rounds"),
    quiet(
        "",
        "encoder.moe.router.dispatcher.name",
        None,
        "einsum and indices compute the same",
    ),
    quiet(
        "experts_choose",
        "encoder.moe.router.dispatcher.capacity_ceil_or_round",
        None,
        "the capacity is whole",
    ),
    quiet(
        "",
        "encoder.moe.router.dispatcher.capacity_multiple_of",
        Some("5"),
        "0 and null are 1, and a capacity of 4 is a multiple of 2 and of 4",
    ),
    quiet(
        "experts_choose",
        "encoder.moe.router.noise_std",
        None,
        "noise of a router that is deterministic",
    ),
    quiet(
        "softmoe",
        "encoder.moe.router.name",
        None,
        "the last part of the name tells which router it is",
    ),
];

/// Fields that left out or `null` have the value that they have in these fixtures: their default, which the
/// tests of the readers hold by value.
const AT_DEFAULT: &[(&str, &str)] = &[
    // (beginning of the case, field)
    ("dsv", "attention_bias"),
    ("olmoe", "attention_bias"),
    ("qwen3", "attention_bias"),
    ("olmoe_base", "clip_qkv"),
    ("olmoe_base", "norm_topk_prob"),
    ("qwen3_sparse", "norm_topk_prob"),
    ("olmoe_base", "num_key_value_heads"),
    ("olmoe", "router_aux_loss_coef"),
    ("qwen3", "router_aux_loss_coef"),
    ("qwen3_base", "decoder_sparse_step"),
    ("qwen3_base", "mlp_only_layers"),
    ("qwen3", "sliding_window"),
    ("qwen3", "use_sliding_window"),
    ("llama", "rope_scaling"),
    ("dsv1_norm", "first_k_dense_replace"),
    ("", "hidden_act"),
    ("dsv", "num_key_value_heads"),
    ("", "rms_norm_eps"),
    ("dsv1", "rope_scaling"),
    ("", "rope_theta"),
    ("dsv", "scoring_func"),
    ("", "tie_word_embeddings"),
    ("dsv", "moe_layer_freq"),
    ("dsv", "norm_topk_prob"),
    ("dsv", "seq_aux"),
    ("dsv2", "aux_loss_alpha"),
    ("dsv", "n_shared_experts"),
    ("dsv", "rope_scaling.beta_fast"),
    ("dsv", "rope_scaling.beta_slow"),
    ("dsv", "rope_scaling.factor"),
    ("dsv2_lite", "n_group"),
    ("dsv", "routed_scaling_factor"),
    ("dsv", "topk_group"),
    ("dsv", "topk_method"),
    ("", "eos_token_id"),
    ("dsv3_", "num_nextn_predict_layers"),
    ("", "quantization_config.activation_scheme"),
    ("", "quantization_config.fmt"),
    ("", "quantization_config.quant_method"),
    ("", "quantization_config.weight_block_size"),
    ("mixtral", "num_experts_per_tok"),
    ("mixtral_base", "sliding_window"),
    ("switch", "decoder_start_token_id"),
    ("switch", "dense_act_fn"),
    ("switch", "is_gated_act"),
    ("switch", "layer_norm_epsilon"),
    ("switch", "num_decoder_layers"),
    ("switch", "pad_token_id"),
    ("switch", "router_bias"),
    ("switch", "router_dtype"),
    ("switch", "router_z_loss_coef"),
    ("vmoe", "classifier"),
    ("", "encoder.moe.router.noise_std"),
    ("softmoe", "encoder.moe.router.capacity_factor"),
    ("", "encoder.moe.router.dispatcher.bfloat16"),
    ("", "f32_soft_dispatch"),
];

fn fixture(case: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("tests/fixtures").join(case)
}

/// Everything that a folder computes: what its configuration is read as, how it compares with goldens, and what
/// ends its texts.
#[derive(Debug, PartialEq)]
struct Seen {
    config: Value,
    ends: Vec<u32>,
    forward: Option<Verification>,
    everything: Option<Verification>,
}

/// Outcome of a change.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It changes what is computed, or which tensors the model has.
    Noticed,
    /// It is an error.
    Refused(String),
    /// It is accepted and changes nothing.
    Silent,
}

/// A copy of a fixture whose configuration changes.
struct Subject {
    case: &'static str,
    folder: tempfile::TempDir,
    goldens: Goldens,
    config: Value,
    before: Seen,
}

impl Subject {
    fn new(case: &'static str) -> Self {
        let (folder, source) = (tempfile::tempdir().expect("a folder"), fixture(case));
        for file in fs::read_dir(&source).expect("a fixture") {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name");
            fs::copy(&path, folder.path().join(name)).expect("a copy");
        }
        let goldens = Goldens::read(&source.join("goldens.safetensors")).expect("goldens");
        let text = fs::read(source.join("config.json")).expect("a configuration");
        let nothing = Seen {
            config: Value::Null,
            ends: Vec::new(),
            forward: None,
            everything: None,
        };
        let mut subject = Self {
            case,
            folder,
            goldens,
            config: serde_json::from_slice(&text).expect("JSON"),
            before: nothing,
        };
        let checkpoint = subject.open(&subject.config).expect("a fixture");
        subject.before = Seen {
            config: read_as(&checkpoint),
            ends: subject.ends(&checkpoint).expect("ends"),
            forward: Some(
                subject
                    .verified(&checkpoint, Scope::ForwardOnly)
                    .expect("it"),
            ),
            everything: Some(
                subject
                    .verified(&checkpoint, Scope::Everything)
                    .expect("it"),
            ),
        };
        subject
    }

    fn open(&self, config: &Value) -> Result<AnyCheckpoint, CheckpointError> {
        let path = self.folder.path().join("config.json");
        fs::write(path, config.to_string()).expect("a configuration");
        AnyCheckpoint::open(self.folder.path())
    }

    fn ends(&self, checkpoint: &AnyCheckpoint) -> Result<Vec<u32>, String> {
        let of_config = match checkpoint {
            AnyCheckpoint::Text(decoder) => &decoder.config().common().eos_token_ids[..],
            AnyCheckpoint::Pairs(switch) => &switch.config().eos_token_ids[..],
            AnyCheckpoint::Images(_) => &[],
        };
        ends(self.folder.path(), of_config).map_err(|error| error.to_string())
    }

    fn verified(&self, checkpoint: &AnyCheckpoint, scope: Scope) -> Result<Verification, String> {
        let verified = verify_any(checkpoint, &self.goldens, scope, &Device::flex());
        verified.map_err(|error| error.to_string())
    }

    /// Outcome of another configuration, the cheapest ways to notice it first.
    fn outcome(&self, config: &Value) -> Outcome {
        use CheckpointError::{Extra, Missing, NotACopy, Shape};
        let checkpoint = match self.open(config) {
            Ok(checkpoint) => checkpoint,
            // it is accepted, and makes a model of other tensors than those of the files
            Err(Extra { .. } | Missing { .. } | NotACopy { .. } | Shape { .. }) => {
                return Outcome::Noticed;
            }
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        if read_as(&checkpoint) == self.before.config {
            return Outcome::Silent;
        }
        if self.ends(&checkpoint).as_ref() != Ok(&self.before.ends) {
            return Outcome::Noticed;
        }
        // goldens that cannot be compared are those of another model
        let differs = |scope, before: &Option<Verification>| {
            self.verified(&checkpoint, scope).ok().as_ref() != before.as_ref()
        };
        let noticed = differs(Scope::ForwardOnly, &self.before.forward)
            || differs(Scope::Everything, &self.before.everything);
        if noticed {
            Outcome::Noticed
        } else {
            Outcome::Silent
        }
    }
}

/// Result of reading a configuration, but for the names of what it does not read.
fn read_as(checkpoint: &AnyCheckpoint) -> Value {
    let value = match checkpoint {
        AnyCheckpoint::Text(decoder) => serde_json::to_value(decoder.config()),
        AnyCheckpoint::Pairs(switch) => serde_json::to_value(switch.config()),
        AnyCheckpoint::Images(vmoe) => serde_json::to_value(vmoe.config()),
    };
    let mut value = value.expect("plain data");
    value.as_object_mut().expect("fields").remove("unread");
    value
}

/// The paths of all fields and their values, those that hold fields before what they hold.
fn fields(config: &Map<String, Value>, within: &str) -> Vec<(String, Value)> {
    let field = |(key, value): (&String, &Value)| {
        let path = format!("{within}{key}");
        let mut fields_of = vec![(path.clone(), value.clone())];
        if let Value::Object(inner) = value {
            fields_of.extend(fields(inner, &format!("{path}.")));
        }
        fields_of
    };
    config.iter().flat_map(field).collect()
}

/// Strings of which some are values of fields.
const WORDS: &[&str] = &[
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
    "einsum",
    "indices",
    "NoisyTopExpertsPerItemRouter",
    "NoisyTopItemsPerExpertRouter",
    "SoftRouter",
    "deepseek_v2",
    "deepseek_v3",
    "no such word",
];

/// Other values of a field, of its kind and of another.
fn others(path: &str, value: &Value) -> Vec<Value> {
    let mut others = match value {
        Value::Bool(is) => vec![json!(!is), json!("no such word")],
        Value::Number(n) if n.is_u64() => {
            let n = n.as_u64().expect("a whole number");
            vec![
                json!(n + 1),
                json!(2 * n),
                json!(n / 2),
                json!(n.saturating_sub(1)),
                json!("no such word"),
            ]
        }
        Value::Number(n) => {
            let n = n.as_f64().expect("a number");
            let text = json!("no such word");
            vec![json!(n + 1.0), json!(2.0 * n), json!(0.5 * n), text]
        }
        Value::String(_) => WORDS
            .iter()
            .map(|word| json!(word))
            .chain([json!(1)])
            .collect(),
        Value::Array(list) if list.is_empty() => vec![json!([0])],
        Value::Array(list) => {
            let more = |x: &Value| x.as_u64().map_or(json!(0), |n| json!(n + 1));
            let more = list.iter().map(more).collect();
            vec![Value::from(&list[1..]), json!([]), Value::Array(more)]
        }
        Value::Object(_) => vec![json!("no such word"), json!([])],
        Value::Null => match path {
            "sliding_window" => vec![json!(7)],
            "clip_qkv" => vec![json!(0.5)],
            "bos_token_id" => vec![json!(3)],
            "q_lora_rank" => vec![json!(8)],
            "rope_scaling" => vec![
                json!({"type": "linear", "factor": 2.0}),
                json!({"type": "yarn", "factor": 2.0}),
            ],
            _ => panic!("{path} = null: give another value"),
        },
    };
    others.retain(|other| other != value);
    others
}

/// The configuration with another value of a field, or without the field.
fn with_field(config: &Value, path: &str, value: Option<Value>) -> Value {
    let mut changed = config.clone();
    let (within, key) = path.rsplit_once('.').unwrap_or(("", path));
    let keys = within.split('.').filter(|key| !key.is_empty());
    let place = keys.fold(&mut changed, |at, key| &mut at[key]);
    let place = place.as_object_mut().expect("fields");
    match value {
        Some(value) => place.insert(key.to_owned(), value),
        None => place.remove(key),
    };
    changed
}

/// Tells whether the list has a field; a `name` within another field is that of something, and the padding of
/// the Switch Transformer stands for labels that are ignored.
fn is_listed(case: &str, path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    let is_read = ["model_type", "model"].contains(&path)
        || path != name && name == "name"
        || case.starts_with("switch") && name == "pad_token_id"
        || case.starts_with("qwen3") && name == "decoder_sparse_step";
    WITHOUT_EFFECT.contains(&name) && !is_read
}

/// Tells whether an error has the name of a field as a word of its own.
fn is_named(path: &str, error: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or(path);
    let mut words = error.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    KINDS.contains(&path) || words.any(|word| word == name)
}

/// Fields that decide which others are read: an error about another value of them names a field that does not
/// fit to it.
const KINDS: [&str; 3] = ["model_type", "model", "encoder.moe.router.name"];

/// Breaches of the law in one fixture, and the entries of the lists it needs.
#[derive(Default)]
struct Findings {
    faults: Vec<String>,
    quiet: BTreeSet<usize>,
    at_default: BTreeSet<usize>,
}

impl Findings {
    /// Changes a field in every way, and away.
    fn check(&mut self, subject: &Subject, path: &str, value: &Value) {
        let case = subject.case;
        let quiet = |quiet: &Quiet| case.starts_with(quiet.cases) && quiet.field == path;
        let quiet = QUIET.iter().position(quiet);
        let at_default = |(of, field): &(&str, &str)| case.starts_with(of) && *field == path;
        let at_default = AT_DEFAULT.iter().position(at_default);
        let mut changes: Vec<Option<Value>> = others(path, value).into_iter().map(Some).collect();
        changes.push(None);
        if !value.is_null() {
            changes.push(Some(Value::Null));
        }
        for other in changes {
            let shown = other
                .as_ref()
                .map_or("nothing".to_owned(), Value::to_string);
            let change = format!("{case}: {path} = {value} -> {shown}");
            let is_nothing = other.as_ref().is_none_or(Value::is_null);
            match subject.outcome(&with_field(&subject.config, path, other)) {
                Outcome::Noticed => {}
                Outcome::Refused(error) if is_named(path, &error) => {}
                Outcome::Refused(error) => self.faults.push(format!("{change}: unnamed: {error}")),
                Outcome::Silent => match (quiet, at_default) {
                    (_, Some(entry)) if is_nothing => _ = self.at_default.insert(entry),
                    (Some(entry), _) => _ = self.quiet.insert(entry),
                    _ => self.faults.push(format!("{change}: silent")),
                },
            }
        }
        if let Some(text) = quiet.and_then(|entry| QUIET[entry].noticed_at) {
            let at = Some(serde_json::from_str(text).expect("JSON"));
            if subject.outcome(&with_field(&subject.config, path, at)) != Outcome::Noticed {
                self.faults
                    .push(format!("{case}: {path} = {text} is not noticed"));
            }
        }
    }

    fn join(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.quiet.extend(other.quiet);
        self.at_default.extend(other.at_default);
    }
}

fn findings(case: &'static str) -> Findings {
    let subject = Subject::new(case);
    let mut findings = Findings::default();
    for (path, value) in fields(subject.config.as_object().expect("fields"), "") {
        if !is_listed(case, &path) {
            findings.check(&subject, &path, &value);
        }
    }
    findings
}

#[test]
fn every_change_of_a_field_is_noticed_or_refused_by_name() {
    let (cases, all) = (Mutex::new(CASES.iter()), Mutex::new(Findings::default()));
    thread::scope(|scope| {
        let n_threads = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().expect("no panic").next();
                    let Some(case) = next else { return };
                    let found = findings(case);
                    all.lock().expect("no panic").join(found);
                }
            });
        }
    });
    let mut all = all.into_inner().expect("no panic");
    all.faults.sort();
    assert!(all.faults.is_empty(), "{}", all.faults.join("\n"));
    for (entry, quiet) in QUIET.iter().enumerate() {
        let (field, reason) = (quiet.field, quiet.reason);
        assert!(all.quiet.contains(&entry), "{field} is not quiet: {reason}");
    }
    for (entry, (case, field)) in AT_DEFAULT.iter().enumerate() {
        assert!(
            all.at_default.contains(&entry),
            "{case} {field} is not at its default"
        );
    }
}

/// Fields on the list are without effect in every fixture that has them.
#[test]
fn fields_on_the_list_change_nothing() {
    for case in CASES {
        let subject = Subject::new(case);
        let mut all = subject.config.clone();
        for (path, value) in fields(subject.config.as_object().expect("fields"), "") {
            // it tells which model it is
            let is_name = path == "name";
            if is_listed(case, &path) && !is_name {
                let other = others(&path, &value).into_iter().next();
                all = with_field(&all, &path, other);
            }
        }
        assert_ne!(all, subject.config, "{case}");
        let checkpoint = subject.open(&all).expect("it is accepted");
        let forward = subject.verified(&checkpoint, Scope::ForwardOnly).ok();
        assert_eq!(forward, subject.before.forward, "{case}");
    }
}
