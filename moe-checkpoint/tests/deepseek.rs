//! What must hold of the DeepSeek family.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_attention::{GroupedQueryAttentionConfig, MultiHeadLatentAttentionConfig};
use moe_experts::MoeLayerConfig;
use moe_models::deepseek::DeepSeekAttentionConfig;
use moe_models::{
    Decoder, DecoderInput, DeepSeek, DeepSeekConfig, Generator, ModelError, Sampling,
    seed_parameters,
};
use moe_router::{Load, RouterConfig};

const VOCAB: usize = 11;

fn gqa() -> DeepSeekAttentionConfig {
    DeepSeekAttentionConfig::Gqa(GroupedQueryAttentionConfig::new(16, 4, 4))
}

fn config(attention: DeepSeekAttentionConfig) -> DeepSeekConfig {
    DeepSeekConfig {
        vocab_size: VOCAB,
        n_layers: 3,
        n_dense_layers: 1,
        moe_every: 1,
        moe_offset: 0,
        dense_layers: Vec::new(),
        d_dense: 24,
        norm_eps: 1e-6,
        attention,
        moe: MoeLayerConfig::new(16, 8, 6).with_n_shared_experts(2),
        n_mtp_layers: 2,
        tied_embeddings: false,
        allow_leak: false,
    }
}

fn mla(q_lora_rank: Option<usize>) -> DeepSeekAttentionConfig {
    let mla = MultiHeadLatentAttentionConfig::new(16, 4, 10, 6, 4, 5);
    DeepSeekAttentionConfig::Mla(mla.with_q_lora_rank(q_lora_rank))
}

fn attentions() -> [DeepSeekAttentionConfig; 3] {
    [gqa(), mla(None), mla(Some(7))]
}

fn routers() -> [RouterConfig; 3] {
    ["deepseek_moe", "deepseek_v2", "deepseek_v3"].map(router)
}

fn router(name: &str) -> RouterConfig {
    RouterConfig::from_name(name).expect("a router")
}

fn model(config: &DeepSeekConfig, router: &RouterConfig, device: &Device) -> DeepSeek {
    let model = config.init(|shape| router.init(shape, device), device);
    seed_parameters(model, "Mixtral", 3, config.n_layers)
}

fn tokens(ids: &[i64], batch: usize, device: &Device) -> Tensor<2, Int> {
    let shape = [batch, ids.len() / batch];
    Tensor::from_data(TensorData::new(ids.to_vec(), shape), device)
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("f32 values")
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let errors = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    errors.fold(0.0, f32::max)
}

const IDS: [i64; 8] = [3, 1, 4, 1, 5, 9, 2, 6];

#[test]
fn the_account_equals_the_built_model() {
    let device = Device::flex();
    for (attention, router) in attentions().into_iter().zip(routers()) {
        for tied_embeddings in [false, true] {
            let config = DeepSeekConfig {
                tied_embeddings,
                moe_every: 2, // layer 1 is dense too
                ..config(attention.clone())
            };
            let built = model(&config, &router, &device);
            let account = config.account(&router, 2, 8);
            assert_eq!(account.params_total, built.num_params());
            let further: usize = built.mtp.iter().map(Module::num_params).sum();
            assert_eq!(account.params_mtp, further);
            let mut cache = built.new_cache();
            let _ = built.forward_cache(DecoderInput::new(tokens(&IDS, 1, &device)), &mut cache);
            assert_eq!(cache.bytes(), 8 * account.kv_bytes_per_token);
        }
    }
}

#[test]
fn dense_layers_come_first_and_have_no_routing() {
    let device = Device::flex();
    let config = config(gqa());
    let model = model(&config, &router("deepseek_v3"), &device);
    assert_eq!((model.n_layers(), model.n_moe_layers()), (3, 2));
    assert!(model.layers[0].feed_forward.experts().is_none());
    let output = model.forward(DecoderInput::new(tokens(&IDS, 2, &device)));
    assert_eq!(output.routings.len(), 2);
    assert!(output.further.is_empty());
}

#[test]
fn prefill_equals_decoding_token_by_token() {
    let device = Device::flex();
    for attention in attentions() {
        for router in routers() {
            let model = model(&config(attention.clone()), &router, &device);
            let run = |ids: &[i64]| DecoderInput::new(tokens(ids, 1, &device));
            let full = values(model.forward(run(&IDS)).logits);
            for split in [1, 3, 7] {
                let mut cache = model.new_cache();
                let mut logits = values(model.forward_cache(run(&IDS[..split]), &mut cache).logits);
                for id in &IDS[split..] {
                    logits.extend(values(model.forward_cache(run(&[*id]), &mut cache).logits));
                }
                assert!(distance(&full, &logits) < 1e-5, "{} {split}", router.name());
            }
        }
    }
}

