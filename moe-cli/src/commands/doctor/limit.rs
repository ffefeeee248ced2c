//! The most that a processor can multiply and add, by what Linux says of it.

use moe_checkpoint::disk::read_text;
use moe_view::significant;
use std::fmt;
use std::path::Path;

/// The limit of f32 products and sums: cores, their clock, and the operations of a cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    n_cores: usize,
    ghz: f64,
    flop_per_cycle: usize,
}

impl Limit {
    /// The limit of this processor for `n_threads`; none where it cannot be known.
    pub fn of_this_machine(n_threads: usize) -> Option<Self> {
        let text = read_text(Path::new("/proc/cpuinfo"), 1 << 24).ok()?;
        Self::parse(&text, n_threads)
    }

    fn parse(cpuinfo: &str, n_threads: usize) -> Option<Self> {
        let value = |name: &str| {
            let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(key, value)| (key.trim() == name).then_some(value.trim()))
        };
        let flags: Vec<&str> = value("flags")?.split_whitespace().collect();
        let has = |flag: &str| flags.contains(&flag);
        // two units of fused multiply and add, of 8 or 16 lanes; AMD's wide ones count as 8
        let is_wide = has("avx512f") && value("vendor_id") == Some("GenuineIntel");
        let flop_per_cycle = match (is_wide, has("avx2") && has("fma")) {
            (true, _) => 64,
            (false, true) => 32,
            (false, false) => return None,
        };
        let count = |name: &str| value(name)?.parse::<usize>().ok();
        let (siblings, cores) = (count("siblings")?, count("cpu cores")?);
        // threads of one core share its units
        let n_cores = (n_threads * cores).div_ceil(siblings.max(1));
        let ghz = value("cpu MHz")?.parse::<f64>().ok()? / 1000.0;
        let is_known = n_cores > 0 && ghz > 0.0;
        is_known.then_some(Self {
            n_cores,
            ghz,
            flop_per_cycle,
        })
    }

    /// GFLOP a second.
    pub fn gflop_per_s(self) -> f64 {
        self.n_cores as f64 * self.ghz * self.flop_per_cycle as f64
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.n_cores == 1 { "core" } else { "cores" };
        write!(
            f,
            "{} GFLOP/s ({} {cores} x {:.2} GHz x {} FLOP)",
            significant(self.gflop_per_s(), 3),
            self.n_cores,
            self.ghz,
            self.flop_per_cycle
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpuinfo(vendor: &str, siblings: usize, flags: &str) -> String {
        format!(
            "processor\t: 0\nvendor_id\t: {vendor}\ncpu MHz\t\t: 2500.000\nsiblings\t: {siblings}\n\
             cpu cores\t: 2\nflags\t\t: fpu {flags}\n"
        )
    }

    #[test]
    fn cores_times_clock_times_operations() {
        let amd = Limit::parse(&cpuinfo("AuthenticAMD", 2, "avx2 fma avx512f"), 2);
        let amd = amd.expect("it is known");
        // 2 x 2.5 x 32
        assert_eq!(amd.gflop_per_s(), 160.0);
        assert_eq!(
            amd.to_string(),
            "160 GFLOP/s (2 cores x 2.50 GHz x 32 FLOP)"
        );
        let intel = Limit::parse(&cpuinfo("GenuineIntel", 4, "avx2 fma avx512f"), 2);
        // two threads of one core: 1 x 2.5 x 64
        assert_eq!(intel.expect("it is known").gflop_per_s(), 160.0);
    }

    #[test]
    fn what_is_not_known_has_no_limit() {
        assert_eq!(Limit::parse(&cpuinfo("AuthenticAMD", 2, "sse4_2"), 2), None);
        assert_eq!(Limit::parse("Processor : ARM\n", 2), None);
    }
}
