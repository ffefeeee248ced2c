//! The cache of a decoder: keys and values, or latents, of the tokens already seen.

use burn::tensor::Tensor;

/// Cache of one attention layer: keys and values of each token, or the latent from which multi-head latent
/// attention makes them. The first tokens appended settle which of the two.
///
/// The buffers double when they are full, so appending `n` tokens one by one copies O(n) entries,
/// not O(n^2). Meant for inference, on a device without autodiff.
#[derive(Debug, Clone, Default)]
pub struct KvCache {
    /// `[batch_size, heads, capacity, width]`: keys and values, or one latent.
    buffers: Vec<Tensor<4>>,
    len: usize,
}

/// Keys and values of the same tokens.
#[derive(Debug, Clone)]
pub struct KeysValues {
    /// `[batch_size, n_kv_heads, seq_length, head_dim]`
    pub keys: Tensor<4>,
    /// `[batch_size, n_kv_heads, seq_length, head_dim]`
    pub values: Tensor<4>,
}

impl KvCache {
    /// Creates an empty cache. The first tokens appended settle its other sizes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of tokens held, which is the position of the next one.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The numbers that the held tokens take, spare room for later ones not counted.
    pub fn n_elements(&self) -> usize {
        self.buffers.iter().map(|x| self.elements_of(x)).sum()
    }

    /// The bytes that the held tokens take, spare room for later ones not counted.
    pub fn bytes(&self) -> usize {
        let bytes = |x: &Tensor<4>| self.elements_of(x) * x.dtype().size();
        self.buffers.iter().map(bytes).sum()
    }

    fn elements_of(&self, buffer: &Tensor<4>) -> usize {
        let [batch, heads, _, width] = buffer.dims();
        batch * heads * self.len * width
    }

    /// Appends the keys and values of new tokens and returns those of all tokens so far.
    ///
    /// # Shapes
    ///
    /// - new: `[batch_size, n_kv_heads, new_length, head_dim]`, twice
    /// - output: `[batch_size, n_kv_heads, len, head_dim]`, twice
    ///
    /// # Panics
    ///
    /// Panics if the new tokens differ from the held ones in batch size, heads or head width, or if
    /// those are latents.
    pub fn append(&mut self, new: KeysValues) -> KeysValues {
        let [keys, values] = self.append_all([new.keys, new.values]);
        KeysValues { keys, values }
    }

    /// Appends the latents of new tokens and returns those of all tokens so far.
    ///
    /// # Shapes
    ///
    /// - new: `[batch_size, 1, new_length, width]`
    /// - output: `[batch_size, 1, len, width]`
    ///
    /// # Panics
    ///
    /// Panics if the new tokens differ from the held ones in batch size or width, or if those are
    /// keys and values.
    pub fn append_latent(&mut self, new: Tensor<4>) -> Tensor<4> {
        let [all] = self.append_all([new]);
        all
    }

    /// Forgets all tokens from the `len`-th on, if there are so many: drafts that were refused.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        // an empty cache may be filled with tokens of other sizes
        if self.len == 0 {
            self.buffers.clear();
        }
    }

    fn append_all<const N: usize>(&mut self, new: [Tensor<4>; N]) -> [Tensor<4>; N] {
        let [.., added, _] = new[0].dims();
        let start = self.len;
        self.len += added;
        // taken and not cloned: a buffer that nobody else holds is written in place
        let mut held = std::mem::take(&mut self.buffers).into_iter();
        assert!(
            held.len() == 0 || held.len() == N,
            "a cache holds keys and values or latents, never both"
        );
        self.buffers = new
            .into_iter()
            .map(|new| match held.next() {
                Some(held) => write(held, new, start),
                None => new,
            })
            .collect();
        std::array::from_fn(|i| prefix(&self.buffers[i], self.len))
    }
}

/// Writes `new` at token `start`, in place if there is room and nobody else holds the buffer.
fn write(buffer: Tensor<4>, new: Tensor<4>, start: usize) -> Tensor<4> {
    let [batch, heads, capacity, width] = buffer.dims();
    let [new_batch, new_heads, added, new_width] = new.dims();
    assert_eq!(
        [batch, heads, width],
        [new_batch, new_heads, new_width],
        "appended tokens must have the batch size, heads and head width of the cache"
    );
    let end = start + added;
    let buffer = if end <= capacity {
        buffer
    } else {
        grown(buffer, start, end.max(2 * capacity))
    };
    buffer.slice_assign([0..batch, 0..heads, start..end, 0..width], new)
}

