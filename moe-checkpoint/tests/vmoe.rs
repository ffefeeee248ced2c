//! Vision models over any router: sizes, grouping, seeds, and evaluation at another capacity.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use moe_experts::{Activation, MoeLayerConfig};
use moe_models::vmoe::{Grouping, PatchPositions, Pooling, every, last, last_odd};
use moe_models::{Vmoe, VmoeConfig, VmoeInput, VmoeOutput};
use moe_router::zoo::{SoftMoeRouterConfig, VmoeRouterConfig};
use moe_router::{Plan, RouterConfig};

fn config() -> VmoeConfig {
    VmoeConfig::new([8, 12], 5, 4, 2, 12, experts(8))
        .with_patch_size([4, 4])
        .with_head_bias(-2.0)
        .with_moe_layers(vec![1, 3])
}

/// The experts of a model of a width.
fn experts(d_model: usize) -> MoeLayerConfig {
    MoeLayerConfig::new(d_model, 4, 6)
        .with_activation(Activation::Gelu)
        .with_bias(true)
}

fn vmoe(capacity_factor: f64) -> RouterConfig {
    RouterConfig::Vmoe(VmoeRouterConfig {
        capacity_factor,
        capacity_multiple_of: 1,
        ..Default::default()
    })
}

/// Values in (-1, 1) from a multiplicative hash of their index: the device's own draws are shared by all tests.
fn spread<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let hash = |i: u32| i.wrapping_mul(2_654_435_761) >> 8;
    let values = (0..shape.iter().product::<usize>() as u32)
        .map(|i| hash(i + 1) as f32 / (1 << 23) as f32 - 1.0)
        .collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn images(n: usize) -> Tensor<4> {
    spread([n, 8, 12, 3])
}

/// Fills the head, which starts at zero.
struct Head;

impl ModuleMapper for Head {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let tensor = match tensor.dims()[D - 1] {
            5 => spread(tensor.dims()),
            _ => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

fn model(config: &VmoeConfig, router: &RouterConfig) -> Vmoe {
    config
        .init_seeded(router, 7, &Device::flex())
        .map(&mut Head)
}

fn dropped(output: &VmoeOutput) -> usize {
    let of = |plan: &Plan| match plan {
        Plan::Sparse(plan) => plan
            .assignments
            .kept()
            .iter()
            .filter(|kept| !**kept)
            .count(),
        Plan::Soft(_) => 0,
    };
    output
        .routings
        .iter()
        .map(|routing| of(&routing.plan))
        .sum()
}

#[test]
fn positions_of_mixtures_are_those_published() {
    assert_eq!(every(2, 8), [1, 3, 5, 7]);
    assert_eq!(every(3, 8), [2, 5]);
    assert_eq!(last_odd(2, 8), [5, 7]);
    assert_eq!(last_odd(9, 8), [1, 3, 5, 7]);
    assert_eq!(last(2, 8), [6, 7]);
}

#[test]
fn the_account_counts_every_parameter() {
    let pooled = [
        Pooling::ClassToken,
        Pooling::First,
        Pooling::Mean,
        Pooling::Attention,
    ];
    for pooling in pooled {
        for (qk_norm, positions) in [
            (false, PatchPositions::Learned),
            (true, PatchPositions::sin_cos_2d()),
        ] {
            let config = config()
                .with_pooling(pooling)
                .with_qk_norm(qk_norm)
                .with_positions(positions)
                .with_d_pre_logits(qk_norm.then_some(7));
            let soft = RouterConfig::SoftMoe(SoftMoeRouterConfig {
                slots_per_expert: 2,
                ..Default::default()
            });
            for router in [vmoe(1.0), soft] {
                config.validate(&router).expect("a whole configuration");
                let account = config.account(&router, 2);
                let model = model(&config, &router);
                assert_eq!(account.params_total, model.num_params(), "{config:?}");
            }
        }
    }
}

#[test]
fn a_dense_model_is_a_vision_transformer() {
    // ViT-B/16 with 1,000 classes has 86,567,656 parameters
    let config = VmoeConfig::new([224, 224], 1000, 12, 12, 3072, experts(768));
    let account = config.account(&vmoe(1.0), 1);
    assert_eq!(account.params_total, 86_567_656);
    assert_eq!(account.params_active, 86_567_656);
    // 17.6 GMAC an image, 197 tokens
    let flops = account.flops_per_token as f64 * 197.0;
    assert!((flops / 2.0 / 17.56e9 - 1.0).abs() < 0.01, "{flops}");
}

#[test]
fn images_in_groups_of_their_own_do_not_see_each_other() {
    let alone = model(&config(), &vmoe(0.5));
    let both = images(2);
    let output = alone.forward(VmoeInput::new(both.clone()));
    assert_eq!(output.logits.dims(), [2, 5]);
    assert_eq!(output.routings.len(), 2);
    assert_eq!(output.routings[0].n_groups, 2);
    let first = alone.forward(VmoeInput::new(both.clone().narrow(0, 0, 1)));
    let expected = output.logits.narrow(0, 0, 1).into_data();
    first
        .logits
        .into_data()
        .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));

