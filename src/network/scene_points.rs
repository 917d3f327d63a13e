//! What a model that knows points believes a place to look like: the point of the map behind each cell of an image.

use image::RgbImage;

use super::device::guarded;
use super::input::input_tensor;
use super::regressor::PoseRegressor;
use super::scene_coordinates::all_correspondences;
use crate::Result;
use crate::pnp::Correspondence;

impl PoseRegressor {
    /// The points that all cells of an image show, row by row, each with the pixel of the cell's centre: more cells than a pose
    /// is measured from, and nobody has looked whether they agree. `None` of a model that knows no points. Of a place of
    /// several parts they are those of the part that the image looks most like; of an ensemble the first member's. What is remembered of the frame before is neither used nor changed.
    ///
    /// # Errors
    /// [`Error::Message`](crate::Error::Message) for an image of another size than the network's input;
    /// [`Error::Compute`](crate::Error::Compute) when libtorch fails.
    pub fn points(&self, pixels: &RgbImage) -> Result<Option<Vec<Correspondence>>> {
        let Some(head) = self.network().coordinates() else { return Ok(None) };
        let config = &self.card().network;
        let input_b3hw = input_tensor(&[pixels], config.input, &config.normalization, self.device())?;
        guarded("points of the map", || {
            let shared = tch::no_grad(|| self.network().shared(&input_b3hw, false));
            let likeliest = self.first().heads(head, &shared)?.into_iter().next();
            Ok(likeliest.map(|head| tch::no_grad(|| all_correspondences(head, &shared))))
        })?
    }
}
