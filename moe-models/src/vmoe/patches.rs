//! Images as tokens: patches `p`, embedded as `p W + b`, and where they are (Dosovitskiy et al. 2020, arXiv
//! 2010.11929, equation 1).

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Positions of the tokens.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum PatchPositions {
    /// A learned vector for each token, the class token included. The default.
    #[default]
    Learned,
    /// Fixed sines and cosines of column and row (Chen et al. 2021, arXiv 2104.02057, section 4.2);
    /// a class token has none.
    SinCos2d {
        /// The longest wavelength over `2 pi`; published models have 10,000.
        temperature: f64,
    },
    /// Not at all.
    None,
}

impl PatchPositions {
    /// Fixed sines and cosines as published.
    pub fn sin_cos_2d() -> Self {
        Self::SinCos2d {
            temperature: 10_000.0,
        }
    }
}

/// The patches of images that are cut into a grid, row by row; what is left at the right and lower edge is
/// not seen.
///
/// # Shapes
///
/// - images: `[B, H, W, C]`
/// - output: `[B, H / ph * W / pw, ph * pw * C]`
pub(super) fn patches(images: Tensor<4>, [ph, pw]: [usize; 2]) -> Tensor<3> {
    let [batch, height, width, channels] = images.dims();
    let (rows, columns) = (height / ph, width / pw);
    images
        .narrow(1, 0, rows * ph)
        .narrow(2, 0, columns * pw)
        .reshape([batch, rows, ph, columns, pw, channels])
        .swap_dims(2, 3)
        .reshape([batch, rows * columns, ph * pw * channels])
}

/// `[sin x w, cos x w, sin y w, cos y w]` for column `x` and row `y` of each patch, where
/// `w_i = temperature^(-i / (D / 4 - 1))`, `[1, rows * columns, D]`.
pub(super) fn sin_cos_2d(
    [rows, columns]: [usize; 2],
    d_model: usize,
    temperature: f64,
    device: &Device,
) -> Tensor<3> {
    let quarter = d_model / 4;
    let omega = |i: usize| temperature.powf(-(i as f64) / (quarter as f64 - 1.0));
    let mut table = Vec::with_capacity(rows * columns * d_model);
    for patch in 0..rows * columns {
        let (x, y) = ((patch % columns) as f64, (patch / columns) as f64);
        for (at, wave) in [
            (x, f64::sin as fn(f64) -> f64),
            (x, f64::cos),
            (y, f64::sin),
            (y, f64::cos),
        ] {
            table.extend((0..quarter).map(|i| wave(at * omega(i)) as f32));
        }
    }
    let shape = [1, rows * columns, d_model];
    Tensor::from_data(TensorData::new(table, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Int, TensorData};

    #[test]
    fn patches_are_cut_row_by_row() {
        // one channel, 3 by 5 pixels, numbered row by row; patches of 1 by 2
        let images = Tensor::<1, Int>::arange(0..15, &Device::flex()).float();
        let cut = patches(images.reshape([1, 3, 5, 1]), [1, 2]);
        let expected = TensorData::from([[
            [0.0f32, 1.0],
            [2.0, 3.0],
            [5.0, 6.0],
            [7.0, 8.0],
            [10.0, 11.0],
            [12.0, 13.0],
        ]]);
        cut.into_data().assert_eq(&expected, true);
    }

    #[test]
    fn a_patch_is_its_rows_with_all_channels() {
        // two channels, 2 by 2 pixels, one patch
        let images = Tensor::<1, Int>::arange(0..8, &Device::flex()).float();
        let cut = patches(images.reshape([1, 2, 2, 2]), [2, 2]);
        let expected = TensorData::from([[[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]]);
        cut.into_data().assert_eq(&expected, true);
    }

    #[test]
    fn positions_are_waves_of_column_then_row() {
        // D = 8: two waves, of 1 and 1 / 10,000
        let table = sin_cos_2d([2, 3], 8, 10_000.0, &Device::flex());
        assert_eq!(table.dims(), [1, 6, 8]);
        let table: Vec<f32> = table.into_data().try_into_vec().expect("f32");
        let last = &table[5 * 8..]; // x = 2, y = 1
        let expected = [
            2f64.sin(),
            2e-4f64.sin(),
            2f64.cos(),
            2e-4f64.cos(),
            1f64.sin(),
            1e-4f64.sin(),
            1f64.cos(),
            1e-4f64.cos(),
        ];
        for (ours, theirs) in last.iter().zip(expected) {
            assert!((f64::from(*ours) - theirs).abs() < 1e-7);
        }
    }
}
