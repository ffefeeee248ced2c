//! Links between ranks, by the time of a message: `alpha` to start it and its bytes over `beta`.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A link between two ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link {
    /// The time to start a message, seconds.
    pub alpha: f64,
    /// Bytes a second, one way.
    pub beta: f64,
}

/// A link that has a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamedLink {
    /// The name.
    pub name: &'static str,
    /// The link.
    pub link: Link,
    /// The origin of its bandwidth.
    pub source: &'static str,
}

/// A text that is no link.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
#[error(
    "`{text}` is no link: give ALPHA,BETA, microseconds to start a message and GB/s one way, such as 5,50; or one of {}",
    names()
)]
pub struct LinkError {
    text: String,
}

/// Links by name. The bandwidths are nominal but for one, which is measured. The times to start a message are those by which
/// NCCL chooses between its algorithms (NVIDIA/nccl, `src/graph/tuning.cc`, ring, protocol Simple): 3.4 microseconds over
/// NVLink, 5.7 over PCIe, 9.6 over a network.
pub const LINKS: [NamedLink; 5] = [
    named(
        "nvlink4",
        3.4,
        450.0,
        "NVIDIA H100 data sheet: 900 GB/s both ways together",
    ),
    named(
        "nvlink-h800",
        3.4,
        160.0,
        "DeepSeek-AI 2024, arXiv 2412.19437, section 3.2.2",
    ),
    named(
        "pcie4",
        5.7,
        31.5,
        "PCI Express 4.0: 16 lanes of 16 GT/s, 128 of 130 bits",
    ),
    named(
        "infiniband-400",
        9.6,
        50.0,
        "NDR InfiniBand: 400 Gbit/s a port",
    ),
    named("ethernet-100", 9.6, 12.5, "100 Gbit/s a port, with RDMA"),
];

const fn named(
    name: &'static str,
    microseconds: f64,
    gigabytes: f64,
    source: &'static str,
) -> NamedLink {
    NamedLink {
        name,
        link: Link {
            alpha: microseconds * 1e-6,
            beta: gigabytes * 1e9,
        },
        source,
    }
}

fn names() -> String {
    LINKS.map(|named| named.name).join(", ")
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if let Some(named) = LINKS.iter().find(|named| named.name == text) {
            return Ok(named.link);
        }
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
        let numbers = text.split_once(',');
        match numbers.map(|(alpha, beta)| (number(alpha), number(beta))) {
            Some((Some(alpha), Some(beta))) if alpha >= 0.0 && beta > 0.0 => Ok(Self {
                alpha: alpha * 1e-6,
                beta: beta * 1e9,
            }),
            _ => Err(LinkError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Link {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |x: f64| format!("{x:.3e}").parse().unwrap_or(x);
        write!(
            f,
            "{},{}",
            digits(1e6 * self.alpha),
            digits(self.beta / 1e9)
        )
    }
}

impl Link {
    /// The time in which a rank starts a message to each of its peers and moves so many bytes, seconds; 0 without peers.
    pub fn seconds(&self, n_peers: usize, bytes: f64) -> f64 {
        if n_peers == 0 {
            return 0.0;
        }
        self.alpha * n_peers as f64 + bytes / self.beta
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn a_name_or_two_numbers() {
        let link: Link = "infiniband-400".parse().unwrap();
        assert_eq!(link, "9.6,50".parse().unwrap());
        assert_eq!(link.to_string(), "9.6,50");
        for text in ["infiniband", "5", "5,", "-1,50", "5,0", "5,inf", "1,2,3"] {
            let error = text.parse::<Link>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("pcie4"), "{error}");
        }
    }

    #[test]
    fn a_message_to_each_peer_and_the_bytes() {
        // 7 x 2 microseconds and 1 MB at 10 GB/s: 14 + 100 microseconds
        let link: Link = "2,10".parse().unwrap();
        assert_abs_diff_eq!(link.seconds(7, 1e6), 114e-6, epsilon = 1e-12);
        assert_eq!(link.seconds(0, 1e6), 0.0);
    }
}
