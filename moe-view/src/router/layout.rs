//! Places of tokens, experts and bars in the picture.

use moe_router::Routing;

pub(super) const MARGIN: usize = 14;
/// The width of the experts' names.
const NAMES: usize = 62;
pub(super) const TOP: usize = 74;
/// A token's column and an expert's row, with the gap to the next.
pub(super) const COLUMN: usize = 11;
const ROW: usize = 19;
pub(super) const CELL: [usize; 2] = [10, 16];
/// Between sequences, and between the last and the bars.
const GAP: usize = 14;
pub(super) const BARS: usize = 170;

/// Where things are.
pub(super) struct Layout {
    pub(super) n_tokens: usize,
    pub(super) n_experts: usize,
    pub(super) n_computed: usize,
    pub(super) group_size: usize,
}

impl Layout {
    pub(super) fn of(routing: &Routing) -> Self {
        let n_tokens = routing.n_tokens();
        Self {
            n_tokens,
            n_experts: routing.n_experts(),
            n_computed: routing.n_computed_experts(),
            group_size: n_tokens / routing.n_groups,
        }
    }

    pub(super) fn n_groups(&self) -> usize {
        self.n_tokens / self.group_size
    }

    pub(super) fn column(&self, token: usize) -> usize {
        MARGIN + NAMES + token * COLUMN + token / self.group_size * GAP
    }

    pub(super) fn row(&self, expert: usize) -> usize {
        TOP + expert * ROW
    }

    pub(super) fn corner(&self, token: usize, expert: usize) -> [usize; 2] {
        [self.column(token), self.row(expert)]
    }

    pub(super) fn bottom(&self) -> usize {
        self.row(self.n_experts)
    }

    pub(super) fn bars(&self) -> usize {
        self.column(self.n_tokens - 1) + COLUMN + GAP
    }

    pub(super) fn size(&self) -> [usize; 2] {
        [self.bars() + BARS + MARGIN, self.bottom() + 56]
    }
}
