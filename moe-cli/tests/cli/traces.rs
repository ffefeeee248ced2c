//! Traces of routings: written, shown, checked, compared and imported.

use crate::markup::{check_markup, check_stands_alone};
use crate::place::Place;
use serde_json::{Value, json};
use std::fs;

fn fixture(name: &str) -> String {
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../moe-checkpoint/tests/fixtures"
    );
    format!("{fixtures}/{name}")
}

/// A place with a run on its text.
fn trained(overrides: &str) -> (Place, String) {
    let place = Place::new();
    let ended = place.moe(&format!("train tiny.toml train.steps=4 {overrides}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = place.run_folder("runs").display().to_string();
    (place, run)
}

/// The header of a safetensors file, and the bytes behind it.
fn parts(file: &[u8]) -> (Value, &[u8]) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    (
        serde_json::from_slice(&file[8..8 + length]).unwrap(),
        &file[8 + length..],
    )
}

/// The experts of a trace, `[tokens][layers][top-k]`.
fn routed(place: &Place, name: &str) -> Vec<Vec<Vec<i16>>> {
    let file = fs::read(place.path(name)).unwrap();
    let (header, data) = parts(&file);
    let rows = |layer: usize| {
        let info = header.get(format!("topk_idx.{layer}"))?;
        let at = |i: usize| info["data_offsets"][i].as_u64().unwrap() as usize;
        let k = info["shape"][1].as_u64().unwrap() as usize;
        let (pairs, _) = data[at(0)..at(1)].as_chunks::<2>();
        let experts: Vec<i16> = pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
        Some(experts.chunks(k).map(<[i16]>::to_vec).collect::<Vec<_>>())
    };
    let layers: Vec<Vec<Vec<i16>>> = (0..).map_while(rows).collect();
    let of_token = |t: usize| layers.iter().map(|layer| layer[t].clone()).collect();
    (0..layers[0].len()).map(of_token).collect()
}

#[test]
fn a_trace_shows_what_the_analysis_counted() {
    let (place, run) = trained("router.name=switch model.n_layers=2");
    let analysis = place.json(&format!("analyze {run} --trace t.safetensors"));
    let shown = place.json("trace show t.safetensors --world 2");
    let layers = shown["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    for (found, layer) in analysis["layers"].as_array().unwrap().iter().zip(layers) {
        let routing = &found["routing"];
        for name in ["max_vio", "load_entropy", "drop_rate", "dead_experts"] {
            let [own, there] = [&layer[name], &routing[name]].map(|x| x.as_f64().unwrap());
            assert!((own - there).abs() < 1e-9, "{name}: {own} {there}");
        }
        let told = |of: &Value| of["information"]["bits"].as_f64().unwrap();
        let [own, there] = [&layer["labels"], &found["domains"]].map(told);
        assert!((own - there).abs() < 1e-12, "{own} {there}");
        let [own, there] = [&layer["entropy"], &routing["entropy"]].map(|x| x.as_f64().unwrap());
        assert!((own - there).abs() < 1e-5);
    }
    assert!(layers[0]["drop_rate"].as_f64().unwrap() > 0.0);
    assert_eq!(shown["chains"].as_array().unwrap().len(), 1);
    assert_eq!(shown["communication"]["worlds"][0]["n_ranks"], 2);

    let text = place.moe("trace show t.safetensors");
    assert!(
        text.stdout.contains("MaxVio") && text.stdout.contains("chains"),
        "{}",
        text.stdout
    );
    assert_eq!(place.moe("trace show t.safetensors -o t.html").code, 0);
    let page = fs::read_to_string(place.path("t.html")).unwrap();
    assert!(check_markup(&page) > 100);
    check_stands_alone(&page);
    for words in ["All layers", "Layer 1", "From layer to layer", "MaxVio"] {
        assert!(page.contains(words), "{words}");
    }
    let checked = place.json("trace check t.safetensors");
    let laws = checked["laws"].as_array().unwrap();
    assert!(laws.iter().all(|law| law["n_violations"] == 0), "{laws:?}");
    let capacity = laws.iter().find(|law| law["law"] == "drop_order").unwrap();
    assert!(capacity["n_checked"].as_u64().unwrap() > 0);

    // an evaluation reads the same windows
    let scored = place.json(&format!("eval {run} --trace e.safetensors"));
    assert!(scored["loss"].as_f64().unwrap() > 0.0);
    let [analysed, scored] = ["t", "e"].map(|name| place.path(&format!("{name}.safetensors")));
    assert!(fs::read(analysed).unwrap() == fs::read(scored).unwrap());

    // its own trace is replaced, another file is not
    assert_eq!(
        place
            .moe(&format!("analyze {run} --trace t.safetensors"))
            .code,
        0
    );
    fs::write(place.path("other.safetensors"), "mine").unwrap();
    let ended = place.moe(&format!("analyze {run} --trace other.safetensors"));
    assert!(
        ended.code == 2 && ended.stderr.contains("was not made by"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read(place.path("other.safetensors")).unwrap(), b"mine");
}

#[test]
fn a_trace_is_replayed() {
    let (place, run) = trained("");
    let ended = place.moe(&format!("analyze {run} --most 2 --trace t.safetensors"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let train = "train tiny.toml train.steps=2 router.name=replay router.trace=@t.safetensors";
    let ended = place.moe(&format!("{train} --runs replayed"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // the run holds the choices and not the name of the file
    let config = place.run_folder("replayed").join("config.toml");
    let config = fs::read_to_string(config).unwrap();
    let first = &routed(&place, "t.safetensors")[0][0];
    let text = format!("trace = \"{} {},", first[0], first[1]);
    assert!(config.contains(&text), "{text}: {config}");
}

#[test]
fn images_are_traced_with_their_classes() {
    let place = Place::new();
    let sizes = "model.d_model=16 model.n_layers=2 model.patch_size=2 model.d_mlp=16 model.moe_layers=[1] \
                 attention.n_heads=2 experts.n_experts=4 experts.d_expert=8";
    fs::write(place.path("images.toml"), "[model]\nfamily = \"vmoe\"\n").unwrap();
    let ended = place.moe(&format!(
        "train images.toml {sizes} train.steps=2 train.batch_size=8"
    ));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = place.run_folder("runs").display().to_string();
    let ended = place.moe(&format!(
        "analyze {run} --most 12 --capacity 1 --trace t.safetensors"
    ));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let shown = place.json("trace show t.safetensors");
    assert_eq!(shown["layers"].as_array().unwrap().len(), 1);
    assert!(shown["labels"].as_array().unwrap().len() >= 5);
    assert_eq!(place.moe("trace check t.safetensors").code, 0);
}

/// The groups of a trace, and the words of its metadata.
fn groups(place: &Place, name: &str) -> (Vec<u32>, Value) {
    let file = fs::read(place.path(name)).unwrap();
    let (header, data) = parts(&file);
    let at = |i: usize| header["group"]["data_offsets"][i].as_u64().unwrap() as usize;
    let (groups, _) = data[at(0)..at(1)].as_chunks::<4>();
    let groups = groups.iter().map(|bytes| u32::from_le_bytes(*bytes));
    (groups.collect(), header["__metadata__"].clone())
}

#[test]
fn a_text_is_traced_as_it_was_written() {
    let (place, run) = trained("router.name=switch router.capacity_factor=0.5 model.n_layers=2");
    let generate = format!("generate {run} -n 3 --temperature 0 --trace t.safetensors -p abcdefgh");
    let ended = place.moe(&generate);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (found, words) = groups(&place, "t.safetensors");
    // tokens compete: those of the prompt with each other, and each new one with nobody
    let n_prompt = found.len() - 3;
    let expected: Vec<u32> = [vec![0; n_prompt], vec![1, 2, 3]].concat();
    assert_eq!((found, words.get("capacity")), (expected, None));
    // alone in its pass, a new token is never dropped; of the prompt, half are
    let shown = place.json("trace show t.safetensors");
    let dropped = shown["layers"][0]["drop_rate"].as_f64().unwrap() * (n_prompt + 3) as f64;
    assert!((1.0..=n_prompt as f64).contains(&dropped), "{dropped}");
    assert_eq!(place.moe("trace check t.safetensors").code, 0);

    // without a capacity the text is one group
    let (place, run) = trained("");
    let ended = place.moe(&format!(
        "generate {run} -n 3 --trace t.safetensors -p abcdefgh"
    ));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let (found, _) = groups(&place, "t.safetensors");
    assert_eq!(found, vec![0; found.len()]);
}

#[test]
fn other_engines_are_held_against_ours() {
    let place = Place::new();
    let ours = fixture("mixtral_base");
    let ids: Vec<String> = (0..40).map(|i| (i * 37 % 90 + 3).to_string()).collect();
    fs::write(place.path("ids"), ids.join(" ")).unwrap();
    let generate = |options: &str| {
        let mut command = place.command(&format!("generate {ours} -n 2 --temperature 0 {options}"));
        let output = command.args(["-p", &ids.join(" ")]).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    generate("--trace ours.safetensors");
    assert_eq!(place.moe("trace check ours.safetensors").code, 0);

    let mut experts = routed(&place, "ours.safetensors");
    assert_eq!(experts.len(), 42);
    experts.pop();
    fs::write(
        place.path("theirs.json"),
        json!({"routed_experts": experts}).to_string(),
    )
    .unwrap();
    let import = "trace import theirs.json --n-experts 4 -o theirs.safetensors --engine other";
    let ended = place.moe(import);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let found = place.json("trace agree ours.safetensors theirs.safetensors");
    assert_eq!(
        (&found["n_routers_flipped"], &found["weights"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(found["n_tokens"], json!([42, 41]));

    // an expert that no rounding explains
    let taken = experts[5][1].clone();
    experts[5][1][1] = (0..4).find(|e| !taken.contains(e)).unwrap();
    fs::write(place.path("theirs.json"), json!(experts).to_string()).unwrap();
    assert_eq!(place.moe(import).code, 0);
    let ended = place.moe("trace agree ours.safetensors theirs.safetensors");
    assert_eq!(ended.code, 3, "{}", ended.stdout);
    assert!(ended.stdout.contains("NOT EXPLAINED"), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("tokens that do in at least one layer: 1 of 41"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_trace_recorded_in_transformers_is_ours() {
    for name in [
        "mixtral_base",
        "olmoe_base",
        "qwen3_base",
        "dsv3_groups_yarn",
        "dsv2_group_q",
        "switch_capacity",
    ] {
        let place = Place::new();
        let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces");
        let recorded = format!("{recorded}/{name}.safetensors");
        let file = fs::read(&recorded).unwrap();
        let (header, data) = parts(&file);
        let at = |i: usize| header["tokens"]["data_offsets"][i].as_u64().unwrap() as usize;
        let (tokens, _) = data[at(0)..at(1)].as_chunks::<4>();
        let ids: Vec<String> = tokens
            .iter()
            .map(|id| i32::from_le_bytes(*id).to_string())
            .collect();
        // a decoder writes the last one, an encoder reads them all
        let n_read = ids.len() - usize::from(name != "switch_capacity");
        let prompt = ids[..n_read].join(" ");
        let line = format!(
            "generate {} -n 1 --temperature 0 --trace ours.safetensors",
            fixture(name)
        );
        let output = place.command(&line).args(["-p", &prompt]).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let found = place.json(&format!("trace agree ours.safetensors {recorded}"));
        assert_eq!(found["n_routers_flipped"], 0, "{name}: {found}");
        assert!(found["weights"].as_f64().unwrap() < 5e-5, "{name}: {found}");
        assert_eq!(
            place.moe(&format!("trace check {recorded}")).code,
            0,
            "{name}"
        );
    }
}

#[test]
fn a_trace_recorded_from_vmoe_obeys_its_rule() {
    // two routers of google-research/vmoe (942a78b), batch priority, capacity factor 0.75, by examples/python/moe_trace_jax.py
    let place = Place::new();
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/vmoe.safetensors");
    let checked = place.json(&format!("trace check {recorded}"));
    for law in checked["laws"].as_array().unwrap() {
        assert_eq!(law["n_violations"], 0, "{law}");
        if ["weights", "capacity", "drops", "drop_order"].contains(&law["law"].as_str().unwrap()) {
            assert!(law["n_checked"].as_u64().unwrap() > 0, "{law}");
        }
    }
    let shown = place.json(&format!("trace show {recorded}"));
    let layers = shown["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    assert!(layers[0]["drop_rate"].as_f64().unwrap() > 0.1);
}

#[test]
fn what_is_no_trace_is_refused() {
    let place = Place::new();
    fs::write(place.path("a.safetensors"), "mine").unwrap();
    fs::write(place.path("a.json"), "[[[0, 9]]]").unwrap();
    let cases = [
        ("trace show none.safetensors", "none.safetensors"),
        ("trace check a.safetensors", "a.safetensors is damaged"),
        (
            "trace agree a.safetensors a.safetensors",
            "a.safetensors is damaged",
        ),
        (
            "trace import a.json --n-experts 4 -o b.safetensors",
            "token 0 has expert 9 in layer 0",
        ),
        ("trace import a.json --n-experts 10 -o b.txt", "--out b.txt"),
        (
            "trace check a.safetensors --tolerance 2",
            "a number from 0 to 1",
        ),
        ("trace show none.safetensors -o a.json", "--out a.json"),
        (
            "train tiny.toml router.name=replay router.trace=@a.safetensors",
            "router.trace: ",
        ),
    ];
    for (line, words) in cases {
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
    }
    assert!(!place.path("b.safetensors").exists() && !place.path("b.txt").exists());
}
