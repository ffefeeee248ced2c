//! Reports of laws on a subject.

use std::fmt;

/// Verdict of a law on a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It applied to this many cases and held on all.
    Pass(usize),
    /// It was broken: by what, and on which case, shrunk.
    Fail {
        /// Description of the fault.
        message: String,
        /// The smallest case found, empty if no single case is to blame.
        case: String,
    },
    /// It applied to no case, mostly for this reason.
    NotApplicable(String),
}

/// One law of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The law's name.
    pub law: &'static str,
    /// Statement of the law, in one sentence.
    pub sentence: &'static str,
    /// Verdict of the law.
    pub verdict: Verdict,
}

/// All laws on one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The subject's name.
    pub subject: String,
    /// The device.
    pub device: String,
    /// The seed of the cases.
    pub seed: u64,
    /// One finding a law.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The names of the laws that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.findings.iter().filter(|f| f.is_failure());
        failed.map(|finding| finding.law).collect()
    }

    /// The finding of a law.
    pub fn finding(&self, law: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.law == law)
    }

    /// # Panics
    ///
    /// Panics with the failures in words if a law failed.
    pub fn assert_passed(&self) {
        assert!(self.failed().is_empty(), "{self}");
    }
}

impl Finding {
    /// Returns `true` if the law was broken.
    pub fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Fail { .. })
    }
}

/// The failures in words, or that there are none.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, device) = (&self.subject, &self.device);
        if self.failed().is_empty() {
            return write!(f, "`{name}` on {device} breaks no law");
        }
        for finding in &self.findings {
            let Verdict::Fail { message, case } = &finding.verdict else {
                continue;
            };
            writeln!(
                f,
                "`{name}` on {device} breaks the law `{}` (seed {})",
                finding.law, self.seed
            )?;
            writeln!(f, "  holds: {}", finding.sentence)?;
            writeln!(f, "  found: {message}")?;
            if !case.is_empty() {
                writeln!(f, "  in:    {case}")?;
            }
        }
        Ok(())
    }
}
