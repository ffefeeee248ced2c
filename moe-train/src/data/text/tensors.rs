//! A batch as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::Batch;

/// A [`Batch`] on a device.
#[derive(Debug, Clone)]
pub struct BatchTensors {
    /// Input tokens: `[batch_size, seq_length]`.
    pub inputs: Tensor<2, Int>,
    /// The token after each input: `[batch_size, seq_length]`.
    pub targets: Tensor<2, Int>,
}

impl BatchTensors {
    /// Copies the tokens of `batch` to `device`.
    pub fn new(batch: &Batch, device: &Device) -> Self {
        let tensor = |tokens: &[u32]| {
            let tokens: Vec<i64> = tokens.iter().copied().map(i64::from).collect();
            Tensor::from_data(
                TensorData::new(tokens, [batch.batch_size, batch.seq_length]),
                device,
            )
        };
        Self {
            inputs: tensor(&batch.inputs),
            targets: tensor(&batch.targets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_rows() {
        let batch = Batch {
            inputs: vec![1, 2, 3, 4, 5, 6],
            targets: vec![2, 3, 9, 5, 6, 8],
            domains: vec![0, 1],
            batch_size: 2,
            seq_length: 3,
        };
        let tensors = BatchTensors::new(&batch, &Device::flex());
        let expected = TensorData::from([[1i64, 2, 3], [4, 5, 6]]);
        tensors.inputs.into_data().assert_eq(&expected, false);
        let expected = TensorData::from([[2i64, 3, 9], [5, 6, 8]]);
        tensors.targets.into_data().assert_eq(&expected, false);
    }
}
