//! Checks of the laws of executors, one function a law.

use super::formula::{dense, first};
use super::problem::{Entry, Place, Problem, tensor};
use super::{ExecutorCase, ExecutorSubject};
use moe_router::laws::{Held, Stop};

/// Breaks the law if there is a difference.
fn same(difference: Option<String>) -> Held {
    difference.map_or(Ok(()), |text| Err(Stop::broken(text)))
}

fn applies(condition: bool, reason: &str) -> Held {
    if condition {
        Ok(())
    } else {
        Err(Stop::not_applicable(reason))
    }
}

pub(super) fn reference(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let problem = case.problem_with_biases();
    let expected = problem.measure(
        &|x, stacks, weights, plan, activation| {
            crate::reference::moe_ffn(x, stacks, weights, &plan, activation)
        },
        &subject.exact_place(),
    );
    let found = subject.measure(&problem);
    same(found.difference(&expected, subject.tolerance()))
}

pub(super) fn one_expert(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let case = ExecutorCase {
        n_experts: 1,
        k: 1,
        ..case.clone()
    };
    let mut problem = every_expert(&case)?;
    problem.weights.fill(1.0);
    equals_dense(subject, &problem)
}

pub(super) fn dense_mixture(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let mut problem = every_expert(case)?;
    for weights_e in problem.weights.chunks_mut(case.n_experts) {
        weights_e
            .iter_mut()
            .for_each(|weight| *weight = weight.exp());
        let sum: f64 = weights_e.iter().sum();
        weights_e
            .iter_mut()
            .for_each(|weight| *weight = f64::from((*weight / sum) as f32));
    }
    equals_dense(subject, &problem)
}

/// The case with every token at every expert, in the order of tokens, then of experts.
fn every_expert(case: &ExecutorCase) -> Result<Problem, Stop> {
    applies(case.n_tokens > 0, "no tokens")?;
    let n_experts = case.n_experts;
    let mut problem = case.problem();
    let entry = |a: usize| Entry {
        token: a / n_experts,
        expert: a % n_experts,
        kept: true,
    };
    problem.entries = (0..case.n_tokens * n_experts).map(entry).collect();
    problem.weights = case.numbers(problem.entries.len(), 7);
    Ok(problem)
}

fn equals_dense(subject: &ExecutorSubject<'_>, problem: &Problem) -> Held {
    let shape = [problem.n_tokens, problem.n_experts];
    let expected = problem.measure(
        &|x, stacks, weights, _, activation| dense(x, &stacks, weights.reshape(shape), activation),
        &subject.exact_place(),
    );
    let found = subject.measure(problem);
    same(found.difference(&expected, subject.tolerance()))
}

pub(super) fn identical_experts(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    applies(case.n_tokens > 0, "no tokens")?;
    let mut problem = case.problem();
    let n_assignments = problem.entries.len();
    applies(n_assignments > 0, "no assignments")?;
    problem.stacks_of(&vec![0; case.n_experts]);
    let mut own_ta = vec![0.0; case.n_tokens * n_assignments];
    for (a, entry) in problem.entries.iter().enumerate() {
        own_ta[entry.token * n_assignments + a] = f64::from(u8::from(entry.kept));
    }
    let exact = subject.exact_place();
    let expected = problem.measure(
        &|x, stacks, weights, _, activation| {
            let own_ta = tensor(&own_ta, [case.n_tokens, n_assignments], &Place::of(&x));
            let sums_t1 = own_ta.matmul(weights.unsqueeze_dim(1));
            dense(x, &first(&stacks), sums_t1, activation)
        },
        &exact,
    );
    let found = subject.measure(&problem).without_stacks();
    same(found.difference(&expected.without_stacks(), subject.tolerance()))
}

