//! The mutual information of experts and labels.

use crate::{Plan, Routing, to_vec};

/// Counts of tokens of each label (a class of tokens, a domain) that each expert computed, summed over any
/// number of routings.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelCounts {
    /// Computed assignments, `[E][L]`. For a soft plan: combine mass.
    pub counts: Vec<Vec<f64>>,
}

impl LabelCounts {
    /// Counts nothing yet.
    pub fn new(n_experts: usize, n_labels: usize) -> Self {
        Self {
            counts: vec![vec![0.0; n_labels]; n_experts],
        }
    }

    /// Adds a routing whose tokens have the given labels; padding counts nothing.
    ///
    /// # Shapes
    ///
    /// - labels_t: `[T]`, each below `L`
    ///
    /// # Panics
    ///
    /// Panics if there is not one label for each token, if one is too large, or if the number of
    /// experts differs.
    pub fn add(&mut self, routing: &Routing, labels_t: &[usize]) {
        let n_experts = routing.n_experts();
        assert_eq!(
            labels_t.len(),
            routing.n_tokens(),
            "one label for each token"
        );
        assert_eq!(self.counts.len(), n_experts, "the same number of experts");
        match &routing.plan {
            Plan::Sparse(plan) => {
                let list = &plan.assignments;
                for n in (0..list.len()).filter(|&n| list.kept()[n]) {
                    let label = labels_t[list.tokens()[n] as usize];
                    self.counts[list.experts()[n] as usize][label] += 1.0;
                }
            }
            Plan::Soft(plan) => {
                let combine = to_vec(plan.combine.clone().detach());
                let n_slots = plan.combine.dims()[2];
                let slots_of_expert = n_slots / n_experts;
                for (i, mass) in combine.into_iter().enumerate() {
                    let (t, slot) = (i / n_slots, i % n_slots);
                    self.counts[slot / slots_of_expert][labels_t[t]] += f64::from(mass);
                }
            }
        }
    }
}

/// `sum_el p_el log2(p_el / (p_e p_l))`: how many bits the expert of an assignment tells about the
/// label of its token. 0 if experts ignore the label; at most the entropy of either.
///
/// It is the plug-in estimate, which is too large by about `(E - 1)(L - 1) / (2 N ln 2)` bits for `N`
/// independent assignments (Miller 1955): compare it only where `N` is large or equal.
pub fn mutual_information(labels: &LabelCounts) -> f64 {
    let total: f64 = labels.counts.iter().flatten().sum();
    let n_labels = labels.counts.first().map_or(0, Vec::len);
    let of_label: Vec<f64> = (0..n_labels)
        .map(|l| labels.counts.iter().map(|row| row[l]).sum())
        .collect();
    let mut bits = 0.0;
    for row in &labels.counts {
        let of_expert: f64 = row.iter().sum();
        for (&count, &of_label) in row.iter().zip(&of_label).filter(|(count, _)| **count > 0.0) {
            bits += count / total * (count * total / (of_expert * of_label)).log2();
        }
    }
    bits.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assignments, SoftPlan};
    use approx::assert_abs_diff_eq;
    use burn::tensor::{Device, Tensor};

    fn bits(counts: &[[f64; 2]; 2]) -> f64 {
        let counts = counts.iter().map(|row| row.to_vec()).collect();
        mutual_information(&LabelCounts { counts })
    }

    #[test]
    fn from_none_to_one_bit() {
        assert_eq!(bits(&[[2.0, 2.0], [3.0, 3.0]]), 0.0);
        assert_abs_diff_eq!(bits(&[[4.0, 0.0], [0.0, 4.0]]), 1.0, epsilon = 1e-12);
        // p = 3/8, 1/8, 1/8, 3/8 with halves at both sides:
        // 2 * (3/8 log2(3/2) + 1/8 log2(1/2)) = 0.75 * 0.5849625 - 0.25
        assert_abs_diff_eq!(bits(&[[3.0, 1.0], [1.0, 3.0]]), 0.188_721_9, epsilon = 1e-7);
        assert_eq!(mutual_information(&LabelCounts::new(2, 2)), 0.0);
    }

    #[test]
    fn counts_computed_assignments_of_each_label() {
        let device = Device::flex();
        let mut assignments = Assignments::default();
        for (token, expert) in [(0, 0), (1, 1), (2, 1), (2, 0)] {
            assignments.push(token, expert);
        }
        assignments.drop_assignment(3);
        let scores = Tensor::<2>::ones([3, 2], &device);
        let weights = Tensor::ones([4], &device);
        let routing = Routing::sparse(assignments, weights, scores.clone(), scores);

        let mut labels = LabelCounts::new(2, 2);
        labels.add(&routing, &[0, 1, 0]);
        labels.add(&routing, &[0, 1, 0]);
        assert_eq!(labels.counts, [[2.0, 0.0], [2.0, 2.0]]);
    }

    #[test]
    fn a_soft_plan_counts_its_combine_mass() {
        // one group of two tokens, two experts of two slots each
        let map =
            Tensor::<1>::from_floats([0.5, 0.25, 0.25, 0.0, 0.0, 0.0, 0.5, 0.5], &Device::flex())
                .reshape([1, 2, 4]);
        let scores = Tensor::<2>::ones([2, 2], &Device::flex());
        let plan = SoftPlan {
            dispatch: map.clone(),
            combine: map,
        };
        let mut labels = LabelCounts::new(2, 2);
        labels.add(&Routing::soft(plan, scores.clone(), scores), &[0, 1]);
        assert_eq!(labels.counts, [[0.75, 0.0], [0.25, 1.0]]);
    }

    #[test]
    #[should_panic(expected = "one label for each token")]
    fn missing_labels_panic() {
        let scores = Tensor::<2>::ones([2, 2], &Device::flex());
        let weights = Tensor::zeros([0], &Device::flex());
        let routing = Routing::sparse(Assignments::default(), weights, scores.clone(), scores);
        LabelCounts::new(2, 2).add(&routing, &[0]);
    }
}
