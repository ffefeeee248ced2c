//! The laws of balance losses.

use super::case::LossCase;
use super::closed_form::{Host, Shift};
use super::subject::LossSubject;
use crate::laws::law::{applies, ensure};
use crate::laws::{Held, Stop};
use crate::parts::{mix_seed, uniform_below};
use crate::{Assignments, Routing};
use burn::tensor::Tensor;

/// A law of balance losses.
#[derive(Debug, Clone, Copy)]
pub struct LossLaw {
    /// Its name, as reports print it.
    pub name: &'static str,
    /// Statement of the law, in one sentence.
    pub sentence: &'static str,
    pub(super) check: fn(&LossSubject<'_>, &LossCase) -> Held,
}

/// The laws of balance losses.
pub const LOSS_LAWS: &[LossLaw] = &[
    LossLaw {
        name: "loss-closed-form",
        sentence: "the loss equals the paper's formula, worked out in f64",
        check: closed_form,
    },
    LossLaw {
        name: "loss-at-balance",
        sentence: "perfect balance gives the stated value whatever the number of experts a token has",
        check: at_balance,
    },
    LossLaw {
        name: "loss-tiling",
        sentence: "the batch twice over gives the loss of the batch",
        check: tiling,
    },
    LossLaw {
        name: "loss-padding",
        sentence: "padding changes no loss, whatever its scores",
        check: padding,
    },
    LossLaw {
        name: "loss-gradient",
        sentence: "the gradient is that of the scores with the choice held fixed, and finite",
        check: gradient,
    },
    LossLaw {
        name: "loss-shift",
        sentence: "a constant added to a token's scores leaves losses of probabilities alone, and moves the \
                   z-loss",
        check: shift,
    },
];

fn value(subject: &LossSubject<'_>, routing: &Routing) -> Result<f64, Stop> {
    let value: f32 = (subject.loss)(routing).detach().into_scalar();
    ensure(value.is_finite(), || format!("the loss is {value}"))?;
    Ok(f64::from(value))
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-3 * (1.0 + expected.abs())
}

fn closed_form(subject: &LossSubject<'_>, case: &LossCase) -> Held {
    let Some(known) = subject.known else {
        return applies(false, "no closed form is known to the kit");
    };
    let routing = case.own_routing(&subject.device);
    let found = value(subject, &routing)?;
    let expected = (known.closed_form)(&Host::read(&routing, case.top_k));
    ensure(close(found, expected), || {
        format!("the loss is {found}, the formula gives {expected}")
    })
}

/// Every expert in turn, uniform probabilities.
fn at_balance(subject: &LossSubject<'_>, case: &LossCase) -> Held {
    let known = subject.known.and_then(|known| known.at_balance);
    let Some(expected) = known else {
        return applies(false, "no value at balance is known to the kit");
    };
    let case = LossCase {
        group_size: case.n_experts * (1 + case.group_size % 2),
        padding: 0,
        ..case.clone()
    };
    let n_tokens = case.n_groups * case.group_size;
    let mut assignments = Assignments::default();
    for t in 0..n_tokens {
        for choice in 0..case.top_k {
            let expert = (t + choice) % case.n_experts;
            assignments.push(t as u32, expert as u32);
        }
    }
    let logits = case.tensor(&vec![0.0; n_tokens * case.n_experts], &subject.device);
    let found = value(subject, &case.routing(logits, assignments))?;
    ensure(close(found, expected), || {
        format!(
            "with {} of {} experts a token, all alike, the loss is {found}, not {expected}",
            case.top_k, case.n_experts
        )
    })
}

fn tiling(subject: &LossSubject<'_>, case: &LossCase) -> Held {
    let routing = case.own_routing(&subject.device);
    let logits = case.logits();
    let one = case.assignments(&logits);
    let n_tokens = routing.n_tokens() as u32;
    let mut both = Assignments::default();
    for shift in [0, n_tokens] {
        for n in 0..one.len() {
            both.push(one.tokens()[n] + shift, one.experts()[n]);
            if !one.kept()[n] {
                both.drop_assignment(both.len() - 1);
            }
        }
    }
    let twice = LossCase {
        n_groups: 2 * case.n_groups,
        ..case.clone()
    };
    let logits = case.tensor(&[logits.clone(), logits].concat(), &subject.device);
    let (once, twice) = (
        value(subject, &routing)?,
        value(subject, &twice.routing(logits, both))?,
    );
    ensure(close(twice, once), || {
        format!("the loss of the batch is {once}, that of the batch twice over {twice}")
    })
}

fn padding(subject: &LossSubject<'_>, case: &LossCase) -> Held {
    applies(case.padding > 0, "no padding")?;
    let with = value(subject, &case.own_routing(&subject.device))?;
    let bare = LossCase {
        padding: 0,
        ..case.clone()
    };
    let logits = case.logits();
    let rows = logits.chunks(case.n_experts).enumerate();
    let rows: Vec<&[f32]> = rows
        .filter(|(t, _)| !case.is_padding(*t))
        .map(|(_, row)| row)
        .collect();
    let logits = rows.concat();
    let assignments = bare.assignments(&logits);
    let without = bare.routing(case.tensor(&logits, &subject.device), assignments);
    let without = value(subject, &without)?;
    ensure(close(with, without), || {
        format!("the loss is {without} without padding and {with} with it")
    })
}

/// Finite differences of the scores; the assignments stay, as the choice is not differentiable.
fn gradient(subject: &LossSubject<'_>, case: &LossCase) -> Held {
    applies(
        (1..4).contains(&case.scale),
        "scores of zero, or saturated ones",
    )?;
    let device = subject.device.clone().autodiff();
    let logits = case.logits();
    let assignments = case.assignments(&logits);
    let leaf = case.tensor(&logits, &device).require_grad();
    let loss = (subject.loss)(&case.routing(leaf.clone(), assignments.clone()));
    let found = loss.is_tracked().then(|| leaf.grad(&loss.backward()));
    let found = found.flatten().map(crate::to_vec);
    let found = found.unwrap_or_else(|| vec![0.0; logits.len()]);
    ensure(found.iter().all(|g| g.is_finite()), || {
        "a gradient is not finite".to_owned()
    })?;

    let at = |element: usize, step: f32| {
        let mut moved = logits.clone();
        moved[element] += step;
        let logits: Tensor<2> = case.tensor(&moved, &subject.device);
        value(subject, &case.routing(logits, assignments.clone()))
    };
    for sample in 0..4 {
        let element = uniform_below(logits.len(), mix_seed(case.seed, 60 + sample), 0);
        let slope = |h: f32| -> Result<f64, Stop> {
            Ok((at(element, h)? - at(element, -h)?) / (2.0 * f64::from(h)))
        };
        let (wide, narrow) = (slope(2e-2)?, slope(1e-2)?);
        if (wide - narrow).abs() > 0.02 * (0.1 + narrow.abs()) {
            continue; // a kink between the two: not differentiable here
        }
        let found = f64::from(found[element]);
        ensure((found - narrow).abs() < 0.01 + 0.03 * narrow.abs(), || {
            format!("the gradient of score {element} is {found}, finite differences give {narrow}")
        })?;
    }
    Ok(())
}

fn shift(subject: &LossSubject<'_>, case: &LossCase) -> Held {
    let Some(known) = subject.known else {
        return applies(
            false,
            "whether it reads probabilities is not known to the kit",
        );
    };
    let logits = case.logits();
    let assignments = case.assignments(&logits);
    let at = |shift: f32| {
        let moved: Vec<f32> = logits.iter().map(|z| z + shift).collect();
        let logits = case.tensor(&moved, &subject.device);
        value(subject, &case.routing(logits, assignments.clone()))
    };
    // far from where the log-sum-exp changes its sign
    let (low, high) = (at(30.0)?, at(40.0)?);
    let same = close(low, high);
    ensure(same == (known.shift == Shift::Invariant), || {
        format!("scores 30 higher give {low}, scores 40 higher {high}")
    })
}
