//! Bounds of a configuration's sizes, so that everything about it can be counted before anything is built.

use super::{AttentionConfig, ConfigError, RunConfig};
use crate::data::DataConfig;
use moe_models::bounds::{LARGEST_SIZE, overflows};
use toml::{Table, Value};

/// Sizes that are multiplied when a model is counted, by their keys.
type Sizes = Vec<(String, u128)>;

/// No seed may be larger: TOML has no larger integers.
pub const LARGEST_SEED: u64 = i64::MAX as u64;

impl RunConfig {
    /// Checks that no size, and no product of sizes that is counted, is too large.
    pub(super) fn validate_bounds(&self) -> Result<(), ConfigError> {
        if self.seed > LARGEST_SEED {
            return Err(range("seed", self.seed, "at most 2^63 - 1"));
        }
        for (key, size) in self.sizes() {
            if size > LARGEST_SIZE as u128 {
                return Err(range(&key, size, "at most 2^20"));
            }
        }
        self.products()
            .iter()
            .try_for_each(|sizes| check_product(sizes))
    }

    /// Checks what grows with the tokens of a step, once the length of a sequence is known to be sound.
    pub(super) fn validate_steps(&self) -> Result<(), ConfigError> {
        let (train, tokens) = (&self.train, self.tokens_per_sequence() as u128);
        let sequence = [
            ("train.batch_size".to_owned(), train.batch_size as u128),
            ("train.seq_length".to_owned(), tokens),
        ];
        let accumulate = ("train.accumulate".to_owned(), train.accumulate as u128);
        let steps = ("train.steps".to_owned(), u128::from(train.steps));
        check_product(&[&sequence[..], &[accumulate, steps]].concat())?;
        let rows = self
            .router
            .rows_per_token(self.experts.n_experts, tokens as usize);
        let rows = ("router.capacity_factor".to_owned(), rows.ceil() as u128);
        let mut products = self.products();
        products.push(self.of_layers(&[self.width(), self.d_expert(), rows.clone()]));
        products.push(self.of_layers(&[self.d_expert(), rows]));
        if self.tokens_are_of_images() {
            let pairs = [sequence[1].clone(), sequence[1].clone()];
            check_product(&self.of_layers(&[&[self.width()], &pairs[..]].concat()))?;
        }
        for sizes in products {
            // what is kept of a token replaces a row of the width of the model
            let mut kept = sizes.clone();
            if self.tokens_are_of_images() {
                check_product(&[&sizes[..], &sequence[1..]].concat())?;
            }
            if let Some(width) = kept.iter().position(|size| *size == self.width()) {
                kept.remove(width);
            }
            check_product(&[&kept[..], &sequence].concat())?;
        }
        let pairs = [sequence[1].clone(), sequence[1].clone()];
        check_product(&self.of_layers(&[&[self.heads(), sequence[0].clone()], &pairs[..]].concat()))
    }

    fn heads(&self) -> (String, u128) {
        let heads = self.attention.n_heads() as u128;
        ("attention.n_heads".to_owned(), heads)
    }

    fn tokens_are_of_images(&self) -> bool {
        matches!(self.data, DataConfig::Images(_))
    }

    /// Each integer of the tables that sizes stand in.
    fn sizes(&self) -> Sizes {
        let table = Table::try_from(self).expect("a configuration is a table");
        let mut sizes = Vec::new();
        for name in ["data", "model", "attention", "experts", "router"] {
            integers(name, &table[name], &mut sizes);
        }
        sizes.retain(|(key, _)| !key.ends_with("seed"));
        let train = &self.train;
        sizes.push(("train.batch_size".to_owned(), train.batch_size as u128));
        sizes.push(("train.seq_length".to_owned(), train.seq_length as u128));
        sizes.push(("train.accumulate".to_owned(), train.accumulate as u128));
        sizes
    }

    fn width(&self) -> (String, u128) {
        ("model.d_model".to_owned(), self.model.d_model() as u128)
    }

    fn d_expert(&self) -> (String, u128) {
        ("experts.d_expert".to_owned(), self.experts.d_expert as u128)
    }

    /// The product of sizes over all layers.
    fn of_layers(&self, sizes: &[(String, u128)]) -> Sizes {
        let n_layers = self.model.n_layers() as u128;
        let mut product = vec![("model.n_layers".to_owned(), n_layers)];
        product.extend_from_slice(sizes);
        product
    }

