//! The speed of inference: a prompt read at once, then token by token from the cache.

use crate::machine::Machine;
use crate::timing::Timing;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::{AnyDecoder, Decoder, DecoderCache, DecoderConfig, DecoderInput, WeightType};
use moe_router::RouterConfig;
use serde::Serialize;
use std::fmt;

/// Amount of work that is timed, and the type of the matrices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ModelBenchConfig {
    /// The number of tokens of the prompt.
    pub prompt: usize,
    /// The number of times that the prompt is read.
    pub prompts: usize,
    /// The number of tokens in the cache when the clock of decoding starts.
    pub context: usize,
    /// The number of tokens that are timed one by one.
    pub tokens: usize,
    /// The type that the matrices are held in.
    pub weights: WeightType,
}

/// Speed of a model with random weights in reading and in writing, batch 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelBench {
    /// The model's name.
    pub model: String,
    /// All parameters.
    pub params_total: usize,
    /// The parameters that a token passes through, the output head included.
    pub params_active: usize,
    /// The type that the matrices are held in.
    pub weights: WeightType,
    /// The limits of the machine.
    pub machine: Machine,
    /// Reading the prompt.
    pub prefill: Prefill,
    /// Writing token by token.
    pub decode: Decode,
}

/// Reading a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prefill {
    /// The number of tokens of the prompt.
    pub tokens: usize,
    /// Seconds a prompt.
    pub time: Timing,
    /// Tokens a second, from the median.
    pub tokens_per_s: f64,
    /// GFLOP a second of the model's matrix products, the head for the last position alone.
    pub gflop_per_s: f64,
    /// As a share of the best matrix product.
    pub share_of_gemm: f64,
}

/// Writing token by token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decode {
    /// The number of tokens in the cache at the start.
    pub context: usize,
    /// Seconds a token.
    pub time: Timing,
    /// Tokens a second, from the median.
    pub tokens_per_s: f64,
    /// Bytes of weights that a token reads; norms and routers are counted in the type of the others.
    pub bytes_per_token: usize,
    /// GB of weights a second.
    pub gb_per_s: f64,
    /// As a share of the memory bandwidth.
    pub share_of_read: f64,
}

impl Default for ModelBenchConfig {
    fn default() -> Self {
        Self {
            prompt: 512,
            prompts: 7,
            context: 136,
            tokens: 64,
            weights: WeightType::F32,
        }
    }
}

impl ModelBenchConfig {
    /// Builds the model with random weights and times it.
    pub fn run(
        &self,
        name: &str,
        config: &DecoderConfig,
        router: &RouterConfig,
        machine: Machine,
        device: &Device,
    ) -> ModelBench {
        let account = config.account(router, 1, self.prompt);
        let model = self.weights.hold(config.init(router, 0, device));
        let head_flops = (account.params_embedding) as u64; // half of the two tables, 2 FLOP each
        let body = account.flops_per_token - head_flops;
        let flops = body * self.prompt as u64 + head_flops;
        let prefill = self.prefill(&model, device);
        let decode = self.decode(&model, device);
        let head = account.params_embedding / 2;
        let others = account.params_active_head_only - head;
        let bytes = (others * self.weights.block_bytes()
            + head * self.weights.of_head().block_bytes())
            / 32;
        let gflop_per_s = flops as f64 / prefill.median_s / 1e9;
        let gb_per_s = bytes as f64 / decode.median_s / 1e9;
        ModelBench {
            model: name.to_owned(),
            params_total: account.params_total,
            params_active: account.params_active_head_only,
            weights: self.weights,
            machine,
            prefill: Prefill {
                tokens: self.prompt,
                time: prefill,
                tokens_per_s: self.prompt as f64 / prefill.median_s,
                gflop_per_s,
                share_of_gemm: gflop_per_s / machine.gemm_gflop_per_s,
            },
            decode: Decode {
                context: self.context,
                time: decode,
                tokens_per_s: 1.0 / decode.median_s,
                bytes_per_token: bytes,
                gb_per_s,
                share_of_read: gb_per_s / machine.read_gb_per_s,
            },
        }
    }

    fn prefill(&self, model: &AnyDecoder, device: &Device) -> Timing {
        let tokens = tokens(0, self.prompt, device);
        Timing::measure(2, self.prompts, || {
            step(model, tokens.clone(), &mut model.new_cache());
        })
    }

    /// Eight tokens warm up; then every token is timed.
    fn decode(&self, model: &AnyDecoder, device: &Device) -> Timing {
        const WARM_UP: usize = 8;
        let mut cache = model.new_cache();
        let prompt = self.context.saturating_sub(WARM_UP).max(1);
        step(model, tokens(0, prompt, device), &mut cache);
        let mut next = prompt;
        Timing::measure(WARM_UP, self.tokens, || {
            step(model, tokens(next, 1, device), &mut cache);
            next += 1;
        })
    }
}

/// One call of the model, waited for.
fn step(model: &AnyDecoder, tokens: Tensor<2, Int>, cache: &mut DecoderCache) {
    let output = model.forward_cache(DecoderInput::new(tokens).last_only(), cache);
    let _ = output.logits.into_data();
}

/// `n` tokens of a fixed sequence, from position `start`.
fn tokens(start: usize, n: usize, device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = (start..start + n)
        .map(|i| (i as i64 * 7919 + 13) % 31_991)
        .collect();
    Tensor::from_data(TensorData::new(ids, [1, n]), device)
}

impl fmt::Display for ModelBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefill, decode) = (&self.prefill, &self.decode);
        writeln!(
            f,
            "{}: {:.0} M parameters, {:.1} M active, in {}",
            self.model,
            self.params_total as f64 / 1e6,
            self.params_active as f64 / 1e6,
            self.weights
        )?;
        writeln!(
            f,
            "  prefill {:>4} tokens   {:>7.1} tokens/s  ({:.1} to {:.1})  {:.1} GFLOP/s, {:.0} % of the best matrix product ({:.0})",
            prefill.tokens,
            prefill.tokens_per_s,
            prefill.tokens as f64 / prefill.time.max_s,
            prefill.tokens as f64 / prefill.time.min_s,
            prefill.gflop_per_s,
            100.0 * prefill.share_of_gemm,
            self.machine.gemm_gflop_per_s
        )?;
        write!(
            f,
            "  decode after {:>4}     {:>7.1} tokens/s  ({:.1} to {:.1})  {:.1} GB/s, {:.0} % of what memory gives ({:.1})",
            decode.context,
            decode.tokens_per_s,
            1.0 / decode.time.max_s,
            1.0 / decode.time.min_s,
            decode.gb_per_s,
            100.0 * decode.share_of_read,
            self.machine.read_gb_per_s
        )
    }
}
