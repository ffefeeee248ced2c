//! The bars at the right of the picture: the loads of experts.

use super::canvas::{Canvas, Look};
use super::cells::Cell;
use super::layout::{BARS, CELL, Layout, TOP};

/// The load of each expert in each sequence.
pub(super) struct Loads {
    kept_ge: Vec<Vec<f32>>,
    asked_ge: Vec<Vec<f32>>,
    /// The load of an expert that dropped something: its capacity.
    capacity: Option<f32>,
}

impl Loads {
    pub(super) fn of(cells: &[Cell], layout: &Layout) -> Self {
        let zeros = || vec![vec![0.0; layout.n_experts]; layout.n_groups()];
        let (mut kept_ge, mut asked_ge) = (zeros(), zeros());
        for cell in cells {
            let group = cell.token / layout.group_size;
            asked_ge[group][cell.expert] += cell.load;
            if cell.kept {
                kept_ge[group][cell.expert] += cell.load;
            }
        }
        let pairs = kept_ge.iter().flatten().zip(asked_ge.iter().flatten());
        let full = pairs
            .filter(|(kept, asked)| kept < asked)
            .map(|(kept, _)| *kept);
        let capacity = full.reduce(f32::max);
        Self {
            kept_ge,
            asked_ge,
            capacity,
        }
    }

    /// Tells whether an expert dropped something.
    pub(super) fn has_capacity(&self) -> bool {
        self.capacity.is_some()
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, layout: &Layout) {
        let asked = self.asked_ge.iter().flatten();
        let most = asked.copied().fold(1.0, f32::max);
        let length = |x: f32| (x / most * BARS as f32).round() as usize;
        let x = layout.bars();
        let height = CELL[1] / layout.n_groups();
        for (group, kept_e) in self.kept_ge.iter().enumerate() {
            for (expert, kept) in kept_e.iter().enumerate() {
                let corner = [x, layout.row(expert) + group * height];
                let bar = height.saturating_sub(1).max(1);
                canvas.rect(Look::Filled(100), corner, [length(*kept), bar]);
                let dropped = length(self.asked_ge[group][expert]) - length(*kept);
                let corner = [corner[0] + length(*kept), corner[1]];
                canvas.rect(Look::Outlined, corner, [dropped, bar - 1]);
            }
        }
        canvas.text("small", [x, TOP - 6], "load of a sequence");
        let total: f32 = self.asked_ge.iter().flatten().sum();
        let mean = total / (layout.n_experts * layout.n_groups()) as f32;
        let tall = layout.bottom() - TOP;
        canvas.rect(Look::Faint, [x + length(mean), TOP], [1, tall]);
        let mut labels = format!("mean asked for {mean:.1}");
        if let Some(capacity) = self.capacity {
            canvas.rect(Look::Line, [x + length(capacity), TOP], [2, tall]);
            labels = format!("{labels}, capacity {capacity}");
        }
        canvas.text("small", [x, layout.bottom() + 14], &labels);
    }
}