pub(super) fn idle(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let problem = case.problem();
    let kept = |is: &dyn Fn(&Entry) -> bool| problem.entries.iter().any(|e| e.kept && is(e));
    let experts: Vec<usize> = (0..case.n_experts)
        .filter(|&expert| !kept(&|entry| entry.expert == expert))
        .collect();
    let tokens: Vec<usize> = (0..case.n_tokens)
        .filter(|&token| !kept(&|entry| entry.token == token))
        .collect();
    let dropped: Vec<usize> = (0..problem.entries.len())
        .filter(|&a| !problem.entries[a].kept)
        .collect();
    let n_idle = experts.len() + tokens.len() + dropped.len();
    applies(n_idle > 0, "everything has something to do")?;

    let found = subject.measure(&problem);
    for part in &found.parts {
        let (idle, what) = match part.name {
            "the gradient of the weights" => (&dropped, "dropped assignment"),
            _ if part.is_stack() => (&experts, "idle expert"),
            _ => (&tokens, "idle token"),
        };
        for &i in idle {
            if let Some(value) = part.row(i).iter().find(|value| **value != 0.0) {
                let name = part.name;
                return Err(Stop::broken(format!("{name} has {value} for {what} {i}")));
            }
        }
    }
    Ok(())
}

pub(super) fn no_tokens(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let case = ExecutorCase {
        n_tokens: 0,
        ..case.clone()
    };
    let found = subject.measure(&case.problem());
    let nonzero = |value: &f64| *value != 0.0;
    same(found.parts.iter().find_map(|part| {
        let empty = part.name != "the output" || part.shape == [0, case.d_model];
        let value = part.values.iter().find(|value| nonzero(value));
        match (empty, value) {
            (false, _) => Some(format!("the output is of shape {:?}", part.shape)),
            (true, Some(value)) => Some(format!("{} has {value}", part.name)),
            (true, None) => None,
        }
    }))
}

pub(super) fn dropped(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let mut problem = case.problem();
    let kept: Vec<bool> = problem.entries.iter().map(|entry| entry.kept).collect();
    applies(kept.contains(&false), "nothing is dropped")?;
    let of_kept = |a: &usize| kept[*a];
    let mut bare = problem.clone();
    let mut numbers = 0..kept.len();
    bare.entries.retain(|entry| entry.kept);
    bare.weights
        .retain(|_| numbers.next().is_some_and(|a| of_kept(&a)));
    for (weight, kept) in problem.weights.iter_mut().zip(&kept) {
        if !kept {
            *weight = f64::NAN;
        }
    }
    let expected = subject.measure(&bare);
    let mut found = subject.measure(&problem);
    for part in &mut found.parts {
        if part.name == "the gradient of the weights" {
            let values = (0..kept.len()).filter(of_kept).map(|a| part.values[a]);
            part.values = values.collect();
            part.shape = vec![part.values.len()];
        }
    }
    same(found.difference(&expected, subject.tolerance()))
}

pub(super) fn assignment_order(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let problem = case.problem();
    let n = problem.entries.len();
    applies(n > 1, "fewer than two assignments")?;
    let order: Vec<usize> = case.some_of(n, n, 50).collect();
    let mut moved = problem.clone();
    moved.entries = order.iter().map(|&a| problem.entries[a]).collect();
    moved.weights = order.iter().map(|&a| problem.weights[a]).collect();

    let mut expected = subject.measure(&problem);
    for part in &mut expected.parts {
        if part.name == "the gradient of the weights" {
            part.values = order.iter().map(|&a| part.values[a]).collect();
        }
    }
    same(
        subject
            .measure(&moved)
            .difference(&expected, subject.tolerance()),
    )
}

pub(super) fn relabelling(subject: &ExecutorSubject<'_>, case: &ExecutorCase) -> Held {
    let n = case.n_experts;
    applies(n > 1, "one expert")?;
    let problem = case.problem();
    // expert `order[e]` of the old labels is expert `e` of the new ones
    let order: Vec<usize> = case.some_of(n, n, 51).collect();
    let mut moved = problem.clone();
    moved.stacks_of(&order);
    for entry in &mut moved.entries {
        let new = order.iter().position(|&old| old == entry.expert);
        entry.expert = new.unwrap_or(entry.expert);
    }
    let mut expected = subject.measure(&problem);
    for part in expected.parts.iter_mut().filter(|part| part.is_stack()) {
        part.values = order.iter().flat_map(|&e| part.row(e)).copied().collect();
    }
    same(
        subject
            .measure(&moved)
            .difference(&expected, subject.tolerance()),
    )
}
