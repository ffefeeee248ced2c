//! The names, types and shapes that the tensors of a trace must have.

use super::TraceLayer;
use super::decode::{MASK, REAL, WHOLE};
use crate::files::{StoredTensor, TensorFile};
use safetensors::Dtype;

/// More experts or places than this are taken for damage.
const MOST_EXPERTS: usize = 1 << 16;

/// The tensors against the shapes that they must have.
pub(super) struct Shapes<'a> {
    pub(super) file: &'a TensorFile,
    pub(super) n_tokens: usize,
    pub(super) n_experts: usize,
}

impl Shapes<'_> {
    pub(super) fn check_experts(&self) -> Result<(), String> {
        match self.n_experts {
            0 => {
                Err("it says no `n_experts`, and has no `router_logits.0` to count them".to_owned())
            }
            n @ MOST_EXPERTS.. => Err(format!(
                "`n_experts` is {n}; fewer than {MOST_EXPERTS} are read"
            )),
            _ => Ok(()),
        }
    }

    /// The number of layers; refuses a name that means nothing.
    pub(super) fn n_layers(&self) -> Result<usize, String> {
        let names = [
            "topk_idx",
            "topk_weight",
            "topk_kept",
            "router_logits",
            "selection_bias",
        ];
        let mut n_layers = 0;
        while self.file.get(&format!("topk_idx.{n_layers}")).is_some() {
            n_layers += 1;
        }
        let is_known = |name: &str| {
            let of_layer = name.rsplit_once('.').and_then(|(name, layer)| {
                let layer: usize = layer.parse().ok()?;
                Some((names.contains(&name), layer))
            });
            ["tokens", "labels", "mask", "group"].contains(&name)
                || of_layer.is_some_and(|(is_name, layer)| is_name && layer < n_layers)
        };
        let mut unknown: Vec<&str> = self.file.names().filter(|name| !is_known(name)).collect();
        unknown.sort_unstable();
        match unknown.first() {
            None => Ok(n_layers),
            Some(name) => Err(format!(
                "the tensor `{name}` is none of a trace of {n_layers} layers, counted by `topk_idx.0`, `topk_idx.1` and so on"
            )),
        }
    }

    pub(super) fn layer(&self, i: usize) -> Result<TraceLayer, String> {
        let of = |name: &str| format!("{name}.{i}");
        let name = of("topk_idx");
        let width = match self.file.get(&name).map(|tensor| &tensor.info.shape[..]) {
            Some(&[_, width]) if (1..MOST_EXPERTS).contains(&width) => width,
            _ => return Err(format!("`{name}` is not of shape [tokens, places]")),
        };
        let (of_places, of_experts) = ([self.n_tokens, width], [self.n_tokens, self.n_experts]);
        self.check(&name, &of_places, &WHOLE)?;
        self.check(&of("topk_kept"), &of_places, &MASK)?;
        self.check(&of("selection_bias"), &[self.n_experts], &REAL)?;
        let weights = self.check(&of("topk_weight"), &of_places, &REAL)?;
        let logits = self.check(&of("router_logits"), &of_experts, &REAL)?;
        Ok(TraceLayer {
            width,
            has_weights: weights.is_some(),
            has_logits: logits.is_some(),
            weight_step: match weights.map(|tensor| tensor.info.dtype) {
                Some(Dtype::BF16) => 2f64.powi(-7),
                Some(Dtype::F16) => 2f64.powi(-10),
                _ => 2f64.powi(-23),
            },
            bias: None,
        })
    }

    pub(super) fn check_columns(&self) -> Result<(), String> {
        for name in ["tokens", "labels", "group"] {
            self.check(name, &[self.n_tokens], &WHOLE)?;
        }
        self.check("mask", &[self.n_tokens], &MASK)?;
        Ok(())
    }

    /// A tensor, if it is there, of the right shape and type.
    fn check(
        &self,
        name: &str,
        shape: &[usize],
        types: &[Dtype],
    ) -> Result<Option<StoredTensor<'_>>, String> {
        let Some(tensor) = self.file.get(name) else {
            return Ok(None);
        };
        let info = tensor.info;
        if info.shape != shape {
            let found = &info.shape;
            return Err(format!("`{name}` is of shape {found:?}, not {shape:?}"));
        }
        if !types.contains(&info.dtype) {
            let (found, first) = (info.dtype, types[0]);
            return Err(format!("`{name}` is of type {found:?}; write {first:?}"));
        }
        Ok(Some(tensor))
    }
}