    /// Products that bound everything that is counted: of each kind of matrix, its elements in all layers.
    fn products(&self) -> Vec<Sizes> {
        let experts = &self.experts;
        let n_experts = ("experts.n_experts".to_owned(), experts.n_experts as u128);
        let n_shared = experts.n_shared_experts.max(1) as u128;
        let n_shared = ("experts.n_shared_experts".to_owned(), n_shared);
        let (d, d_expert) = (self.width(), self.d_expert());
        let vocab = ("data.vocab_size".to_owned(), self.vocab_size() as u128);
        let mtp = self.model.n_mtp_layers().max(1) as u128;
        let mut products = vec![
            vec![vocab, d.clone(), ("model.n_mtp_layers".to_owned(), mtp)],
            self.of_layers(&[d.clone(), d.clone()]),
            self.of_layers(&[d.clone(), d_expert.clone(), n_experts.clone()]),
            self.of_layers(&[d.clone(), d_expert, n_shared]),
            self.of_layers(&[d.clone(), self.model.d_dense()]),
        ];
        let table = Table::try_from(self).expect("a configuration is a table");
        let mut of_router = Vec::new();
        integers("router", &table["router"], &mut of_router);
        of_router.retain(|(key, _)| !key.ends_with("seed"));
        let of_router = of_router.into_iter();
        products
            .extend(of_router.map(|size| self.of_layers(&[d.clone(), n_experts.clone(), size])));
        let mut of_attention = Vec::new();
        integers("attention", &table["attention"], &mut of_attention);
        products.extend(self.of_attention(&of_attention));
        products.extend(self.of_images());
        products
    }

    /// The embedding of patches, and the head.
    fn of_images(&self) -> Vec<Sizes> {
        let (DataConfig::Images(images), Some(model)) = (&self.data, self.model.keys().vision())
        else {
            return Vec::new();
        };
        let patch = ("model.patch_size".to_owned(), model.patch_size as u128);
        let channels = ("data.name".to_owned(), images.n_channels() as u128);
        let before_head = ("model.d_pre_logits".to_owned(), model.d_pre_logits as u128);
        let classes = ("data.n_classes".to_owned(), images.n_classes as u128);
        vec![
            vec![patch.clone(), patch, channels, self.width()],
            vec![self.width(), before_head.clone()],
            vec![before_head, classes],
        ]
    }

    /// Heads with each of the other sizes of attention, which are widths, ranks or buckets, and pairs of
    /// these.
    fn of_attention(&self, sizes: &[(String, u128)]) -> Vec<Sizes> {
        let heads = self.heads();
        let inner = |key: &str| key != "attention.n_heads" && key != "attention.sliding_window";
        let others: Sizes = sizes
            .iter()
            .filter(|(key, _)| inner(key))
            .cloned()
            .collect();
        let mut products = vec![self.of_layers(&[self.width(), self.width()])];
        for (place, size) in others.iter().enumerate() {
            products.push(self.of_layers(&[self.width(), heads.clone(), size.clone()]));
            for other in &others[place..] {
                if !matches!(self.attention, AttentionConfig::T5(_)) {
                    products.push(self.of_layers(&[heads.clone(), size.clone(), other.clone()]));
                }
            }
        }
        products
    }
}

/// All integers of a table, at any depth.
fn integers(key: &str, value: &Value, sizes: &mut Sizes) {
    match value {
        Value::Integer(size) => sizes.push((key.to_owned(), u128::try_from(*size).unwrap_or(0))),
        Value::Array(values) => values.iter().for_each(|value| integers(key, value, sizes)),
        Value::Table(table) => table
            .iter()
            .for_each(|(name, value)| integers(&format!("{key}.{name}"), value, sizes)),
        _ => (),
    }
}

/// Names the first size with which a product grows too large.
fn check_product(sizes: &[(String, u128)]) -> Result<(), ConfigError> {
    let Some(place) = overflows(sizes.iter().map(|(_, size)| *size)) else {
        return Ok(());
    };
    let keys: Vec<&str> = sizes.iter().map(|(key, _)| key.as_str()).collect();
    let rule = format!("such that {} is at most 2^54", keys.join(" x "));
    let (key, size) = &sizes[place];
    Err(range(key, size, rule))
}

fn range(key: &str, value: impl ToString, rule: impl Into<String>) -> ConfigError {
    ConfigError::TooLarge {
        key: key.to_owned(),
        value: value.to_string(),
        rule: rule.into(),
    }
}
