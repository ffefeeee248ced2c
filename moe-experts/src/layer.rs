//! The mixture-of-experts layer: a router, its experts, and what every token passes through besides
//! (shared experts, Dai et al. 2024, arXiv 2401.06066, equation 9).

mod compute;

use crate::exchange::Exchange;
use crate::grouped::is_far;
use crate::profile::{Part, between};
use crate::{Activation, Dispatch, Experts, ExpertsConfig};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use moe_router::{AnyRouter, Plan, Router, RouterConfig, RouterInput, RouterShape, Routing};

/// Configuration to create a [`MoeLayer`]: all but the router.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use moe_experts::{MoeLayerConfig, MoeOutput};
/// use moe_router::{RouterConfig, balance::load_balance};
///
/// let device = Device::flex().autodiff();
/// let layer = MoeLayerConfig::new(16, 8, 32)
///     .with_router(RouterConfig::mixtral(2))
///     .init(&device);
/// let x = Tensor::random([2, 5, 16], Distribution::Default, &device); // [B, L, D]
///
/// let MoeOutput { output, routing } = layer.forward(x);
/// assert_eq!(output.dims(), [2, 5, 16]);
/// let task_loss = output.square().mean();
/// let loss = task_loss + load_balance(&routing) * 0.01;
///
/// let gradients = loss.backward();
/// assert!(layer.experts.up.val().grad(&gradients).is_some());
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct MoeLayerConfig {
    /// The width of the tokens.
    pub d_model: usize,
    /// The number of experts that tokens are routed to.
    pub n_experts: usize,
    /// The hidden width of an expert.
    pub d_expert: usize,
    /// The number of experts' worth of hidden width that every token passes through. Default: 0
    #[config(default = 0)]
    pub n_shared_experts: usize,
    /// The experts' activation. Default: SwiGLU
    #[config(default = "Activation::SwiGlu")]
    pub activation: Activation,
    /// Biases of the experts' projections. Default: false
    #[config(default = false)]
    pub bias: bool,
    /// Algorithm that computes the experts. Default: grouped
    #[config(default = "Dispatch::Grouped")]
    pub dispatch: Dispatch,
    /// Precision of tokens on the way to the experts and back. Default: exact
    #[config(default = "Exchange::Exact")]
    pub exchange: Exchange,
}

/// Configuration to create a [`MoeLayer`] with a router of the list; made by
/// [`MoeLayerConfig::with_router`].
#[derive(Debug, Clone, PartialEq)]
pub struct RoutedMoeLayerConfig {
    /// All but the router.
    pub layer: MoeLayerConfig,
    /// The router.
    pub router: RouterConfig,
    /// The layer's index in its model, by which some routers differ. Default: 0
    pub index: usize,
}

/// Routes tokens to experts and adds up what they return; generic in the router, with the run-time
/// choice as default.
#[derive(Module, Debug)]
pub struct MoeLayer<R: Router = AnyRouter> {
    /// Decides who goes where.
    pub router: R,
    /// The experts that tokens are routed to.
    pub experts: Experts,
    /// One expert as wide as all shared experts together, which is the same thing.
    pub shared: Option<Experts>,
    /// Algorithm that computes the experts.
    #[module(skip)]
    pub dispatch: Dispatch,
    /// Precision of tokens on the way to the experts and back.
    #[module(skip)]
    pub exchange: Exchange,
}

/// Output of a [`MoeLayer`].
#[derive(Debug, Clone)]
pub struct MoeOutput<const RANK: usize = 3> {
    /// The tokens, in the shape of the input. A token that no expert kept gets zeros (plus the shared
    /// experts).
    pub output: Tensor<RANK>,
    /// Assignments of tokens to experts.
    pub routing: Routing,
}

impl MoeLayerConfig {
    /// The configuration of the experts that tokens are routed to.
    pub fn experts(&self) -> ExpertsConfig {
        ExpertsConfig::new(self.d_model, self.n_experts, self.d_expert)
            .with_activation(self.activation)
            .with_bias(self.bias)
    }

    /// The configuration of the shared experts, if there are any.
    pub fn shared(&self) -> Option<ExpertsConfig> {
        let d_hidden = self.n_shared_experts * self.d_expert;
        (d_hidden > 0).then(|| {
            ExpertsConfig::new(self.d_model, 1, d_hidden)
                .with_activation(self.activation)
                .with_bias(self.bias)
        })
    }

