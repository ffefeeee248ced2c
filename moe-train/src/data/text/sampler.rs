//! Training windows in an order that is a pure function of the seed: a run resumes from one number.
//!
//! The train part of a domain of `n` tokens is cut into `(n - 1) / L` windows of `L + 1` tokens, one every
//! `L` tokens. So each token is predicted once in an epoch. Each epoch draws an offset in `0..L`, by which
//! all its windows start later, so that their borders fall elsewhere every time. It then shuffles the
//! windows of all domains. The last window of a domain moves back to end with the text: it repeats fewer
//! than `L` tokens of its neighbour, and as many are left out at the start. So the number of windows is the
//! same in every epoch.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::batch::Window;
use crate::data::{Batch, Split, TextData};

/// Draws training batches.
///
/// The position in the training data is one number, `consumed`: the windows that were used before.
#[derive(Debug, Clone)]
pub struct Sampler<'a> {
    data: &'a TextData,
    seed: u64,
}

impl<'a> Sampler<'a> {
    /// A sampler of the train parts of `data`.
    pub fn new(data: &'a TextData, seed: u64) -> Self {
        Self { data, seed }
    }

    /// The number of windows in one epoch.
    pub fn windows_per_epoch(&self) -> u64 {
        let domains = 0..self.data.domain_names().len();
        domains.map(|domain| self.n_windows(domain) as u64).sum()
    }

    /// The batch after `consumed` windows, a pure function of the data, the seed and the arguments.
    ///
    /// It crosses into the next epoch where one ends. To draw many batches in a row use
    /// [`batches`](Self::batches), which shuffles once an epoch.
    pub fn batch(&self, consumed: u64, batch_size: usize) -> Batch {
        self.batches(consumed, batch_size).draw()
    }

    /// All batches from `consumed` windows on, without end; each is what [`batch`](Self::batch) returns there.
    pub fn batches(&self, consumed: u64, batch_size: usize) -> Batches<'a> {
        let epoch = consumed / self.windows_per_epoch();
        Batches {
            sampler: self.clone(),
            order: self.order(epoch),
            epoch,
            consumed,
            batch_size,
        }
    }

    fn n_windows(&self, domain: usize) -> usize {
        (self.data.tokens(domain, Split::Train).len() - 1) / self.data.seq_length()
    }

    /// The windows of one epoch in the order of their use.
    fn order(&self, epoch: u64) -> Vec<Window> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // a stream for each epoch, so that a run resumes in one without drawing those before it
        rng.set_stream(epoch);
        let seq_length = self.data.seq_length();
        let offset = rng.random_range(0..seq_length);

        let mut windows = Vec::new();
        for domain in 0..self.data.domain_names().len() {
            let last_start = self.data.tokens(domain, Split::Train).len() - 1 - seq_length;
            windows.extend((0..self.n_windows(domain)).map(|i| Window {
                domain: domain as u16,
                start: (offset + i * seq_length).min(last_start),
            }));
        }
        windows.shuffle(&mut rng);
        windows
    }
}

/// Training batches in a row, from [`Sampler::batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    sampler: Sampler<'a>,
    order: Vec<Window>,
    epoch: u64,
    consumed: u64,
    batch_size: usize,
}

