//! Types that the matrices of a decoder are held in, beside everything else in f32.

use crate::Decoder;
use crate::path::ParameterPath;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Tensor};
#[cfg(feature = "flex")]
use moe_quant::{Format, QuantizeError};
use serde::Serialize;
use std::fmt;

/// The type that the matrices which tokens are multiplied by are held in.
#[derive(Serialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WeightType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, with the range of f32.
    Bf16,
    /// Blocks of 32 weights of 8 bits with a scale in f16, on the CPU backend alone.
    Q8,
    /// Blocks of 32 weights of 4 bits with a scale in f16, on the CPU backend alone. The head is in [`Q8`](Self::Q8), as
    /// in llama.cpp it has more bits than the rest: it costs a quarter of the error of all.
    Q4,
}

impl WeightType {
    /// The bytes of 32 weights.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 128,
            Self::Bf16 => 64,
            Self::Q8 => 34,
            Self::Q4 => 18,
        }
    }

    /// The type that the head is held in.
    pub fn of_head(self) -> Self {
        match self {
            Self::Q4 => Self::Q8,
            other => other,
        }
    }

    /// Tells whether weights on the device can be held in this type.
    pub fn is_held_on(self, device: &Device) -> bool {
        match self {
            Self::F32 | Self::Bf16 => true,
            Self::Q8 | Self::Q4 => has_blocks(device),
        }
    }

    /// The decoder with its matrices in this type, if they are in f32: experts, attention and head. Norms, routers,
    /// embeddings and all that is computed between stay in f32. For inference: an optimizer would lose its small
    /// steps, and blocks have no gradient.
    ///
    /// Beside others in blocks two kinds of matrices stay as they are: those whose inputs are no multiple of 32,
    /// and `kv_b_proj` of latent attention, which is also read by its other axis.
    ///
    /// # Panics
    ///
    /// Panics if the type [is not held](Self::is_held_on) on the decoder's device.
    pub fn hold<D: Decoder>(self, decoder: D) -> D {
        match self {
            Self::F32 => decoder,
            _ => decoder.map(&mut Narrow {
                path: ParameterPath::default(),
                weights: self,
            }),
        }
    }

    /// A parameter in this type, if it is a matrix that tokens are multiplied by, in f32.
    ///
    /// # Panics
    ///
    /// As [`hold`](Self::hold).
    pub fn hold_parameter<const D: usize>(self, path: &ParameterPath, x: Tensor<D>) -> Tensor<D> {
        if !path.is_product_weight(D) || x.dtype() != DType::F32 {
            return x;
        }
        match self {
            Self::F32 => x,
            Self::Bf16 => x.cast(DType::BF16),
            Self::Q8 | Self::Q4 if !path.is_block_weight(D) => x,
            _ if path.is_head() => self.of_head().in_blocks(x),
            _ => self.in_blocks(x),
        }
    }

    #[cfg(feature = "flex")]
    fn in_blocks<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let format = if self == Self::Q8 {
            Format::Q8
        } else {
            Format::Q4
        };
        match moe_quant::quantize(x.clone(), format) {
            Ok(blocks) => blocks,
            Err(QuantizeError::Width(_)) => x,
            Err(error) => panic!("{self}: {error}"),
        }
    }

    #[cfg(not(feature = "flex"))]
    fn in_blocks<const D: usize>(self, _: Tensor<D>) -> Tensor<D> {
        panic!("{self}: this build is without the device `flex`")
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

/// Holds the matrices that tokens are multiplied by (experts, attention, head) in bf16, which halves what a
/// generated token reads: [`WeightType::hold`].
pub fn with_bf16_weights<D: Decoder>(decoder: D) -> D {
    WeightType::Bf16.hold(decoder)
}

/// The paths of the matrices that could be held in blocks but for their widths: they are in f32.
pub fn held_in_f32<D: Module>(decoder: &D) -> Vec<String> {
    let mut wide = Wide::default();
    decoder.visit(&mut wide);
    wide.found
}

#[cfg(feature = "flex")]
fn has_blocks(device: &Device) -> bool {
    device.clone().without_autodiff() == Device::flex()
}

#[cfg(not(feature = "flex"))]
fn has_blocks(_: &Device) -> bool {
    false
}

struct Narrow {
    path: ParameterPath,
    weights: WeightType,
}

impl ModuleMapper for Narrow {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.is_product_weight(D) {
            param.map(|weight| self.weights.hold_parameter(&self.path, weight))
        } else {
            param
        }
    }
}

#[derive(Default)]
struct Wide {
    path: ParameterPath,
    found: Vec<String>,
}

impl ModuleVisitor for Wide {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.is_block_weight(D) && param.val().dtype() == DType::F32 {
            self.found.push(self.path.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deepseek::DeepSeekAttentionConfig;
    use crate::{AnyDecoder, DecoderConfig, DecoderInput, DeepSeekConfig, MixtralConfig};
    use burn::tensor::{Int, TensorData};
    use moe_attention::{GroupedQueryAttentionConfig, MultiHeadLatentAttentionConfig};
    use moe_experts::MoeLayerConfig;
    use moe_router::RouterConfig;

    const VOCAB: usize = 50;

    fn mixtral(d_expert: usize) -> AnyDecoder {
        let attention = GroupedQueryAttentionConfig::new(64, 4, 2);
        let experts = MoeLayerConfig::new(64, 4, d_expert);
        let config = MixtralConfig::new(VOCAB, 2, attention, experts);
        DecoderConfig::Mixtral(config).init(&RouterConfig::mixtral(2), 0, &Device::flex())
    }

    fn deepseek() -> AnyDecoder {
        let attention = MultiHeadLatentAttentionConfig::new(64, 4, 32, 16, 8, 16);
        let attention = DeepSeekAttentionConfig::Mla(attention.with_q_lora_rank(Some(32)));
        let experts = MoeLayerConfig::new(64, 4, 32).with_n_shared_experts(1);
        let config = DeepSeekConfig::new(VOCAB, 2, attention, experts);
        DecoderConfig::DeepSeek(config).init(&RouterConfig::mixtral(2), 0, &Device::flex())
    }

    /// Widens blocks.
    struct Widen;

    impl ModuleMapper for Widen {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|x| match x.dtype() {
                DType::QFloat(_) => moe_quant::dequantize(x),
                _ => x,
            })
        }
    }

