//! Generation of cases and shrinking of counterexamples.

use super::{Case, Finding, Held, LAWS, Law, Report, Stop, Subject, Verdict};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number and seed of the cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The number of cases of each law. Default: 48
    pub cases: u32,
    /// The seed from which they are generated. Default: 0
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cases: 48, seed: 0 }
    }
}

/// Checks all laws on a router. If its routings are not well formed, the other laws are left aside.
pub fn check_all(subject: &Subject<'_>, options: &Options) -> Report {
    let mut findings: Vec<Finding> = Vec::with_capacity(LAWS.len());
    for law in LAWS {
        let malformed = findings.first().is_some_and(Finding::is_failure);
        findings.push(if malformed {
            Finding {
                law: law.name,
                sentence: law.sentence,
                verdict: Verdict::NotApplicable("the routing is not well formed".to_owned()),
            }
        } else {
            check_law(law, subject, options)
        });
    }
    Report {
        subject: subject.name.clone(),
        device: format!("{:?}", subject.device),
        seed: options.seed,
        findings,
    }
}

/// Checks one law on a router.
pub fn check_law(law: &Law, subject: &Subject<'_>, options: &Options) -> Finding {
    let strategy = Case::strategy(subject.min_experts);
    let verdict = check_cases(&strategy, options, |case| (law.check)(subject, case));
    let verdict = match verdict {
        Verdict::NotApplicable(reason) if !law.if_never.is_empty() => Verdict::Fail {
            message: format!("{}: {reason}, in {} cases", law.if_never, options.cases),
            case: String::new(),
        },
        verdict => verdict,
    };
    Finding {
        law: law.name,
        sentence: law.sentence,
        verdict,
    }
}

/// Runs a check over generated cases and shrinks what fails; for the laws of other things than routers.
pub fn check_cases<S: Strategy>(
    strategy: &S,
    options: &Options,
    check: impl Fn(&S::Value) -> Held,
) -> Verdict
where
    S::Value: Debug,
{
    let passed = RefCell::new(0);
    let reasons: RefCell<BTreeMap<String, usize>> = RefCell::default();
    let outcome = runner(options).run(strategy, |case| {
        match catch_unwind(AssertUnwindSafe(|| check(&case))) {
            Ok(Ok(())) => *passed.borrow_mut() += 1,
            Ok(Err(Stop::NotApplicable(reason))) => {
                *reasons.borrow_mut().entry(reason).or_default() += 1;
            }
            Ok(Err(Stop::Broken(message))) => return Err(TestCaseError::fail(message)),
            Err(panic) => {
                let message = format!("it panicked: {}", panic_text(&*panic));
                return Err(TestCaseError::fail(message));
            }
        }
        Ok(())
    });
    match outcome {
        Err(TestError::Fail(reason, case)) => Verdict::Fail {
            message: reason.message().to_owned(),
            case: format!("{case:?}"),
        },
        Err(TestError::Abort(reason)) => Verdict::Fail {
            message: format!("no cases could be generated: {}", reason.message()),
            case: String::new(),
        },
        Ok(()) if *passed.borrow() == 0 => {
            let reasons = reasons.take().into_iter();
            let most = reasons.max_by_key(|(_, count)| *count);
            Verdict::NotApplicable(most.map(|(reason, _)| reason).unwrap_or_default())
        }
        Ok(()) => Verdict::Pass(passed.take()),
    }
}

fn runner(options: &Options) -> TestRunner {
    let config = Config {
        cases: options.cases,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&options.seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    TestRunner::new_with_rng(config, rng)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason given".to_owned())
}
