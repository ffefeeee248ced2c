//! Pictures of what routers do: a plain function of a `Routing`, and the tokens that every
//! router is shown with.

mod canvas;
mod cells;
mod layout;
mod loads;
mod picture;
mod scene;

pub use picture::{Caption, figure};
pub use scene::{LETTERS, N_EXPERTS, Scene};

use crate::EXPERT_COLOURS;
use moe_router::RouterConfig;

/// A router's accent colour: by its place in the list, grey for controls.
pub fn accent(router: &RouterConfig) -> u32 {
    let [colours @ .., grey] = EXPERT_COLOURS;
    if router.info().paper == "control" {
        return grey.rgb;
    }
    let mut names = RouterConfig::NAMES.iter();
    let place = names.position(|name| *name == router.name());
    colours[place.unwrap_or(0) % colours.len()].rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_the_list_differ_and_controls_are_grey() {
        let of = |name: &str| accent(&RouterConfig::from_name(name).expect("a name of the list"));
        assert_eq!(of("mixtral"), 0xE69F00);
        assert_eq!(of("switch"), 0x56B4E9);
        assert_eq!(of("random"), 0x8C8C8C);
        assert_eq!(of("round_robin"), 0x8C8C8C);
    }
}
