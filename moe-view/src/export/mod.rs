//! Logged numbers of runs for other programs: a table of comma-separated values, and event files of TensorBoard.

mod crc32c;
mod error;
mod event;
mod record;
mod table;

pub use error::ExportError;
pub use event::{EVENTS_FILE, event_mark, write_events};
pub use table::{HEADER, write_table};

use moe_lab::runs::{ExportedRun, MetricLine};

/// The numbers that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Numbers that were written.
    pub numbers: u64,
    /// Lines that could not be read, such as one torn by a kill.
    pub unread: u64,
}

impl std::ops::AddAssign for Exported {
    fn add_assign(&mut self, other: Self) {
        self.numbers += other.numbers;
        self.unread += other.unread;
    }
}

/// Passes each line of a run on as it is read.
fn each_line(
    run: &ExportedRun,
    mut take: impl FnMut(&MetricLine) -> Result<(), ExportError>,
) -> Result<Exported, ExportError> {
    let mut lines = run.lines()?;
    let mut numbers = 0;
    for line in lines.by_ref() {
        let line = line?;
        take(&line)?;
        numbers += line.rows.len() as u64;
    }
    Ok(Exported {
        numbers,
        unread: lines.unread(),
    })
}
