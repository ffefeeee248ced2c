//! What must hold of a decoder over every router.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_attention::GroupedQueryAttentionConfig;
use moe_experts::{Activation, Dispatch, MoeLayerConfig};
use moe_models::{
    Decoder, DecoderCache, DecoderInput, Generator, Mixtral, MixtralConfig, ModelError, Sampling,
    seed_parameters,
};
use moe_router::RouterConfig;

const VOCAB: usize = 11;

fn config(n_shared_experts: usize, activation: Activation) -> MixtralConfig {
    MixtralConfig {
        vocab_size: VOCAB,
        n_layers: 2,
        norm_eps: 1e-5,
        attention: GroupedQueryAttentionConfig::new(16, 4, 2),
        moe: MoeLayerConfig::new(16, 8, 12)
            .with_n_shared_experts(n_shared_experts)
            .with_activation(activation),
        tied_embeddings: false,
        allow_leak: true,
    }
}

fn routers() -> impl Iterator<Item = RouterConfig> {
    RouterConfig::NAMES
        .iter()
        .map(|name| RouterConfig::from_name(name).expect("a listed name has a default"))
}

fn model(router: &RouterConfig, device: &Device) -> Mixtral {
    let config = config(0, Activation::SwiGlu);
    let model = config.init(|shape| router.init(shape, device), device);
    seed_parameters(model, "Mixtral", 3, config.n_layers)
}

fn tokens(ids: &[i64], batch: usize, device: &Device) -> Tensor<2, Int> {
    let shape = [batch, ids.len() / batch];
    Tensor::from_data(TensorData::new(ids.to_vec(), shape), device)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("f32 logits")
}

#[test]
fn the_account_equals_the_built_model() {
    let device = Device::flex();
    for router in routers() {
        for (shared, activation) in [(0, Activation::SwiGlu), (2, Activation::Gelu)] {
            let config = config(shared, activation);
            let built = config.init(|shape| router.init(shape, &device), &device);
            let account = config.account(&router, 2, 8);
            assert_eq!(
                account.params_total,
                built.num_params(),
                "{}",
                router.name()
            );
            assert_eq!(account.memory.weights_bytes, 4 * built.num_params());
        }
    }
}

#[test]
fn the_cache_holds_the_bytes_that_the_account_says() {
    let device = Device::flex();
    let router = RouterConfig::from_name("mixtral").expect("a router");
    let model = model(&router, &device);
    let mut cache = DecoderCache::new(2);
    let input = DecoderInput::new(tokens(&[1, 2, 3, 4, 5], 1, &device));
    let _ = model.forward_cache(input, &mut cache);
    let account = config(0, Activation::SwiGlu).account(&router, 1, 5);
    assert_eq!(cache.bytes(), 5 * account.kv_bytes_per_token);
}

#[test]
fn later_tokens_do_not_reach_earlier_logits_of_causal_routers() {
    let device = Device::flex();
    for router in routers() {
        let model = model(&router, &device);
        let run = |ids: &[i64]| {
            let output = model.forward(DecoderInput::new(tokens(ids, 1, &device)));
            values(output.logits.slice([0..1, 0..13]))
        };
        // equal tokens crowd their experts, where a later token can take a place
        let vocab = VOCAB as i64;
        let leaked = (0..4).any(|start| {
            let ending = |id| run(&[[start; 13].as_slice(), &[id; 3]].concat());
            let first = ending(start);
            (0..vocab).any(|id| ending(id) != first)
        });
        assert_eq!(
            leaked,
            !router.info().causality.is_causal(),
            "{}",
            router.name()
        );
    }
}

#[test]
fn batch_neighbours_do_not_matter() {
    let device = Device::flex();
    for router in routers() {
        let model = model(&router, &device);
        let first = [1, 2, 3, 4, 5, 6];
        let run = |others: [i64; 6]| {
            let ids = [first, others].concat();
            let output = model.forward(DecoderInput::new(tokens(&ids, 2, &device)));
            values(output.logits.narrow(0, 0, 1))
        };
        assert_eq!(run([7; 6]), run([0, 1, 0, 2, 9, 9]), "{}", router.name());
    }
}

/// Capacity is left out: a cached step never fills an expert, a full pass may.
#[test]
fn prefill_equals_decoding_token_by_token_for_dropless_causal_routers() {
    let device = Device::flex();
    for router in routers() {
        if !router.info().causality.is_causal() || router.name() == "switch" {
            continue;
        }
        let model = model(&router, &device);
        let ids = [3, 1, 4, 1, 5, 9, 2, 6];
        let full = values(
            model
                .forward(DecoderInput::new(tokens(&ids, 1, &device)))
                .logits,
        );
        for split in [1, 3, 7] {
            let mut cache = DecoderCache::new(2);
            let prompt = DecoderInput::new(tokens(&ids[..split], 1, &device));
            let mut logits = values(model.forward_cache(prompt, &mut cache).logits);
            for id in &ids[split..] {
                let next = DecoderInput::new(tokens(&[*id], 1, &device));
                logits.extend(values(model.forward_cache(next, &mut cache).logits));
            }
            let error = full.iter().zip(&logits).map(|(a, b)| (a - b).abs());
            let worst = error.fold(0.0, f32::max);
            assert!(worst < 1e-5, "{} split {split}: {worst}", router.name());
        }
    }
}

