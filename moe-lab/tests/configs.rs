//! Every shipped configuration resolves, and says at its head what it costs and what to expect.
#![allow(clippy::unwrap_used)]

use moe_lab::ablate::{Claim, Plan};
use moe_train::config::{AttentionConfig, RunConfig};
use moe_train::data::Split;
use moe_train::task::{Task, TaskData};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

fn configs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{paths:?}");
    paths
}

#[test]
fn all_resolve_and_come_back_from_their_resolved_form() {
    for path in configs() {
        let config = RunConfig::load::<&str>(&path, &[]).unwrap().config;
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(file.path(), config.to_toml()).unwrap();
        let back = RunConfig::load_resolved(file.path()).unwrap();
        assert_eq!(back, config, "{}", path.display());
    }
}

#[test]
fn all_claims_plan_their_arms_and_state_time_and_result() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/claims");
    let entries = std::fs::read_dir(folder).unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty());
    for path in paths {
        let claim = Claim::read(&path).unwrap().unwrap();
        let plan = Plan::of_claim(&claim, &[], None).unwrap();
        assert!(plan.seeds.len() >= 5, "{}", path.display());
        assert_eq!(
            claim.sweep.is_some(),
            plan.sweep.is_some(),
            "{}",
            path.display()
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let head: String = text.lines().take_while(|l| l.starts_with('#')).collect();
        for word in ["Time:", "Expect:"] {
            assert!(head.contains(word), "{}: no \"{word}\"", path.display());
        }
    }
}

#[test]
fn all_state_size_time_and_result() {
    for path in configs() {
        let text = std::fs::read_to_string(&path).unwrap();
        let head: String = text.lines().take_while(|l| l.starts_with('#')).collect();
        let config = RunConfig::load::<&str>(&path, &[]).unwrap().config;
        let score = match config.model.task() {
            Task::Text => "bits per byte",
            Task::Images => "accuracy",
            Task::Pairs => "nats a target token",
        };
        for word in ["Size:", "Time:", "Expect:", "parameters", score] {
            assert!(head.contains(word), "{}: no \"{word}\"", path.display());
        }
    }
}

#[test]
fn the_stated_size_is_the_counted_one() {
    for path in configs() {
        let text = std::fs::read_to_string(&path).unwrap();
        let account = RunConfig::load::<&str>(&path, &[])
            .unwrap()
            .config
            .account();
        let size = text.lines().find(|l| l.contains("Size:")).unwrap();
        for count in [account.params_total, account.params_active] {
            let stated = grouped(count);
            assert!(size.contains(&stated), "{}: {stated}", path.display());
        }
    }
}

/// 1234567 as 1,234,567.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[test]
fn switching_the_router_switches_its_table_and_its_losses() {
    let path = &configs()[0];
    let load = |overrides: &[&str]| RunConfig::load(path, overrides).unwrap().config;
    let switch = load(&["router.name=switch"]);
    assert_eq!(switch.router.name(), "switch");
    assert_eq!(switch.balance.load_balance, 0.01);
    let deepseek = load(&["router.name=deepseek_v3", "router.top_k=3"]);
    assert_eq!(deepseek.balance.load_balance, 0.0);
    assert_eq!(deepseek.balance.sequence, 1e-4);
    let error = RunConfig::load(path, &["router.name=switch", "router.top_k=2"]).unwrap_err();
    assert!(error.to_string().contains("router.top_k"), "{error}");
}

/// Resolves the text of a run file with overrides.
fn load(text: &str, overrides: &[&str]) -> Result<RunConfig, String> {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    RunConfig::load(file.path(), overrides)
        .map(|resolved| resolved.config)
        .map_err(|error| error.to_string())
}

#[test]
fn a_router_of_parts_needs_no_name() {
    let file = "router = { score = \"sigmoid\", select = \"group_limited\", n_groups = 4 }";
    let config = load(file, &[]).unwrap();
    assert_eq!(config.router.name(), "composed");
    assert!(config.to_toml().contains("select = \"group_limited\""));
    assert!(config.to_toml().contains("n_groups = 4"));

    let by_override = load("seed = 0", &["router.select=top_p"]).unwrap();
    assert_eq!(by_override.router.name(), "composed");
    assert_eq!(
        load(file, &["router.name=switch"]).unwrap().router.name(),
        "switch"
    );
    assert_eq!(load("seed = 0", &[]).unwrap().router.name(), "mixtral");
}

#[test]
fn a_part_that_a_named_router_does_not_have_is_an_error() {
    let error = load("router = { name = \"mixtral\", score = \"sigmoid\" }", &[]).unwrap_err();
    assert!(error.contains("unknown key `router.score`"), "{error}");
    let error = load("router.select = \"top_q\"", &[]).unwrap_err();
    assert!(error.contains("top_q"), "{error}");
}

