//! Reference frames at work: the pose of a frame, aligned.

use image::RgbImage;
use nalgebra::Vector3;
use tch::{Kind, Tensor};

use super::References;
use crate::alignment::{AlignmentReport, FeatureMap};
use crate::geometry::Se3;
use crate::network::config::NetworkConfig;
use crate::network::device::guarded;
use crate::network::encoder::CellGrid;
use crate::network::input::input_tensor;
use crate::network::member::Opinion;
use crate::network::pose_network::Features;
use crate::network::regressor::PoseRegressor;
use crate::network::scene_coordinates::MeasuredPose;
use crate::sensor::PosePrior;
use crate::{Error, Result};

/// The maps of the encoder that poses are aligned in, `chw`, each with the stride of its cells and the first centre, pixels.
pub type EncoderMaps = [(Tensor, (f64, f64)); 2];

impl PoseRegressor {
    /// What was regressed of a frame with these maps, measured from what is recognized of the references in use, and how it was aligned
    /// then; of a model that knows points what it says already.
    ///
    /// # Errors
    /// Those of [`References::recognize`].
    pub(in crate::network) fn measured(
        &self,
        mut opinions: Vec<Opinion>,
        maps: Option<&[FeatureMap; 2]>,
        prior: Option<&PosePrior>,
    ) -> Result<(Vec<Opinion>, Option<AlignmentReport>)> {
        let (Some(references), Some(maps), [opinion], false) =
            (self.used_references(), maps, opinions.as_mut_slice(), self.knows_points())
        else {
            return Ok((opinions, None));
        };
        let (MeasuredPose { pose, evidence, seen }, report) =
            references.recognize(&opinion.absolute.pose, maps, &self.card().camera, prior)?;
        (opinion.absolute, opinion.evidence, opinion.seen) = (pose, Some(evidence), seen);
        Ok((opinions, Some(report)))
    }

    /// Aligns what a model that knows points measured of a frame to the references in use; its covariance stays that of the
    /// measurement.
    pub(in crate::network) fn align(
        &self,
        opinions: &mut [Opinion],
        maps: Option<&[FeatureMap; 2]>,
    ) -> Option<AlignmentReport> {
        let (references, maps) = (self.used_references().filter(|_| self.knows_points())?, maps?);
        let [opinion] = opinions else { return None };
        let (pose, report) = references.align(opinion.absolute.pose, maps, &self.card().camera);
        opinion.absolute.pose = pose;
        Some(report)
    }

    /// The reference frames in use: where each was taken from, and its points, in its camera, metres. None without.
    pub fn reference_points(&self) -> impl Iterator<Item = (Se3, &[Vector3<f64>])> {
        let frames = self.used_references().into_iter().flat_map(|references| &references.frames);
        frames.map(|frame| (frame.map_from_camera, frame.points.as_slice()))
    }

    /// Answers with these references from now on.
    pub(crate) fn refer_to(&mut self, references: References) {
        self.references = Some(references);
    }

    /// The maps of an image that poses would be aligned in, before compression.
    ///
    /// # Errors
    /// [`Error::Message`] for an image of another size than the network's input; [`Error::Compute`] when libtorch fails, or for a
    /// network without such maps.
    pub fn encoder_maps(&self, pixels: &RgbImage) -> Result<EncoderMaps> {
        let config = &self.card().network;
        let input_b3hw = input_tensor(&[pixels], config.input, &config.normalization, self.device())?;
        let maps = guarded("maps of the encoder", || {
            tch::no_grad(|| encoder_maps(config, &self.network().shared(&input_b3hw, false)))
        })?;
        maps.ok_or_else(|| Error::compute("maps of the encoder", "expected a network whose streams share them"))
    }
}

/// The maps of a frame that poses are aligned in ([`NetworkConfig::alignment_stages`]); `None` where the network has none, or sees
/// the frame in parts.
pub(in crate::network) fn encoder_maps(config: &NetworkConfig, shared: &Features) -> Option<EncoderMaps> {
    let (fine, coarse) = config.alignment_stages()?;
    let map = |stage: usize| {
        let CellGrid { stride, first } = config.encoder.cells(stage)?;
        let map_chw = shared.maps().get(stage).filter(|map| map.size()[0] == 1)?.get(0);
        Some((map_chw.to_kind(Kind::Float), (stride, first)))
    };
    Some([map(fine)?, map(coarse)?])
}
