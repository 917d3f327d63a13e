//! Reference frames at work: the pose of a frame, aligned.

use image::RgbImage;
use tch::{Kind, Tensor};

use super::References;
use crate::alignment::{AlignmentReport, FeatureMap};
use crate::network::device::guarded;
use crate::network::input::input_tensor;
use crate::network::member::Opinion;
use crate::network::pose_network::{Features, PoseNetwork};
use crate::network::regressor::PoseRegressor;
use crate::sensor::CameraModel;
use crate::{Error, Result};

/// The maps of the encoder that poses are aligned in, `chw`, each with the stride of its cells and the first centre, pixels.
pub type EncoderMaps = [(Tensor, (f64, f64)); 2];

impl References {
    /// Aligns what was measured of a frame; its covariance stays that of the measurement.
    pub(in crate::network) fn align_opinion(
        &self,
        opinion: &mut Opinion,
        maps: &[FeatureMap; 2],
        camera: &CameraModel,
    ) -> AlignmentReport {
        let (pose, report) = self.align(opinion.absolute.pose, maps, camera);
        opinion.absolute.pose = pose;
        report
    }
}

impl PoseRegressor {
    /// The maps of an image that poses would be aligned in, before compression.
    ///
    /// # Errors
    /// [`Error::Message`] for an image of another size than the network's input; [`Error::Compute`] when libtorch fails, or for a
    /// network that knows no points.
    pub fn encoder_maps(&self, pixels: &RgbImage) -> Result<EncoderMaps> {
        let config = &self.card().network;
        let input_b3hw = input_tensor(&[pixels], config.input, &config.normalization, self.device())?;
        let maps = guarded("maps of the encoder", || {
            let network = self.network();
            tch::no_grad(|| encoder_maps(network, &network.shared(&input_b3hw, false)))
        })?;
        maps.ok_or_else(|| Error::compute("maps of the encoder", "expected a network that knows points"))
    }
}

/// The maps of a frame that poses are aligned in; `None` for a network that knows no points.
pub(in crate::network) fn encoder_maps(network: &PoseNetwork, shared: &Features) -> Option<EncoderMaps> {
    let head = network.coordinates()?;
    let [fine, coarse] = head.maps(shared).map(|map| map.get(0).to_kind(Kind::Float));
    let [fine_grid, coarse_grid] = head.grids().map(|grid| (grid.stride, grid.first));
    Some([(fine, fine_grid), (coarse, coarse_grid)])
}