#[test]
fn a_depth_reads_the_token_ahead_and_nothing_later() {
    let device = Device::flex();
    for attention in attentions() {
        let model = model(&config(attention), &router("deepseek_v3"), &device);
        let run = |ids: &[i64]| {
            let output = model.forward(DecoderInput::new(tokens(ids, 1, &device)).further());
            assert_eq!(output.routings.len(), 4); // two layers, two modules
            output.further
        };
        let rows = |logits: &Tensor<3>, n| values(logits.clone().narrow(1, 0, n));
        let before = run(&IDS);
        let after = run(&[3, 1, 4, 1, 5, 0, 0, 0]); // the same up to token 4
        for (depth, (a, b)) in before.iter().zip(&after).enumerate() {
            let depth = depth + 1;
            assert_eq!(a.dims(), [1, 8 - depth, VOCAB]);
            let known = 5 - depth; // row t reads tokens up to t + depth
            assert_eq!(rows(a, known), rows(b, known));
            assert!(distance(&rows(a, known + 1), &rows(b, known + 1)) > 1e-4);
        }
    }
}

#[test]
fn drafting_from_the_cache_equals_the_whole_sequence() {
    let device = Device::flex();
    for attention in attentions() {
        let model = model(&config(attention), &router("deepseek_v3"), &device);
        let input = DecoderInput::new(tokens(&IDS, 1, &device)).further();
        let output = model.forward(input);
        let full = values(output.further[0].clone());
        let mut cache = model.new_cache();
        let mut rows = Vec::new();
        for range in [0..3, 3..4, 4..7] {
            let (start, n) = (range.start, range.len());
            let hidden = output.hidden.clone().narrow(1, start, n);
            let next = tokens(&IDS[start + 1..start + 1 + n], 1, &device);
            rows.extend(values(model.draft(hidden, next, &mut cache)));
        }
        assert!(distance(&full, &rows) < 1e-5);
    }
}

#[test]
fn the_loss_of_further_tokens_is_the_mean_of_the_depths() {
    let device = Device::flex();
    let model = model(&config(gqa()), &router("deepseek_v3"), &device);
    let input = DecoderInput::new(tokens(&IDS[..7], 1, &device)).further();
    let output = model.forward(input);
    let targets = tokens(&IDS[1..], 1, &device);
    let loss: f32 = output.further_loss(&targets).expect("a loss").into_scalar();
    let mut expected = 0.0;
    for (i, logits) in output.further.iter().enumerate() {
        let depth = i + 1;
        let rows = values(logits.clone());
        let rows: Vec<_> = rows.chunks(VOCAB).collect();
        let nats = rows.iter().enumerate().map(|(t, row)| {
            let sum: f32 = row.iter().map(|x| x.exp()).sum();
            sum.ln() - row[IDS[t + depth + 1] as usize]
        });
        expected += nats.sum::<f32>() / rows.len() as f32 / 2.0;
    }
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
}

#[test]
fn padding_reaches_no_expert() {
    let device = Device::flex();
    let model = model(&config(gqa()), &router("deepseek_v3"), &device);
    let padding: Vec<bool> = (0..8).map(|t| t >= 6).collect();
    let input = DecoderInput::new(tokens(&IDS, 1, &device)).padding(padding.into());
    for routing in model.forward(input).routings {
        assert_eq!(routing.load().kept.iter().sum::<f64>(), 12.0); // 6 tokens, 2 experts each
    }
}

#[test]
fn every_router_takes_its_own_load() {
    let device = Device::flex();
    let model = model(&config(gqa()), &router("deepseek_v3"), &device);
    let load = |first: f64| Load {
        kept: [vec![first], vec![1.0; 7]].concat(),
        asked: [vec![first], vec![1.0; 7]].concat(),
        n_tokens: first + 7.0,
        ..Load::default()
    };
    // two layers and two modules; the first expert is overloaded in the last one alone
    let loads = [load(1.0), load(1.0), load(1.0), load(9.0)];
    let model = model.advance_routers(&loads);
    let bias = |moe: Option<&moe_experts::MoeLayer>| match &moe.expect("experts").router {
        moe_router::AnyRouter::DeepSeekV3(router) => values(router.bias.val())[0],
        _ => panic!("the configured router"),
    };
    assert_eq!(bias(model.layers[2].feed_forward.experts()), 0.0);
    assert_eq!(bias(model.mtp[0].block.feed_forward.experts()), 0.0);
    assert_eq!(bias(model.mtp[1].block.feed_forward.experts()), -0.001);
}

