//! A rank's share of the experts and of their moments, and the whole again.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::OptimizerRecord;
use burn::store::RecordError;
use burn::tensor::{Bytes, Tensor, TensorData};
use burn_pack::{Reader, Writer};
use moe_parallel::Communicator;
use std::collections::BTreeMap;

use moe_experts::spread::{is_shared_out, share};

/// The model with this rank's share of each bank of experts.
pub(crate) fn cut_model<M: Module>(model: M, group: &dyn Communicator) -> M {
    change(model, How::Cut, group)
}

/// The model with all experts, put together from the shares of all ranks of the group, each of which gets it.
pub(crate) fn whole_model<M: Module>(model: M, group: &dyn Communicator) -> M {
    change(model, How::Gather, group)
}

fn change<M: Module>(model: M, how: How, group: &dyn Communicator) -> M {
    if group.size() == 1 {
        return model;
    }
    let shared_out = shared_out(&model);
    model.map(&mut Change {
        shared_out,
        how,
        group,
    })
}

#[derive(Debug, Clone, Copy)]
enum How {
    Cut,
    Gather,
}

struct Change<'a> {
    shared_out: Vec<ParamId>,
    how: How,
    group: &'a dyn Communicator,
}

impl Change<'_> {
    fn cut<const D: usize>(&self, whole: Tensor<D>) -> Tensor<D> {
        let range = share(whole.dims()[0], self.group.rank(), self.group.size());
        // a copy of its own: a view would keep the whole alive
        let (device, data) = (whole.device(), whole.slice_dim(0, range).into_data());
        Tensor::from_data(data, &device)
    }

    /// One tensor at a time, so that little more than the whole model is held.
    fn gather<const D: usize>(&self, part: Tensor<D>) -> Tensor<D> {
        let (device, mut shape) = (part.device(), part.dims());
        shape[0] *= self.group.size();
        let mine = moe_router::to_vec(part);
        let all = self.group.gather(bytemuck::cast_slice(&mine)).concat();
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&all);
        Tensor::from_data(TensorData::new(values, shape), &device)
    }
}

impl ModuleMapper for Change<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.shared_out.contains(&param.id) {
            return param;
        }
        param.map(|tensor| {
            let is_trained = tensor.is_require_grad();
            let tensor = tensor.detach();
            let tensor = match self.how {
                How::Cut => self.cut(tensor),
                How::Gather => self.gather(tensor),
            };
            tensor.set_require_grad(is_trained)
        })
    }
}

/// The parameters that are shared out, in the order of the model.
pub(crate) fn shared_out<M: Module>(model: &M) -> Vec<ParamId> {
    #[derive(Default)]
    struct Names {
        path: Vec<String>,
        ids: Vec<ParamId>,
    }
    impl ModuleVisitor for Names {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if is_shared_out(&self.path) {
                self.ids.push(param.id);
            }
        }
    }
    let mut names = Names::default();
    model.visit(&mut names);
    names.ids
}

/// The moments with this rank's share of those of experts.
pub(crate) fn cut_moments<M: Module>(
    record: OptimizerRecord,
    model: &M,
    group: &dyn Communicator,
) -> Result<OptimizerRecord, RecordError> {
    change_moments(record, model, group, |bytes, rows| {
        let range = share(rows, group.rank(), group.size());
        let row = bytes.len() / rows;
        let part = bytes[range.start * row..range.end * row].to_vec();
        (part, range.len())
    })
}

/// The moments of all experts, put together from those of all ranks of the group.
pub(crate) fn whole_moments<M: Module>(
    record: OptimizerRecord,
    model: &M,
    group: &dyn Communicator,
) -> Result<OptimizerRecord, RecordError> {
    change_moments(record, model, group, |bytes, rows| {
        (group.gather(bytes).concat(), rows * group.size())
    })
}

/// Changes the moments of experts, in the order of the model, which is that of all ranks: the parameters' names are
/// drawn by each process for itself. `change` gets the bytes of a tensor and the length of its first axis.
fn change_moments<M: Module>(
    record: OptimizerRecord,
    model: &M,
    group: &dyn Communicator,
    mut change: impl FnMut(&[u8], usize) -> (Vec<u8>, usize),
) -> Result<OptimizerRecord, RecordError> {
    if group.size() == 1 {
        return Ok(record);
    }
    let reader = Reader::from_bytes(record.into_bytes()?)?;
    let (scalars, metadata) = (reader.scalars().clone(), reader.metadata().clone());
    let mut of: BTreeMap<u64, BTreeMap<String, burn_pack::Tensor>> = BTreeMap::new();
    let mut tensors = Vec::new();
    let ids: Vec<u64> = shared_out(model).iter().map(ParamId::val).collect();
    for tensor in reader.into_tensors()? {
        let (name, dtype, shape, id, bytes) = tensor.into_parts()?;
        let tensor = burn_pack::Tensor::new(name.clone(), dtype, shape, id, bytes);
        match id.filter(|id| ids.contains(id)) {
            Some(id) => _ = of.entry(id).or_default().insert(name, tensor),
            None => tensors.push(tensor),
        }
    }
    for id in &ids {
        for tensor in of.remove(id).unwrap_or_default().into_values() {
            let (name, dtype, mut shape, id, bytes) = tensor.into_parts()?;
            let (changed, rows) = change(&bytes, shape[0]);
            shape[0] = rows;
            let bytes = Bytes::from_bytes_vec(changed);
            tensors.push(burn_pack::Tensor::new(name, dtype, shape, id, bytes));
        }
    }
    let mut writer = Writer::new(tensors);
    for (key, value) in &scalars {
        writer = writer.with_scalar(key, *value);
    }
    for (key, value) in &metadata {
        writer = writer.with_metadata(key, value);
    }
    OptimizerRecord::from_bytes(writer.into_bytes()?)
}
