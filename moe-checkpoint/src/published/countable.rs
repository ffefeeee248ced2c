//! Checks that a model can be built and counted, before either is done.

use super::error::Refusal;
use super::in_words_of;
use super::{
    AttentionKind, Common, PublishedConfig, PublishedDeepSeek, PublishedError, PublishedLatent,
};
use moe_models::bounds::overflows;
use std::path::Path;

/// Sizes that are multiplied when a model is counted, by their fields.
pub(super) type Sizes = Vec<(&'static str, usize)>;

impl PublishedConfig {
    /// Checks that the sizes fit together, and that they and sequences of `seq_length` tokens can be
    /// counted; `path` is what errors call the configuration.
    ///
    /// # Errors
    ///
    /// Returns an error that says what does not fit, or names a field that is too large.
    pub fn check(&self, seq_length: usize, path: &Path) -> Result<(), PublishedError> {
        let model = self.model();
        let checked = model.decoder.validate(&model.router);
        checked.map_err(|error| PublishedError::Model {
            path: path.to_owned(),
            what: in_words_of(self.model_type(), &error),
        })?;
        let mut products = self.products();
        let of_sequence = products
            .iter()
            .map(|sizes| with_sequence(sizes, seq_length));
        let of_sequence: Vec<Sizes> = of_sequence.collect();
        products.extend(of_sequence);
        if self.attention_kind() != AttentionKind::Latent {
            products.push(scores(self.common(), seq_length));
        }
        let checked = products.iter().try_for_each(|sizes| check_product(sizes));
        checked.map_err(|refusal| refusal.at(path))
    }

    /// Products that bound everything that is counted: of each kind of matrix, its elements in all
    /// layers.
    fn products(&self) -> Vec<Sizes> {
        let common = self.common();
        let d = ("hidden_size", common.hidden_size);
        let layers = ("num_hidden_layers", common.num_hidden_layers);
        let table = vec![("vocab_size", common.vocab_size), d];
        let mut products = vec![table.clone(), vec![layers, d, d]];
        match self {
            Self::Mixtral(published) => {
                let width = ("intermediate_size", common.intermediate_size);
                let experts = ("num_local_experts", published.num_local_experts);
                products.push(vec![layers, d, width, experts]);
                products.push(attention(common, layers));
            }
            Self::Olmoe(published) => {
                let width = ("intermediate_size", common.intermediate_size);
                products.push(vec![
                    layers,
                    d,
                    width,
                    ("num_experts", published.num_experts),
                ]);
                products.push(attention(common, layers));
            }
            Self::Qwen3Moe(published) => {
                let width = ("moe_intermediate_size", published.moe_intermediate_size);
                let experts = ("num_experts", published.num_experts);
                products.push(vec![layers, d, width, experts]);
                products.push(vec![
                    layers,
                    d,
                    ("intermediate_size", common.intermediate_size),
                ]);
                products.push(attention(common, layers));
            }
            Self::Llama(_) => {
                products.push(vec![
                    layers,
                    d,
                    ("intermediate_size", common.intermediate_size),
                ]);
                products.push(attention(common, layers));
            }
            Self::DeepSeek(published) => {
                let further = published.num_nextn_predict_layers;
                let further = ("num_nextn_predict_layers", further);
                products.push([table, vec![further]].concat());
                for layers in [layers, further].into_iter().filter(|(_, n)| *n > 0) {
                    products.extend(deepseek(published, layers));
                }
            }
        }
        products
    }
}

fn attention(common: &Common, layers: (&'static str, usize)) -> Sizes {
    let heads = common.num_attention_heads;
    let head_dim = common.resolved_head_dim();
    vec![
        layers,
        ("hidden_size", common.hidden_size),
        ("num_attention_heads", heads),
        ("head_dim", head_dim),
    ]
}

fn deepseek(published: &PublishedDeepSeek, layers: (&'static str, usize)) -> Vec<Sizes> {
    let common = &published.common;
    let d = ("hidden_size", common.hidden_size);
    let width = ("moe_intermediate_size", published.moe_intermediate_size);
    let mut products = vec![
        vec![layers, d, d],
        vec![layers, d, ("intermediate_size", common.intermediate_size)],
        vec![
            layers,
            d,
            width,
            ("n_routed_experts", published.n_routed_experts),
        ],
        vec![
            layers,
            d,
            width,
            ("n_shared_experts", published.n_shared_experts.max(1)),
        ],
    ];
    match &published.latent {
        None => products.push(attention(common, layers)),
        Some(latent) => products.extend(latent_attention(common, latent, layers)),
    }
    products
}

fn latent_attention(
    common: &Common,
    latent: &PublishedLatent,
    layers: (&'static str, usize),
) -> Vec<Sizes> {
    let d = ("hidden_size", common.hidden_size);
    let heads = ("num_attention_heads", common.num_attention_heads);
    let ranks = [
        ("q_lora_rank", latent.q_lora_rank.unwrap_or(1)),
        ("kv_lora_rank", latent.kv_lora_rank),
    ];
    let widths = [
        ("qk_nope_head_dim", latent.qk_nope_head_dim),
        ("qk_rope_head_dim", latent.qk_rope_head_dim),
        ("v_head_dim", latent.v_head_dim),
    ];
    let mut products: Vec<Sizes> = ranks.map(|rank| vec![layers, d, rank]).to_vec();
    for width in widths {
        for inner in [d, ranks[0], ranks[1]] {
            products.push(vec![layers, inner, heads, width]);
        }
    }
    // scores in the latent space, one vector of the rank for each head
    products.push(vec![layers, heads, ranks[1]]);
    products
}

/// The scores of all pairs of tokens in one layer, as wide as the heads.
fn scores(common: &Common, seq_length: usize) -> Sizes {
    let heads = attention(common, ("num_hidden_layers", 1)).into_iter();
    let sequence = [("seq_length", seq_length); 2];
    heads
        .filter(|(key, _)| *key != "hidden_size")
        .chain(sequence)
        .collect()
}

/// Sizes of what a layer keeps of a sequence: a row of the width of the model becomes one for each token.
fn with_sequence(sizes: &[(&'static str, usize)], seq_length: usize) -> Sizes {
    let mut sizes = sizes.to_vec();
    if let Some(width) = sizes.iter().position(|(key, _)| *key == "hidden_size") {
        sizes.remove(width);
    }
    sizes.push(("seq_length", seq_length));
    sizes
}

/// Names the first size with which a product grows too large.
pub(super) fn check_product(sizes: &[(&'static str, usize)]) -> Result<(), Refusal> {
    let Some(place) = overflows(sizes.iter().map(|(_, size)| *size as u128)) else {
        return Ok(());
    };
    let keys: Vec<&str> = sizes.iter().map(|(key, _)| *key).collect();
    let (key, size) = sizes[place];
    let rule = format!("{} must be at most 2^54", keys.join(" x "));
    Err(Refusal::new(key, size, rule))
}

#[cfg(test)]
mod tests {
    use super::super::KNOWN_MODELS;
    use super::*;
    use serde_json::{Value, json};

    fn check(config: &Value, seq_length: usize) -> Result<(), String> {
        let path = Path::new("x/config.json");
        let config = PublishedConfig::parse(config.to_string().as_bytes(), path);
        let config = config.map_err(|error| error.to_string())?;
        let checked = config.check(seq_length, path);
        checked.map_err(|error| error.to_string())
    }

    fn deepseek_v3() -> Value {
        serde_json::from_str(include_str!("known/deepseek-v3.json")).expect("it is JSON")
    }

    #[test]
    fn every_model_that_is_built_in_can_be_counted() {
        for name in KNOWN_MODELS {
            let config = PublishedConfig::known(name).expect("a known name");
            for seq_length in [0, 1, 4096, 1 << 20] {
                config.check(seq_length, Path::new(name)).expect(name);
            }
        }
    }

    #[test]
    fn sizes_that_overflow_are_refused_by_name() {
        let large = 1usize << 20;
        let mixtral = json!({"model_type": "mixtral", "vocab_size": large, "hidden_size": large,
            "intermediate_size": large, "num_hidden_layers": large, "num_attention_heads": large,
            "num_key_value_heads": large, "head_dim": large, "num_local_experts": large});
        let error = check(&mixtral, 4096).expect_err("2^80");
        assert!(
            error.contains("x/config.json: hidden_size = 1048576"),
            "{error}"
        );
        let mut deepseek = deepseek_v3();
        deepseek["moe_intermediate_size"] = json!(large);
        deepseek["n_routed_experts"] = json!(large);
        let error = check(&deepseek, 4096).expect_err("2^54 a layer");
        assert!(error.contains("n_routed_experts = 1048576"), "{error}");
        let error = check(&deepseek_v3(), usize::MAX).expect_err("a long sequence");
        assert!(
            error.contains("seq_length = 18446744073709551615"),
            "{error}"
        );
    }

    #[test]
    fn sizes_at_the_end_of_their_type_are_refused_by_name() {
        for key in ["n_shared_experts", "num_nextn_predict_layers"] {
            let mut config = deepseek_v3();
            config[key] = json!(u64::MAX);
            let error = check(&config, 16).expect_err(key);
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_together_are_refused() {
        let mut config = deepseek_v3();
        config["num_experts_per_tok"] = json!(300);
        let error = check(&config, 16).expect_err("more than there are");
        assert!(error.contains("300"), "{error}");
    }

    #[test]
    fn a_model_cut_to_its_dense_layers_is_counted() {
        let mut config = deepseek_v3();
        config["num_hidden_layers"] = json!(3);
        config["num_nextn_predict_layers"] = json!(0);
        for dense in [3, u64::MAX] {
            config["first_k_dense_replace"] = json!(dense);
            check(&config, 16).expect("three dense layers");
            let text = config.to_string();
            let config = PublishedConfig::parse(text.as_bytes(), Path::new("x/config.json"));
            let counted = config.expect("a configuration").account(16);
            assert_eq!(counted.params_total, counted.params_active);
            // embedding and head, each layer with two norms and three matrices, and one norm at the end
            let layer = ATTENTION + 2 * 7168 + 3 * 7168 * 18_432;
            assert_eq!(counted.params_total, 2 * 129_280 * 7168 + 3 * layer + 7168);
        }
    }

    /// The parameters of one latent attention of DeepSeek-V3: down and up for queries and for keys and values,
    /// the output, and the norms of the two latent vectors.
    const ATTENTION: usize = 7168 * 1536
        + 1536 * 128 * (128 + 64)
        + 7168 * (512 + 64)
        + 512 * 128 * (128 + 128)
        + 128 * 128 * 7168
        + 1536
        + 512;
}
