//! The list of assignments of a sparse router.

use burn::tensor::{Int, Tensor, assert_shape};
use std::iter::repeat_n;
use std::sync::OnceLock;

use crate::reads;

/// The list of (token, expert) pairs that a sparse router chose, in the order in which it chose them.
///
/// It is for the host: capacity, priority and balanced assignment are plain loops there, and so are metrics. Of a router
/// that chose [on its device](Self::on_device) the list is read when somebody asks for it, and not before. Dropped
/// assignments stay in the list and are marked, so that losses and metrics see what was asked for as well as what was
/// done.
#[derive(Debug, Clone)]
pub struct Assignments(Source);

/// Where a list is.
#[derive(Debug, Clone)]
enum Source {
    Host(Lists),
    Device(Box<Chosen>),
}

/// A list on the host.
#[derive(Debug, Clone, Default, PartialEq)]
struct Lists {
    tokens: Vec<u32>,
    experts: Vec<u32>,
    kept: Vec<bool>,
}

/// As many experts for each token, on a device.
#[derive(Debug, Clone)]
struct Chosen {
    /// `[T, K]`.
    experts_tk: Tensor<2, Int>,
    places: Option<Places>,
    lists: OnceLock<Lists>,
    counts: OnceLock<Vec<u32>>,
}

/// Places of choices in the buffers of their experts, on a device.
#[derive(Debug, Clone)]
pub struct Places {
    /// The place of each choice in the buffer of its expert and group, `[T, K]`; from the capacity on it is dropped.
    pub position_tk: Tensor<2, Int>,
    /// The places of an expert for a group.
    pub capacity: usize,
    /// The number of groups.
    pub n_groups: usize,
    /// The choices of each expert, dropped ones included, `[E]`.
    pub asked_e: Tensor<1, Int>,
}

impl Lists {
    fn of_each_token(experts: Vec<u32>, k: usize) -> Self {
        let n_tokens = (experts.len() / k.max(1)) as u32;
        Self {
            tokens: (0..n_tokens).flat_map(|t| repeat_n(t, k)).collect(),
            kept: vec![true; experts.len()],
            experts,
        }
    }
}

impl Chosen {
    fn lists(&self) -> &Lists {
        self.lists.get_or_init(|| {
            let [_, k] = self.experts_tk.dims();
            let mut lists = Lists::of_each_token(reads::ints(self.experts_tk.clone()), k);
            if let Some(places) = &self.places {
                let position_a = reads::ints(places.position_tk.clone()).into_iter();
                lists.kept = position_a.map(|p| (p as usize) < places.capacity).collect();
            }
            lists
        })
    }
}

impl Default for Assignments {
    fn default() -> Self {
        Self(Source::Host(Lists::default()))
    }
}

impl PartialEq for Assignments {
    fn eq(&self, other: &Self) -> bool {
        self.lists() == other.lists()
    }
}

