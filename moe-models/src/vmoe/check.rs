//! Checks of a vision transformer's configuration.

use super::{PatchPositions, VmoeConfig};
use crate::ModelError;
use moe_router::RouterConfig;

impl VmoeConfig {
    /// Checks that all sizes fit together. Any router may be used: an encoder sees all tokens anyway.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self, router: &RouterConfig) -> Result<(), ModelError> {
        self.check_sizes()?;
        let refuse = |key, value: String, rule: &str| {
            Err(ModelError::Value {
                key,
                value,
                rule: rule.to_owned(),
            })
        };
        let (d_model, n_heads) = (self.d_model(), self.n_heads);
        if !d_model.is_multiple_of(n_heads) {
            let rule = format!("it must divide model.d_model = {d_model}");
            return refuse("attention.n_heads", n_heads.to_string(), &rule);
        }
        if (0..2).any(|axis| self.patch_size[axis] > self.image_size[axis]) {
            let rule = format!(
                "it must be at most model.image_size = {:?}",
                self.image_size
            );
            return refuse("model.patch_size", format!("{:?}", self.patch_size), &rule);
        }
        if matches!(self.positions, PatchPositions::SinCos2d { .. })
            && !(d_model.is_multiple_of(4) && d_model >= 8)
        {
            let rule = "sines and cosines in two directions need a multiple of 4, at least 8";
            return refuse("model.d_model", d_model.to_string(), rule);
        }
        if self.moe_layers.is_empty() {
            return Ok(());
        }
        let rises = self.moe_layers.is_sorted_by(|a, b| a < b);
        if !(rises && self.moe_layers.iter().all(|&i| i < self.n_layers)) {
            let rule = format!(
                "it must rise and stay below model.n_layers = {}",
                self.n_layers
            );
            return refuse("model.moe_layers", format!("{:?}", self.moe_layers), &rule);
        }
        Ok(router.validate(self.moe.n_experts)?)
    }

    fn check_sizes(&self) -> Result<(), ModelError> {
        let sizes = [
            (
                "model.image_size",
                self.image_size[0].min(self.image_size[1]),
            ),
            (
                "model.patch_size",
                self.patch_size[0].min(self.patch_size[1]),
            ),
            ("model.n_channels", self.n_channels),
            ("model.n_classes", self.n_classes),
            ("model.n_layers", self.n_layers),
            ("model.d_model", self.d_model()),
            ("model.d_mlp", self.d_mlp),
            ("model.d_pre_logits", self.d_pre_logits.unwrap_or(1)),
            ("attention.n_heads", self.n_heads),
        ];
        let of_experts = [
            ("model.group_images", self.group_size()),
            ("experts.n_experts", self.moe.n_experts),
            ("experts.d_expert", self.moe.d_expert),
        ];
        let n_of_experts = if self.moe_layers.is_empty() { 0 } else { 3 };
        let mut all = sizes.iter().chain(&of_experts[..n_of_experts]);
        match all.find(|(_, size)| *size == 0) {
            Some((key, _)) => Err(ModelError::Zero { key }),
            None => Ok(()),
        }
    }
}
