//! Memory that this process can still take, held against what training needs.

use crate::exit::Usage;
use crate::shared::Shared;
use moe_checkpoint::memory;
use moe_train::config::RunConfig;
use moe_view::bytes;

/// Backends that compute in the memory of this machine.
const ON_THE_HOST: [&str; 4] = ["flex", "cubecl-cpu", "ndarray", "tch"];

/// Refuses a configuration whose training, so many runs at once, needs more than there is, before anything is
/// allocated.
pub fn check(config: &RunConfig, at_once: usize, device: &str) -> anyhow::Result<()> {
    match shortage(config, at_once, device) {
        Some(words) => Err(Usage::error(words)),
        None => Ok(()),
    }
}

/// The same as a remark, for what only plans.
pub fn remark(config: &RunConfig, at_once: usize, device: &str, shared: &Shared) {
    if let Some(words) = shortage(config, at_once, device) {
        shared.note(&words);
    }
}

fn shortage(config: &RunConfig, at_once: usize, device: &str) -> Option<String> {
    let needed = (config.account().memory.total() as u64).saturating_mul(at_once as u64);
    let available = memory::available();
    let too_much = ON_THE_HOST.contains(&device) && needed > available;
    too_much.then(|| {
        format!(
            "training needs about {} of memory, and {} are free here: make the model or train.batch_size smaller (`moe inspect` shows the parts)",
            bytes(needed),
            bytes(available)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::BACKENDS;

    #[test]
    fn backends_on_the_host_are_backends() {
        let names: Vec<&str> = BACKENDS.iter().map(|backend| backend.name).collect();
        assert!(
            ON_THE_HOST.iter().all(|name| names.contains(name)),
            "{names:?}"
        );
    }

    #[test]
    fn a_model_of_terabytes_is_refused_on_the_host_alone() {
        let overrides = ["model.d_model=65536", "experts.n_experts=65536"];
        let config = RunConfig::of_overrides(&overrides).expect("it can be counted");
        let error = check(&config, 1, "flex")
            .expect_err("no machine has it")
            .to_string();
        assert!(error.contains("training needs about"), "{error}");
        check(&config, 1, "cuda:1").expect("not the memory of this machine");
    }
}