fn grown(buffer: Tensor<4>, len: usize, capacity: usize) -> Tensor<4> {
    let [batch, heads, _, width] = buffer.dims();
    let room = Tensor::zeros(
        [batch, heads, capacity, width],
        (&buffer.device(), buffer.dtype()),
    );
    room.slice_assign([0..batch, 0..heads, 0..len, 0..width], prefix(&buffer, len))
}

fn prefix(buffer: &Tensor<4>, len: usize) -> Tensor<4> {
    let [batch, heads, _, width] = buffer.dims();
    buffer.clone().slice([0..batch, 0..heads, 0..len, 0..width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::testing::{assert_same, values};

    fn tokens(range: std::ops::Range<usize>) -> KeysValues {
        let device = Device::flex();
        KeysValues {
            keys: values([2, 3, 20, 4], 1, &device).narrow(2, range.start, range.len()),
            values: values([2, 3, 20, 4], 2, &device).narrow(2, range.start, range.len()),
        }
    }

    #[test]
    fn returns_everything_appended() {
        let mut cache = KvCache::new();
        assert!(cache.is_empty());
        let mut start = 0;
        // 3 fills the first buffer, 4 grows it to 6, 6 fits, 13 exceeds twice the capacity.
        for end in [3, 4, 6, 13, 20] {
            let all = cache.append(tokens(start..end));
            assert_same(all.keys, tokens(0..end).keys);
            assert_same(all.values, tokens(0..end).values);
            assert_eq!(cache.len(), end);
            start = end;
        }
    }

    #[test]
    fn counts_the_bytes_of_its_tokens() {
        let mut cache = KvCache::new();
        assert_eq!(cache.bytes(), 0);
        cache.append(tokens(0..3));
        cache.append(tokens(3..4));
        // Keys and values, 2 sequences, 3 heads, 4 tokens, 4 wide, 4 bytes each.
        assert_eq!(cache.bytes(), 2 * 2 * 3 * 4 * 4 * 4);
    }

    #[test]
    fn latents_have_one_buffer() {
        let device = Device::flex();
        let latents = |length| values([2, 1, length, 5], 3, &device);
        let mut cache = KvCache::new();
        cache.append_latent(latents(3).narrow(2, 0, 2));
        let all = cache.append_latent(latents(3).narrow(2, 2, 1));
        assert_same(all, latents(3));
        assert_eq!(cache.n_elements(), 2 * 3 * 5);
        assert_eq!(cache.bytes(), 2 * 3 * 5 * 4);
    }

    #[test]
    #[should_panic(expected = "keys and values or latents, never both")]
    fn kinds_do_not_mix() {
        let mut cache = KvCache::new();
        cache.append(tokens(0..1));
        cache.append_latent(tokens(1..2).keys);
    }

    #[test]
    fn truncated_tokens_are_overwritten() {
        let mut cache = KvCache::new();
        cache.append(tokens(0..3));
        cache.append(tokens(7..9));
        cache.truncate(3);
        cache.truncate(20);
        assert_eq!(cache.len(), 3);
        assert_same(cache.append(tokens(3..5)).keys, tokens(0..5).keys);
        cache.truncate(0);
        assert_same(cache.append(tokens(4..6)).values, tokens(4..6).values);
    }

    #[test]
    fn a_clone_goes_its_own_way() {
        let mut cache = KvCache::new();
        cache.append(tokens(0..3));
        cache.append(tokens(3..4));
        let mut fork = cache.clone();
        fork.append(tokens(9..10));
        assert_same(cache.append(tokens(4..5)).keys, tokens(0..5).keys);
        assert_eq!(fork.len(), 5);
    }

    #[test]
    #[should_panic(expected = "appended tokens must have the batch size, heads and head width")]
    fn batch_size_must_stay() {
        let mut cache = KvCache::new();
        cache.append(tokens(0..1));
        let new = tokens(1..2);
        cache.append(KeysValues {
            keys: new.keys.narrow(0, 0, 1),
            values: new.values,
        });
    }
}
