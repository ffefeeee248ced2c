//! Functions over any engine.

use crate::{Add, Communicator, TreeSum};
use serde::{Serialize, de::DeserializeOwned};

/// Passes the bytes of rank 0 to all ranks; those of others do not count.
pub fn broadcast(group: &dyn Communicator, mine: &[u8]) -> Vec<u8> {
    let is_root = group.rank() == 0;
    let parts = (0..group.size()).map(|_| if is_root { mine.to_vec() } else { Vec::new() });
    let mut received = group.exchange(parts.collect());
    received.swap_remove(0)
}

/// Returns the values of all ranks, by rank. A rank alone keeps its value, and nothing is written or read.
///
/// # Panics
///
/// Panics if a value cannot be written, or if what a rank sends is another type.
pub fn gather_values<T: Serialize + DeserializeOwned>(group: &dyn Communicator, mine: T) -> Vec<T> {
    if group.size() == 1 {
        return vec![mine];
    }
    // CBOR, which keeps every bit of a number, and has those that are none
    let mut bytes = Vec::new();
    ciborium::into_writer(&mine, &mut bytes).expect("values that are sent can be written");
    let all = group.gather(&bytes).into_iter();
    all.map(|bytes| ciborium::from_reader(&bytes[..]).expect("all ranks send the same type"))
        .collect()
}

/// Computes `work(i)` for all `i` below `n`, each on one rank, and has all ranks take all results in order. Rank `r`
/// computes `r`, `r + W`, ... . If a rank stops early, with nothing, all end with nothing.
pub fn deal<T: Serialize + DeserializeOwned>(
    group: &dyn Communicator,
    n: usize,
    mut work: impl FnMut(usize) -> Option<T>,
    mut take: impl FnMut(usize, T),
) -> Option<()> {
    if group.size() == 1 {
        // as they come, so that few are held
        for i in 0..n {
            take(i, work(i)?);
        }
        return Some(());
    }
    let mine = (group.rank()..n).step_by(group.size());
    let mine: Option<Vec<T>> = mine.map(work).collect();
    let mut all: Vec<std::vec::IntoIter<T>> = gather_values(group, mine)
        .into_iter()
        .map(|of_rank| of_rank.map(Vec::into_iter))
        .collect::<Option<_>>()?;
    for i in 0..n {
        take(i, all[i % group.size()].next()?);
    }
    Some(())
}

/// Adds up the `values` of all ranks, which become the sums: in the order of [`TreeSum`] over the ranks, whatever
/// the engine. Each rank adds up a share of them, so what travels is what a ring all-reduce sends.
///
/// # Panics
///
/// Panics if the ranks have different numbers of values.
pub fn sum_in_order(group: &dyn Communicator, values: &mut [f32]) {
    let ranks = group.size();
    if ranks == 1 {
        return;
    }
    let n = values.len();
    let share = n.div_ceil(ranks);
    let range = |rank: usize| (rank * share).min(n)..((rank + 1) * share).min(n);
    let parts = (0..ranks).map(|rank| bytemuck::cast_slice(&values[range(rank)]).to_vec());
    let mut sum = TreeSum::new(ranks);
    for part in group.exchange(parts.collect()) {
        sum.push(floats(&part));
    }
    let mine = sum.finish().unwrap_or_default();
    let all = group.gather(bytemuck::cast_slice(&mine));
    for (rank, part) in all.iter().enumerate() {
        let sums = floats(part);
        values[range(rank)].copy_from_slice(&sums);
    }
}

/// The numbers of bytes that a rank of the same program has sent.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(bytes)
}

impl Add for Vec<f32> {
    fn add(mut self, later: Self) -> Self {
        assert_eq!(
            self.len(),
            later.len(),
            "ranks add up equal numbers of values"
        );
        self.iter_mut().zip(later).for_each(|(sum, x)| *sum += x);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threads;

    #[test]
    fn what_rank_0_says_all_hear() {
        let heard = Threads::run(4, |world| broadcast(&*world, &[world.rank() as u8, 7]));
        assert_eq!(heard, vec![vec![0, 7]; 4]);
    }

    #[test]
    fn sums_are_those_of_the_tree() {
        // 1e8 swallows a 1, so the order shows: ((1e8 + 1) + (-1e8 + 1)) is 0, one after the other it is 1
        let parts = [1e8f32, 1.0, -1e8, 1.0];
        let one_by_one = parts.iter().sum::<f32>();
        assert_eq!(one_by_one, 1.0);
        let sums = Threads::run(4, |world| {
            let mut values = vec![parts[world.rank()]; 7];
            sum_in_order(&*world, &mut values);
            values
        });
        assert_eq!(sums, vec![vec![0.0f32; 7]; 4]);
    }

    #[test]
    fn work_is_dealt_out_and_comes_back_in_order() {
        for ranks in [1, 2, 3] {
            let results = Threads::run(ranks, |world| {
                let mut made = 0;
                let mut all = Vec::new();
                let work = |i: usize| {
                    made += 1;
                    Some(i * i)
                };
                let end = deal(&*world, 5, work, |_, square| all.push(square));
                (end.map(|()| all), made)
            });
            let made: usize = results.iter().map(|(_, made)| made).sum();
            assert_eq!(made, 5);
            assert!(
                results
                    .iter()
                    .all(|(all, _)| *all == Some(vec![0, 1, 4, 9, 16]))
            );
        }
    }

    #[test]
    fn one_that_stops_stops_all() {
        let work = |i: usize| (i != 3).then_some(i);
        let results = Threads::run(2, |world| deal(&*world, 4, work, |_, _| ()));
        assert_eq!(results, [None, None]);
    }
}
