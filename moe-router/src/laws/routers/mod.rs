//! The laws of routers, one a file.

/// Writes the modules and the list of the laws from one visible list.
macro_rules! laws {
    ($($module:ident,)+) => {
        $(mod $module;)+

        /// The laws of routers, the one that all others rest on first.
        pub const LAWS: &[crate::laws::Law] = &[$($module::LAW,)+];
    };
}

laws! {
    well_formed,
    nothing,
    accounting,
    counts,
    weights,
    ties,
    repetition,
    permutation,
    relabelling,
    neighbours,
    causality,
    decode,
    padding,
    capacity,
    drop_order,
    more_room,
    expert_groups,
    state_weights,
    advance,
    micro_batches,
    gradient,
    soft_maps,
}
