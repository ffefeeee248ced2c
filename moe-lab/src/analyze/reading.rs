//! Images that are read, and what a model saw in them.

use super::pictures::chosen;
use super::whole::AnalyzeOptions;
use super::{PatchGrid, PatchPlan, Picture, Pixels};
use burn::tensor::Device;
use moe_models::vmoe::{Vmoe, VmoeInput};
use moe_router::Routing;
use moe_train::data::ImageData;
use moe_train::task::best_classes;

/// The images that are read, and how.
pub(super) struct Reading<'a> {
    pub(super) data: &'a ImageData,
    pub(super) options: &'a AnalyzeOptions,
    pub(super) device: &'a Device,
    pub(super) batch_size: usize,
    pub(super) group_images: usize,
    pub(super) grid: PatchGrid,
}

/// A batch of images as the model saw it.
pub(super) struct Seen<'a> {
    /// The places in their part of the images that count, which come first.
    pub(super) places: &'a [usize],
    /// The class of every image.
    pub(super) labels: &'a [u16],
    /// The class that the model takes each image for.
    pub(super) answers: Vec<usize>,
    pub(super) routings: Vec<Routing>,
}

impl Seen<'_> {
    /// The class of the image of each token; none of an image that does not count.
    pub(super) fn classes_t(&self, grid: &PatchGrid) -> Vec<Option<usize>> {
        let class = |t: usize| {
            let image = t / grid.n_tokens();
            (image < self.places.len()).then(|| usize::from(self.labels[image]))
        };
        (0..self.labels.len() * grid.n_tokens())
            .map(class)
            .collect()
    }
}

impl Reading<'_> {
    /// Calls `see` with every batch; returns the share of images named right.
    pub(super) fn each(&self, model: &Vmoe, mut see: impl FnMut(&Seen<'_>)) -> f64 {
        let (mut n_right, mut n_images) = (0, 0);
        let AnalyzeOptions { split, most, .. } = *self.options;
        let batches = self
            .data
            .eval_batches(split, most, self.batch_size, self.group_images);
        for scored in batches {
            let batch = scored.batch();
            let output = model.forward(VmoeInput::new(batch.images(self.device)));
            let seen = Seen {
                places: scored.places(),
                labels: &batch.labels,
                answers: best_classes(&output.logits),
                routings: output.routings,
            };
            let counted = seen.labels.iter().zip(&seen.answers).take(scored.n_scored);
            n_right += counted
                .filter(|(label, answer)| usize::from(**label) == **answer)
                .count();
            n_images += scored.n_scored;
            see(&seen);
        }
        n_right as f64 / n_images as f64
    }

    pub(super) fn pixels(&self, place: usize) -> Pixels {
        let (part, shape) = (self.data.part(self.options.split), self.data.shape());
        Pixels::of(part.image(place, shape), shape)
    }

    pub(super) fn class(&self, label: usize) -> String {
        self.data.class_names()[label].clone()
    }

    pub(super) fn class_of(&self, place: usize) -> String {
        self.class(usize::from(
            self.data.part(self.options.split).labels[place],
        ))
    }

    /// An image of a batch, by its place there, with what each layer does to the images of the batch.
    pub(super) fn picture(&self, seen: &Seen<'_>, i: usize, plans: &[Vec<PatchPlan>]) -> Picture {
        let image = seen.places[i];
        Picture {
            image,
            class: self.class_of(image),
            answer: self.class(seen.answers[i]),
            layers: plans.iter().map(|of_layer| of_layer[i].clone()).collect(),
            pixels: self.pixels(image),
        }
    }

    /// The images to show, of those that are read.
    pub(super) fn shown(&self) -> Vec<usize> {
        let AnalyzeOptions { split, most, .. } = *self.options;
        let batches = self
            .data
            .eval_batches(split, most, self.batch_size, self.group_images);
        let read: Vec<usize> = batches.iter().flat_map(|b| b.places().to_vec()).collect();
        let labels = &self.data.part(split).labels;
        let of_read: Vec<u16> = read.iter().map(|&place| labels[place]).collect();
        chosen(&of_read).into_iter().map(|i| read[i]).collect()
    }
}