    // together they compete: another routing, and tokens [7, 14) are the second image's
    let grouped = config().with_grouping(Grouping::Images(2));
    let by_tokens = config().with_grouping(Grouping::Tokens(14));
    let logits = |config: &VmoeConfig| {
        let output = model(config, &vmoe(0.5)).forward(VmoeInput::new(both.clone()));
        assert_eq!(output.routings[0].n_groups, 1);
        output.logits.into_data()
    };
    assert_eq!(logits(&grouped), logits(&by_tokens));
    assert_ne!(logits(&grouped), expected);
    let two = config().with_grouping(Grouping::Tokens(2));
    let output = model(&two, &vmoe(0.5)).forward(VmoeInput::new(both));
    assert_eq!(output.routings[0].n_groups, 7);
}

#[test]
fn the_same_weights_evaluate_at_another_capacity() {
    let (tight, wide) = (model(&config(), &vmoe(0.3)), model(&config(), &vmoe(4.0)));
    let record = tight.clone().into_record();
    let loaded = wide.try_load_record(record).expect("the same parameters");
    let input = VmoeInput::new(images(2));
    assert!(dropped(&tight.forward(input.clone())) > 0);
    assert_eq!(dropped(&loaded.forward(input)), 0);
}

#[test]
fn noise_depends_on_its_seed_and_on_the_block() {
    let model = model(&config(), &vmoe(1.0));
    let route = |seed| {
        model
            .forward(VmoeInput::new(images(1)).noise(seed))
            .routings
    };
    assert!(route(None)[0].noisy.is_none());
    let noise = |seed, layer: usize| {
        let routing = &route(Some(seed))[layer];
        let noisy = routing.noisy.as_ref().expect("noise").logits.clone();
        (noisy - routing.logits.clone()).into_data()
    };
    assert_eq!(noise(1, 0), noise(1, 0));
    assert_ne!(noise(1, 0), noise(2, 0));
    assert_ne!(noise(1, 0), noise(1, 1));
}

#[test]
fn a_model_starts_at_its_head_bias_and_depends_on_its_seed_alone() {
    let device = Device::flex();
    let start = |seed| config().init_seeded(&vmoe(1.0), seed, &device);
    let logits = start(1).forward(VmoeInput::new(images(1))).logits;
    let expected = TensorData::from([[-2.0f32; 5]]);
    logits.into_data().assert_eq(&expected, true);
    let trace = |seed: u64| {
        let input = VmoeInput::new(images(1)).traced();
        let output = start(seed).forward(input);
        output
            .trace
            .expect("a trace was asked for")
            .encoded
            .into_data()
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn what_does_not_fit_is_refused() {
    let error = |config: VmoeConfig| {
        let error = config.validate(&vmoe(1.0)).expect_err("a wrong value");
        error.to_string()
    };
    let cases = [
        (
            VmoeConfig {
                n_heads: 3,
                ..config()
            },
            "attention.n_heads = 3",
        ),
        (
            config().with_patch_size([9, 4]),
            "model.patch_size = [9, 4]",
        ),
        (config().with_moe_layers(vec![4]), "model.moe_layers = [4]"),
        (
            config().with_moe_layers(vec![1, 1]),
            "model.moe_layers = [1, 1]",
        ),
        (
            VmoeConfig {
                n_classes: 0,
                ..config()
            },
            "model.n_classes = 0",
        ),
        (
            config().with_grouping(Grouping::Tokens(0)),
            "model.group_images = 0",
        ),
        (
            VmoeConfig {
                moe: experts(6),
                ..config().with_positions(PatchPositions::sin_cos_2d())
            },
            "model.d_model = 6",
        ),
    ];
    for (config, what) in cases {
        let text = error(config);
        assert!(text.contains(what), "{text}");
    }
    let dense = config()
        .with_moe_layers(Vec::new())
        .with_grouping(Grouping::Tokens(0));
    dense
        .validate(&vmoe(1.0))
        .expect("a dense model has no groups");
}

#[test]
#[should_panic(expected = "7 tokens are no whole number of groups of 14")]
fn a_batch_is_a_whole_number_of_groups() {
    let grouped = config().with_grouping(Grouping::Images(2));
    let _ = model(&grouped, &vmoe(1.0)).forward(VmoeInput::new(images(1)));
}