#[test]
fn the_grouped_path_equals_the_reference() {
    let device = Device::flex();
    for router in routers() {
        let mut model = model(&router, &device);
        let ids = [3, 1, 4, 1, 5, 9, 2, 6];
        let mut run = |dispatch| {
            model
                .layers
                .iter_mut()
                .for_each(|l| l.moe.dispatch = dispatch);
            values(
                model
                    .forward(DecoderInput::new(tokens(&ids, 2, &device)))
                    .logits,
            )
        };
        let (fast, slow) = (run(Dispatch::Grouped), run(Dispatch::Reference));
        let worst = fast
            .iter()
            .zip(&slow)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: {worst}", router.name());
    }
}

#[test]
fn a_decoder_refuses_a_leaking_router_and_names_the_switch() {
    let strict = MixtralConfig {
        allow_leak: false,
        ..config(0, Activation::SwiGlu)
    };
    for router in routers() {
        let result = strict.validate(&router);
        if router.info().causality.is_causal() {
            assert_eq!(result, Ok(()));
            continue;
        }
        let error = result.expect_err("a leak");
        assert!(matches!(error, ModelError::Leak { .. }));
        assert!(
            error.to_string().contains("model.allow_leak = true"),
            "{error}"
        );
    }
}

#[test]
fn arms_that_differ_in_their_router_start_from_the_same_weights() {
    let device = Device::flex();
    let router = |name| RouterConfig::from_name(name).expect("a router");
    let (a, b) = (
        model(&router("mixtral"), &device),
        model(&router("hash"), &device),
    );
    let (a, b) = (&a.layers[1], &b.layers[1]);
    let weights = |layer: &moe_models::mixtral::MixtralBlock| {
        [
            values(layer.attention.query.weight.val()),
            values(layer.moe.experts.up.val()),
        ]
    };
    assert_eq!(weights(a), weights(b));
}

#[test]
fn generation_repeats_with_its_seed_and_names_experts() {
    let device = Device::flex();
    let router = RouterConfig::from_name("mixtral").expect("a router");
    let model = model(&router, &device);
    let run = |seed| {
        let sampling = Sampling {
            seed,
            ..Default::default()
        };
        let mut tokens = Vec::new();
        let mut generator = Generator::new(&model, sampling, &device);
        let ran = generator.run(&[1, 2], 20, |token| {
            tokens.push(token);
            true
        });
        ran.expect("finite scores");
        tokens
    };
    let tokens = run(1);
    assert_eq!(tokens.len(), 22); // the prompt and the new ones
    assert!(
        tokens
            .iter()
            .all(|t| t.experts.len() == 2 && t.experts[0].is_some())
    );
    assert_eq!(tokens, run(1));
    assert_ne!(tokens, run(2));
}

#[test]
fn a_trace_holds_what_each_layer_adds() {
    let device = Device::flex();
    let router = RouterConfig::from_name("mixtral").expect("a router");
    let model = model(&router, &device);
    let input = DecoderInput::new(tokens(&[1, 2, 3, 4, 5], 1, &device));
    assert!(model.forward(input.clone()).trace.is_none());
    let output = model.forward(input.traced());
    let trace = output.trace.expect("a trace");
    let sizes = [&trace.hidden, &trace.attention, &trace.feed_forward].map(Vec::len);
    assert_eq!(sizes, [3, 2, 2]);
    let first = trace.hidden[0].clone() + trace.attention[0].clone();
    let after = first + trace.feed_forward[0].clone();
    assert_eq!(values(after), values(trace.hidden[1].clone()));
    let head = model.head.as_ref().expect("a head of its own");
    let logits = head.forward(trace.hidden[2].clone());
    assert_eq!(values(logits), values(output.logits));
}

#[test]
fn a_tied_head_is_the_embedding() {
    let device = Device::flex();
    let router = RouterConfig::from_name("mixtral").expect("a router");
    let config = MixtralConfig {
        tied_embeddings: true,
        ..config(0, Activation::SwiGlu)
    };
    let model = config.init(|shape| router.init(shape, &device), &device);
    assert_eq!(
        config.account(&router, 1, 4).params_total,
        model.num_params()
    );
    let input = DecoderInput::new(tokens(&[1, 2, 3, 4], 1, &device)).traced();
    let output = model.forward(input);
    let last = output.trace.expect("a trace").hidden[2].clone();
    let table = model.embedding.weight.val().transpose().unsqueeze();
    assert_eq!(values(last.matmul(table)), values(output.logits));
}

#[test]
fn mixtral_8x7b_has_the_published_parameters() {
    let mixtral = MixtralConfig {
        vocab_size: 32_000,
        n_layers: 32,
        attention: GroupedQueryAttentionConfig::new(4096, 32, 8),
        moe: MoeLayerConfig {
            d_model: 4096,
            d_expert: 14336,
            ..config(0, Activation::SwiGlu).moe
        },
        ..config(0, Activation::SwiGlu)
    };
    let router = RouterConfig::from_name("mixtral").expect("a router");
    let account = mixtral.account(&router, 1, 4096);
    assert_eq!(account.params_total, 46_702_792_704);
    assert_eq!(account.params_active, 12_879_925_248);
}
