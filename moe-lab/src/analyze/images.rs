//! The analysis of a model of images.

use super::capacity::{capacities, look, model_of};
use super::communication::CommunicationCounts;
use super::image_layer::PatchCounts;
use super::reading::Reading;
use super::takes::takes;
use super::traced::Traced;
use super::whole::AnalyzeOptions;
use super::{AnalyzeError, AtCapacity, Communication, ImageLayer, PatchGrid, PatchPlan, Picture};
use burn::tensor::Device;
use moe_models::vmoe::Vmoe;
use moe_train::data::{ImageData, Split};
use moe_train::run::{LoadedRun, group_images};
use serde::Serialize;
use std::path::PathBuf;

/// The doings of a trained vision transformer's experts with held-out images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageAnalysis {
    /// The run folder.
    pub folder: PathBuf,
    /// The step of the checkpoint.
    pub step: u64,
    /// The router's name.
    pub router: String,
    /// Values of the router that are not those of the training.
    pub evaluated_with: Vec<String>,
    /// The part of the images.
    pub split: Split,
    /// The images that were read.
    pub n_images: usize,
    /// The share of them that was named right.
    pub accuracy: f64,
    /// The cut of images into patches.
    pub grid: PatchGrid,
    /// The number of images that are routed together.
    pub group_images: usize,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Each layer with experts.
    pub layers: Vec<ImageLayer>,
    /// Some images: the first of each class.
    pub pictures: Vec<Picture>,
    /// The share that is dropped at each capacity, the run's own first; none if the router has no capacity.
    pub capacities: Vec<AtCapacity>,
    /// The communication of expert parallelism, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communication: Option<Communication>,
}

/// Reads images, and reads them again at each capacity.
pub(super) fn analyze_images(
    run: &LoadedRun,
    model: &Vmoe,
    data: &ImageData,
    options: &AnalyzeOptions,
    device: &Device,
) -> Result<ImageAnalysis, AnalyzeError> {
    let capacities = capacities(&run.config, options.capacities.as_deref())?;
    let reading = Reading {
        data,
        options,
        device,
        batch_size: run.config.train.batch_size,
        group_images: group_images(&model.config),
        grid: PatchGrid::of(&model.config),
    };
    let shown = reading.shown();
    let mut analysis = ImageAnalysis::empty(run, &reading);
    let mut traced = Traced::new(options.trace.as_ref());
    let communication = analysis.read(&reading, model, &shown, &mut traced)?;
    traced.finish(run, reading.data.class_names())?;
    analysis.communication = communication.finish(&run.config);
    for (i, (capacity, config)) in capacities.iter().enumerate() {
        let other = model_of(config, model, device);
        let at = look(&reading, &other, *capacity, &shown);
        let is_own = i == 0;
        analysis.capacities.push(AtCapacity { is_own, ..at });
    }
    Ok(analysis)
}

impl ImageAnalysis {
    /// The analysis of a run before anything was read.
    fn empty(run: &LoadedRun, reading: &Reading<'_>) -> Self {
        Self {
            folder: run.folder.clone(),
            step: run.step,
            router: run.config.router.name().to_owned(),
            evaluated_with: reading.options.evaluated_with.clone(),
            split: reading.options.split,
            n_images: 0,
            accuracy: 0.0,
            grid: reading.grid,
            group_images: reading.group_images,
            classes: reading.data.class_names().to_vec(),
            layers: Vec::new(),
            pictures: Vec::new(),
            capacities: Vec::new(),
            communication: None,
        }
    }

    /// Reads all images with the model as it was trained; returns the counts of what would travel.
    fn read<'a>(
        &mut self,
        reading: &Reading<'a>,
        model: &Vmoe,
        shown: &[usize],
        traced: &mut Traced,
    ) -> Result<CommunicationCounts<'a>, AnalyzeError> {
        let grid = &reading.grid;
        let mut layers: Vec<PatchCounts> = Vec::new();
        let mut pictures: Vec<Option<Picture>> = vec![None; shown.len()];
        let mut communication = CommunicationCounts::new(reading.options.communication.as_ref());
        let mut written = Ok(());
        self.accuracy = reading.each(model, |seen| {
            if written.is_ok() {
                written = traced.add(&seen.routings, None, &seen.classes_t(grid));
            }
            self.n_images += seen.places.len();
            communication.add(&seen.routings);
            if layers.is_empty() {
                let counts = |routing| PatchCounts::like(routing, reading);
                layers = seen.routings.iter().map(counts).collect();
            }
            let mut plans = Vec::new();
            for (counts, routing) in layers.iter_mut().zip(&seen.routings) {
                let takes = takes(routing);
                counts.add(routing, &takes, seen, grid);
                plans.push(PatchPlan::of(routing, &takes, grid));
            }
            for (i, place) in seen.places.iter().enumerate() {
                if let Some(at) = shown.iter().position(|other| other == place) {
                    pictures[at] = Some(reading.picture(seen, i, &plans));
                }
            }
        });
        self.pictures = pictures.into_iter().flatten().collect();
        let name = |i: usize| format!("MoE layer {i} (block {})", model.config.moe_layers[i]);
        let finish = |(i, counts): (usize, PatchCounts)| counts.finish(name(i), reading);
        self.layers = layers.into_iter().enumerate().map(finish).collect();
        Ok(written.map(|()| communication)?)
    }
}
