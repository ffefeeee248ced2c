//! The saving of DeepSeek-V2's cache, as its paper counts it.

use moe_checkpoint::published::PublishedAccount;
use moe_view::thousands;
use serde::Serialize;

/// The cached numbers a token of DeepSeek-67B: 95 layers, 8 key and value heads of width 128.
const DEEPSEEK_67B: usize = 2 * 8 * 128 * 95;

/// The saving of DeepSeek-V2's cache against DeepSeek-67B's.
#[derive(Serialize, Debug, Clone, Copy)]
pub(super) struct CacheSaving {
    elements_deepseek_67b: usize,
    elements: usize,
    saving_at_equal_precision: f64,
    saving_with_6_bits_for_16: f64,
    times_smaller_than_materialised: f64,
}

impl CacheSaving {
    pub(super) fn of(account: &PublishedAccount) -> Self {
        let elements = account.kv_elements_per_token;
        let share = elements as f64 / DEEPSEEK_67B as f64;
        Self {
            elements_deepseek_67b: DEEPSEEK_67B,
            elements,
            saving_at_equal_precision: 1.0 - share,
            saving_with_6_bits_for_16: 1.0 - share * 6.0 / 16.0,
            times_smaller_than_materialised: account.kv_elements_per_token_materialised as f64
                / elements as f64,
        }
    }

    pub(super) fn text(&self) -> String {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        format!(
            "The paper's saving of 93.3 % against DeepSeek-67B:\n\
             \x20 DeepSeek-67B caches 2 x 8 heads x 128 x 95 layers = {} numbers a token\n\
             \x20 DeepSeek-V2 caches (512 + 64) x 60 layers = {}: {} fewer at equal precision\n\
             \x20 6 bits in place of 16 make it {}\n\
             \x20 against its own keys and values, materialised, it is {:.1} times smaller",
            thousands(self.elements_deepseek_67b as u64),
            thousands(self.elements as u64),
            percent(self.saving_at_equal_precision),
            percent(self.saving_with_6_bits_for_16),
            self.times_smaller_than_materialised
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moe_checkpoint::published::PublishedConfig;

    #[test]
    fn the_saving_of_the_paper() {
        let v2 = PublishedConfig::known("deepseek-v2").expect("a known name");
        let saving = CacheSaving::of(&v2.account(4096));
        assert_eq!(saving.elements_deepseek_67b, 194_560);
        assert_eq!(saving.elements, 34_560);
        let text = saving.text();
        // 1 - 34560 / 194560 = 0.8224; 1 - 0.1776 * 6 / 16 = 0.9334; 2457600 / 34560 = 71.1
        for part in ["82.24 %", "93.34 %", "71.1 times"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
