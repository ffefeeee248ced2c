//! A program as the laws see a router.

use super::message::{Answer, Question};
use super::process::Process;
use burn::tensor::{Gradients, Tensor, TensorData};
use moe_router::laws::{ParamGradient, Specimen};
use moe_router::{Assignments, Causality, Load, RouterInput, RouterShape, Routing, to_vec};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Rules of a program that hold of all cases.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) takes: Vec<&'static str>,
    pub(super) leaks: bool,
}

/// A router that asks a program, with a gate that laws may edit.
#[derive(Debug, Clone)]
pub(super) struct ProgramRouter {
    process: Arc<Process>,
    shape: RouterShape,
    /// `[D, E]`, row by row.
    gate_de: Vec<f32>,
    words: HashMap<String, String>,
    leaks: bool,
}

impl ProgramRouter {
    /// A router of a case, whose gate the laws draw.
    pub(super) fn new(
        process: Arc<Process>,
        rules: &Rules,
        values: &Map<String, Value>,
        shape: &RouterShape,
    ) -> Self {
        let word = |key: &&str| (key.to_string(), values[*key].to_string());
        // not constant, since constants are left as they are
        let gate_de = (0..shape.d_model * shape.n_experts).map(|i| i as f32);
        Self {
            process,
            shape: *shape,
            gate_de: gate_de.collect(),
            words: rules.takes.iter().map(word).collect(),
            leaks: rules.leaks,
        }
    }

    fn routing(&self, answer: &Answer, input: RouterInput) -> Routing {
        let device = input.x_td.device();
        let mut assignments = Assignments::default();
        let mut weights = Vec::new();
        for (i, &expert) in answer.experts.iter().enumerate().filter(|(_, e)| **e >= 0) {
            // what is no expert is found by the first of the laws
            let expert = u32::try_from(expert).unwrap_or(u32::MAX);
            assignments.push((i / answer.k) as u32, expert);
            if !answer.kept[i] {
                assignments.drop_assignment(assignments.len() - 1);
            }
            weights.push(answer.weights[i]);
        }
        let shape = [input.n_tokens(), self.shape.n_experts];
        let logits = Tensor::from_data(TensorData::new(answer.logits.clone(), shape), &device);
        let weights_a = Tensor::from_floats(weights.as_slice(), &device);
        Routing::sparse(assignments, weights_a, logits, None)
            .groups(input.n_groups)
            .padding(input.padding)
    }
}

impl Specimen for ProgramRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let x_td = to_vec(input.x_td.clone());
        let size = input.group_size().max(1);
        let group: Vec<u32> = (0..input.n_tokens()).map(|t| (t / size) as u32).collect();
        let mask = |padding: &Arc<[bool]>| padding.iter().map(|&p| u8::from(!p)).collect();
        let mask: Option<Vec<u8>> = input.padding.as_ref().map(mask);
        let mut words = self.words.clone();
        words.extend(
            input
                .noise
                .map(|seed| ("noise".to_owned(), seed.to_string())),
        );
        let question = Question {
            x_td: &x_td,
            gate_de: &self.gate_de,
            d_model: self.shape.d_model,
            n_experts: self.shape.n_experts,
            group: &group,
            tokens: input.token_ids.as_deref(),
            mask: mask.as_deref(),
            words,
        };
        match self.process.ask(&question) {
            Ok(answer) => self.routing(&answer, input),
            // the fault is kept, and said in place of the report
            Err(error) => panic!("{error}"),
        }
    }

    fn causality(&self) -> Causality {
        if self.leaks {
            Causality::Leaks("as was said of the program")
        } else {
            Causality::Causal
        }
    }

    fn advance(&self, _: &Load) -> Box<dyn Specimen> {
        Box::new(self.clone())
    }

    fn state(&self) -> (Vec<u32>, String) {
        let bits = self.gate_de.iter().map(|x| x.to_bits());
        (bits.collect(), String::new())
    }

    /// The gate: what else the program has is its own.
    fn n_params(&self) -> usize {
        self.gate_de.len()
    }

    fn has_gradients(&self) -> bool {
        false
    }

    fn edited(&self, edit: &mut dyn FnMut(&[usize], &mut [f32])) -> Box<dyn Specimen> {
        let mut router = self.clone();
        edit(
            &[self.shape.d_model, self.shape.n_experts],
            &mut router.gate_de,
        );
        Box::new(router)
    }

    fn gradients(&self, _: &Gradients) -> Vec<ParamGradient> {
        Vec::new()
    }
}
