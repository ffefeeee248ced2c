//! Counts of what a run routes where, over a whole part of its data.

use super::images::analyze_images;
use super::text::{analyze_pairs, analyze_text};
use super::{AnalyzeError, Communication, CommunicationOptions, ImageAnalysis, TextAnalysis};
use burn::tensor::Device;
use moe_train::data::Split;
use moe_train::run::{LoadedRun, RunError, check_scores};
use moe_train::task::{AnyModel, ModelAndData};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// The doings of a run's experts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Analysis {
    /// With text.
    Text(TextAnalysis),
    /// With images.
    Images(ImageAnalysis),
}

/// Options of what is read.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalyzeOptions {
    /// The part of the data.
    pub split: Split,
    /// The most windows, pairs or images, evenly spaced; none means all.
    pub most: Option<usize>,
    /// The capacity factors at which images are looked at besides the run's own; none means
    /// [`DEFAULT_CAPACITIES`](super::DEFAULT_CAPACITIES), as far as the router has a capacity.
    pub capacities: Option<Vec<f64>>,
    /// The values of the router that were given in place of those of the training, to be named.
    pub evaluated_with: Vec<String>,
    /// The ranks that the experts would be spread over; none asks nothing of them.
    pub communication: Option<CommunicationOptions>,
    /// The trace to write of what is read; none writes nothing.
    pub trace: Option<TraceOptions>,
}

/// A trace that an analysis writes.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceOptions {
    /// The file.
    pub path: PathBuf,
    /// The program and the device, in words.
    pub engine: String,
}

impl Analysis {
    /// The communication of expert parallelism, if it was asked for.
    pub fn communication(&self) -> Option<&Communication> {
        match self {
            Self::Text(text) => text.communication.as_ref(),
            Self::Images(images) => images.communication.as_ref(),
        }
    }
}

/// Reads a part of a run's own data with its model, and counts what each expert takes.
///
/// # Errors
///
/// Returns an error if the data cannot be loaded any more, if the model has no experts or returns no numbers, or if a capacity is
/// asked for that cannot be.
pub fn analyze(
    run: &LoadedRun,
    options: &AnalyzeOptions,
    device: &Device,
) -> Result<Analysis, AnalyzeError> {
    if run.config.model().n_moe_layers() == 0 {
        return Err(AnalyzeError::NoExperts(run.folder.clone()));
    }
    if options.capacities.is_some() && !matches!(run.model, AnyModel::Images(_)) {
        let what = "a run on text".to_owned();
        return Err(AnalyzeError::NoCapacity { what });
    }
    let data = run.data(&AtomicBool::new(false))?;
    let device = &device.clone().without_autodiff();
    let of = run.model.with(&data).map_err(RunError::from)?;
    check_scores(run, of, options.split, device)?;
    Ok(match of {
        ModelAndData::Text(model, data) => {
            Analysis::Text(analyze_text(run, model, data, options, device)?)
        }
        ModelAndData::Pairs(model, data) => {
            if options.trace.is_some() {
                return Err(AnalyzeError::TwoStreams);
            }
            Analysis::Text(analyze_pairs(run, model, data, options, device))
        }
        ModelAndData::Images(model, data) => {
            Analysis::Images(analyze_images(run, model, data, options, device)?)
        }
    })
}

