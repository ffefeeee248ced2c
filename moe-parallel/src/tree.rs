//! Sums in an order that does not depend on who computes which part.

/// Values that are added up.
pub trait Add: Sized {
    /// The sum of two values, the earlier one first.
    fn add(self, later: Self) -> Self;
}

/// The sum of parts `0..n` in the shape of a binary tree over their numbers.
///
/// Floating sums depend on their order. With `n = 2^k m`, `m` odd, runs of `m` parts are added one after the other,
/// and the `2^k` runs meet as neighbours do: `((0 + 1) + (2 + 3)) + ..`. The parts that a rank holds, when `W` ranks
/// (a power of two) hold `n / W` parts each in a row, are then whole branches: each rank adds up its own, the ranks'
/// sums meet in the same tree, and the bits are those of one rank with all parts. At most `k + 1` partial sums are
/// held. For `n` of 1, 2 and 3 the order is that of a plain loop.
#[derive(Debug, Clone)]
pub struct TreeSum<T> {
    /// Parts that are added one after the other.
    run: usize,
    pushed: usize,
    current: Option<T>,
    /// Branches that wait for their neighbour, the largest first, with their height.
    branches: Vec<(u32, Option<T>)>,
}

impl<T: Add> TreeSum<T> {
    /// An empty sum of `n` parts.
    pub fn new(n: usize) -> Self {
        Self {
            run: odd_part(n),
            pushed: 0,
            current: None,
            branches: Vec::new(),
        }
    }

    /// Adds the next part; nothing stands for a part that is zero.
    pub fn push(&mut self, part: impl Into<Option<T>>) {
        self.current = both(self.current.take(), part.into());
        self.pushed += 1;
        if self.pushed.is_multiple_of(self.run) {
            let mut height = 0;
            let mut sum = self.current.take();
            while let Some((waiting, _)) = self.branches.last()
                && *waiting == height
            {
                let (_, earlier) = self.branches.pop().unwrap_or_default();
                sum = both(earlier, sum);
                height += 1;
            }
            self.branches.push((height, sum));
        }
    }

    /// The sum of all parts, if any was not nothing.
    pub fn finish(self) -> Option<T> {
        // of a whole tree one branch is left; of a part of one the smaller branches are the later ones
        let branches = self.branches.into_iter().map(|(_, sum)| sum);
        let later = branches
            .rev()
            .fold(None, |later, earlier| both(earlier, later));
        both(later, self.current)
    }
}

fn both<T: Add>(earlier: Option<T>, later: Option<T>) -> Option<T> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => Some(earlier.add(later)),
        (earlier, later) => earlier.or(later),
    }
}

/// The largest odd number that divides `n`.
fn odd_part(n: usize) -> usize {
    match n {
        0 => 1,
        n => n >> n.trailing_zeros(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Words(String);

    impl Add for Words {
        fn add(self, later: Self) -> Self {
            Self(format!("({}+{})", self.0, later.0))
        }
    }

    fn sum(n: usize, parts: impl Iterator<Item = usize>) -> String {
        let mut sum = TreeSum::new(n);
        parts.for_each(|part| sum.push(Words(part.to_string())));
        sum.finish().map_or(String::new(), |words| words.0)
    }

    #[test]
    fn neighbours_meet() {
        assert_eq!(sum(1, 0..1), "0");
        assert_eq!(sum(2, 0..2), "(0+1)");
        assert_eq!(sum(3, 0..3), "((0+1)+2)");
        assert_eq!(sum(4, 0..4), "((0+1)+(2+3))");
        // 6 = 2 x 3: two runs of three
        assert_eq!(sum(6, 0..6), "(((0+1)+2)+((3+4)+5))");
        assert_eq!(sum(8, 0..8), "(((0+1)+(2+3))+((4+5)+(6+7)))");
    }

    #[test]
    fn nothing_counts_as_zero_and_keeps_its_place() {
        let mut sum = TreeSum::new(4);
        for part in [None, Some("1"), None, Some("3")] {
            sum.push(part.map(|part| Words(part.to_owned())));
        }
        assert_eq!(sum.finish(), Some(Words("(1+3)".to_owned())));
    }

    proptest! {
        #[test]
        fn the_ranks_sums_meet_in_the_same_tree(log in 0u32..5, odd in 0usize..3, log_ranks in 0u32..5) {
            let n = (2 * odd + 1) << log;
            let ranks = 1usize << log_ranks.min(log);
            let each = n / ranks;
            let mut whole = TreeSum::new(ranks);
            for rank in 0..ranks {
                whole.push(Words(sum(each, rank * each..(rank + 1) * each)));
            }
            prop_assert_eq!(whole.finish().map(|words| words.0), Some(sum(n, 0..n)));
        }
    }
}
