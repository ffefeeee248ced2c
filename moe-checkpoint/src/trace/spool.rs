//! A tensor that grows by rows, in a temporary file: safetensors holds one tensor after the other, and a trace comes
//! token by token.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

/// Rows of a tensor that is not finished yet.
#[derive(Debug)]
pub(super) struct Spool {
    /// The name of the type in the file's header.
    pub(super) dtype: &'static str,
    /// The bytes of an element, as they stand in a row that is filled up.
    filler: Vec<u8>,
    /// Rows of one width that follow one another.
    runs: Vec<Run>,
    /// True if the tensor has one row for each token, of one element without an axis of its own.
    is_column: bool,
    out: BufWriter<File>,
}

/// Rows of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    n_rows: usize,
    width: usize,
}

impl Spool {
    /// An empty tensor; its rows wait in a file without a name in `folder`, or where the system keeps such files.
    pub(super) fn new(
        folder: &Path,
        dtype: &'static str,
        filler: &[u8],
        is_column: bool,
    ) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder).or_else(|_| tempfile::tempfile())?;
        Ok(Self {
            dtype,
            filler: filler.to_vec(),
            runs: Vec::new(),
            is_column,
            out: BufWriter::new(file),
        })
    }

    /// Adds rows of so many elements each.
    pub(super) fn push(&mut self, bytes: &[u8], width: usize) -> io::Result<()> {
        let n_rows = bytes.len() / (width * self.filler.len()).max(1);
        match self.runs.last_mut() {
            Some(last) if last.width == width => last.n_rows += n_rows,
            _ => self.runs.push(Run { n_rows, width }),
        }
        self.out.write_all(bytes)
    }

    /// The widest row.
    fn width(&self) -> usize {
        self.runs.iter().map(|run| run.width).max().unwrap_or(0)
    }

    /// The shape of the tensor: narrow rows are filled up.
    pub(super) fn shape(&self) -> Vec<usize> {
        let n_rows = self.runs.iter().map(|run| run.n_rows).sum();
        if self.is_column {
            vec![n_rows]
        } else {
            vec![n_rows, self.width()]
        }
    }

    /// The bytes of the tensor.
    pub(super) fn n_bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.filler.len()
    }

    /// Writes the tensor.
    pub(super) fn copy_to(self, out: &mut dyn Write) -> io::Result<()> {
        let (widest, runs, filler) = (self.width(), self.runs, self.filler);
        let mut file = self.out.into_inner().map_err(|error| error.into_error())?;
        file.rewind()?;
        let mut rows = BufReader::with_capacity(1 << 16, file);
        for Run { n_rows, width } in runs {
            if width == widest {
                let n_bytes = (n_rows * width * filler.len()) as u64;
                io::copy(&mut (&mut rows).take(n_bytes), out)?;
                continue;
            }
            let fill = filler.repeat(widest - width);
            let mut row = vec![0; width * filler.len()];
            for _ in 0..n_rows {
                rows.read_exact(&mut row)?;
                out.write_all(&row)?;
                out.write_all(&fill)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_rows_are_filled_up() {
        let mut spool = Spool::new(&std::env::temp_dir(), "U8", &[9], false).expect("a file");
        spool.push(&[1, 2], 1).expect("written");
        spool.push(&[3, 4, 5], 3).expect("written");
        spool.push(&[6, 7], 2).expect("written");
        assert_eq!((spool.shape(), spool.n_bytes()), (vec![4, 3], 12));
        let mut out = Vec::new();
        spool.copy_to(&mut out).expect("copied");
        assert_eq!(out, [1, 9, 9, 2, 9, 9, 3, 4, 5, 6, 7, 9]);
    }
}