#[test]
fn a_balance_loss_that_does_nothing_is_an_error_that_names_the_key() {
    for (wrong, says) in [
        ("balance.z=-1.0", "balance.z = -1 is out of range"),
        ("balance.z=nan", "balance.z = NaN is out of range"),
        (
            "balance.admission=0.1",
            "balance.admission has no effect with router.name = \"mixtral\"",
        ),
    ] {
        let error = load("router.name = \"mixtral\"", &[wrong]).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_decoder_refuses_parts_that_leak() {
    let parts = [
        "router.capacity=switch",
        "router.priority=score",
        "router.score=softmax",
    ];
    let error = load("seed = 0", &parts).unwrap_err();
    assert!(
        error.contains("not causal: buffers are filled by score"),
        "{error}"
    );
    let allowed = [parts.as_slice(), &["model.allow_leak=true"]].concat();
    let config = load("seed = 0", &allowed).unwrap();
    assert!(!config.router.info().causality.is_causal());
}

#[test]
fn shipped_runs_keep_their_names() {
    let named = |file: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let config = RunConfig::load::<&str>(&folder.join(file), &[]);
        config.unwrap().config.run_name()
    };
    // the name that README states, and folders of runs that were made by earlier builds
    assert_eq!(named("quickstart.toml"), "nine-domains-mixtral-99ef77b8");
    assert!(named("vmoe-digits.toml").starts_with("digits-vmoe-"));
}

#[test]
fn a_vision_family_reads_images_and_has_its_own_keys() {
    let vision = load("model.family = \"vmoe\"", &[]).unwrap();
    assert_eq!(vision.data.name(), "digits");
    assert_eq!(vision.router.name(), "vmoe");
    assert!(vision.causality().is_none());
    assert_eq!(vision.tokens_per_sequence(), 5); // four patches and a class token
    let soft = load("model.family = \"soft_moe\"", &["data.name=digits"]).unwrap();
    assert_eq!(
        (soft.router.name(), soft.tokens_per_sequence()),
        ("soft_moe", 4)
    );

    for (family, wrong, says) in [
        (
            "vmoe",
            "train.seq_length=64",
            "unknown key `train.seq_length`",
        ),
        (
            "vmoe",
            "model.allow_leak=true",
            "unknown key `model.allow_leak`",
        ),
        ("vmoe", "data.vocab=bytes", "unknown key `data.vocab`"),
        (
            "vmoe",
            "data.name=text",
            "data.name = \"text\" is no data of model.family = \"vmoe\": choose digits, fashion_mnist, images",
        ),
        (
            "mixtral",
            "data.name=digits",
            "choose nine_domains, random_text, text",
        ),
        ("vmoe", "data.image_size=9", "have 8; leave it out"),
        ("vmoe", "model.patch_size=9", "model.patch_size"),
        ("vmoe", "model.moe_layers=[4]", "model.moe_layers"),
        (
            "vmoe",
            "model.group_images=3",
            "a divisor of train.batch_size",
        ),
        ("vmoe", "attention.kind=gqa", "the choices are mha"),
        ("mixtral", "attention.kind=mha", "the choices are gqa"),
    ] {
        let family = format!("model.family = \"{family}\"");
        let error = load(&family, &[wrong]).unwrap_err();
        assert!(error.contains(says), "{wrong}: {error}");
    }
}

#[test]
fn switching_the_family_switches_what_belongs_to_it() {
    let path = &configs()[0];
    let load = |overrides: &[&str]| RunConfig::load(path, overrides).map(|r| r.config);
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let empty = |overrides: &[&str]| RunConfig::load(file.path(), overrides).map(|r| r.config);

    let v3 = empty(&["model.family=deepseek_v3"]).unwrap();
    assert_eq!(v3.router.name(), "deepseek_v3");
    assert_eq!(v3.model.n_mtp_layers(), 1);
    assert!(matches!(v3.attention, AttentionConfig::Mla(_)));
    assert_eq!(v3.experts.n_shared_experts, 2);
    assert_eq!(v3.balance.sequence, 1e-4);
    let gqa = empty(&["model.family=deepseek_v3", "attention.kind=gqa"]).unwrap();
    assert!(matches!(gqa.attention, AttentionConfig::Gqa(_)));
    assert!(load(&["model.family=deepseek_v2"]).is_ok());

    let refused = |overrides: &[&str]| empty(overrides).unwrap_err().to_string();
    let error = refused(&["attention.kind=mla"]);
    assert!(error.contains("the choices are gqa"), "{error}");
    let error = refused(&["model.n_mtp_layers=1"]);
    assert!(
        error.contains("unknown key `model.n_mtp_layers`"),
        "{error}"
    );
    let error = refused(&["model.family=deepseek_moe", "model.n_dense_layers=4"]);
    let expected = "all 4 layers are dense, and none has the 16 experts of [experts]: lower model.n_dense_layers";
    assert!(error.contains(expected), "{error}");
    let error = refused(&["model.family=llama", "experts.n_experts=8"]);
    assert!(error.contains("none has the 8 experts"), "{error}");
    assert!(empty(&["model.family=llama"]).is_ok());
    let error = refused(&["model.family=deepseek_v3", "train.seq_length=1"]);
    assert!(error.contains("above model.n_mtp_layers"), "{error}");
}

/// Pieces of a vocabulary are at least a byte long, so bytes give the most windows.
#[test]
fn all_score_the_whole_validation_part_of_embedded_data_at_the_end() {
    for path in configs() {
        let config = RunConfig::load::<&str>(&path, &[]).unwrap().config;
        if !config.data.is_embedded() {
            continue;
        }
        let n_windows = match config.model.task() {
            Task::Images => TaskData::load(&config, &AtomicBool::new(false))
                .unwrap()
                .n_eval(Split::Validation),
            Task::Text | Task::Pairs => {
                let length = format!("train.seq_length={}", config.train.seq_length);
                let bytes = RunConfig::of_overrides(&[length]).unwrap();
                TaskData::load(&bytes, &AtomicBool::new(false))
                    .unwrap()
                    .n_eval(Split::Validation)
            }
        };
        let most = config.train.final_windows();
        assert!(
            n_windows <= most,
            "{}: {n_windows} of {most}",
            path.display()
        );
    }
}
