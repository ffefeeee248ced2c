//! The routers, one a file.
//!
//! To add one: write its file, with a configuration that implements [`Preset`](crate::Preset) and a
//! module that implements [`Router`](crate::Router), and add one line to the list below. The command
//! line, configuration files, ablations, benches and the documentation all loop over that list.

mod common;
#[cfg(test)]
mod testing;

routers! {
    "mixtral" => mixtral::Mixtral(MixtralRouter, MixtralRouterConfig),
    "switch" => switch::Switch(SwitchRouter, SwitchRouterConfig),
    "noisy_topk" => noisy_topk::NoisyTopK(NoisyTopKRouter, NoisyTopKRouterConfig),
    "deepseek_moe" => deepseek_moe::DeepSeekMoe(DeepSeekMoeRouter, DeepSeekMoeRouterConfig),
    "deepseek_v2" => deepseek_v2::DeepSeekV2(DeepSeekV2Router, DeepSeekV2RouterConfig),
    "deepseek_v3" => deepseek_v3::DeepSeekV3(DeepSeekV3Router, DeepSeekV3RouterConfig),
    "loss_free" => loss_free::LossFree(LossFreeRouter, LossFreeRouterConfig),
    "quantile" => quantile::Quantile(QuantileRouter, QuantileRouterConfig),
    "sinkhorn" => sinkhorn::Sinkhorn(SinkhornRouter, SinkhornRouterConfig),
    "base" => base::Base(BaseRouter, BaseRouterConfig),
    "vmoe" => vmoe::Vmoe(VmoeRouter, VmoeRouterConfig),
    "gshard" => gshard::GShard(GShardRouter, GShardRouterConfig),
    "st_moe" => st_moe::StMoe(StMoeRouter, StMoeRouterConfig),
    "composed" => composed::Composed(ComposedRouter, ComposedRouterConfig),
    "expert_choice" => expert_choice::ExpertChoice(ExpertChoiceRouter, ExpertChoiceRouterConfig),
    "cosine" => cosine::Cosine(CosineRouter, CosineRouterConfig),
    "top_p" => top_p::TopP(TopPRouter, TopPRouterConfig),
    "dyn_moe" => dyn_moe::DynMoe(DynMoeRouter, DynMoeRouterConfig),
    "remoe" => remoe::ReMoe(ReMoeRouter, ReMoeRouterConfig),
    "moe_pp" => moe_pp::MoePlusPlus(MoePlusPlusRouter, MoePlusPlusRouterConfig),
    "mixture_of_depths" => mixture_of_depths::MixtureOfDepths(MixtureOfDepthsRouter, MixtureOfDepthsRouterConfig),
    "dense" => dense::Dense(DenseRouter, DenseRouterConfig),
    "soft_moe" => soft_moe::SoftMoe(SoftMoeRouter, SoftMoeRouterConfig),
    "hash" => hash::Hash(HashRouter, HashRouterConfig),
    "random" => random::Random(RandomRouter, RandomRouterConfig),
    "round_robin" => round_robin::RoundRobin(RoundRobinRouter, RoundRobinRouterConfig),
    "frozen" => frozen::Frozen(FrozenRouter, FrozenRouterConfig),
    "replay" => replay::Replay(ReplayRouter, ReplayRouterConfig),
}

pub use moe_pp::ConstantExperts;

/// The routers that most layers have, by the one value that most layers set.
impl RouterConfig {
    /// Mixtral's router: the `top_k` best experts of each token.
    pub fn mixtral(top_k: usize) -> Self {
        Self::Mixtral(MixtralRouterConfig { top_k })
    }

    /// The Switch Transformer's router: the best expert of each token, as long as it has room.
    pub fn switch(capacity_factor: f64) -> Self {
        Self::Switch(SwitchRouterConfig {
            capacity_factor,
            ..Default::default()
        })
    }
}
