//! Features of cells by a few numbers, so that those of all frames fit into memory.

use tch::{Device, Kind, Tensor};

/// Numbers that are kept of the features of a cell, of most encoders.
pub(super) const COMPONENTS: i64 = 32;

/// The main directions in which standardized features of cells differ: their principal components.
pub(super) struct Components {
    mean_c: Tensor,
    basis_ck: Tensor,
}

impl Components {
    /// Of features `nc`.
    pub(super) fn new(features_nc: &Tensor) -> Self {
        let features = features_nc.to_kind(Kind::Double);
        let mean_c = features.mean_dim([0i64].as_slice(), false, Kind::Double);
        let deviation_c = features.std_dim([0i64].as_slice(), true, false) + 1e-3;
        let standard = (features - &mean_c) / &deviation_c;
        let (_, directions) = standard.tr().matmul(&standard).linalg_eigh("L");
        let (channels, kept) = (directions.size()[1], COMPONENTS.min(directions.size()[1]));
        let basis = directions.narrow(1, channels - kept, kept) / deviation_c.unsqueeze(1);
        Self { mean_c: mean_c.to_kind(Kind::Float), basis_ck: basis.to_kind(Kind::Float) }
    }

    /// The components of maps `bchw`, half precision on the CPU.
    pub(super) fn of(&self, maps_bchw: &Tensor) -> Tensor {
        let rows = maps_bchw.permute([0, 2, 3, 1]).to_kind(Kind::Float) - &self.mean_c;
        rows.matmul(&self.basis_ck).permute([0, 3, 1, 2]).to_kind(Kind::Half).to_device(Device::Cpu).contiguous()
    }
}
