//! Checks that values fit together, and that the chosen parts use the keys that are set.

use super::ComposedRouterConfig;
use crate::RouterError;
use crate::error::{check_not_negative, check_positive, check_top_k};
use crate::parts::{Bias, CapacityRule, Noise, Overflow, Score, Select};

/// Checks the values, that the parts fit together, and that no key is set in vain.
pub(super) fn check(config: &ComposedRouterConfig, n_experts: usize) -> Result<(), RouterError> {
    if let Some(unused) = keys(config)
        .into_iter()
        .find(|key| key.changed && !key.used)
    {
        return Err(RouterError::Unused {
            key: unused.name,
            needs: unused.needs,
        });
    }
    check_parts(config)?;
    check_values(config, n_experts)
}

fn check_parts(config: &ComposedRouterConfig) -> Result<(), RouterError> {
    let fixed = matches!(config.select, Select::TopK | Select::GroupLimited);
    let wrong = if config.select == Select::ExpertChoice && config.capacity == CapacityRule::None {
        "router.select = \"expert_choice\" takes as many tokens as the capacity says: set router.capacity = \"expert_choice\" or another rule"
    } else if config.overflow == Overflow::NextChoice && !fixed {
        "router.overflow = \"next_choice\" needs a fixed number of experts a token: set router.select to \"top_k\" or \"group_limited\", or router.overflow = \"drop\""
    } else if config.bias == Bias::Sign && !fixed {
        "router.bias = \"sign\" needs a fixed number of experts a token: set router.select to \"top_k\" or \"group_limited\", or router.bias = \"none\""
    } else {
        return Ok(());
    };
    Err(RouterError::Parts(wrong.to_owned()))
}

fn check_values(config: &ComposedRouterConfig, n_experts: usize) -> Result<(), RouterError> {
    check_top_k(config.top_k, n_experts)?;
    check_positive("temperature", config.temperature)?;
    check_positive("routed_scaling_factor", config.routed_scaling_factor)?;
    check_positive("capacity_factor", config.capacity_factor)?;
    check_positive("noise_std", config.noise_std)?;
    check_not_negative("bias_update_speed", config.bias_update_speed)?;
    let range = |key, value, range| RouterError::Range { key, value, range };
    if !(config.top_p > 0.0 && config.top_p <= 1.0) {
        return Err(range("top_p", config.top_p, "above 0 and at most 1"));
    }
    if !config.threshold.is_finite() {
        return Err(range("threshold", config.threshold, "a finite number"));
    }
    if !(0.0..1.0).contains(&config.jitter) {
        return Err(range("jitter", config.jitter, "at least 0 and below 1"));
    }
    if config.select == Select::ExpertChoice && config.capacity_factor > n_experts as f64 {
        let most = "at most experts.n_experts";
        return Err(range("capacity_factor", config.capacity_factor, most));
    }
    match config.select {
        Select::GroupLimited => config.expert_groups().validate(config.top_k, n_experts),
        _ => Ok(()),
    }
}

/// A key that only some parts use.
struct Key {
    name: &'static str,
    changed: bool,
    used: bool,
    needs: &'static str,
}

fn keys(config: &ComposedRouterConfig) -> Vec<Key> {
    let default = ComposedRouterConfig::default();
    let limited = config.buffers().is_some();
    let expert_choice = config.select == Select::ExpertChoice;
    let groups = config.select == Select::GroupLimited;
    let has_capacity = config.capacity != CapacityRule::None;
    macro_rules! keys {
        ($($name:ident if $used:expr, $needs:literal;)+) => {
            vec![$(Key {
                name: stringify!($name),
                changed: config.$name != default.$name,
                used: $used,
                needs: $needs,
            }),+]
        };
    }
    keys! {
        temperature if config.score == Score::Cosine, "router.score = \"cosine\"";
        top_k if !expert_choice, "another router.select than \"expert_choice\"";
        top_p if config.select == Select::TopP, "router.select = \"top_p\"";
        threshold if config.select == Select::Threshold, "router.select = \"threshold\"";
        n_groups if groups, "router.select = \"group_limited\"";
        topk_groups if groups, "router.select = \"group_limited\"";
        group_score if groups, "router.select = \"group_limited\"";
        capacity_factor if has_capacity, "a router.capacity";
        min_capacity if config.capacity.has_minimum(), "router.capacity = \"mesh\" or \"megatron\"";
        priority if limited, "a router.capacity that can be full";
        fill if limited, "a router.capacity that can be full";
        overflow if limited, "a router.capacity that can be full";
        noise_std if config.noise == Noise::Gaussian, "router.noise = \"gaussian\"";
        jitter if config.noise == Noise::Jitter, "router.noise = \"jitter\"";
        bias_update_speed if config.bias == Bias::Sign, "router.bias = \"sign\"";
    }
}
