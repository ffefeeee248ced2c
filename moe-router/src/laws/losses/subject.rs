//! Balance losses under examination.

use super::case::LossCase;
use super::closed_form::{Known, known};
use super::laws::LOSS_LAWS;
use crate::laws::{Finding, Options, Report, runner};
use crate::{BalanceConfig, Routing};
use burn::tensor::{Device, Tensor};
use serde_json::json;

/// A balance loss under examination.
pub struct LossSubject<'a> {
    /// The name that reports print.
    pub name: String,
    /// Device that it runs on.
    pub device: Device,
    pub(super) loss: Box<dyn Fn(&Routing) -> Tensor<1> + 'a>,
    pub(super) known: Option<Known>,
}

impl std::fmt::Debug for LossSubject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LossSubject({})", self.name)
    }
}

impl<'a> LossSubject<'a> {
    /// A loss that claims to be the one called `of` (`load_balance`, `z`, ...), or, with another name,
    /// a loss without a known closed form.
    pub fn new(
        name: &str,
        of: &str,
        loss: impl Fn(&Routing) -> Tensor<1> + 'a,
        device: &Device,
    ) -> Self {
        Self {
            name: name.to_owned(),
            device: device.clone(),
            loss: Box::new(loss),
            known: known(of),
        }
    }
}

/// All balance losses of the list.
pub fn loss_subjects(device: &Device) -> Vec<LossSubject<'static>> {
    let subject = |&name: &&'static str| {
        let value = move |routing: &Routing| {
            let config: BalanceConfig = serde_json::from_value(json!({ name: 1.0 }))
                .expect("each name of the list is a key of the table");
            let mut terms = config.terms(routing);
            terms.remove(0).value
        };
        LossSubject::new(name, name, value, device)
    };
    BalanceConfig::NAMES.iter().map(subject).collect()
}

/// Checks all laws of losses on a loss.
pub fn check_loss(subject: &LossSubject<'_>, options: &Options) -> Report {
    let findings = LOSS_LAWS.iter().map(|law| Finding {
        law: law.name,
        sentence: law.sentence,
        verdict: runner::check_cases(&LossCase::strategy(), options, |case| {
            (law.check)(subject, case)
        }),
    });
    Report {
        subject: subject.name.clone(),
        device: format!("{:?}", subject.device),
        seed: options.seed,
        findings: findings.collect(),
    }
}
