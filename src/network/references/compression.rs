//! Features of cells by a few numbers: the main directions in which they differ, and the direction of what is left.

use tch::{Device, Kind, Tensor};

use super::inference::EncoderMaps;
use crate::alignment::FeatureMap;
use crate::{Error, Result};

/// Numbers that are kept of a cell: with 16 poses were as good as with 64 on validation frames of a kitchen.
const KEPT: i64 = 16;
/// A cell whose features are shorter has no direction.
const SHORTEST: f64 = 1e-6;

/// Both maps of the encoder, each by its compression, as they are compared.
///
/// # Errors
/// Those of [`Compression::of`].
pub(in crate::network) fn compress(
    [of_fine, of_coarse]: &[Compression; 2],
    [fine, coarse]: &EncoderMaps,
) -> Result<[FeatureMap; 2]> {
    Ok([of_fine.of(&fine.0, fine.1)?, of_coarse.of(&coarse.0, coarse.1)?])
}

/// What is left of a map: principal components, each cell of length 1 (PixLoc, section 3.1, normalizes as well).
#[derive(Debug)]
pub struct Compression {
    mean_c: Tensor,
    basis_ck: Tensor,
}

impl Compression {
    /// For features like those `nc` of many cells.
    pub fn new(features_nc: &Tensor) -> Self {
        let features = features_nc.to_device(Device::Cpu).to_kind(Kind::Double);
        let mean_c = features.mean_dim([0i64].as_slice(), false, Kind::Double);
        let centred = features - &mean_c;
        let (_, directions) = centred.tr().matmul(&centred).linalg_eigh("L");
        let channels = directions.size()[1];
        let kept = KEPT.min(channels);
        let basis_ck = directions.narrow(1, channels - kept, kept).to_kind(Kind::Float).contiguous();
        Self { mean_c: mean_c.to_kind(Kind::Float), basis_ck }
    }

    /// A map of the encoder, `chw`, as the alignment reads it; `grid` is the stride of its cells and the first centre, pixels.
    ///
    /// # Errors
    /// [`Error::Compute`] for numbers that are not finite.
    pub fn of(&self, map_chw: &Tensor, grid: (f64, f64)) -> Result<FeatureMap> {
        let [rows, columns] = [1, 2].map(|side| map_chw.size()[side] as usize);
        let cells_nc = map_chw.to_device(Device::Cpu).to_kind(Kind::Float).flatten(1, 2).tr();
        let kept_nk = (cells_nc - &self.mean_c).matmul(&self.basis_ck);
        let length_n1 = kept_nk.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
        let values = Vec::<f32>::try_from((kept_nk / length_n1.clamp_min(SHORTEST)).flatten(0, -1).contiguous());
        let values = values.map_err(|error| Error::compute("compressing features", error))?;
        FeatureMap::new(values, [rows, columns], grid)
    }

    /// The same, of the same numbers.
    pub(super) fn shallow_clone(&self) -> Self {
        Self { mean_c: self.mean_c.shallow_clone(), basis_ck: self.basis_ck.shallow_clone() }
    }

    /// Numbers per cell.
    pub(super) fn kept(&self) -> i64 {
        self.basis_ck.size()[1]
    }

    /// By name.
    pub(super) fn tensors(&self) -> [(&'static str, Tensor); 2] {
        [("mean", self.mean_c.shallow_clone()), ("basis", self.basis_ck.shallow_clone())]
    }

    /// From tensors by name and shape, of which -1 is any size.
    pub(super) fn from_tensors(mut take: impl FnMut(&str, &[i64]) -> Result<Tensor>) -> Result<Self> {
        let mean_c = take("mean", &[-1])?;
        let basis_ck = take("basis", &[mean_c.size()[0], -1])?;
        Ok(Self { mean_c, basis_ck })
    }
}