#[test]
fn a_model_without_experts_is_one_and_yet_no_run() {
    let dense = DeepSeekConfig {
        n_dense_layers: 3,
        ..config(gqa())
    };
    assert_eq!(dense.validate(&router("deepseek_v3")), Ok(()));
    let error = dense.check_mixtures().expect_err("dense");
    assert!(matches!(error, ModelError::AllDense { .. }));
    assert!(error.to_string().contains("lower model.n_dense_layers"));
    assert_eq!(config(gqa()).check_mixtures(), Ok(()));
}

fn greedy() -> Sampling {
    Sampling {
        temperature: 0.0,
        ..Sampling::default()
    }
}

#[test]
fn drafted_text_equals_plain_greedy_text() {
    let device = Device::flex();
    for attention in attentions() {
        let model = model(&config(attention), &router("deepseek_v3"), &device);
        let text = |generator: Generator<'_, DeepSeek>, n| {
            let mut generator = generator;
            let mut tokens = Vec::new();
            let ran = generator.run(&[1, 2, 3], n, |token| {
                tokens.push(token);
                true
            });
            ran.expect("finite scores");
            (tokens, generator.drafts())
        };
        for n in [0, 1, 2, 40] {
            let (plain, none) = text(Generator::new(&model, greedy(), &device), n);
            let generator = Generator::new(&model, greedy(), &device).speculative();
            let (drafted, drafts) = text(generator, n);
            assert_eq!(plain.len(), 3 + n);
            assert_eq!(drafted, plain);
            assert_eq!(none.offered, 0);
            assert_eq!(drafts.offered > 0, n > 1);
        }
    }
}

#[test]
#[should_panic(expected = "compete for places")]
fn drafting_is_refused_where_tokens_compete() {
    let device = Device::flex();
    let model = model(&config(gqa()), &router("switch"), &device);
    let _ = Generator::new(&model, greedy(), &device).speculative();
}

#[test]
fn tokens_compete_where_buffers_are_limited() {
    let device = Device::flex();
    for (name, compete) in [
        ("switch", true),
        ("composed", false),
        ("deepseek_v3", false),
    ] {
        let model = model(&config(gqa()), &router(name), &device);
        assert_eq!(model.tokens_compete(), compete, "{name}");
    }
    let RouterConfig::Composed(mut limited) = router("composed") else {
        panic!("the named router");
    };
    limited.capacity = moe_router::parts::CapacityRule::Megatron;
    let model = model(&config(gqa()), &RouterConfig::Composed(limited), &device);
    assert!(model.tokens_compete());
}

#[test]
#[should_panic(expected = "a text needs a generator of its own")]
fn a_generator_runs_once() {
    let device = Device::flex();
    let model = model(&config(gqa()), &router("deepseek_v3"), &device);
    let mut generator = Generator::new(&model, greedy(), &device);
    let ran = generator.run(&[1, 2], 1, |_| true);
    ran.expect("finite scores");
    let _ = generator.run(&[1, 2], 1, |_| true);
}

#[test]
fn a_draft_that_is_always_right_halves_the_passes() {
    // without a head all tokens are equally likely, for the model and for its module
    let device = Device::flex();
    let mut model = model(&config(gqa()), &router("deepseek_v3"), &device);
    let head = model.head.as_mut().expect("a head of its own");
    head.weight = burn::module::Param::from_tensor(head.weight.val().zeros_like());
    let mut generator = Generator::new(&model, greedy(), &device).speculative();
    let mut ids = Vec::new();
    let ran = generator.run(&[1, 2], 9, |token| {
        ids.push(token.id);
        true
    });
    ran.expect("finite scores");
    assert_eq!(ids[2..], [0; 9]); // of equal tokens the lowest
    // pairs 1-2, 3-4, 5-6, 7-8, and the ninth alone
    let drafts = generator.drafts();
    assert_eq!((drafts.offered, drafts.accepted), (4, 4));
}

