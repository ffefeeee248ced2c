//! The model that a configuration describes, its causality and its sizes.

use super::RunConfig;
use crate::data::{DataConfig, VocabKind};
use crate::task::{AnyModel, AnyModelConfig, Task};
use burn::tensor::Device;
use moe_experts::MoeLayerConfig;
use moe_models::Account;
use moe_router::Causality;

impl RunConfig {
    /// The number of vocabulary entries, or of classes.
    pub fn vocab_size(&self) -> usize {
        match &self.data {
            DataConfig::Text(text) => match text.vocab {
                VocabKind::Bytes => 256,
                VocabKind::Bpe => text.vocab_size,
            },
            DataConfig::Images(images) => images.n_classes,
            DataConfig::Pairs(pairs) => pairs.vocab_size,
        }
    }

    /// The model's configuration.
    pub fn model(&self) -> AnyModelConfig {
        self.model.keys().build(self)
    }

    /// The configuration of a layer of experts.
    pub fn experts(&self) -> MoeLayerConfig {
        let experts = &self.experts;
        MoeLayerConfig::new(self.model.d_model(), experts.n_experts, experts.d_expert)
            .with_n_shared_experts(experts.n_shared_experts)
            .with_activation(experts.activation)
            .with_bias(matches!(self.model.task(), Task::Images))
            .with_dispatch(experts.dispatch)
    }

    /// Causality of the router; `None` for a model that reads a whole image and is not asked to be causal.
    pub fn causality(&self) -> Option<Causality> {
        let asked = self.model.task().is_causal();
        asked.then(|| self.router.info().causality)
    }

    /// Returns `true` if no later token influences an earlier one in evaluation, or nobody asks for that.
    pub fn is_causal(&self) -> bool {
        self.causality().is_none_or(Causality::is_causal)
    }

    /// The same while training.
    pub fn is_causal_in_training(&self) -> bool {
        self.causality()
            .is_none_or(Causality::is_causal_in_training)
    }

    /// Builds the model with the weights that the seed gives.
    pub fn init_model(&self, device: &Device) -> AnyModel {
        self.model().init(&self.router, self.seed, device)
    }

    /// The size and cost of the model.
    pub fn account(&self) -> Account {
        let train = &self.train;
        self.model()
            .account(&self.router, train.batch_size, train.seq_length)
    }

    /// The tokens of a sequence, or of an image.
    pub fn tokens_per_sequence(&self) -> usize {
        match self.model() {
            AnyModelConfig::Text(_) => self.train.seq_length,
            AnyModelConfig::Images(model) => model.n_tokens(),
            AnyModelConfig::Pairs(_, lengths) => lengths.iter().sum(),
        }
    }

    /// The sequences or images of an optimizer step.
    pub fn sequences_per_step(&self) -> u64 {
        (self.train.batch_size * self.train.accumulate) as u64
    }

    /// The tokens of an optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.train.batch_size * self.tokens_per_sequence() * self.train.accumulate) as u64
    }
}
