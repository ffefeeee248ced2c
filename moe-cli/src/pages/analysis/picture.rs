//! Images with what becomes of their patches drawn over them.

use super::super::html::Html;
use crate::terminal::{EXPERT_COLOURS, ExpertStyle};
use moe_train::analyze::{PatchGrid, PatchPlan, Picture};
use moe_train::draw::escape;
use std::collections::BTreeMap;
use std::fmt::Write;

/// An image on the page: its place among the pictures, and how large its patches are drawn.
pub struct Canvas<'a> {
    /// The picture.
    pub picture: &'a Picture,
    /// Its place among all pictures.
    pub place: usize,
    /// How it is cut.
    pub grid: &'a PatchGrid,
    /// How large it is drawn; 1 leaves room for the numbers of experts.
    pub scale: f64,
}

/// The images of a page, each held once and drawn many times.
pub fn definitions(pictures: &[Picture]) -> Html {
    let images: String = pictures
        .iter()
        .enumerate()
        .map(|(place, picture)| {
            format!(
                "<image id=\"image-{place}\" class=\"pixels\" width=\"1\" height=\"1\" preserveAspectRatio=\"none\" href=\"{}\"/>\n",
                picture.pixels.uri()
            )
        })
        .collect();
    Html::raw(format!(
        "<svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>\n{images}</defs></svg>\n"
    ))
}

impl Canvas<'_> {
    /// The side of a patch on the page.
    fn side(&self) -> f64 {
        let side = match self.grid.rows.max(self.grid.columns) {
            0..=4 => 24.0,
            5..=8 => 16.0,
            9..=14 => 9.0,
            _ => 6.0,
        };
        side * self.scale
    }

    /// The image with `over` on it.
    fn draw(&self, over: &str, title: &str) -> Html {
        let pixels = &self.picture.pixels;
        let scale = self.side() / self.grid.side as f64;
        let (width, height) = (pixels.width as f64 * scale, pixels.height as f64 * scale);
        Html::raw(format!(
            "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\">\
             <title>{}</title><use href=\"#image-{}\" transform=\"scale({width:.1} {height:.1})\"/>{over}</svg>",
            escape(title),
            self.place,
        ))
    }

    /// The upper left corner of a patch.
    fn corner(&self, patch: usize) -> [f64; 2] {
        let (row, column) = (patch / self.grid.columns, patch % self.grid.columns);
        [self.side() * column as f64, self.side() * row as f64]
    }

    /// The image alone.
    pub fn plain(&self) -> Html {
        self.draw("", &self.name())
    }

    /// The image with each patch in the colours of the experts that compute it.
    pub fn experts(&self, experts: &[Vec<usize>]) -> Html {
        let mut squares: BTreeMap<usize, String> = BTreeMap::new();
        let mut numbers = String::new();
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (patch, experts) in experts.iter().enumerate() {
            let [x, y] = self.corner(patch);
            let width = self.side() / experts.len().max(1) as f64;
            for (i, &expert) in experts.iter().enumerate() {
                let x = x + i as f64 * width;
                let path = squares.entry(expert).or_default();
                let (across, down) = (width - 1.0, self.side() - 1.0);
                let _ = write!(
                    path,
                    "M{:.1} {:.1}h{across:.1}v{down:.1}h-{across:.1}z",
                    x + 0.5,
                    y + 0.5
                );
                *counts.entry(expert).or_default() += 1;
                if width >= 12.0 {
                    let (x, y) = (x + width / 2.0, y + self.side() / 2.0 + 4.0);
                    let _ = write!(
                        numbers,
                        "<text class=\"number\" x=\"{x:.1}\" y=\"{y:.1}\">{expert}</text>"
                    );
                }
            }
        }
        let fills: String = squares
            .iter()
            .map(|(expert, path)| {
                let rgb = EXPERT_COLOURS[ExpertStyle::of(*expert).colour].rgb;
                format!("<path class=\"taken\" fill=\"#{rgb:06x}\" d=\"{path}\"/>")
            })
            .collect();
        let dropped = PatchPlan::Experts(experts.to_vec()).dropped();
        let counts: Vec<String> = counts
            .iter()
            .map(|(e, n)| format!("e{e} takes {n}"))
            .collect();
        let title = format!(
            "{}: {}, {} dropped",
            self.name(),
            counts.join(", "),
            dropped.len()
        );
        self.draw(&format!("{fills}{}{numbers}", self.gone(&dropped)), &title)
    }

    /// The image without the patches that are dropped.
    pub fn without(&self, dropped: &[usize]) -> Html {
        let n_patches = self.grid.n_patches();
        let title = format!(
            "{}: {} of {n_patches} patches dropped",
            self.name(),
            dropped.len()
        );
        self.draw(&self.gone(dropped), &title)
    }

    fn gone(&self, dropped: &[usize]) -> String {
        let (mut squares, mut lines) = (String::new(), String::new());
        let side = self.side();
        for &patch in dropped {
            let [x, y] = self.corner(patch);
            let _ = write!(squares, "M{x:.1} {y:.1}h{side:.1}v{side:.1}h-{side:.1}z");
            let (left, low, length) = (x + 0.25 * side, y + 0.75 * side, 0.5 * side);
            let _ = write!(lines, "M{left:.1} {low:.1}l{length:.1} -{length:.1}");
        }
        match dropped.is_empty() {
            true => String::new(),
            false => format!(
                "<path class=\"gone\" d=\"{squares}\"/><path class=\"cross\" d=\"{lines}\"/>"
            ),
        }
    }

    /// What the image is.
    pub fn name(&self) -> String {
        let Picture {
            image,
            class,
            answer,
            ..
        } = self.picture;
        match class == answer {
            true => format!("image {image}, class {class}"),
            false => format!("image {image}, class {class}, taken for {answer}"),
        }
    }

    /// What stands under it.
    pub fn caption(&self) -> String {
        let Picture { class, answer, .. } = self.picture;
        match class == answer {
            true => class.clone(),
            false => format!("{class}, taken for {answer}"),
        }
    }
}
