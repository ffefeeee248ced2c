//! Questions and answers as safetensors files.

use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

/// A case: tokens to route, and the gate to score them by.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// `[T, D]`, row by row.
    pub(super) x_td: &'a [f32],
    /// `[D, E]`, row by row.
    pub(super) gate_de: &'a [f32],
    /// The width of the tokens D.
    pub(super) d_model: usize,
    /// The number of experts E.
    pub(super) n_experts: usize,
    /// The sequence of each token, `[T]`.
    pub(super) group: &'a [u32],
    /// The vocabulary ids `[T]`, if there are any.
    pub(super) tokens: Option<&'a [u32]>,
    /// 1 for a token, 0 for padding `[T]`, if there is padding.
    pub(super) mask: Option<&'a [u8]>,
    /// Words: the values that the program takes, and the seed of noise in training.
    pub(super) words: HashMap<String, String>,
}

/// A routing as the program gave it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    /// The experts of each token `[T, K]`, row by row; -1 for none.
    pub(super) experts: Vec<i64>,
    /// Their weights, `[T, K]`.
    pub(super) weights: Vec<f32>,
    /// `false` where an assignment was dropped, `[T, K]`.
    pub(super) kept: Vec<bool>,
    /// The scores, `[T, E]`.
    pub(super) logits: Vec<f32>,
    /// The number of places of a row K.
    pub(super) k: usize,
}

impl Question<'_> {
    /// The number of tokens and of experts.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.group.len(), self.n_experts]
    }

    /// The file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let [n_tokens, n_experts] = self.shape();
        let le =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let whole =
            |values: &[u32]| -> Vec<u8> { values.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let mut tensors = vec![
            ("x", Dtype::F32, vec![n_tokens, self.d_model], le(self.x_td)),
            (
                "gate",
                Dtype::F32,
                vec![self.d_model, n_experts],
                le(self.gate_de),
            ),
            ("group", Dtype::U32, vec![n_tokens], whole(self.group)),
        ];
        tensors.extend(
            self.tokens
                .map(|ids| ("tokens", Dtype::U32, vec![n_tokens], whole(ids))),
        );
        tensors.extend(
            self.mask
                .map(|mask| ("mask", Dtype::U8, vec![n_tokens], mask.to_vec())),
        );
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            (*name, view.expect("the bytes are those of the shape"))
        });
        serialize(views, Some(self.words.clone())).expect("a few small tensors")
    }
}

impl Answer {
    /// Reads an answer for so many tokens and experts.
    ///
    /// # Errors
    ///
    /// Says what is missing or has another shape or type.
    pub(super) fn read(bytes: &[u8], [n_tokens, n_experts]: [usize; 2]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| format!("it is no safetensors file: {error}"))?;
        let experts = view(&file, "topk_idx.0")?;
        let k = match experts.shape() {
            [rows, k] if *rows == n_tokens => *k,
            shape => {
                return Err(format!(
                    "`topk_idx.0` is {shape:?}, and there are {n_tokens} tokens: it is [tokens, k]"
                ));
            }
        };
        let weights = shaped(&file, "topk_weight.0", [n_tokens, k])?;
        let logits = shaped(&file, "router_logits.0", [n_tokens, n_experts])?;
        let kept = match file.tensor("topk_kept.0") {
            Ok(_) => {
                let kept = shaped(&file, "topk_kept.0", [n_tokens, k])?;
                kept.data().iter().map(|&byte| byte != 0).collect()
            }
            Err(_) => vec![true; n_tokens * k],
        };
        Ok(Self {
            experts: whole("topk_idx.0", &experts)?,
            weights: floats("topk_weight.0", &weights)?,
            logits: floats("router_logits.0", &logits)?,
            kept,
            k,
        })
    }
}

fn view<'a>(file: &SafeTensors<'a>, name: &str) -> Result<TensorView<'a>, String> {
    file.tensor(name).map_err(|_| {
        let names = file.names().join("`, `");
        format!("there is no tensor `{name}`; there are `{names}`")
    })
}

