//! Images with what becomes of their patches drawn over them.

use super::super::html::Html;
use crate::svg::{escape, uri};
use crate::{EXPERT_COLOURS, ExpertStyle};
use moe_lab::analyze::{PatchGrid, PatchPlan, Picture};
use std::collections::BTreeMap;
use std::fmt::Write;

/// An image on the page: its place among the pictures, and how large its patches are drawn.
pub struct Canvas<'a> {
    /// The picture.
    pub picture: &'a Picture,
    /// Its place among all pictures.
    pub place: usize,
    /// The cut into patches.
    pub grid: &'a PatchGrid,
    /// The size in which it is drawn; 1 leaves room for the numbers of experts.
    pub scale: f64,
}

/// The part of a patch that is an expert's.
#[derive(Debug, Clone, Copy)]
struct Piece {
    expert: usize,
    x: f64,
    y: f64,
    width: f64,
}

/// The images of a page, each held once and drawn many times.
pub fn definitions(pictures: &[Picture]) -> Html {
    let images: String = pictures
        .iter()
        .enumerate()
        .map(|(place, picture)| {
            format!(
                "<image id=\"image-{place}\" class=\"pixels\" width=\"1\" height=\"1\" preserveAspectRatio=\"none\" href=\"{}\"/>\n",
                uri(&picture.pixels)
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
        let pieces = self.pieces(experts);
        let mut of_expert: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
        for piece in &pieces {
            of_expert.entry(piece.expert).or_default().push(*piece);
        }
        let fills: String = of_expert.values().map(|own| self.fill(own)).collect();
        let numbers: String = if self.has_room_for_numbers(experts) {
            pieces.iter().map(|piece| self.number(piece)).collect()
        } else {
            String::new()
        };
        let dropped = PatchPlan::Experts(experts.to_vec()).dropped();
        let counts = of_expert.iter();
        let counts = counts.map(|(expert, own)| format!("e{expert} takes {}", own.len()));
        let title = format!(
            "{}: {}, {} dropped",
            self.name(),
            counts.collect::<Vec<_>>().join(", "),
            dropped.len()
        );
        let over = format!("{fills}{}{numbers}", self.gone(&dropped));
        self.draw(&over, &title)
    }

    /// Each patch in as many upright pieces as experts compute it.
    fn pieces(&self, experts: &[Vec<usize>]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (patch, experts) in experts.iter().enumerate() {
            let [x, y] = self.corner(patch);
            let width = self.side() / experts.len().max(1) as f64;
            pieces.extend(experts.iter().enumerate().map(|(i, &expert)| Piece {
                expert,
                x: x + i as f64 * width,
                y,
                width,
            }));
        }
        pieces
    }

    /// The pieces of an expert; a line around them tells those of one colour apart.
    fn fill(&self, pieces: &[Piece]) -> String {
        let ExpertStyle { colour, cycle } = ExpertStyle::of(pieces[0].expert);
        let rgb = EXPERT_COLOURS[colour].rgb;
        let mut path = String::new();
        for Piece { x, y, width, .. } in pieces {
            let (x, y, across, down) = (x + 0.5, y + 0.5, width - 1.0, self.side() - 1.0);
            let _ = write!(path, "M{x:.1} {y:.1}h{across:.1}v{down:.1}h-{across:.1}z");
        }
        format!(
            "<path class=\"taken\" fill=\"#{rgb:06x}\" stroke-width=\"{}\" d=\"{path}\"/>",
            1.5 * cycle as f64
        )
    }

    fn number(&self, piece: &Piece) -> String {
        let (x, y) = (
            piece.x + piece.width / 2.0,
            piece.y + self.side() / 2.0 + 4.0,
        );
        format!(
            "<text class=\"number\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            piece.expert
        )
    }

    /// Tells whether each part of a patch is wide enough for the number of its expert.
    fn has_room_for_numbers(&self, experts: &[Vec<usize>]) -> bool {
        let most = experts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let needed = if experts.iter().flatten().any(|expert| *expert > 9) {
            18.0
        } else {
            12.0
        };
        self.side() / most as f64 >= needed
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
        if dropped.is_empty() {
            String::new()
        } else {
            format!("<path class=\"gone\" d=\"{squares}\"/><path class=\"cross\" d=\"{lines}\"/>")
        }
    }

    /// The image's name.
    pub fn name(&self) -> String {
        let Picture {
            image,
            class,
            answer,
            ..
        } = self.picture;
        if class == answer {
            format!("image {image}, class {class}")
        } else {
            format!("image {image}, class {class}, taken for {answer}")
        }
    }

    /// The caption under it.
    pub fn caption(&self) -> String {
        let Picture { class, answer, .. } = self.picture;
        if class == answer {
            class.clone()
        } else {
            format!("{class}, taken for {answer}")
        }
    }
}
