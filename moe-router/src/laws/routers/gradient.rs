//! The law that gradients of the weights equal finite differences.

use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Specimen, Subject};
use crate::parts::{mix_seed, uniform_below};
use crate::{Family, Plan, Routing};
use burn::tensor::{Tensor, TensorData};

pub(super) const LAW: Law = Law {
    name: "gradient",
    sentence: "the gradient of the weights reaches the router, is finite and equals finite differences",
    check,
    if_never: "",
};

const STEP: f32 = 4e-3;
const SAMPLES: u64 = 6;

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    applies(
        subject.family != Some(Family::Fixed),
        "a fixed rule: nothing is learned",
    )?;
    let device = subject.device.clone().autodiff();
    let router = subject.build_with(case, &[], &device)?;
    applies(router.n_params() > 0, "no parameters")?;
    let x_td = case.distinct(&device);
    let routing = router.route(case.input(x_td.clone()));
    let chosen = plan_of(&routing);
    let n = n_weights(&routing);
    applies(n > 0, "no assignments")?;
    let objective = objective(&routing, case);
    ensure(objective.is_tracked(), || {
        "the weights are cut off from the parameters: no gradient reaches the router".to_owned()
    })?;
    let gradients = router.gradients(&objective.backward());
    for gradient in &gradients {
        ensure(gradient.values.iter().all(|g| g.is_finite()), || {
            "a gradient is not finite".to_owned()
        })?;
    }

    let mut compared = 0;
    for sample in 0..SAMPLES {
        let seed = mix_seed(case.seed, 40 + sample);
        let param = uniform_below(gradients.len(), seed, 0);
        let element = uniform_below(gradients[param].values.len(), seed, 1);
        if !gradients[param].trained {
            continue;
        }
        let moved = |step: f32| {
            let routing = nudged(&*router, param, element, step).route(case.input(x_td.clone()));
            (plan_of(&routing) == chosen).then(|| objective_value(&routing, case))
        };
        let (Some(up), Some(down)) = (moved(STEP), moved(-STEP)) else {
            continue; // another choice: not differentiable here
        };
        if up == down {
            continue; // it takes part in the choice alone, where a surrogate may stand for a gradient
        }
        let expected = (up - down) / (2.0 * STEP);
        let found = gradients[param].values[element];
        ensure(
            (found - expected).abs() < 0.01 + 0.03 * expected.abs(),
            || {
                format!(
                    "the gradient of entry {element} of parameter {param} is {found}, finite differences give {expected}"
                )
            },
        )?;
        compared += 1;
    }
    applies(
        compared > 0,
        "every entry drawn takes part in the choice alone",
    )
}

/// A copy with one entry of one parameter moved.
fn nudged(router: &dyn Specimen, param: usize, element: usize, step: f32) -> Box<dyn Specimen> {
    let mut at = 0;
    router.edited(&mut |_, values| {
        if at == param {
            values[element] += step;
        }
        at += 1;
    })
}

fn n_weights(routing: &Routing) -> usize {
    match &routing.plan {
        Plan::Sparse(plan) => plan.assignments.len(),
        Plan::Soft(plan) => plan.combine.shape().num_elements(),
    }
}

fn plan_of(routing: &Routing) -> Option<crate::Assignments> {
    match &routing.plan {
        Plan::Sparse(plan) => Some((*plan.assignments).clone()),
        Plan::Soft(_) => None,
    }
}

/// A sum of all weights with coefficients that tell them apart.
fn objective(routing: &Routing, case: &Case) -> Tensor<1> {
    let weigh = |weights: Tensor<1>, key: u64, kept: &dyn Fn(usize) -> bool| {
        let coefficient = |i: usize| {
            let draw = uniform_below(1000, mix_seed(case.seed, 50 + key), i as u64);
            if kept(i) {
                draw as f32 / 500.0 - 1.0
            } else {
                0.0
            }
        };
        let values: Vec<f32> = (0..weights.dims()[0]).map(coefficient).collect();
        let n = values.len();
        let coefficients = Tensor::<1>::from_data(TensorData::new(values, [n]), &weights.device());
        (weights * coefficients).sum()
    };
    match &routing.plan {
        Plan::Sparse(plan) => {
            let kept = plan.assignments.kept();
            weigh(plan.weights.clone(), 0, &|n| kept[n])
        }
        Plan::Soft(plan) => {
            let flat = |map: &Tensor<3>| map.clone().reshape([-1]);
            weigh(flat(&plan.combine), 0, &|_| true) + weigh(flat(&plan.dispatch), 1, &|_| true)
        }
    }
}

fn objective_value(routing: &Routing, case: &Case) -> f32 {
    objective(routing, case).detach().into_scalar()
}
