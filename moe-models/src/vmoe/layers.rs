//! The blocks that are mixtures of experts, listed as published.

/// Every `n`-th of the blocks, the `n`-th first.
///
/// # Panics
///
/// Panics if `n` is zero.
pub fn every(n: usize, n_layers: usize) -> Vec<usize> {
    (n.checked_sub(1).expect("every 0th block is none")..n_layers)
        .step_by(n)
        .collect()
}

/// The last `n` of the blocks 1, 3, 5, ...: "Last n" of V-MoE.
pub fn last_odd(n: usize, n_layers: usize) -> Vec<usize> {
    let odd = every(2, n_layers);
    odd[odd.len().saturating_sub(n)..].to_vec()
}

/// The last `n` of the blocks: "last n" of Soft-MoE.
pub fn last(n: usize, n_layers: usize) -> Vec<usize> {
    (n_layers.saturating_sub(n)..n_layers).collect()
}