#[test]
fn texts_of_a_batch_equal_those_alone() {
    let device = Device::flex();
    let prompts = [vec![1, 2, 3, 4, 5], vec![7], vec![3, 9]];
    for attention in attentions() {
        let model = model(&config(attention), &router("deepseek_v3"), &device);
        let alone = |prompt: &[u32]| {
            let mut ids = Vec::new();
            let mut generator = Generator::new(&model, greedy(), &device);
            let ran = generator.run(prompt, 12, |token| {
                ids.push(token.id);
                true
            });
            ran.expect("finite scores");
            ids.split_off(prompt.len())
        };
        let together = Generator::new(&model, greedy(), &device).run_batch(&prompts, 12);
        let together = together.expect("finite scores");
        for (prompt, text) in prompts.iter().zip(&together) {
            assert_eq!(*text, alone(prompt));
        }
        let stop = together[0][4];
        let end = together[0]
            .iter()
            .position(|&id| id == stop)
            .expect("it is there");
        let stopped = Generator::new(&model, greedy(), &device)
            .stop_tokens(&[stop])
            .run_batch(&prompts, 12)
            .expect("finite scores");
        assert_eq!(stopped[0], together[0][..=end]);
    }
}

/// The sizes of a published model: everything else is the same in all of them.
struct Published {
    layers: [usize; 2],
    d_model: usize,
    d_dense: usize,
    d_expert: usize,
    n_experts: usize,
    n_shared_experts: usize,
    n_heads: usize,
    q_lora_rank: Option<usize>,
    vocab_size: usize,
}

impl Published {
    fn config(&self) -> DeepSeekConfig {
        let d_model = self.d_model;
        let mla = MultiHeadLatentAttentionConfig::new(d_model, self.n_heads, 512, 128, 64, 128);
        DeepSeekConfig {
            vocab_size: self.vocab_size,
            n_layers: self.layers[0],
            n_dense_layers: self.layers[1],
            d_dense: self.d_dense,
            moe: MoeLayerConfig::new(d_model, self.n_experts, self.d_expert)
                .with_n_shared_experts(self.n_shared_experts),
            n_mtp_layers: 0,
            ..config(DeepSeekAttentionConfig::Mla(
                mla.with_q_lora_rank(self.q_lora_rank),
            ))
        }
    }
}

fn v2() -> Published {
    Published {
        layers: [60, 1],
        d_model: 5120,
        d_dense: 12288,
        d_expert: 1536,
        n_experts: 160,
        n_shared_experts: 2,
        n_heads: 128,
        q_lora_rank: Some(1536),
        vocab_size: 102_400,
    }
}

fn v2_lite() -> Published {
    Published {
        layers: [27, 1],
        d_model: 2048,
        d_dense: 10944,
        d_expert: 1408,
        n_experts: 64,
        n_shared_experts: 2,
        n_heads: 16,
        q_lora_rank: None,
        vocab_size: 102_400,
    }
}

fn v3() -> Published {
    Published {
        layers: [61, 3],
        d_model: 7168,
        d_dense: 18432,
        d_expert: 2048,
        n_experts: 256,
        n_shared_experts: 1,
        n_heads: 128,
        q_lora_rank: Some(1536),
        vocab_size: 129_280,
    }
}

#[test]
fn the_published_models_have_the_published_parameters() {
    let of =
        |published: Published, router: RouterConfig| published.config().account(&router, 1, 4096);
    let six = RouterConfig::DeepSeekV2(moe_router::zoo::DeepSeekV2RouterConfig {
        top_k: 6,
        ..Default::default()
    });
    let eight = RouterConfig::DeepSeekV3(moe_router::zoo::DeepSeekV3RouterConfig {
        top_k: 8,
        ..Default::default()
    });

    let large = of(v2(), six.clone());
    assert_eq!(large.params_total, 235_741_434_880);
    assert_eq!(large.params_active, 21_375_800_320);
    // 512 + 64 numbers a layer
    assert_eq!(large.kv_bytes_per_token / 4, 34_560);

    let lite = of(v2_lite(), six);
    assert_eq!(lite.params_total, 15_706_484_224);
    assert_eq!(lite.params_active, 2_661_150_208);
    // counts without a table are often given without the final norm too: here it counts
    assert_eq!(lite.params_active_head_only, 2_451_432_960 + 2048);

    let third = of(v3(), eight);
    assert_eq!(third.params_total, 671_026_419_200);
    assert_eq!(third.params_active, 37_552_297_472);
    assert_eq!(third.params_active_head_only, 36_625_611_264 + 7168);
    assert_eq!(third.params_active_no_embedding, 35_698_932_224 + 7168);
}