impl Batches<'_> {
    /// The number of windows used so far, those before the first batch included.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next batch.
    pub fn draw(&mut self) -> Batch {
        let windows: Vec<Window> = (0..self.batch_size).map(|_| self.next_window()).collect();
        Batch::gather(self.sampler.data, Split::Train, &windows)
    }

    fn next_window(&mut self) -> Window {
        let n_windows = self.order.len() as u64;
        let epoch = self.consumed / n_windows;
        if epoch != self.epoch {
            self.order = self.sampler.order(epoch);
            self.epoch = epoch;
        }
        let window = self.order[(self.consumed % n_windows) as usize];
        self.consumed += 1;
        window
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        Some(self.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{TextConfig, text::test_data};
    use proptest::prelude::*;
    use std::{collections::HashSet, sync::atomic::AtomicBool, time::Instant};

    #[test]
    fn windows_per_epoch_is_the_sum_over_domains() {
        // Train parts of 180 and 360 tokens: (180 - 1) / 8 = 22 and (360 - 1) / 8 = 44.
        let data = test_data(&[200, 400], 8);
        assert_eq!(data.sampler(0).windows_per_epoch(), 66);
    }

    #[test]
    fn each_epoch_has_its_own_offset() {
        let data = test_data(&[200], 8);
        let sampler = data.sampler(0);
        let first_start = |epoch| sampler.order(epoch).iter().map(|window| window.start).min();
        let offsets: HashSet<Option<usize>> = (0..100).map(first_start).collect();
        assert_eq!(offsets, (0..8).map(Some).collect());
    }

    #[test]
    fn seeds_and_epochs_differ() {
        let data = test_data(&[1000, 1000], 8);
        let order = |seed, epoch| data.sampler(seed).order(epoch);
        assert_ne!(order(0, 0), order(1, 0));
        assert_ne!(order(0, 0), order(0, 1));
        assert_eq!(order(0, 1), order(0, 1));
    }

    #[test]
    fn nine_domains_are_read_and_drawn_quickly() {
        let start = Instant::now();
        let data = TextData::load(&TextConfig::default(), 256, &AtomicBool::new(false))
            .expect("the embedded corpus is valid");
        let load_ms = start.elapsed().as_secs_f64() * 1e3;

        let sampler = data.sampler(0);
        let start = Instant::now();
        for step in 0..100 {
            assert_eq!(sampler.batch(step * 16, 16).inputs.len(), 16 * 256);
        }
        let batch_ms = start.elapsed().as_secs_f64() * 1e3 / 100.0;
        // Measured: 9 ms and 0.07 ms. The limits leave room for a busy machine.
        assert!(
            load_ms < 1000.0 && batch_ms < 5.0,
            "load {load_ms} ms, batch {batch_ms} ms"
        );
    }

    proptest! {
        #[test]
        fn an_epoch_uses_each_window_once(
            sizes in prop::collection::vec(180usize..700, 1..4), seed: u64, epoch in 0u64..1000
        ) {
            let data = test_data(&sizes, 8);
            let sampler = data.sampler(seed);
            let order = sampler.order(epoch);
            prop_assert_eq!(order.len() as u64, sampler.windows_per_epoch());
            let different: HashSet<Window> = order.iter().copied().collect();
            prop_assert_eq!(different.len(), order.len());

            let offset = order.iter().map(|window| window.start).min().expect("not empty");
            prop_assert!(offset < 8);
            for window in order {
                let n = data.tokens(window.domain.into(), Split::Train).len();
                let aligned = window.start % 8 == offset % 8;
                prop_assert!(window.start + 8 < n && (aligned || window.start + 9 == n));
            }
        }

        #[test]
        fn a_batch_is_a_function_of_seed_and_position(
            seed: u64, consumed in 0u64..200, batch_size in 1usize..40
        ) {
            let data = test_data(&[300, 200], 8);
            let sampler = data.sampler(seed);
            let batch = sampler.batch(consumed, batch_size);
            prop_assert_eq!(&batch, &data.sampler(seed).batch(consumed, batch_size));

            // The same windows, one at a time and through the iterator, over the ends of epochs.
            let single: Vec<Batch> = (0..batch_size as u64).map(|i| sampler.batch(consumed + i, 1)).collect();
            let inputs: Vec<u32> = single.iter().flat_map(|batch| batch.inputs.clone()).collect();
            prop_assert_eq!(&inputs, &batch.inputs);
            let mut batches = sampler.batches(consumed, 1);
            let drawn: Vec<Batch> = batches.by_ref().take(batch_size).collect();
            prop_assert_eq!(drawn, single);
            prop_assert_eq!(batches.consumed(), consumed + batch_size as u64);
        }
    }
}