impl Assignments {
    /// An empty list with room for `capacity` assignments.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Source::Host(Lists {
            tokens: Vec::with_capacity(capacity),
            experts: Vec::with_capacity(capacity),
            kept: Vec::with_capacity(capacity),
        }))
    }

    /// `k` experts for each token, all kept; `experts` is `[T, K]`, row by row.
    ///
    /// # Panics
    ///
    /// Panics if `k` does not divide the number of experts.
    pub fn of_each_token(experts: Vec<u32>, k: usize) -> Self {
        assert!(
            experts.is_empty() || (k > 0 && experts.len().is_multiple_of(k)),
            "{} experts are not {k} a token",
            experts.len()
        );
        Self(Source::Host(Lists::of_each_token(experts, k)))
    }

    /// `K` experts for each token, all kept unless [their places](Self::within) are limited, that stay where they were chosen until the list is asked for.
    ///
    /// # Shapes
    ///
    /// - experts_tk: `[T, K]`
    pub fn chosen_on_device(experts_tk: Tensor<2, Int>) -> Self {
        Self(Source::Device(Box::new(Chosen {
            experts_tk,
            places: None,
            lists: OnceLock::new(),
            counts: OnceLock::new(),
        })))
    }

    /// The experts of each token `[T, K]`, if they were chosen on a device.
    pub fn on_device(&self) -> Option<&Tensor<2, Int>> {
        match &self.0 {
            Source::Host(_) => None,
            Source::Device(chosen) => Some(&chosen.experts_tk),
        }
    }

    /// Keeps of choices on a device those alone that have a place.
    ///
    /// # Panics
    ///
    /// Panics if the choices are not on a device, or if there is not one position for each.
    pub fn within(self, places: Places) -> Self {
        let Source::Device(chosen) = self.0 else {
            panic!("places on a device are those of choices there");
        };
        let [n_tokens, k] = chosen.experts_tk.dims();
        assert_shape!(places.position_tk, [n_tokens, k]);
        Self(Source::Device(Box::new(Chosen {
            experts_tk: chosen.experts_tk,
            places: Some(places),
            lists: OnceLock::new(),
            counts: OnceLock::new(),
        })))
    }

    /// The places of choices on a device, if they are limited.
    pub fn places(&self) -> Option<&Places> {
        match &self.0 {
            Source::Host(_) => None,
            Source::Device(chosen) => chosen.places.as_ref(),
        }
    }

    /// Notes the assignments of each expert `[E]`, all of which are kept, so that they need not be counted from the list:
    /// somebody has counted them on the device.
    pub fn note_counts(&self, counts: Vec<u32>) {
        if let Source::Device(chosen) = &self.0 {
            // what is known already is the same
            let _ = chosen.counts.set(counts);
        }
    }

    fn lists(&self) -> &Lists {
        match &self.0 {
            Source::Host(lists) => lists,
            Source::Device(chosen) => chosen.lists(),
        }
    }

    fn lists_mut(&mut self) -> &mut Lists {
        if let Source::Device(chosen) = &self.0 {
            self.0 = Source::Host(chosen.lists().clone());
        }
        match &mut self.0 {
            Source::Host(lists) => lists,
            Source::Device(_) => unreachable!("a list that changes is on the host"),
        }
    }

    /// Appends a kept assignment.
    pub fn push(&mut self, token: u32, expert: u32) {
        let lists = self.lists_mut();
        lists.tokens.push(token);
        lists.experts.push(expert);
        lists.kept.push(true);
    }

    /// Marks assignment `index` as dropped: its token is not computed by that expert.
    ///
    /// # Panics
    ///
    /// Panics if `index` is out of range.
    pub fn drop_assignment(&mut self, index: usize) {
        self.lists_mut().kept[index] = false;
    }

    /// The token of each assignment, `[A]`.
    pub fn tokens(&self) -> &[u32] {
        &self.lists().tokens
    }

    /// The expert of each assignment, `[A]`.
    pub fn experts(&self) -> &[u32] {
        &self.lists().experts
    }

    /// Mask of the kept assignments, `[A]`; `false` means dropped.
    pub fn kept(&self) -> &[bool] {
        &self.lists().kept
    }

    /// The number of assignments, dropped ones included.
    pub fn len(&self) -> usize {
        match &self.0 {
            Source::Host(lists) => lists.tokens.len(),
            Source::Device(chosen) => chosen.experts_tk.dims().into_iter().product(),
        }
    }

    /// Returns `true` if there is no assignment at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Kept and dropped assignments of each expert, `[E]`.
    pub(crate) fn count_by_expert(&self, n_experts: usize) -> ExpertCounts {
        let noted = match &self.0 {
            Source::Host(_) => None,
            Source::Device(chosen) => chosen.counts.get(),
        };
        if let Some(counts) = noted {
            let kept: Vec<f64> = counts.iter().copied().map(f64::from).collect();
            return ExpertCounts {
                asked: kept.clone(),
                kept,
            };
        }
        let mut counts = ExpertCounts {
            kept: vec![0.0; n_experts],
            asked: vec![0.0; n_experts],
        };
        for (&expert, &kept) in self.experts().iter().zip(self.kept()) {
            counts.asked[expert as usize] += 1.0;
            counts.kept[expert as usize] += f64::from(u8::from(kept));
        }
        counts
    }
}

/// Assignments of each expert: those kept, and all that were asked for.
pub(crate) struct ExpertCounts {
    pub(crate) kept: Vec<f64>,
    pub(crate) asked: Vec<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn so_many_experts_for_each_token() {
        let mut pushed = Assignments::default();
        for (token, expert) in [(0, 3), (0, 1), (1, 0), (1, 2)] {
            pushed.push(token, expert);
        }
        assert_eq!(Assignments::of_each_token(vec![3, 1, 0, 2], 2), pushed);
        assert!(Assignments::of_each_token(vec![], 0).is_empty());
    }

    #[test]
    #[should_panic(expected = "1 experts are not 0 a token")]
    fn experts_of_no_choice_panic() {
        let _ = Assignments::of_each_token(vec![0], 0);
    }

    #[test]
    #[should_panic(expected = "3 experts are not 2 a token")]
    fn experts_that_do_not_divide_among_tokens_panic() {
        let _ = Assignments::of_each_token(vec![0; 3], 2);
    }

    #[test]
    fn experts_that_stay_on_a_device_are_read_when_they_are_asked_for() {
        let experts_tk = Tensor::<2, Int>::from_data([[3, 1], [0, 2]], &Device::flex());
        let mut chosen = Assignments::chosen_on_device(experts_tk);
        let (noted, read) = reads::during(|| {
            chosen.note_counts(vec![1; 4]);
            (chosen.len(), chosen.count_by_expert(4).kept)
        });
        assert_eq!((noted, read.count), ((4, vec![1.0; 4]), 0));
        let (_, read) = reads::during(|| (chosen.experts().len(), chosen.tokens().len()));
        assert_eq!((read.count, read.bytes), (1, 4 * 4));
        assert_eq!(chosen, Assignments::of_each_token(vec![3, 1, 0, 2], 2));
        chosen.drop_assignment(0);
        assert!(chosen.on_device().is_none());
        assert_eq!(chosen.count_by_expert(4).kept, [1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn counts_keep_dropped_assignments_apart() {
        let mut assignments = Assignments::with_capacity(3);
        assignments.push(0, 1);
        assignments.push(1, 1);
        assignments.push(2, 0);
        assignments.drop_assignment(1);

        let counts = assignments.count_by_expert(3);
        assert_eq!(counts.asked, [1.0, 2.0, 0.0]);
        assert_eq!(counts.kept, [1.0, 1.0, 0.0]);
    }
}
