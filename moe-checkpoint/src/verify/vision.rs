//! V-MoE and Soft-MoE: every block, every routing, the losses of each group, and training.

use super::checker::{Checker, scalar};
use super::forward::{HIDDEN, LOGITS, LOSS};
use super::goldens::{Goldens, is_training};
use super::objective::Losses;
use super::quantity::Tolerance;
use super::training::{self, BalanceReport, Trained};
use super::vision_routing::{GroupLosses, check_routing};
use super::{Scope, Verification, VerifyError};
use crate::published::{PublishedVmoe, PublishedVmoeExperts, PublishedVmoeRouter};
use crate::{HostValues, Precision, PublishedFamily, VmoeCheckpoint};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_experts::Exchange;
use moe_models::cross_entropy;
use moe_models::vmoe::VmoeTrace;
use moe_models::{Vmoe, VmoeInput, VmoeOutput};
use std::collections::BTreeMap;

/// Holds a vision model to its goldens, in f32.
///
/// # Errors
///
/// Returns an error if the checkpoint cannot be read or the goldens cannot be used. A difference is no
/// error.
pub fn verify_vmoe(
    checkpoint: &VmoeCheckpoint,
    goldens: &Goldens,
    scope: Scope,
    device: &Device,
) -> Result<Verification, VerifyError> {
    let config = checkpoint.config();
    let tolerances = Tolerances::of(config);
    let batch = Batch::read(goldens, config)?;
    let plain = device.clone().without_autodiff();
    let model = checkpoint.load(Precision::F32, &plain)?;

    let mut checker = Checker::new(goldens);
    checker.input("images");
    for layer in batch.noise.keys() {
        checker.input(&noise_name(*layer));
    }
    let output = model.forward(batch.input(&plain).traced());
    check_forward(&mut checker, config, &output, &tolerances);
    drop(model);

    if scope == Scope::Everything && goldens.trains() {
        check_training(&mut checker, checkpoint, &batch, tolerances.looser, device)?;
    }
    let is_of_training = |name: &str| is_training(name) || name == "labels";
    Ok(Verification::of(checker, scope, is_of_training))
}

/// Compares losses, gradients and training.
fn check_training(
    checker: &mut Checker<'_>,
    checkpoint: &VmoeCheckpoint,
    batch: &Batch,
    looser: f64,
    device: &Device,
) -> Result<(), VerifyError> {
    let config = checkpoint.config();
    let labels = batch.labels(checker.goldens, config)?;
    checker.input("labels");
    let device = device.clone().autodiff();
    let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
    let entries = config.by_parameter();
    let losses = |model: &Vmoe| {
        let output = model.forward(batch.input(&device));
        let lm = cross_entropy(output.logits.clone(), labels.clone()).mean();
        let balance = auxiliary(config, &output);
        Losses {
            objective: lm.clone() + balance.clone(),
            lm,
            balance,
        }
    };
    let trained = Trained {
        entries: &entries,
        model: checkpoint.load(Precision::F32, &device)?,
        losses: &losses,
        balance: BalanceReport::Added,
        looser,
    };
    training::check(checker, trained);
    Ok(())
}

/// Tolerances of what follows the first mixture.
pub(super) struct Tolerances {
    /// States of tokens.
    pub(super) states: Tolerance,
    /// Scores of experts.
    pub(super) scores: Tolerance,
    /// Factor of all other tolerances.
    pub(super) looser: f64,
}

impl Tolerances {
    /// Of a model that rounds tokens to bf16 one number in the middle of two may become either, in the
    /// reference on two machines too, and what follows moves with it.
    fn of(config: &PublishedVmoe) -> Self {
        match config.model().moe.exchange {
            Exchange::Exact => Self {
                states: HIDDEN,
                scores: LOGITS,
                looser: 1.0,
            },
            Exchange::Bf16 => Self {
                states: Tolerance::Rounded(5e-5),
                scores: Tolerance::Rounded(1e-4),
                looser: 10.0,
            },
        }
    }
}

fn noise_name(layer: usize) -> String {
    format!("noise/{layer}")
}

/// Images, and the noise of each mixture that has noise.
struct Batch {
    images: (Vec<f32>, [usize; 4]),
    noise: BTreeMap<usize, (Vec<f32>, [usize; 2])>,
}

impl Batch {
    fn read(goldens: &Goldens, config: &PublishedVmoe) -> Result<Self, VerifyError> {
        let [height, width] = config.image_size;
        let (images, shape) = floats(goldens, "images")?;
        let n_images = match shape.as_slice() {
            [n, rest @ ..] if rest == [height, width, config.num_channels] && *n > 0 => *n,
            found => {
                let channels = config.num_channels;
                return Err(goldens.problem(format!(
                    "images is {found:?}, and config.json makes it [any, {height}, {width}, {channels}]"
                )));
            }
        };
        let n_tokens = n_images * config.model().n_tokens();
        let mut noise = BTreeMap::new();
        if let Some(moe) = &config.moe {
            if !n_tokens.is_multiple_of(moe.group_size) {
                return Err(goldens.problem(format!(
                    "images has {n_tokens} tokens, no whole number of groups of {}",
                    moe.group_size
                )));
            }
            let noisy = moe.layers.iter().filter(|_| moe.router.is_noisy());
            for &layer in noisy {
                noise.insert(layer, read_noise(goldens, moe, layer, n_tokens)?);
            }
        }
        Ok(Self {
            images: (images, [n_images, height, width, config.num_channels]),
            noise,
        })
    }