/// Writes the trace of a part of a run's own data, which [`analyze`] would write of it.
///
/// # Errors
///
/// Returns the errors of [`analyze`].
pub fn record(
    run: &LoadedRun,
    split: Split,
    most: Option<usize>,
    trace: TraceOptions,
    device: &Device,
) -> Result<(), AnalyzeError> {
    let has_capacity = run.config.router.capacity_factor().is_some();
    let is_of_images = matches!(run.model, AnyModel::Images(_));
    let options = AnalyzeOptions {
        split,
        most,
        // no capacity besides its own
        capacities: (is_of_images && has_capacity).then(Vec::new),
        evaluated_with: Vec::new(),
        communication: None,
        trace: Some(trace),
    };
    analyze(run, &options, device).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::analyze::PatchPlan;
    use moe_train::config::RunConfig;
    use moe_train::data::{UnigramVocab, Vocab};
    use moe_train::task::TaskData;

    const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/design.md");

    /// A share of the class of a token, which experts by a hash tell more than, and experts by chance less.
    const TOLD_BY_A_HASH: f64 = 0.05;

    fn run(overrides: &[&str], vocab: Option<Vocab>) -> LoadedRun {
        let config = RunConfig::of_overrides(overrides).unwrap();
        LoadedRun {
            folder: PathBuf::from("here"),
            model: config.init_model(&Device::flex()),
            config,
            vocab,
            step: 3,
            data_hash: None,
        }
    }

    fn text_run(router: &str) -> LoadedRun {
        let path = format!("data.path={TEXT}");
        let overrides = [
            "model.d_model=16",
            "model.n_layers=2",
            "attention.n_heads=2",
            "attention.n_kv_heads=1",
            "experts.n_experts=4",
            "experts.d_expert=8",
            "train.seq_length=32",
            "model.allow_leak=true",
            "data.name=text",
            &path,
            router,
        ];
        run(&overrides, Some(Vocab::Bytes))
    }

    /// Digits in 2 x 2 patches; 4 experts in the second of two blocks.
    fn image_run(overrides: &[&str]) -> LoadedRun {
        let sizes = [
            "model.family=vmoe",
            "model.d_model=16",
            "model.n_layers=2",
            "model.patch_size=2",
            "model.d_mlp=16",
            "model.moe_layers=[1]",
            "attention.n_heads=2",
            "experts.n_experts=4",
            "experts.d_expert=8",
            "train.batch_size=32",
        ];
        run(&[&sizes, overrides].concat(), None)
    }

    fn options(most: Option<usize>, capacities: Option<&[f64]>) -> AnalyzeOptions {
        AnalyzeOptions {
            split: Split::Validation,
            most,
            capacities: capacities.map(<[f64]>::to_vec),
            evaluated_with: Vec::new(),
            communication: None,
            trace: None,
        }
    }

    fn text(run: &LoadedRun, most: Option<usize>) -> TextAnalysis {
        match analyze(run, &options(most, None), &Device::flex()).unwrap() {
            Analysis::Text(text) => text,
            Analysis::Images(_) => panic!("it is text"),
        }
    }

    fn images(run: &LoadedRun, capacities: Option<&[f64]>) -> ImageAnalysis {
        match analyze(run, &options(Some(40), capacities), &Device::flex()).unwrap() {
            Analysis::Images(images) => images,
            Analysis::Text(_) => panic!("it is images"),
        }
    }

    #[test]
    fn every_token_counts_once() {
        let run = text_run("router.name=mixtral");
        let analysis = text(&run, None);
        let TaskData::Text(data) =
            TaskData::load_again(&run.config, run.vocab.as_ref(), &AtomicBool::new(false)).unwrap()
        else {
            panic!("it is text");
        };
        // all but the last token, which is only predicted
        let n_tokens = data.tokens(0, Split::Validation).len() as u64 - 1;
        assert_eq!((analysis.n_tokens, analysis.layers.len()), (n_tokens, 2));
        for found in &analysis.layers {
            let layer = &found.layer;
            // two experts a token, none dropped
            assert_eq!(layer.computed.iter().sum::<f64>(), 2.0 * n_tokens as f64);
            assert_eq!(layer.domains.base, [1.0]);
            assert_eq!(layer.domains.information.bits, 0.0);
            let companions = layer.companions.as_ref().unwrap();
            for (computed, row) in layer.computed.iter().zip(&companions.share) {
                let sum: f64 = row.iter().sum();
                assert!(*computed == 0.0 || (sum - 1.0).abs() < 1e-9, "{row:?}");
            }
        }
        let tokens = analysis.layers[0].tokens.iter().flatten();
        assert!(tokens.clone().count() > 0);
        for token in tokens {
            assert!(token.lift > 1.0 && token.count >= 5.0, "{token:?}");
        }
    }

    #[test]
    fn experts_by_chance_tell_nothing() {
        let analysis = text(&text_run("router.name=random"), None);
        for found in analysis.information() {
            let class = found.token_class;
            assert!(class.entropy > 1.0 && class.by_chance > 0.0, "{class:?}");
            // a hash of the same tokens tells more than this share, in the test below
            assert!(class.share.abs() < TOLD_BY_A_HASH, "{class:?}");
            // there is one domain, which nothing can be told of
            assert_eq!((found.domain.bits, found.domain.share), (0.0, 0.0));
            assert_eq!(found.class_within_domain, class);
        }
        assert_eq!(analysis.frequency(), None); // two experts for every token
    }

    #[test]
    fn experts_by_a_hash_tell_the_class() {
        let analysis = text(&text_run("router.name=hash"), None);
        assert_eq!(analysis.classes[0], "whitespace");
        for found in &analysis.layers {
            let class = found.information.token_class;
            assert!(
                class.share > TOLD_BY_A_HASH && class.share < 1.0,
                "{class:?}"
            );
            let of_expert: f64 = found.classes.share[0].iter().sum();
            assert!((of_expert - 1.0).abs() < 1e-9, "{of_expert}");
        }
    }

    #[test]
    fn a_frequency_needs_a_number_of_experts_that_varies() {
        let analysis = text(&text_run("router.name=top_p"), None);
        let found = analysis.frequency().unwrap();
        assert!(found.abs() <= 1.0, "{found}");
    }

    #[test]
    fn a_soft_plan_is_counted_by_its_mass() {
        let analysis = text(&text_run("router.name=soft_moe"), Some(4));
        assert_eq!((analysis.n_units, analysis.unit), (4, "window"));
        for found in &analysis.layers {
            let computed: f64 = found.layer.computed.iter().sum();
            assert!((computed - analysis.n_tokens as f64).abs() < 1e-3 * computed);
            assert_eq!(
                (found.layer.companions.as_ref(), found.frequency),
                (None, None)
            );
            // masses differ little at first: less chance than of one expert a token, (4 - 1)(6 - 1) / (2 N ln 2)
            let class = found.information.token_class;
            let most = 15.0 / (2.0 * computed * std::f64::consts::LN_2);
            assert!(class.by_chance < most, "{class:?}");
        }
    }

    #[test]
    fn the_ranks_of_experts_are_counted_if_they_are_asked_for() {
        let ask = |run: &LoadedRun| {
            let options = AnalyzeOptions {
                communication: Some(CommunicationOptions {
                    worlds: vec![4, 3],
                    per_node: 8,
                    element_bytes: 2,
                    tokens_per_rank: None,
                    links: None,
                    flops: None,
                }),
                ..options(Some(4), None)
            };
            let analysis = analyze(run, &options, &Device::flex()).unwrap();
            analysis.communication().unwrap().clone()
        };
        // one expert a rank: two experts are two ranks
        let found = ask(&text_run("router.name=mixtral"));
        assert_eq!((found.worlds.len(), found.worlds[0].layers.len()), (1, 2));
        assert_eq!(found.worlds[0].mean.ranks_per_token, 2.0);
        assert_eq!(found.skipped[0].n_ranks, 3);
        let of_pictures = ask(&image_run(&["router.name=switch"]));
        assert!(of_pictures.worlds[0].mean.ranks_per_token <= 1.0);
        assert_eq!(
            text(&text_run("router.name=mixtral"), Some(1)).communication,
            None
        );
    }

    #[test]
    fn pairs_have_layers_that_read_and_layers_that_write() {
        let learned_from = std::fs::read_to_string(TEXT).unwrap();
        let vocab = UnigramVocab::train(
            [learned_from.as_str()].into_iter(),
            420,
            &AtomicBool::new(false),
        )
        .unwrap();
        let path = format!("data.path={TEXT}");
        let overrides = [
            "model.family=switch",
            "model.d_model=16",
            "model.n_layers=2",
            "model.n_decoder_layers=2",
            "model.d_dense=16",
            "attention.n_heads=2",
            "experts.n_experts=4",
            "experts.d_expert=8",
            "train.seq_length=32",
            "data.vocab_size=420",
            &path,
        ];
        let run = run(&overrides, Some(Vocab::Unigram(vocab)));
        let analysis = text(&run, Some(3));
        assert_eq!((analysis.n_units, analysis.unit), (3, "pair"));
        let names: Vec<&str> = analysis
            .layers
            .iter()
            .map(|l| l.layer.name.as_str())
            .collect();
        assert_eq!(names, ["Encoder MoE layer 0", "Decoder MoE layer 0"]);
        // the decoder begins with a padding token
        assert!(analysis.classes.contains(&"special".to_owned()));
        // no padding counts: gaps make texts shorter than their windows
        assert!(analysis.n_tokens < 3 * 2 * 32, "{}", analysis.n_tokens);
    }

    #[test]
    fn smaller_capacities_drop_more_patches() {
        let run = image_run(&["router.name=vmoe", "router.top_k=1", "model.group_images=4"]);
        let analysis = images(&run, Some(&[4.0, 0.5, 0.25]));
        assert_eq!((analysis.n_images, analysis.grid.n_patches()), (40, 16));
        assert!(analysis.grid.has_class_token);
        let kept: Vec<f64> = analysis.capacities.iter().map(|at| at.capacity).collect();
        assert_eq!(kept, [1.05, 4.0, 0.5, 0.25]);
        let own = &analysis.capacities[0];
        assert!(own.is_own && own.accuracy == analysis.accuracy);
        // four times a balanced load is room for all of a group
        assert_eq!(analysis.capacities[1].layers[0].without_expert, 0.0);
        // groups of 4 * 17 tokens: ceil(68 * 0.25 / 4) = 5 places, to a multiple of 4: 8 of each of 4
        // experts, at most 32 of 68 tokens
        let least = &analysis.capacities[3].layers[0];
        assert!(least.drop_rate >= 36.0 / 68.0, "{least:?}");
        assert!(analysis.capacities[2].layers[0].drop_rate < least.drop_rate);
        // what the first reading saw of the pictures is what is dropped at the run's own capacity
        for (picture, dropped) in analysis.pictures.iter().zip(&own.dropped) {
            assert_eq!(picture.layers[0].dropped(), dropped[0]);
        }
        assert_eq!(analysis.pictures.len(), 10);
        assert!(
            analysis
                .pictures
                .is_sorted_by_key(|picture| picture.class.clone())
        );
    }

    #[test]
    fn experts_show_patches_that_they_take() {
        let analysis = images(&image_run(&["router.name=switch"]), None);
        let layer = &analysis.layers[0];
        for expert in 0..4 {
            let shares = &layer.positions[expert];
            let taken = layer.layer.computed[expert] > 0.0;
            let sum: f64 = shares.iter().sum();
            assert!((sum - 16.0).abs() < 1e-9 || !taken, "{shares:?}");
            for top in &layer.patches[expert] {
                assert!(shares[top.at[0] * 4 + top.at[1]] > 0.0, "{top:?}");
            }
            assert!(layer.patches[expert].is_sorted_by(|a, b| a.score >= b.score));
        }
    }

    #[test]
    fn soft_slots_read_all_patches_and_drop_none() {
        let run = image_run(&[
            "model.pooling=mean",
            "router.name=soft_moe",
            "router.slots_per_expert=2",
        ]);
        let analysis = images(&run, None);
        assert!(analysis.capacities.is_empty() && analysis.layers[0].is_soft);
        for picture in &analysis.pictures {
            let PatchPlan::Dispatch(weights) = &picture.layers[0] else {
                panic!("slots read mixtures");
            };
            for row in weights {
                let sum: f64 = row.iter().sum(); // weights sum to 1, each times 16 patches
                assert!((sum - 16.0).abs() < 1e-4, "{row:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_shown_is_said() {
        let fails = |run: &LoadedRun, capacities: &[f64]| {
            let options = options(Some(20), Some(capacities));
            analyze(run, &options, &Device::flex())
                .unwrap_err()
                .to_string()
        };
        let soft = image_run(&["model.pooling=mean", "router.name=soft_moe"]);
        assert!(fails(&soft, &[0.5]).contains("the router `soft_moe`"));
        let decoder = text_run("router.name=switch");
        assert!(fails(&decoder, &[0.5]).contains("a run on text"));
        let sparse = image_run(&["router.name=vmoe", "router.top_k=1"]);
        assert!(fails(&sparse, &[0.0]).contains("capacity_factor = 0"));
        let dense = image_run(&["model.moe_layers=[]"]);
        let error = analyze(&dense, &options(None, None), &Device::flex()).unwrap_err();
        assert!(
            error.to_string().contains("no layer with experts"),
            "{error}"
        );
    }
}
