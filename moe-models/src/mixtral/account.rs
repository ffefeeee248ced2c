//! Size and cost of a Mixtral decoder.

use super::MixtralConfig;
use crate::Account;
use crate::account::{DecoderParts, F32, LayerAccount};
use moe_router::RouterConfig;

impl MixtralConfig {
    /// The size and cost of the model with a router, trained on batches of `batch_size` sequences of
    /// `seq_length` tokens.
    pub fn account(&self, router: &RouterConfig, batch_size: usize, seq_length: usize) -> Account {
        let layers = (0..self.n_layers).flat_map(|layer| {
            let shape = self.router_shape(layer);
            [
                LayerAccount::norms(2, self.d_model()),
                LayerAccount::attention(&self.attention, seq_length),
                LayerAccount::mixture(&self.moe, router, &shape, seq_length),
            ]
        });
        let parts = DecoderParts {
            vocab_size: self.vocab_size,
            d_model: self.d_model(),
            n_tables: if self.tied_embeddings { 1 } else { 2 },
            layers: layers.sum(),
            kv_bytes_per_token: self.n_layers * self.attention.kv_bytes_per_token(F32),
        };
        parts.account(batch_size * seq_length)
    }
}