    fn input(&self, device: &Device) -> VmoeInput {
        let (values, shape) = self.images.clone();
        let images = Tensor::from_data(TensorData::new(values, shape), device);
        let noise = self.noise.iter().map(|(&layer, (values, shape))| {
            let data = TensorData::new(values.clone(), *shape);
            (layer, Tensor::from_data(data, device))
        });
        VmoeInput::new(images).drawn_noise(noise.collect())
    }

    fn labels(&self, goldens: &Goldens, config: &PublishedVmoe) -> Result<Vec<i64>, VerifyError> {
        let n_images = self.images.1[0];
        let labels = goldens.get("labels");
        let Some((HostValues::Ints(labels), shape)) = labels.map(|l| (&l.values, &l.shape)) else {
            return Err(goldens.problem("there are no whole numbers labels".to_owned()));
        };
        if *shape != [n_images] {
            return Err(goldens.problem(format!(
                "labels is {shape:?}, and there are {n_images} images"
            )));
        }
        let known = 0..config.num_classes as i64;
        match labels.iter().find(|label| !known.contains(label)) {
            Some(label) => Err(goldens.problem(format!(
                "labels has {label}, and the classes are 0 to {}",
                config.num_classes - 1
            ))),
            None => Ok(labels.clone()),
        }
    }
}

/// The noise of a mixture as its router takes it, `[T, scores of a token]`.
fn read_noise(
    goldens: &Goldens,
    moe: &PublishedVmoeExperts,
    layer: usize,
    n_tokens: usize,
) -> Result<(Vec<f32>, [usize; 2]), VerifyError> {
    let name = noise_name(layer);
    let width = match moe.router {
        PublishedVmoeRouter::SoftRouter { num_slots, .. } => moe.num_experts * num_slots,
        _ => moe.num_experts,
    };
    let (values, shape) = floats(goldens, &name)?;
    let groups = [n_tokens / moe.group_size, moe.group_size];
    if !shape.starts_with(&groups) || values.len() != n_tokens * width {
        return Err(goldens.problem(format!(
            "{name} is {shape:?}, and {width} numbers for each token of {groups:?} are needed"
        )));
    }
    Ok((values, [n_tokens, width]))
}

fn floats(goldens: &Goldens, name: &str) -> Result<(Vec<f32>, Vec<usize>), VerifyError> {
    match goldens
        .get(name)
        .map(|tensor| (&tensor.values, &tensor.shape))
    {
        Some((HostValues::Floats(values), shape)) => Ok((values.clone(), shape.clone())),
        _ => Err(goldens.problem(format!("there is no tensor of numbers {name}"))),
    }
}

/// The sum over the mixtures of their auxiliary losses, `[1]`.
fn auxiliary(config: &PublishedVmoe, output: &VmoeOutput) -> Tensor<1> {
    let zero = Tensor::zeros([1], &output.logits.device());
    let Some(moe) = &config.moe else {
        return zero;
    };
    let losses = output.routings.iter();
    let losses = losses.map(|routing| GroupLosses::of(routing).auxiliary(&moe.router));
    losses.fold(zero, |sum, loss| sum + loss)
}

fn check_forward(
    checker: &mut Checker<'_>,
    config: &PublishedVmoe,
    output: &VmoeOutput,
    tolerances: &Tolerances,
) {
    if let Some(trace) = &output.trace {
        check_trace(checker, config, trace, tolerances.states);
    }
    if let Some(moe) = &config.moe {
        for (layer, routing) in moe.layers.iter().zip(&output.routings) {
            let name = |what: &str| format!("{what}/encoderblock_{layer}");
            check_routing(checker, name, moe, routing, tolerances);
        }
    }
    checker.tensor(
        "logits",
        output.logits.clone(),
        LOGITS.times(tolerances.looser),
    );
    let auxiliary = scalar(auxiliary(config, output));
    checker.floats(
        "aux_loss",
        &[1],
        &[auxiliary],
        LOSS.times(tolerances.looser),
    );
}

fn check_trace(
    checker: &mut Checker<'_>,
    config: &PublishedVmoe,
    trace: &VmoeTrace,
    tolerance: Tolerance,
) {
    let [batch, _, d_model] = trace.patches.dims();
    let [rows, columns] = config.model().grid();
    let patches = trace.patches.clone();
    let patches: Tensor<4> = patches.reshape([batch, rows, columns, d_model]);
    checker.tensor("patch_embed", patches, HIDDEN);
    for (i, x) in trace.blocks.iter().enumerate() {
        checker.tensor(&format!("block_out/encoderblock_{i}"), x.clone(), tolerance);
    }
    let layers = config.moe.iter().flat_map(|moe| &moe.layers);
    for (layer, x) in layers.zip(&trace.mixtures) {
        checker.tensor(
            &format!("moe_out/encoderblock_{layer}"),
            x.clone(),
            tolerance,
        );
    }
    checker.tensor("encoder_norm", trace.encoded.clone(), tolerance);
}
