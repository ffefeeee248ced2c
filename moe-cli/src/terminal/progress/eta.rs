//! Time left of work that is made in equal pieces.

use std::time::Duration;

/// The time of the pieces of some work, evaluations and checkpoints among them included.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The time at which the first piece was done, and how many were done by then: the first of all is slower.
    first: Option<(Duration, u64)>,
}

impl Pace {
    /// Nothing is said before so many pieces and so much time.
    const PIECES: u64 = 5;
    const TIME: Duration = Duration::from_secs(3);

    /// The seconds left after `done` of `total` pieces, `now` since the start; nothing while it is too early to
    /// say.
    pub(super) fn seconds_left(&mut self, now: Duration, done: u64, total: u64) -> Option<f64> {
        let (began, before) = *self.first.get_or_insert((now, done));
        let (made, taken) = (done.saturating_sub(before), now.saturating_sub(began));
        if made < Self::PIECES || taken < Self::TIME {
            return None;
        }
        let left = total.saturating_sub(done) as f64;
        Some(taken.as_secs_f64() / made as f64 * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_before_five_pieces_and_three_seconds() {
        let mut pace = Pace::default();
        let mut left = |s, done| pace.seconds_left(Duration::from_secs(s), done, 100);
        assert_eq!(left(60, 11), None); // the first is slow: a kernel is compiled, memory is claimed
        assert_eq!(left(61, 12), None);
        assert_eq!(left(62, 16), None); // five, in 2 s
        assert_eq!(left(64, 15), None); // four, in 4 s
        // 10 in 20 s, 79 are left
        assert_eq!(left(80, 21), Some(158.0));
    }
}
