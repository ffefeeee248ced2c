//! The law that gradients of the weights equal finite differences.

use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, ParamGradient, Specimen, Stop, Subject};
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
    applies(router.has_gradients(), "computed where gradients are not")?;
    let x_td = case.distinct(&device);
    let routing = router.route(case.input(x_td.clone()));
    let chosen = plan_of(&routing);
    let n = n_weights(&routing);
    applies(n > 0, "no assignments")?;
    let gradients = finite_gradients(&*router, objective(&routing, case))?;

    let mut compared = 0;
    for sample in 0..SAMPLES {
        let entry = Entry::drawn(&gradients, mix_seed(case.seed, 40 + sample));
        let gradient = &gradients[entry.param];
        let moved = |step: f32| {
            let routing = entry
                .nudged(&*router, step)
                .route(case.input(x_td.clone()));
            (plan_of(&routing) == chosen).then(|| objective_value(&routing, case))
        };
        if !gradient.trained {
            continue;
        }
        if let Some(expected) = slope(moved) {
            entry.is_near(gradient.values[entry.element], expected)?;
            compared += 1;
        }
    }
    applies(
        compared > 0,
        "every entry drawn takes part in the choice alone",
    )
}

fn finite_gradients(
    router: &dyn Specimen,
    objective: Tensor<1>,
) -> Result<Vec<ParamGradient>, Stop> {
    ensure(objective.is_tracked(), || {
        "the weights are cut off from the parameters: no gradient reaches the router".to_owned()
    })?;
    let gradients = router.gradients(&objective.backward());
    let mut all = gradients.iter().flat_map(|gradient| &gradient.values);
    ensure(all.all(|g| g.is_finite()), || {
        "a gradient is not finite".to_owned()
    })?;
    Ok(gradients)
}

/// The central difference of a value that is none where the step changes the choice.
fn slope(moved: impl Fn(f32) -> Option<f32>) -> Option<f32> {
    let (up, down) = (moved(STEP)?, moved(-STEP)?);
    // an entry that changes nothing takes part in the choice alone, where a surrogate may stand for a gradient
    (up != down).then(|| (up - down) / (2.0 * STEP))
}

/// One entry of one parameter.
struct Entry {
    param: usize,
    element: usize,
}

impl Entry {
    fn drawn(gradients: &[ParamGradient], seed: u64) -> Self {
        let param = uniform_below(gradients.len(), seed, 0);
        let element = uniform_below(gradients[param].values.len(), seed, 1);
        Self { param, element }
    }

    /// A copy of the router with the entry moved.
    fn nudged(&self, router: &dyn Specimen, step: f32) -> Box<dyn Specimen> {
        let mut at = 0;
        router.edited(&mut |_, values| {
            if at == self.param {
                values[self.element] += step;
            }
            at += 1;
        })
    }

    fn is_near(&self, found: f32, expected: f32) -> Held {
        let is_near = (found - expected).abs() < 0.01 + 0.03 * expected.abs();
        ensure(is_near, || {
            format!(
                "the gradient of entry {} of parameter {} is {found}, finite differences give {expected}",
                self.element, self.param
            )
        })
    }
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
