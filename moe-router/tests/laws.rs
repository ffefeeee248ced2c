//! The laws on everything of the lists.

use burn::tensor::Device;
use moe_router::laws::{
    LAWS, Options, Report, Subject, Verdict, check_all, check_loss, loss_subjects,
};
use moe_router::zoo::MixtralRouterConfig;
use moe_router::{Preset, RouterConfig};
use std::sync::LazyLock;

static REPORTS: LazyLock<Vec<Report>> = LazyLock::new(|| {
    let check = |name: &&str| {
        let config = RouterConfig::from_name(name).expect("a listed name has a default");
        check_all(
            &Subject::of_list(&config, &Device::flex()),
            &Options::default(),
        )
    };
    RouterConfig::NAMES.iter().map(check).collect()
});

#[test]
fn no_router_of_the_list_breaks_a_law() {
    let failures: Vec<String> = REPORTS
        .iter()
        .filter(|report| !report.failed().is_empty())
        .map(ToString::to_string)
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_law_applies_to_some_router() {
    for law in LAWS {
        let applies = REPORTS.iter().any(|report| {
            let finding = report.finding(law.name).expect("one finding a law");
            matches!(finding.verdict, Verdict::Pass(_))
        });
        assert!(applies, "{} says nothing about any router", law.name);
    }
}

#[test]
fn no_loss_of_the_list_breaks_a_law() {
    for subject in loss_subjects(&Device::flex()) {
        check_loss(&subject, &Options::default()).assert_passed();
    }
}

#[test]
fn a_router_from_another_crate_takes_one_call() {
    moe_router::laws::check(
        |shape, device| MixtralRouterConfig::default().init(shape, device),
        &Device::flex(),
    );
    moe_router::laws::check_preset::<MixtralRouterConfig>("mixtral", &Device::flex());
}
