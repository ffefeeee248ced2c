//! The speed of decoding: milliseconds and cache bytes a token, by the length of the context, for
//! grouped-query attention and the two forms of latent attention.
//!
//! The sizes are those of one layer of DeepSeek-V2-Lite, unscaled: width 2048, 16 heads, latents of
//! 512 + 64, heads of 128 + 64 and 128. Grouped-query attention has the same width and heads, of
//! 128, with 4 of keys and values as in Mixtral. The cache is filled with random numbers.

use burn::tensor::{Device, Distribution, Tensor};
use moe_attention::{
    AttentionInput, GroupedQueryAttention, GroupedQueryAttentionConfig, KeysValues, KvCache,
    LatentForm, MultiHeadLatentAttention, MultiHeadLatentAttentionConfig,
};
use moe_lab::stats::median;
use serde::Serialize;
use std::fmt;
use std::time::Instant;

const D_MODEL: usize = 2048;
const N_HEADS: usize = 16;
const N_KV_HEADS: usize = 4;
const HEAD_DIM: usize = 128;
const KV_LORA_RANK: usize = 512;
const ROPE_DIM: usize = 64;

/// Cost of decoding with one attention layer, by the length of the context.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttentionBench {
    /// One a length of context, ascending.
    pub rows: Vec<DecodeCost>,
    /// The shortest context from which on absorbed latents are faster than materialised ones.
    pub absorbed_beats_materialised_from: Option<usize>,
    /// The shortest context from which on absorbed latents are faster than grouped queries.
    pub absorbed_beats_gqa_from: Option<usize>,
    /// The number of timed tokens a row.
    pub steps: usize,
}

/// The cost of a token after a cache; times are medians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DecodeCost {
    /// Tokens attended, the new one included.
    pub context: usize,
    /// Milliseconds a token of grouped-query attention.
    pub gqa_ms: f64,
    /// Milliseconds a token of latent attention that makes keys and values anew.
    pub mla_materialised_ms: f64,
    /// Milliseconds a token of latent attention on the latents themselves.
    pub mla_absorbed_ms: f64,
    /// Bytes of the keys and values held.
    pub gqa_cache_bytes: usize,
    /// Bytes of the latents held.
    pub mla_cache_bytes: usize,
}

/// The attention layers that are compared.
#[derive(Debug, Clone)]
pub struct DecodeLayers {
    gqa: GroupedQueryAttention,
    materialised: MultiHeadLatentAttention,
    absorbed: MultiHeadLatentAttention,
}

/// Cost of one layer at one length of context.
struct Measured {
    ms: f64,
    cache_bytes: usize,
}

impl DecodeLayers {
    /// Layers with random weights, the latent ones with the same.
    pub fn new(device: &Device) -> Self {
        device.seed(0);
        let latent = MultiHeadLatentAttentionConfig::new(
            D_MODEL,
            N_HEADS,
            KV_LORA_RANK,
            HEAD_DIM,
            ROPE_DIM,
            HEAD_DIM,
        );
        let mut materialised = latent.init(device);
        let mut absorbed = materialised.clone();
        materialised.form = LatentForm::Materialised;
        absorbed.form = LatentForm::Absorbed;
        Self {
            gqa: GroupedQueryAttentionConfig::new(D_MODEL, N_HEADS, N_KV_HEADS).init(device),
            materialised,
            absorbed,
        }
    }

    /// Passes a token through grouped-query attention.
    pub fn gqa(&self, token: Tensor<3>, cache: &mut KvCache) -> Tensor<3> {
        self.gqa.forward(AttentionInput::new(token).cache(cache))
    }

    /// Passes a token through latent attention that makes keys and values anew.
    pub fn materialised(&self, token: Tensor<3>, cache: &mut KvCache) -> Tensor<3> {
        let input = AttentionInput::new(token).cache(cache);
        self.materialised.forward(input)
    }

    /// Passes a token through latent attention on the latents themselves.
    pub fn absorbed(&self, token: Tensor<3>, cache: &mut KvCache) -> Tensor<3> {
        let input = AttentionInput::new(token).cache(cache);
        self.absorbed.forward(input)
    }
}

/// A token, `[1, 1, d_model]`.
pub fn token(device: &Device) -> Tensor<3> {
    normal([1, 1, D_MODEL], device)
}

/// A cache of keys and values of `length` tokens.
pub fn gqa_cache(length: usize, device: &Device) -> KvCache {
    let mut cache = KvCache::new();
    let shape = [1, N_KV_HEADS, length, HEAD_DIM];
    cache.append(KeysValues {
        keys: normal(shape, device),
        values: normal(shape, device),
    });
    cache
}

/// A cache of latents of `length` tokens.
pub fn latent_cache(length: usize, device: &Device) -> KvCache {
    let mut cache = KvCache::new();
    cache.append_latent(normal([1, 1, length, KV_LORA_RANK + ROPE_DIM], device));
    cache
}

fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Times `steps` tokens after each length of context: 128 and its doubles up to `max_context`.
///
/// # Panics
///
/// Panics if `steps` is zero or `max_context` is less than 128.
pub fn bench(device: &Device, max_context: usize, steps: usize) -> AttentionBench {
    assert!(steps > 0, "at least one token must be timed");
    assert!(max_context >= 128, "the shortest context is 128 tokens");
    let layers = DecodeLayers::new(device);
    let rows: Vec<DecodeCost> = contexts(max_context)
        .map(|context| cost(&layers, context, steps, device))
        .collect();
    let absorbed = |row: &DecodeCost| row.mla_absorbed_ms;
    AttentionBench {
        absorbed_beats_materialised_from: faster_from(&rows, absorbed, |row| {
            row.mla_materialised_ms
        }),
        absorbed_beats_gqa_from: faster_from(&rows, absorbed, |row| row.gqa_ms),
        rows,
        steps,
    }
}

