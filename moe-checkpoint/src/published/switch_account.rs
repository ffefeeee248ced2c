//! Size and cost of a published Switch model, from its configuration alone.

use super::countable::{Sizes, check_product};
use super::{PublishedError, PublishedSwitch};
use moe_models::Account;
use moe_models::switch::SwitchBatch;
use std::path::Path;

impl PublishedSwitch {
    /// The size and cost of the model for a text and a target of `seq_length` tokens each, which
    /// [`check_counts`](Self::check_counts) says can be counted.
    ///
    /// # Panics
    ///
    /// May panic, or give numbers that mean nothing, where `check_counts` returns an error.
    pub fn account(&self, seq_length: usize) -> Account {
        let router = self.router();
        let batch = SwitchBatch {
            size: 1,
            length: seq_length,
            target_length: seq_length,
        };
        self.model().account(&router, &router, batch)
    }

    /// Checks that the model and a text and a target of `seq_length` tokens can be counted; `path` is what
    /// errors call the configuration.
    ///
    /// # Errors
    ///
    /// Names a field that is too large.
    pub fn check_counts(&self, seq_length: usize, path: &Path) -> Result<(), PublishedError> {
        let products = self.products(("seq_length", seq_length));
        let checked = products.iter().try_for_each(|sizes| check_product(sizes));
        checked.map_err(|refusal| refusal.at(path))
    }

    /// Products that bound everything that is counted.
    fn products(&self, sequence: (&'static str, usize)) -> Vec<Sizes> {
        let d = ("d_model", self.d_model);
        let (heads, d_kv) = (("num_heads", self.num_heads), ("d_kv", self.d_kv));
        let width = ("d_ff", self.d_ff);
        let experts = ("num_experts", self.num_experts);
        let buckets = self.relative_attention_num_buckets;
        let vocabulary = ("vocab_size", self.vocab_size);
        let mut products = vec![
            vec![vocabulary, d],
            vec![vocabulary, sequence],
            vec![("relative_attention_num_buckets", buckets), heads],
        ];
        for layers in [
            ("num_layers", self.num_layers),
            ("num_decoder_layers", self.num_decoder_layers),
        ] {
            products.push(vec![layers, d, d]);
            products.push(vec![layers, d, heads, d_kv]);
            products.push(vec![layers, d, width, experts]);
            products.push(vec![layers, d, sequence]);
            products.push(vec![layers, width, experts, sequence]);
            products.push(vec![layers, heads, d_kv, sequence, sequence]);
        }
        products
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> PublishedSwitch {
        PublishedSwitch::known(name).expect("a known name")
    }

    #[test]
    fn parameters_to_the_unit() {
        // d 768, d_ff 3072, 12 heads of 64, 12 + 12 layers, 6 + 6 of them sparse
        let (d, layers) = (768, 24);
        let attention = 4 * d * d; // three a pair of layers: own, own, cross
        let expert = 2 * d * 3072;
        let table = 32_128 * d;
        let norms = (2 * 12 + 3 * 12 + 2) * d;
        let bias = 2 * 32 * 12;
        for (name, n_experts) in [("switch-base-8", 8), ("switch-base-128", 128)] {
            let sparse = n_experts * expert + d * n_experts;
            let rest = table + 36 * attention + layers / 2 * expert + norms + bias;
            let account = known(name).account(512);
            assert_eq!(account.params_total, rest + 12 * sparse, "{name}");
            assert_eq!(
                account.params_active,
                rest + 12 * (expert + d * n_experts),
                "{name}"
            );
        }
        assert_eq!(
            known("switch-base-8").account(512).params_total,
            619_339_008
        );
        // table 9 of the paper says 7B
        let large = known("switch-base-128").account(512).params_total;
        assert_eq!(large / 100_000_000, 74);
    }

    #[test]
    fn a_decoder_caches_its_own_keys_and_values() {
        // 12 layers, 12 heads of 64, keys and values in f32
        let account = known("switch-base-8").account(512);
        assert_eq!(account.kv_bytes_per_token, 12 * 2 * 12 * 64 * 4);
    }

    #[test]
    fn sizes_that_overflow_are_refused_by_name() {
        let check = |switch: PublishedSwitch, length: usize| {
            let path = Path::new("x/config.json");
            let checked = switch.check_counts(length, path);
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(check(known("switch-base-8"), 4096), Ok(()));
        let wide = PublishedSwitch {
            d_ff: 1 << 40,
            ..known("switch-base-8")
        };
        let error = check(wide, 512).expect_err("2^50 a layer and an expert");
        assert!(error.starts_with("x/config.json: "), "{error}");
        assert!(error.contains("d_ff"), "{error}");
        let error = check(known("switch-base-8"), usize::MAX).expect_err("a long text");
        assert!(error.contains("seq_length"), "{error}");
    }
}
