//! What training minimizes. One file per loss: the formula, the shapes, a case computed by hand.
//!
//! Losses compare [`PoseTensor`](crate::network::PoseTensor)s in normalized units and hold no layers. Each returns a
//! scalar, the mean over the batch; a pair of learned weights joins translation and rotation ([`PoseWeights`]).

mod anchors;
mod cross_transformation;
mod embedding;
mod geometric_consistency;
mod log_consistency;
mod matching;
mod motion;
mod nll;
mod overlap;
mod pose;
mod relative;
mod reprojection;
mod scene;
mod scene_coordinates;
mod segmentation;
pub mod tangent;

pub use anchors::{expected_squared_offset, nearest_anchor_cross_entropy};
pub use cross_transformation::cross_transformation_loss;
pub use embedding::embedding_loss;
pub use geometric_consistency::{ConsistencyGradient, geometric_consistency_loss};
pub use log_consistency::log_consistency_loss;
pub use matching::{SAME_POINT, matching_loss};
pub use motion::motion_loss;
pub use nll::nll_loss;
pub use overlap::overlap_loss;
pub use pose::{Norm, PoseErrors, PoseWeights, output_errors, pose_errors};
pub use relative::relative_pose;
pub use reprojection::reprojection_loss;
pub use scene::scene_cross_entropy;
pub use scene_coordinates::{Sight, point_loss, sight_loss, soft_clip};
pub use segmentation::{UNLABELLED, segmentation_loss};