/// The lengths of context that are measured: 128 and its doubles up to `max_context`, tokens.
pub fn contexts(max_context: usize) -> impl Iterator<Item = usize> {
    let doubles = std::iter::successors(Some(128), |context| Some(2 * context));
    doubles.take_while(move |&context| context <= max_context)
}

fn cost(layers: &DecodeLayers, context: usize, steps: usize, device: &Device) -> DecodeCost {
    // The token that is not counted is one of the context.
    let held = context - 2;
    let time = |cache, pass: &dyn Fn(Tensor<3>, &mut KvCache) -> Tensor<3>| {
        decode(cache, pass, context, steps, device)
    };
    let gqa = time(gqa_cache(held, device), &|x, cache| layers.gqa(x, cache));
    let materialised = time(latent_cache(held, device), &|x, cache| {
        layers.materialised(x, cache)
    });
    let absorbed = time(latent_cache(held, device), &|x, cache| {
        layers.absorbed(x, cache)
    });
    DecodeCost {
        context,
        gqa_ms: gqa.ms,
        mla_materialised_ms: materialised.ms,
        mla_absorbed_ms: absorbed.ms,
        gqa_cache_bytes: gqa.cache_bytes,
        mla_cache_bytes: absorbed.cache_bytes,
    }
}

/// Passes one token that is not counted, in which the cache makes room, and `steps` that are. The
/// first of them has the given context, the others follow it.
fn decode(
    mut cache: KvCache,
    pass: &dyn Fn(Tensor<3>, &mut KvCache) -> Tensor<3>,
    context: usize,
    steps: usize,
    device: &Device,
) -> Measured {
    let token = token(device);
    let timed = |cache: &mut KvCache| {
        let start = Instant::now();
        let output = pass(token.clone(), cache);
        device.sync().expect("the device works");
        drop(output);
        1e3 * start.elapsed().as_secs_f64()
    };
    timed(&mut cache);
    let per_token = cache.bytes() / cache.len();
    let times: Vec<f64> = (0..steps).map(|_| timed(&mut cache)).collect();
    Measured {
        ms: median(&times),
        cache_bytes: per_token * context,
    }
}

/// The shortest context from which on one column stays below the other.
fn faster_from(
    rows: &[DecodeCost],
    fast: impl Fn(&DecodeCost) -> f64,
    slow: impl Fn(&DecodeCost) -> f64,
) -> Option<usize> {
    let faster = rows.iter().rev().take_while(|row| fast(row) < slow(row));
    faster.last().map(|row| row.context)
}

impl fmt::Display for AttentionBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "one layer of DeepSeek-V2-Lite's sizes; ms a token (median of {}), cache KiB",
            self.steps
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "context     GQA  MLA materialised  MLA absorbed  GQA cache  MLA cache"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:>7}  {:>6.2}  {:>16.2}  {:>12.2}  {:>9}  {:>9}",
                row.context,
                row.gqa_ms,
                row.mla_materialised_ms,
                row.mla_absorbed_ms,
                row.gqa_cache_bytes / 1024,
                row.mla_cache_bytes / 1024,
            )?;
        }
        let from = |context: Option<usize>| match context {
            Some(context) => format!("from a context of {context} on"),
            None => "nowhere".to_owned(),
        };
        writeln!(f)?;
        writeln!(
            f,
            "absorbed faster than materialised  {}",
            from(self.absorbed_beats_materialised_from)
        )?;
        write!(
            f,
            "absorbed faster than GQA           {}",
            from(self.absorbed_beats_gqa_from)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(context: usize, gqa_ms: f64, mla_absorbed_ms: f64) -> DecodeCost {
        DecodeCost {
            context,
            gqa_ms,
            mla_materialised_ms: 9.0,
            mla_absorbed_ms,
            gqa_cache_bytes: 0,
            mla_cache_bytes: 0,
        }
    }

    #[test]
    fn the_crossover_is_where_one_stays_faster() {
        // Faster at 1, slower at 2, faster from 4 on.
        let rows = [
            row(1, 2.0, 1.0),
            row(2, 2.0, 3.0),
            row(4, 4.0, 3.0),
            row(8, 6.0, 5.0),
        ];
        let gqa = |row: &DecodeCost| row.gqa_ms;
        let absorbed = |row: &DecodeCost| row.mla_absorbed_ms;
        assert_eq!(faster_from(&rows, absorbed, gqa), Some(4));
        assert_eq!(faster_from(&rows, gqa, absorbed), None);
    }

    #[test]
    fn caches_have_the_published_sizes() {
        let bench = bench(&Device::flex(), 128, 1);
        let [row] = bench.rows[..] else {
            panic!("one length of context up to 128");
        };
        assert_eq!(row.context, 128);
        // 4 key and 4 value heads of 128; a latent of 512 + 64; f32.
        assert_eq!(row.gqa_cache_bytes, 128 * 2 * 4 * 128 * 4);
        assert_eq!(row.mla_cache_bytes, 128 * (512 + 64) * 4);
        let times = [row.gqa_ms, row.mla_materialised_ms, row.mla_absorbed_ms];
        assert!(times.iter().all(|&ms| ms > 0.0));
        assert!(bench.to_string().contains("\n    128  "), "{bench}");
    }
}
