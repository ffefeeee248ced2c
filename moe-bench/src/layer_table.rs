//! The times of layers as text.

use crate::compare::{Against, Comparison};
use crate::layer::{LayerBench, Speed};
use crate::table::{columns, milliseconds, thousands};
use crate::workloads::Workload;
use moe_experts::Activation;
use std::fmt;

impl fmt::Display for LayerBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for workload in &self.workloads {
            writeln!(f, "{workload}")?;
        }
        let rounds = self.rows.first().map_or(0, |row| row.time.repetitions);
        let activation = activation_name(self.activation);
        writeln!(f, "{activation}, {}, {rounds} rounds", self.pass)?;
        let reads = self.rows.iter().any(|row| row.gb_per_s.is_some());
        let mut rows = vec![header(reads)];
        rows.extend(self.rows.iter().map(|row| cells(row, reads)));
        write!(f, "{}", columns(&rows))?;
        for comparison in &self.comparisons {
            write!(f, "\n  {comparison}")?;
        }
        Ok(())
    }
}

fn header(reads: bool) -> Vec<String> {
    let limit = if reads {
        ["GB/s", "of memory"]
    } else {
        ["GFLOP/s", "of product"]
    };
    let names = ["", "ms", "fastest", "slowest", limit[0], limit[1]];
    names.map(str::to_owned).to_vec()
}

fn cells(row: &Speed, reads: bool) -> Vec<String> {
    let (rate, share) = if reads {
        (row.gb_per_s, row.share_of_read)
    } else {
        (Some(row.gflop_per_s), row.share_of_gemm)
    };
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    vec![
        row.name(),
        milliseconds(row.time.median_s),
        milliseconds(row.time.min_s),
        milliseconds(row.time.max_s),
        rate.map_or(String::new(), |rate| format!("{rate:.1}")),
        share.map_or(String::new(), percent),
    ]
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} tokens of {}, top {} of {} experts of {}",
            self.name,
            thousands(self.n_tokens),
            thousands(self.d_model),
            self.top_k,
            self.n_experts,
            thousands(self.d_expert)
        )?;
        if let Some(factor) = self.capacity_factor {
            write!(f, ", capacity {factor}")?;
        }
        if self.n_shared_experts > 0 {
            write!(f, ", {} shared", self.n_shared_experts)?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.to {
            Against::Dense => "the faster dense layer, ",
            Against::PeerBest => "the best way of ",
            _ => "",
        };
        write!(
            f,
            "{} on {} takes {:.2} x the time of {what}{} ({:.2} to {:.2})",
            self.workload,
            self.device,
            self.ratio.median,
            self.name,
            self.ratio.min,
            self.ratio.max
        )
    }
}

/// The name of an activation, as configurations write it.
pub(crate) fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::SwiGlu => "swiglu",
        Activation::Gelu => "gelu",
        Activation::Relu => "relu",
        Activation::Silu => "silu",
    }
}
