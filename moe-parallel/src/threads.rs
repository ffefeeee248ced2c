//! Ranks that are threads of one process.

use crate::Communicator;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A rank among threads of one process: what tests and laws run on.
#[derive(Debug, Clone)]
pub struct Threads {
    hub: Arc<Hub>,
    group: u64,
    /// The ranks of the group in the world.
    members: Arc<Vec<usize>>,
    /// The caller's rank in the group.
    rank: usize,
    splits: Arc<Mutex<u64>>,
}

#[derive(Debug, Default)]
struct Hub {
    post: Mutex<Post>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Post {
    /// Messages by group, sender and receiver.
    letters: HashMap<(u64, usize, usize), VecDeque<Vec<u8>>>,
    /// The ranks that have ended.
    ended: Vec<usize>,
}

impl Threads {
    /// Runs `body` on as many ranks, and returns what each of them returns, by rank.
    ///
    /// # Panics
    ///
    /// Panics if a rank panics, once all have ended.
    pub fn run<T: Send>(ranks: usize, body: impl Fn(Arc<dyn Communicator>) -> T + Sync) -> Vec<T> {
        let hub = Arc::new(Hub::default());
        let members = Arc::new((0..ranks).collect::<Vec<_>>());
        thread::scope(|scope| {
            let start = |rank| {
                let (hub, members, body) = (hub.clone(), members.clone(), &body);
                scope.spawn(move || {
                    let _last_word = LastWord {
                        hub: hub.clone(),
                        rank,
                    };
                    body(Arc::new(Self {
                        hub,
                        group: 0,
                        members,
                        rank,
                        splits: Arc::default(),
                    }))
                })
            };
            let threads: Vec<_> = (0..ranks).map(start).collect();
            let ends: Vec<_> = threads
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect();
            let or_panic =
                |end: thread::Result<T>| end.unwrap_or_else(|why| std::panic::resume_unwind(why));
            ends.into_iter().map(or_panic).collect()
        })
    }

    fn send(&self, to: usize, letter: Vec<u8>) {
        let at = (self.group, self.members[self.rank], self.members[to]);
        self.hub
            .post()
            .letters
            .entry(at)
            .or_default()
            .push_back(letter);
        self.hub.news.notify_all();
    }

    fn receive(&self, from: usize) -> Vec<u8> {
        let at = (self.group, self.members[from], self.members[self.rank]);
        let mut post = self.hub.post();
        loop {
            if let Some(letter) = post.letters.get_mut(&at).and_then(VecDeque::pop_front) {
                return letter;
            }
            assert!(
                !post.ended.contains(&at.1),
                "rank {} has ended, and rank {} waits for it",
                at.1,
                at.2
            );
            post = self
                .hub
                .news
                .wait(post)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Hub {
    fn post(&self) -> MutexGuard<'_, Post> {
        // a rank that panics holds no half-made change
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the others of a rank that ends: those that still wait for it wait for nothing.
struct LastWord {
    hub: Arc<Hub>,
    rank: usize,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        self.hub.post().ended.push(self.rank);
        self.hub.news.notify_all();
    }
}

impl Communicator for Threads {
    fn engine(&self) -> &'static str {
        "threads"
    }

    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.members.len()
    }

    fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        assert_eq!(parts.len(), self.size(), "exchange: one part for each rank");
        for (to, part) in parts.into_iter().enumerate() {
            self.send(to, part);
        }
        (0..self.size()).map(|from| self.receive(from)).collect()
    }

    fn gather(&self, mine: &[u8]) -> Vec<Vec<u8>> {
        self.exchange(vec![mine.to_vec(); self.size()])
    }

    fn split(&self, color: usize) -> Arc<dyn Communicator> {
        let colors = self.gather(&(color as u64).to_le_bytes());
        let mine = (color as u64).to_le_bytes();
        let chosen = (0..self.size()).filter(|&rank| colors[rank] == mine);
        let ranks: Vec<usize> = chosen.collect();
        let mut splits = self.splits.lock().unwrap_or_else(PoisonError::into_inner);
        *splits += 1;
        // the same for all ranks of the new group, and for no other group
        let group = (self.group * 31 + *splits) * 4099 + color as u64 + 1;
        let rank = ranks.iter().position(|&rank| rank == self.rank);
        Arc::new(Self {
            hub: self.hub.clone(),
            group,
            members: Arc::new(ranks.iter().map(|&rank| self.members[rank]).collect()),
            rank: rank.expect("a rank has the color that it has named"),
            splits: Arc::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_arrives_once_and_nothing_is_a_part_too() {
        let received = Threads::run(3, |world| {
            let me = world.rank() as u8;
            // from 1 to 2: nothing
            let part = |to: u8| {
                if (me, to) == (1, 2) {
                    vec![]
                } else {
                    vec![me, to]
                }
            };
            world.exchange((0..3).map(part).collect())
        });
        assert_eq!(received[0], [vec![0, 0], vec![1, 0], vec![2, 0]]);
        assert_eq!(received[2], [vec![0, 2], vec![], vec![2, 2]]);
    }

    #[test]
    fn groups_speak_among_themselves() {
        let heard = Threads::run(4, |world| {
            let pair = world.split(world.rank() % 2);
            let across = world.split(world.rank() / 2);
            let said = pair.gather(&[world.rank() as u8]).concat();
            (said, across.gather(&[world.rank() as u8]).concat())
        });
        assert_eq!(heard[2], (vec![0, 2], vec![2, 3]));
        assert_eq!(heard[1], (vec![1, 3], vec![0, 1]));
    }

    #[test]
    #[should_panic(expected = "rank 1 has ended")]
    fn a_rank_that_ends_ends_those_that_wait_for_it() {
        Threads::run(2, |world| {
            assert_eq!(world.rank(), 0, "rank 1 has ended by itself");
            world.gather(&[]);
        });
    }
}