fn shaped<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    shape: [usize; 2],
) -> Result<TensorView<'a>, String> {
    let view = view(file, name)?;
    if view.shape() == shape {
        return Ok(view);
    }
    Err(format!(
        "`{name}` is {:?} and must be {shape:?}",
        view.shape()
    ))
}

fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!(
            "`{name}` has the type {:?} and must have F32",
            view.dtype()
        ));
    }
    let (numbers, _) = view.data().as_chunks::<4>();
    Ok(numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect())
}

fn whole(name: &str, view: &TensorView<'_>) -> Result<Vec<i64>, String> {
    let data = view.data();
    match view.dtype() {
        Dtype::I64 => Ok(data
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect()),
        Dtype::I32 => Ok(data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b).into())
            .collect()),
        dtype => Err(format!(
            "`{name}` has the type {dtype:?} and must have I64 or I32"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(tensors: &[(&str, Dtype, [usize; 2], Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (
                *name,
                TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
            )
        });
        serialize(views, None).unwrap()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    fn answer() -> Vec<(&'static str, Dtype, [usize; 2], Vec<u8>)> {
        let experts: Vec<u8> = [1i64, -1].iter().flat_map(|x| x.to_le_bytes()).collect();
        vec![
            ("topk_idx.0", Dtype::I64, [2, 1], experts),
            ("topk_weight.0", Dtype::F32, [2, 1], bytes(&[0.5, 0.0])),
            (
                "router_logits.0",
                Dtype::F32,
                [2, 2],
                bytes(&[0.0, 1.0, 0.0, 0.0]),
            ),
        ]
    }

    #[test]
    fn an_answer_is_read() {
        let read = Answer::read(&file(&answer()), [2, 2]).unwrap();
        let expected = Answer {
            experts: vec![1, -1],
            weights: vec![0.5, 0.0],
            kept: vec![true, true],
            logits: vec![0.0, 1.0, 0.0, 0.0],
            k: 1,
        };
        assert_eq!(read, expected);
        let mut dropped = answer();
        dropped.push(("topk_kept.0", Dtype::U8, [2, 1], vec![0, 1]));
        let read = Answer::read(&file(&dropped), [2, 2]).unwrap();
        assert_eq!(read.kept, [false, true]);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let refused = |tensors: &[_]| Answer::read(&file(tensors), [2, 2]).unwrap_err();
        let all = answer();
        assert!(refused(&all[..2]).contains("no tensor `router_logits.0`; there are `topk_"));
        let mut other = answer();
        other[1] = ("topk_weight.0", Dtype::F32, [1, 1], bytes(&[0.5]));
        assert_eq!(
            refused(&other),
            "`topk_weight.0` is [1, 1] and must be [2, 1]"
        );
        other[1] = ("topk_weight.0", Dtype::F16, [2, 1], vec![0; 4]);
        assert!(refused(&other).contains("has the type F16 and must have F32"));
        assert!(
            Answer::read(b"text", [2, 2])
                .unwrap_err()
                .contains("no safetensors file")
        );
        let why = Answer::read(&file(&all), [3, 2]).unwrap_err();
        assert!(why.contains("there are 3 tokens"), "{why}");
    }

    #[test]
    fn a_question_says_all_that_a_router_may_know() {
        let question = Question {
            x_td: &[1.0, 2.0],
            gate_de: &[3.0, 4.0],
            d_model: 1,
            n_experts: 2,
            group: &[0, 1],
            tokens: None,
            mask: Some(&[1, 0]),
            words: HashMap::from([("top_k".to_owned(), "2".to_owned())]),
        };
        let bytes = question.to_bytes();
        let read = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = read.names();
        names.sort_unstable();
        assert_eq!(names, ["gate", "group", "mask", "x"]);
        assert_eq!(read.tensor("gate").unwrap().shape(), [1, 2]);
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["top_k"], "2");
    }
}
