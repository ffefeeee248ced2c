//! `moe analyze` on tiny runs of text and of images.

use crate::markup::{check_markup, check_stands_alone};
use crate::place::Place;
use std::fs;

/// A vision transformer of a few thousand parameters on the embedded digits.
const PATCHES: &str = r#"
[model]
family = "vmoe"
d_model = 16
n_layers = 2
patch_size = 2
d_mlp = 16
moe_layers = [1]
group_images = 4
[attention]
n_heads = 2
[experts]
n_experts = 4
d_expert = 8
[router]
name = "vmoe"
top_k = 1
[train]
steps = 4
batch_size = 8
lr = 1e-2
warmup_steps = 1
log_every = 2
eval_every = 4
eval_windows = 20
checkpoint_every = 4
"#;

/// A place with a run on its text.
fn of_text() -> Place {
    let place = Place::new();
    let ended = place.moe("train tiny.toml");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    place
}

/// A place with a run on the digits.
fn of_images(overrides: &str) -> Place {
    let place = Place::new();
    fs::write(place.path("patches.toml"), PATCHES).unwrap();
    let ended = place.moe(&format!("train patches.toml {overrides}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    place
}

fn run_of(place: &Place) -> String {
    place.run_folder("runs").display().to_string()
}

/// The page of a run, checked.
fn page_of(place: &Place, arguments: &str) -> String {
    let run = run_of(place);
    let ended = place.moe(&format!("analyze {run} -o experts.html {arguments}"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let page = fs::read_to_string(place.path("experts.html")).unwrap();
    assert!(check_markup(&page) > 100);
    check_stands_alone(&page);
    page
}

#[test]
fn text_shows_tokens_domains_and_companions() {
    let place = of_text();
    let page = page_of(&place, "");
    for part in [
        "What the experts take: mixtral, text",
        "<h2 id=\"layer-0\">MoE layer 0</h2>",
        "Tokens that each expert takes most beyond their base rate",
        ">french</th>",
        "Class and domain",
        ">Latin lower case</th>",
        "how many the one above computes too",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // the same input gives the same bytes, and an own page is replaced
    assert_eq!(page_of(&place, ""), page);

    let run = run_of(&place);
    let ended = place.moe(&format!("analyze {run}"));
    assert!(ended.stdout.contains("tokens ×lift"), "{}", ended.stdout);
    assert!(ended.stderr.contains("-o experts.html"), "{}", ended.stderr);
    let numbers = place.json(&format!("analyze {run}"));
    let layer = &numbers["layers"][0];
    assert_eq!(numbers["domains"], serde_json::json!(["english", "french"]));
    assert_eq!(layer["tokens"].as_array().unwrap().len(), 4);
    for label in [
        "token_class",
        "domain",
        "class_within_domain",
        "domain_within_class",
    ] {
        let share = layer["information"][label]["share"].as_f64().unwrap();
        assert!((-0.1..=1.0).contains(&share), "{label}: {share}");
    }
    assert!(layer["frequency"].is_null(), "{layer}"); // two experts a token
    assert_eq!(layer["domains"]["share"][0].as_array().unwrap().len(), 2);
    let computed = layer["computed"].as_array().unwrap().iter();
    let computed: f64 = computed.map(|n| n.as_f64().unwrap()).sum();
    assert_eq!(computed, 2.0 * numbers["n_tokens"].as_f64().unwrap());
}

#[test]
fn experts_on_ranks_are_counted_for_every_world_that_divides_them() {
    let place = of_text();
    let run = run_of(&place);
    let worlds = "--world 4,1,3 --per-node 2";
    let text = place.moe(&format!("analyze {run} {worlds}")).stdout;
    for part in [
        "evenly drawn",
        "a row for each",
        "skipped: 3 ranks do not divide 4 experts",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("dispatch (µs)"), "{text}");
    let links = "--link nvlink4 --network 9.6,50 --tflops 400 --tokens 4096";
    let numbers = place.json(&format!("analyze {run} {worlds} {links}"));
    let found = &numbers["communication"];
    let [four, one] = [&found["worlds"][0], &found["worlds"][1]];
    assert_eq!(
        (four["n_nodes"].as_u64(), one["n_nodes"].as_u64()),
        (Some(2), Some(1))
    );
    // two of four experts, one a rank
    assert_eq!(four["mean"]["ranks_per_token"], 2.0);
    let bytes = |way: &str| four["mean"][way]["bytes_between"].as_f64().unwrap();
    assert_eq!(bytes("by_rank"), bytes("by_assignment"));
    let seconds = four["mean"]["by_node"]["seconds"].as_f64().unwrap();
    assert!(seconds > 3.4e-6 + 9.6e-6, "{seconds}"); // a peer on each level
    assert_eq!(one["mean"]["by_rank"]["bytes_inside"], 0.0);
    assert_eq!(found["skipped"][0]["n_ranks"], 3);
    let page = page_of(&place, &format!("{worlds} {links}"));
    for part in [
        "<h2 id=\"ranks\">Experts on ranks</h2>",
        ">dispatch (µs)</th>",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn links_are_named_or_refused() {
    let place = Place::new();
    let help = place.moe("analyze --help").stdout;
    for named in moe_lab::analyze::LINKS {
        assert!(help.contains(named.name), "{}", named.name);
    }
    for (line, needle) in [
        (
            "analyze here --world 8 --link infiniband",
            "is no link: give ALPHA,BETA",
        ),
        ("analyze here --world 0", "--world"),
        ("analyze here --link nvlink4", "--world"),
        ("analyze here --world 8 --tflops 400", "--link"),
    ] {
        let ended = place.moe(line);
        assert_eq!(ended.code, 2, "{line}");
        assert!(ended.stderr.contains(needle), "{line}: {}", ended.stderr);
    }
}

#[test]
fn images_show_patches_and_what_is_dropped() {
    let place = of_images("");
    let page = page_of(&place, "--most 40 --capacity 2,0.25 --world 2");
    for part in [
        "What the experts take: vmoe, images",
        "<h2 id=\"layer-0\">MoE layer 0 (block 1)</h2>",
        "Which expert takes each patch",
        "the patches that are left at each capacity",
        "1.05 (own)",
        "href=\"#image-5\"",
        "class=\"frame\"",
        "Experts on ranks",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let run = run_of(&place);
    let line = format!("analyze {run} --most 40 --capacity 2,0.25");
    let text = place.moe(&line).stdout;
    assert!(text.contains("without expert (%)"), "{text}");
    let numbers = place.json(&line);
    let capacities = numbers["capacities"].as_array().unwrap();
    let factors: Vec<f64> = capacities
        .iter()
        .map(|at| at["capacity"].as_f64().unwrap())
        .collect();
    assert_eq!(factors, [1.05, 2.0, 0.25]);
    let without = |at: &serde_json::Value| at["layers"][0]["without_expert"].as_f64().unwrap();
    assert!(without(&capacities[2]) > 0.3, "{}", capacities[2]);
    let classes: Vec<&str> = numbers["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|picture| picture["class"].as_str().unwrap())
        .collect();
    assert!(classes.len() > 5 && classes.is_sorted(), "{classes:?}");
}

#[test]
fn other_values_of_the_router_are_named() {
    let place = of_images("");
    let given = "router.capacity_factor=2 router.priority=score";
    let page = page_of(&place, &format!("{given} --most 40 --capacity 0.5"));
    assert!(page.contains(&format!("evaluated with {given}")));
    assert!(page.contains("2 (own)") && !page.contains("1.05 (own)"));
    let ended = place.moe(&format!("analyze {} train.lr=1", run_of(&place)));
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (2, ""),
        "{}",
        ended.stderr
    );
}

#[test]
fn soft_images_show_dispatch_weights() {
    let place = of_images("router.name=soft_moe router.slots_per_expert=2 model.pooling=mean");
    let page = page_of(&place, "--most 40");
    for part in [
        "dispatch weights, mean over its slots",
        "Nothing is dropped at any capacity",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_cannot_be_analyzed_is_said() {
    let place = of_text();
    let run = run_of(&place);
    fs::write(place.path("notes.html"), "mine").unwrap();
    let refused = |line: &str, needle: &str| {
        let ended = place.moe(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}");
        assert!(ended.stderr.contains(needle), "{line}: {}", ended.stderr);
    };
    refused(
        &format!("analyze {run} -o notes.html"),
        "was not made by `moe analyze`",
    );
    refused(
        &format!("analyze {run} --capacity 0.5 -o page.html"),
        "the capacity of a run on text cannot be changed: leave out --capacity",
    );
    refused(
        "analyze nowhere -o page.html",
        "there is no run at `nowhere`",
    );
    refused("analyze text -o page.html", "is not a run");
    refused(&format!("analyze {run} --most 0"), "--most");
    let ended = place.moe(&format!("analyze {run} -o page.html --dry-run"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let checkpoints = place.run_folder("runs").join("checkpoints");
    fs::remove_dir_all(checkpoints).unwrap();
    let ended = place.moe(&format!("analyze {run} -o page.html"));
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("no checkpoint yet"),
        "{}",
        ended.stderr
    );
    assert!(!place.path("page.html").exists());
    assert_eq!(
        fs::read_to_string(place.path("notes.html")).unwrap(),
        "mine"
    );

    let place = of_images("model.moe_layers=[]");
    let ended = place.moe(&format!("analyze {} -o page.html", run_of(&place)));
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("has no layer with experts"),
        "{}",
        ended.stderr
    );
    assert!(!place.path("page.html").exists());
}
