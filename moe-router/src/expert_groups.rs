/// How a group-limited router divides its experts: into groups of neighbours, one a device, of which
/// a token may use a few (DeepSeek-V2, arXiv 2405.04434, section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertGroups {
    /// The number of groups `D`; expert `e` belongs to group `e / (E / D)`.
    pub n_groups: usize,
    /// The number of groups `M` that a token may use.
    pub limit: usize,
}

impl ExpertGroups {
    /// The number of experts of a group.
    ///
    /// # Panics
    ///
    /// Panics if the groups do not divide the experts.
    pub fn group_len(&self, n_experts: usize) -> usize {
        assert!(
            self.n_groups > 0 && n_experts.is_multiple_of(self.n_groups),
            "{} groups do not divide {n_experts} experts",
            self.n_groups
        );
        n_experts / self.n_groups
    }
}
