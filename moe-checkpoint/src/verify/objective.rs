//! Training objective of each family, as its published code has it.

use super::training::BalanceReport;
use crate::published::{DeepSeekGeneration, PublishedConfig};
use burn::tensor::{Int, Tensor};
use moe_models::{DecoderOutput, token_losses};
use moe_router::Routing;
use moe_router::balance::{expert, load_balance_pooled};

/// The losses of a batch.
#[derive(Debug, Clone)]
pub(super) struct Losses {
    /// The mean cross entropy of the next token, `[1]`.
    pub(super) lm: Tensor<1>,
    /// Loss of which gradients are taken, `[1]`.
    pub(super) objective: Tensor<1>,
    /// The weighted balance losses, `[1]`.
    pub(super) balance: Tensor<1>,
}

/// The losses of tokens `[B, L]` whose labels are themselves, one later.
pub(super) fn losses(
    config: &PublishedConfig,
    output: &DecoderOutput,
    tokens: Tensor<2, Int>,
) -> Losses {
    let lm = next_token_loss(output.logits.clone(), tokens);
    let balance = match config.pooled_balance() {
        Some(weight) => pooled(&output.routings) * weight,
        None => {
            let layers = injected(config, &output.routings).into_iter();
            let zero = lm.zeros_like();
            layers.fold(zero, |sum, loss| sum + loss)
        }
    };
    Losses {
        objective: lm.clone() + balance.clone(),
        lm,
        balance,
    }
}

/// Returns the way in which a family's code reports its balance loss.
pub(super) fn balance_report(config: &PublishedConfig) -> BalanceReport {
    match config {
        PublishedConfig::DeepSeek(published) if published.generation == DeepSeekGeneration::V1 => {
            BalanceReport::Apart
        }
        _ => BalanceReport::Added,
    }
}

/// The balance loss of Mixtral, OLMoE and Qwen3-MoE, over the tokens of all layers together.
pub(super) fn pooled(routings: &[Routing]) -> Tensor<1> {
    let routings: Vec<&Routing> = routings.iter().collect();
    load_balance_pooled(&routings)
}

/// DeepSeekMoE's balance losses, weighted, one of each mixture: its code adds their gradients without
/// adding them to the loss that it reports. The later generations publish none.
pub(super) fn injected(config: &PublishedConfig, routings: &[Routing]) -> Vec<Tensor<1>> {
    let PublishedConfig::DeepSeek(published) = config else {
        return Vec::new();
    };
    if published.generation != DeepSeekGeneration::V1 {
        return Vec::new();
    }
    let loss = |routing: &Routing| {
        let n_groups = if published.seq_aux {
            routing.n_groups
        } else {
            1
        };
        expert(&routing.clone().groups(n_groups)) * published.aux_loss_alpha
    };
    routings.iter().map(loss).collect()
}

/// The mean of `-log p(token_{t+1})` over all tokens but the last of each sequence, `[1]`.
pub(super) fn next_token_loss(logits: Tensor<3>, tokens: Tensor<2, Int>) -> Tensor<1> {
    let rows = logits.dims()[1] - 1;
    token_losses(logits.narrow(1, 0, rows), tokens.narrow(1, 1, rows)).mean()
}