    /// Types by path.
    #[derive(Default)]
    struct Types(ParameterPath, Vec<(String, DType)>);

    impl ModuleVisitor for Types {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.0.enter(name, container_type);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push((self.0.join(), param.val().dtype()));
        }
    }

    fn tokens(first: usize, n: usize) -> Tensor<2, Int> {
        let ids: Vec<i64> = (first..first + n)
            .map(|i| (i as i64 * 17 + 3) % VOCAB as i64)
            .collect();
        Tensor::from_data(TensorData::new(ids, [1, n]), &Device::flex())
    }

    fn logits(decoder: &AnyDecoder, n: usize) -> Tensor<3> {
        decoder.forward(DecoderInput::new(tokens(0, n))).logits
    }

    fn rms(x: Tensor<3>) -> f32 {
        (x.clone() * x).mean().sqrt().into_scalar()
    }

    /// The median over tokens of the difference as a share of the scores: a token near a boundary may go to other
    /// experts, and then it is another one.
    fn error(held: Tensor<3>, exact: Tensor<3>) -> f32 {
        let squares = |x: Tensor<3>| (x.clone() * x).mean_dim(2).sqrt();
        let shares = squares(held - exact.clone()) / squares(exact);
        let mut shares: Vec<f32> = shares.into_data().try_into_vec().expect("f32");
        shares.sort_by(f32::total_cmp);
        shares[shares.len() / 2]
    }

    #[test]
    fn matrices_are_in_blocks_and_nothing_else() {
        for (decoder, n_kept) in [(mixtral(96), 0), (deepseek(), 2)] {
            let mut types = Types::default();
            WeightType::Q4.hold(decoder).visit(&mut types);
            let kept = ["norm", "router", "embedding", "gamma", "kv_b_proj", "mtp"];
            let mut n_turned = 0;
            for (path, dtype) in types.1 {
                let is_kept = kept.iter().any(|part| path.contains(part));
                assert_eq!(dtype == DType::F32, is_kept, "{path}: {dtype:?}");
                n_turned += usize::from(path.contains("kv_b_proj"));
            }
            assert_eq!(n_turned, n_kept);
        }
    }

    #[test]
    fn scores_are_those_of_the_same_numbers_in_f32() {
        for decoder in [mixtral(96), deepseek()] {
            for (weights, band) in [(WeightType::Q8, 0.03), (WeightType::Q4, 0.25)] {
                let held = weights.hold(decoder.clone());
                let wide = held.clone().map(&mut Widen);
                // two layers of rows rounded to 8 bits; 1/254 of the largest of a block is 1 % of a usual number
                let error_of_rows = error(logits(&held, 40), logits(&wide, 40));
                assert!(
                    error_of_rows > 0.0 && error_of_rows < 0.02,
                    "{weights}: {error_of_rows}"
                );
                // and 8 or 4 bits of the weights
                let error_of_all = error(logits(&held, 40), logits(&decoder, 40));
                assert!(error_of_all < band, "{weights}: {error_of_all}");
            }
        }
    }

    #[test]
    fn token_by_token_is_the_whole_text() {
        for decoder in [mixtral(96), deepseek()] {
            let held = WeightType::Q8.hold(decoder);
            let whole = logits(&held, 12);
            let mut cache = held.new_cache();
            for at in 0..12 {
                let input = DecoderInput::new(tokens(at, 1));
                let step = held.forward_cache(input, &mut cache).logits;
                let error = rms(step - whole.clone().narrow(1, at, 1));
                assert!(error < 0.03 * rms(whole.clone()), "token {at}: {error}");
            }
        }
    }

    #[test]
    fn other_widths_stay_and_are_named() {
        assert_eq!(held_in_f32(&WeightType::Q8.hold(mixtral(96))), [""; 0]);
        let decoder = mixtral(40);
        let held = WeightType::Q8.hold(decoder.clone());
        let wide = held_in_f32(&held);
        assert_eq!(wide.len(), 2, "{wide:?}");
        assert!(
            wide.iter().all(|path| path.ends_with("experts.down")),
            "{wide:?}"
        );
        let error = error(logits(&held, 9), logits(&decoder, 9));
        assert!(error < 0.05, "{error}");
    }

    #[test]
    fn blocks_are_for_one_device() {
        let device = Device::flex();
        assert!(WeightType::Q8.is_held_on(&device));
        assert!(WeightType::Bf16.is_held_on(&device));
    }

    #[test]
    #[should_panic(expected = "q8: only f32 weights on the device `flex` can be quantised")]
    fn what_is_trained_is_not_held() {
        let decoder = mixtral(96).map(&mut Track);
        WeightType::Q8.hold(decoder);
    }

    struct Track;

    impl ModuleMapper for Track {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(Tensor::autodiff)
        }
    }
}
