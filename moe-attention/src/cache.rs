//! The keys and values of the tokens that a decoder has already seen.

use burn::tensor::Tensor;

/// Keys and values of one attention layer, appended to while generating.
///
/// The buffers double when they are full, so appending `n` tokens one by one copies O(n) entries,
/// not O(n^2). Meant for inference, on a device without autodiff.
#[derive(Debug, Clone, Default)]
pub struct KvCache {
    buffers: Option<KeysValues>,
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

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that the held tokens take, spare room for later ones not counted.
    pub fn bytes(&self) -> usize {
        self.buffers.as_ref().map_or(0, |b| {
            entry_bytes(&b.keys, self.len) + entry_bytes(&b.values, self.len)
        })
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
    /// Panics if the new tokens differ from the held ones in batch size, heads or head width.
    pub fn append(&mut self, new: KeysValues) -> KeysValues {
        let [.., added, _] = new.keys.dims();
        let start = self.len;
        self.len += added;
        let buffers = match self.buffers.take() {
            None => new,
            Some(held) => KeysValues {
                keys: write(held.keys, new.keys, start),
                values: write(held.values, new.values, start),
            },
        };
        let all = KeysValues {
            keys: prefix(&buffers.keys, self.len),
            values: prefix(&buffers.values, self.len),
        };
        self.buffers = Some(buffers);
        all
    }
}

fn entry_bytes(buffer: &Tensor<4>, len: usize) -> usize {
    let [batch, heads, _, width] = buffer.dims();
    batch * heads * len * width * buffer.dtype().size()
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
