//! The options of `moe analyze` about experts that are spread over ranks.

use clap::Args;
use moe_lab::analyze::{CommunicationOptions, Link, Links};

/// Ranks that the experts would be spread over, and the links between them.
#[derive(Args, Debug)]
pub struct CommunicationArgs {
    /// Count what would travel if the experts were spread over N ranks
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=65_536))]
    world: Vec<u64>,
    /// The ranks of a node
    #[arg(long, value_name = "N", default_value_t = 8, requires = "world")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=65_536))]
    per_node: u64,
    /// The link between ranks of a node: a name, or microseconds to start a message and GB/s one way
    #[arg(long, value_name = "NAME|ALPHA,BETA", requires = "world")]
    link: Option<Link>,
    /// The link between nodes. Default: as inside a node
    #[arg(long, value_name = "NAME|ALPHA,BETA", requires = "link")]
    network: Option<Link>,
    /// Bytes of an element of what travels: 2 of bf16, 1 of FP8
    #[arg(long, value_name = "N", default_value_t = 2, requires = "world")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=8))]
    element_bytes: u64,
    /// The tokens of a rank that are exchanged at once. Default: those of a micro-batch of the run
    #[arg(long, value_name = "N", requires = "world")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    tokens: Option<u64>,
    /// The TFLOP/s that a rank achieves, its peak times the efficiency: what share of a step is exchange
    #[arg(long, value_name = "X", requires = "link", value_parser = positive)]
    tflops: Option<f64>,
}

impl CommunicationArgs {
    /// The options of an analysis; none without numbers of ranks.
    pub fn options(&self) -> Option<CommunicationOptions> {
        let links = self.link.map(|inside| Links {
            inside,
            between: self.network.unwrap_or(inside),
        });
        (!self.world.is_empty()).then(|| CommunicationOptions {
            worlds: self.world.iter().map(|&n| n as usize).collect(),
            per_node: self.per_node as usize,
            element_bytes: self.element_bytes as usize,
            tokens_per_rank: self.tokens.map(|n| n as usize),
            links,
            flops: self.tflops.map(|x| 1e12 * x),
        })
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|x| *x > 0.0 && x.is_finite());
    number.ok_or_else(|| "it must be a number above 0".to_owned())
}