    /// Sets the router, after everything else.
    pub fn with_router(self, router: impl Into<RouterConfig>) -> RoutedMoeLayerConfig {
        RoutedMoeLayerConfig {
            layer: self,
            router: router.into(),
            index: 0,
        }
    }

    /// Builds the layer around a router that exists already, of whichever type.
    pub fn init_with<R: Router>(&self, router: R, device: &Device) -> MoeLayer<R> {
        MoeLayer {
            router,
            experts: self.experts().init(device),
            shared: self.shared().map(|shared| shared.init(device)),
            dispatch: self.dispatch,
            exchange: self.exchange,
        }
    }
}

impl RoutedMoeLayerConfig {
    /// Sets the layer's index in its model.
    pub fn with_index(self, index: usize) -> Self {
        Self { index, ..self }
    }

    /// Initializes a new [`MoeLayer`].
    ///
    /// # Panics
    ///
    /// Panics with the message of [`RouterConfig::validate`] where that returns an error.
    pub fn init(&self, device: &Device) -> MoeLayer {
        if let Err(error) = self.router.validate(self.layer.n_experts) {
            panic!("{error}");
        }
        let shape = RouterShape {
            d_model: self.layer.d_model,
            n_experts: self.layer.n_experts,
            layer: self.index,
        };
        let router = self.router.init(&shape, device);
        self.layer.init_with(router, device)
    }
}

impl<R: Router> MoeLayer<R> {
    /// Applies the forward pass on the input tensor: each sequence is a group of its own, without noise
    /// and without padding.
    ///
    /// # Shapes
    ///
    /// - x: `[batch_size, seq_length, d_model]`
    /// - output: `[batch_size, seq_length, d_model]`
    pub fn forward(&self, x: Tensor<3>) -> MoeOutput {
        let [batch_size, seq_length, d_model] = x.dims();
        let x_td = x.reshape([batch_size * seq_length, d_model]);
        let MoeOutput { output, routing } =
            self.forward_tokens(RouterInput::new(x_td).groups(batch_size));
        MoeOutput {
            output: output.reshape([batch_size, seq_length, d_model]),
            routing,
        }
    }

