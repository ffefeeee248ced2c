//! Gradients of micro-batches, added in an order that no number of ranks changes.

use super::shared_out;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use moe_experts::spread::Spread;
use moe_parallel::{Add, Communicator, Mesh, sum_in_order};

/// Gradients of some micro-batches of a model.
pub(crate) struct Part<'a, M> {
    /// The model, for the order of its parameters.
    pub model: &'a M,
    /// The gradients.
    pub gradients: GradientsParams,
}

impl<M: Module> Add for Part<'_, M> {
    fn add(self, later: Self) -> Self {
        let mut sum = Sum {
            of: self.gradients,
            later: later.gradients,
        };
        self.model.visit(&mut sum);
        Self {
            model: self.model,
            gradients: sum.of,
        }
    }
}

struct Sum {
    of: GradientsParams,
    later: GradientsParams,
}

impl ModuleVisitor for Sum {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(later) = self.later.remove::<D>(param.id) else {
            return;
        };
        let sum = match self.of.remove::<D>(param.id) {
            Some(earlier) => earlier + later,
            None => later,
        };
        self.of.register(param.id, sum);
    }
}

/// Adds up what all ranks have: gradients of what every rank holds over the world, those of experts, which `spread`
/// has kept, over the replicas. Shares of micro-batches are in the gradients already, so there is no other factor.
pub(crate) fn reduce<M: Module>(
    model: &M,
    mine: GradientsParams,
    spread: Option<&Spread>,
    mesh: &Mesh,
) -> GradientsParams {
    if !mesh.is_shared() {
        return mine;
    }
    // without a spread every rank holds everything
    let ids = spread.map_or_else(Vec::new, |_| shared_out(model));
    let mut flat = Flat {
        of: mine,
        spread,
        ids: &ids,
        held: Values::default(),
        shared_out: Values::default(),
        device: None,
    };
    model.visit(&mut flat);
    flat.held.sum(&*mesh.world);
    flat.shared_out.sum(&*mesh.replicas);
    let Flat {
        held,
        shared_out,
        device,
        ..
    } = flat;
    let mut back = Back {
        of: GradientsParams::new(),
        held: held.cursor(),
        shared_out: shared_out.cursor(),
        ids: &ids,
        device: device.unwrap_or_default(),
    };
    model.visit(&mut back);
    back.of
}

/// The gradients of some parameters in a row, in the order of the model.
#[derive(Default)]
struct Values {
    values: Vec<f32>,
    /// 1 for each parameter that has a gradient, 0 for the others.
    is_there: Vec<u8>,
}

impl Values {
    fn push(&mut self, gradient: Option<Vec<f32>>, n: usize) {
        self.is_there.push(u8::from(gradient.is_some()));
        match gradient {
            Some(values) => self.values.extend(values),
            None => self.values.resize(self.values.len() + n, 0.0),
        }
    }

    fn sum(&mut self, group: &dyn Communicator) {
        sum_in_order(group, &mut self.values);
        for of_rank in group.gather(&self.is_there) {
            self.is_there
                .iter_mut()
                .zip(of_rank)
                .for_each(|(here, there)| *here |= there);
        }
    }

    fn cursor(self) -> Cursor {
        Cursor {
            values: self.values,
            is_there: self.is_there.into_iter(),
            at: 0,
        }
    }
}

/// The same, taken out again.
struct Cursor {
    values: Vec<f32>,
    is_there: std::vec::IntoIter<u8>,
    at: usize,
}

impl Cursor {
    fn next(&mut self, n: usize) -> Option<Vec<f32>> {
        let values = &self.values[self.at..self.at + n];
        self.at += n;
        (self.is_there.next() == Some(1)).then(|| values.to_vec())
    }
}

struct Flat<'a> {
    of: GradientsParams,
    spread: Option<&'a Spread>,
    /// The parameters that are shared out.
    ids: &'a [ParamId],
    held: Values,
    shared_out: Values,
    device: Option<Device>,
}

impl Flat<'_> {
    fn of_spread(&self, id: ParamId) -> Option<Vec<f32>> {
        let gradient = self.spread?.take_gradient(id)?;
        Some(moe_router::to_vec(gradient))
    }
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let n = param.shape().num_elements();
        if self.device.is_none() {
            self.device = Some(param.val().device().without_autodiff());
        }
        if self.ids.contains(&param.id) {
            // experts to which no row came have a gradient of zero, as in one process
            let gradient = self.of_spread(param.id).unwrap_or_else(|| vec![0.0; n]);
            self.shared_out.push(Some(gradient), n);
        } else {
            let gradient = self.of.remove::<D>(param.id).map(moe_router::to_vec);
            self.held.push(gradient, n);
        }
    }
}

struct Back<'a> {
    of: GradientsParams,
    held: Cursor,
    shared_out: Cursor,
    ids: &'a [ParamId],
    device: Device,
}

impl ModuleVisitor for Back<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let n = param.shape().num_elements();
        let cursor = if self.ids.contains(&param.id) {
            &mut self.shared_out
        } else {
            &mut self.held
        };
        if let Some(values) = cursor.next(n) {
            let data = TensorData::new(values, param.shape());
            let gradient = Tensor::<D>::from_data(data, &self.device);
            self.of.register(param.id, gradient);
        }
    }
}