    /// Applies the forward pass on tokens of all sequences, one after the other, with what the router may
    /// know about them: noise while training, padding, ids, positions.
    ///
    /// # Shapes
    ///
    /// - input: `[T, d_model]`
    /// - output: `[T, d_model]`
    pub fn forward_tokens(&self, mut input: RouterInput) -> MoeOutput<2> {
        input.x_td = between(Part::Norms, Part::Router, input.x_td);
        let x_td = input.x_td.clone();
        input.stays_on_device |= self.takes_choices_there() && is_far(&x_td);
        let routing = self.router.route(input);
        let mut output_td = match &routing.plan {
            Plan::Sparse(plan) => self.sparse(x_td.clone(), plan, routing.n_computed_experts()),
            Plan::Soft(plan) => self.soft(x_td.clone(), plan),
        };
        if let Some(bypass) = &routing.bypass {
            // computed in f32 and rounded once
            output_td = output_td + bypass.output(x_td.clone()).cast(x_td.dtype());
        }
        if let Some(shared) = &self.shared {
            let n_tokens = x_td.dims()[0] as u32;
            output_td = output_td + shared.forward_rows(x_td, &[n_tokens], self.dispatch);
        }
        MoeOutput {
            output: between(Part::Experts, Part::Norms, output_td),
            routing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowPlan;
    use crate::exchange::round_bf16;
    use crate::reference::indices;
    use burn::tensor::{Distribution, IndexingUpdateOp, TensorData, Tolerance};
    use moe_router::zoo::{
        DeepSeekV3RouterConfig, MixtralRouterConfig, MoePlusPlusRouterConfig, SoftMoeRouterConfig,
    };
    use moe_router::{Assignments, Preset};

    fn config(n_experts: usize, n_shared_experts: usize) -> MoeLayerConfig {
        MoeLayerConfig::new(6, n_experts, 5).with_n_shared_experts(n_shared_experts)
    }

    fn shape(n_experts: usize) -> RouterShape {
        RouterShape {
            d_model: 6,
            n_experts,
            layer: 0,
        }
    }

    fn tokens(n: usize) -> Tensor<2> {
        Tensor::random([n, 6], Distribution::Default, &Device::flex())
    }

    fn close(left: Tensor<2>, right: Tensor<2>) {
        let tolerance = Tolerance::absolute(1e-5);
        left.into_data()
            .assert_approx_eq::<f32>(&right.into_data(), tolerance);
    }

    #[test]
    fn one_expert_is_the_plain_feed_forward() {
        let device = Device::flex();
        let router = MixtralRouterConfig { top_k: 1 }.init(&shape(1), &device);
        let layer = config(1, 0).init_with(router, &device);
        let x = tokens(7);
        let plain = layer
            .experts
            .forward_rows(x.clone(), &[7], Dispatch::Reference);
        close(layer.forward_tokens(RouterInput::new(x)).output, plain);
    }

    #[test]
    fn identical_experts_give_the_feed_forward_and_shared_experts_add_theirs() {
        let device = Device::flex();
        let router = MixtralRouterConfig { top_k: 2 }.init(&shape(4), &device);
        let mut layer = config(4, 2).init_with(router, &device);
        let same = |stack: &burn::module::Param<Tensor<3>>| {
            let first = stack.val().narrow(0, 0, 1);
            burn::module::Param::from_tensor(first.repeat_dim(0, 4))
        };
        layer.experts.gate = layer.experts.gate.as_ref().map(same);
        layer.experts.up = same(&layer.experts.up);
        layer.experts.down = same(&layer.experts.down);

        let x = tokens(9);
        // Mixtral's weights of a token sum to 1
        let ends = [9, 9, 9, 9];
        let routed = layer
            .experts
            .forward_rows(x.clone(), &ends, Dispatch::Reference);
        let shared = layer.shared.as_ref().expect("shared experts");
        let shared = shared.forward_rows(x.clone(), &[9], Dispatch::Reference);
        close(
            layer.forward_tokens(RouterInput::new(x)).output,
            routed + shared,
        );
    }

    /// Output, the gradients of the tokens, of a stack and of the gate, and what the host read.
    fn computed(
        router: &RouterConfig,
        activation: Activation,
        stays_on_device: bool,
    ) -> (Vec<TensorData>, moe_router::reads::Reads) {
        let device = Device::flex().autodiff();
        let config = MoeLayerConfig::new(6, 8, 5).with_activation(activation);
        let layer = config.with_router(router.clone()).init(&device);
        let layer = numbered(layer);
        let x: Vec<f32> = (0..40 * 6)
            .map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0)
            .collect();
        let x = Tensor::<1>::from_floats(&x[..], &device)
            .reshape([40, 6])
            .require_grad();
        let input = RouterInput::new(x.clone())
            .groups(4)
            .stay_on_device(stays_on_device);
        let (output, read) = moe_router::reads::during(|| layer.forward_tokens(input).output);
        let gradients = (output.clone() * x.clone().detach()).sum().backward();
        let of = |tensor: Option<Tensor<3>>| tensor.expect("a gradient").into_data();
        let results = vec![
            output.into_data(),
            x.grad(&gradients).expect("a gradient").into_data(),
            of(layer.experts.up.val().grad(&gradients)),
            of(layer.experts.down.val().grad(&gradients)),
        ];
        (results, read)
    }

    /// The layer with values that depend on their place alone.
    fn numbered(layer: MoeLayer) -> MoeLayer {
        struct Numbers;
        impl burn::module::ModuleMapper for Numbers {
            fn map_float<const D: usize>(
                &mut self,
                param: burn::module::Param<Tensor<D>>,
            ) -> burn::module::Param<Tensor<D>> {
                param.map(|tensor| {
                    let n = tensor.shape().num_elements();
                    let values: Vec<f32> = (0..n)
                        .map(|i| ((i * 61 % 97) as f32 / 97.0) - 0.5)
                        .collect();
                    let data = TensorData::new(values, tensor.shape());
                    Tensor::from_data(data, &tensor.device()).require_grad()
                })
            }
        }
        layer.map(&mut Numbers)
    }

    #[test]
    fn choices_that_stay_on_the_device_compute_the_same_with_one_read() {
        let v3 = DeepSeekV3RouterConfig {
            top_k: 3,
            n_groups: 4,
            topk_groups: 2,
            ..Default::default()
        };
        let routers = [
            RouterConfig::from(MixtralRouterConfig { top_k: 2 }),
            v3.into(),
        ];
        for router in routers {
            for activation in [Activation::SwiGlu, Activation::Gelu] {
                let (there, read) = computed(&router, activation, true);
                let (here, _) = computed(&router, activation, false);
                assert_eq!(read.count, 1, "{}", router.name());
                assert_eq!(read.bytes, 8 * 4, "the load of 8 experts");
                for (there, here) in there.iter().zip(&here) {
                    there.assert_approx_eq::<f32>(here, Tolerance::absolute(2e-5));
                }
            }
        }
    }

    #[test]
    fn rows_are_rounded_on_both_ways_and_sums_are_not() {
        let device = Device::flex().autodiff();
        let exact = config(3, 0).with_bias(true);
        let exact = exact.init_with(
            MixtralRouterConfig { top_k: 2 }.init(&shape(3), &device),
            &device,
        );
        let rounded = MoeLayer {
            exchange: Exchange::Bf16,
            ..exact.clone()
        };
        let x = round_bf16(Tensor::random([7, 6], Distribution::Default, &device)).detach();
        let routing = exact.router.route(RouterInput::new(x.clone()));
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        // tokens are exact in bf16 here: each expert's output is rounded, then weighed and summed
        let rows = RowPlan::of_experts(plan, 7, 3);
        let mut expected = Tensor::zeros([7, 6], &device);
        for n in 0..rows.n_rows() {
            let token = indices(&rows.rows_token()[n..n + 1], &device);
            let mut ends = rows.ends().to_vec();
            ends.iter_mut()
                .for_each(|end| *end = u32::from(*end as usize > n));
            let row = exact.experts.forward_rows(
                x.clone().select(0, token.clone()),
                &ends,
                Dispatch::Reference,
            );
            let assignment = indices(&rows.rows_assignment()[n..n + 1], &device);
            let weight = plan.weights.clone().select(0, assignment).unsqueeze_dim(1);
            let row = round_bf16(row) * weight;
            expected = expected.select_assign(0, token, row, IndexingUpdateOp::Add);
        }
        let x = x.require_grad();
        let output = rounded.forward_tokens(RouterInput::new(x.clone())).output;
        close(output.clone(), expected);
        let plain = exact.forward_tokens(RouterInput::new(x.clone())).output;
        let difference: f32 = (output.clone() - plain).abs().max().into_scalar();
        assert!(difference > 1e-5, "{difference}");
        let grads = output.sum().backward();
        let grad = x.grad(&grads).expect("a gradient");
        let largest: f32 = grad.abs().max().into_scalar();
        assert!(largest > 0.0, "{largest}");
    }

    #[test]
    fn soft_slots_equal_the_sum_written_out() {
        let device = Device::flex();
        let router = SoftMoeRouterConfig {
            slots_per_expert: 2,
            ..Default::default()
        }
        .init(&shape(3), &device);
        let layer = config(3, 0).init_with(router, &device);
        let x = tokens(8); // two groups of four
        let output = layer.forward_tokens(RouterInput::new(x.clone()).groups(2));
        let Plan::Soft(plan) = &output.routing.plan else {
            panic!("a soft plan");
        };
        let mut expected = Vec::new();
        for group in 0..2 {
            let x_md = x.clone().narrow(0, group * 4, 4);
            let mut y_md = Tensor::zeros([4, 6], &device);
            for slot in 0..6 {
                let column = |map: &Tensor<3>| {
                    let one = [group..group + 1, 0..4, slot..slot + 1];
                    map.clone().slice(one).reshape([4, 1])
                };
                let slot_1d = column(&plan.dispatch).transpose().matmul(x_md.clone());
                let mut ends = [0u32; 3];
                ends[slot / 2..].fill(1); // slots 0 and 1 are expert 0's, and so on
                let done = layer
                    .experts
                    .forward_rows(slot_1d, &ends, Dispatch::Reference);
                y_md = y_md + column(&plan.combine).matmul(done);
            }
            expected.push(y_md);
        }
        close(output.output, Tensor::cat(expected, 0));
    }

    #[test]
    fn sequences_are_groups() {
        let device = Device::flex();
        let config = config(3, 1).with_router(RouterConfig::switch(1.0));
        let layer = config.init(&device);
        let x = Tensor::<3>::random([2, 4, 6], Distribution::Default, &device);
        let input = RouterInput::new(x.clone().reshape([8, 6])).groups(2);
        let flat = layer.forward_tokens(input);
        let whole = layer.forward(x);
        assert_eq!(whole.routing.n_groups, 2);
        assert_eq!(whole.routing.load().kept, flat.routing.load().kept);
        let flat = flat.output.reshape([2, 4, 6]).into_data();
        whole.output.into_data().assert_eq(&flat, true);
    }

    #[test]
    #[should_panic(expected = "router.top_k = 4 is larger than experts.n_experts = 3")]
    fn a_router_that_asks_for_too_many_experts_is_refused() {
        let config = config(3, 0).with_router(MixtralRouterConfig { top_k: 4 });
        config.init(&Device::flex());
    }

    #[test]
    fn display_shows_router_and_experts() {
        let config = config(3, 1).with_router(RouterConfig::mixtral(2));
        let shown = config.init(&Device::flex()).to_string();
        for part in [
            "MoeLayer {",
            "MixtralRouter {",
            "gate: Linear {d_input: 6, d_output: 3, bias: false, params: 18}",
            "experts: Experts {n_experts: 3, d_model: 6, d_expert: 5,",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    /// A router that sends nobody anywhere.
    #[derive(Module, Debug)]
    struct Nowhere {
        n_experts: usize,
    }

    impl Router for Nowhere {
        fn route(&self, input: RouterInput) -> Routing {
            let device = input.x_td.device();
            let scores = Tensor::zeros([input.n_tokens(), self.n_experts], &device);
            let weights = Tensor::zeros([0], &device);
            Routing::sparse(Assignments::default(), weights, scores.clone(), scores)
        }

        fn causality(&self) -> moe_router::Causality {
            moe_router::Causality::Causal
        }
    }

    #[test]
    fn a_token_without_an_expert_gets_zeros() {
        let layer = config(3, 0).init_with(Nowhere { n_experts: 3 }, &Device::flex());
        let output = layer.forward_tokens(RouterInput::new(tokens(4))).output;
        close(output, Tensor::zeros([4, 6], &Device::flex()));
    }

    #[test]
    fn experts_without_a_network_add_what_the_router_computed() {
        let device = Device::flex().autodiff();
        let config_pp = MoePlusPlusRouterConfig {
            top_k: 5,
            ..Default::default()
        };
        let router = config_pp.init(&shape(3), &device);
        let layer = config(3, 0).init_with(router, &device);
        let x = Tensor::random([4, 6], Distribution::Default, &device);
        let output = layer.forward_tokens(RouterInput::new(x.clone()));
        let routing = &output.routing;
        let Plan::Sparse(plan) = &routing.plan else {
            panic!("a sparse plan");
        };
        // five of three with a network and four without, written out
        let weights = plan.weights.to_data().try_into_vec::<f32>().expect("f32");
        let mut expected = routing
            .bypass
            .as_ref()
            .expect("free experts")
            .output(x.clone());
        for (n, weight) in weights.into_iter().enumerate() {
            let (token, expert) = (plan.assignments.tokens()[n], plan.assignments.experts()[n]);
            if expert < 3 {
                let row = x.clone().narrow(0, token as usize, 1);
                let mut ends = [0u32; 3];
                ends[expert as usize..].fill(1);
                let row = layer.experts.forward_rows(row, &ends, Dispatch::Reference) * weight;
                let index = Tensor::from_ints([token], &device);
                expected = expected.select_assign(0, index, row, IndexingUpdateOp::Add);
            }
        }
        close(output.output.clone(), expected);

        let grads = output.output.square().sum().backward();
        let gate = layer.router.gate.weight.val().grad(&grads);
        let size: f32 = gate.expect("a gradient").abs().sum().into_scalar();
        assert!(size > 0.0);
        let up = layer.experts.up.val().grad(&grads);
        let size: f32 = up.expect("a gradient").abs().sum().into_scalar();
        assert!(size > 0.0);
    }
}
