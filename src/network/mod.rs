//! Pixels to poses: the architectures, their model folders, and inference. The only inference home of libtorch.
//!
//! - [`NetworkConfig`] describes an architecture, put together from parts; [`PoseNetwork`] is it, for training.
//! - [`ModelCard`] and [`checkpoint`] are the model folder: `model.yaml` and `weights.safetensors`.
//! - [`scene_coordinates::PlaceIndex`] says which part of a large place an image shows, `place.safetensors`.
//! - [`Gallery`] is the training images of a member that compares, `gallery.safetensors`.
//! - [`PoseAutoencoder`] knows what the network makes of an image taken at a pose, `autoencoder.safetensors`; with it the
//!   training poses refine a position, and [`PictureDecoder`] shows what is seen from one.
//! - [`references::References`] are training frames to which a pose is aligned, `references.safetensors`.
//! - [`visual_odometry`] follows the camera where a member that knows points has no answer.
//! - [`PoseRegressor`] is inference: a frame in, an absolute and (of a member that has it) a relative pose out, each
//!   with a covariance; of an ensemble, the mean of its members. It takes no pose from anywhere; what it remembers of
//!   the frame before is its own output.
//! - [`device`] chooses the processor.
//!
//! The way of an image: [`input`], `crop`, [`encoder`], `temporal` (the frame before), `semantics`
//! (what pixels show), `localizer`, `pose_head`,
//! [`uncertainty`]; of a member that knows several scenes from the encoder by `scene_stream` ([`transformer`]) to
//! `pose_head`; of one that knows points from the encoder to [`scene_coordinates`].
//!
//! Shapes travel in names: `b` batch, `h` and `w` rows and columns, so `image_b3hw`.

mod adaptive_fusion;
mod anchors;
mod autoencoder;
mod auxiliary;
mod card;
pub mod checkpoint;
mod config;
mod consensus;
mod crop;
pub mod device;
pub mod encoder;
mod gallery;
pub mod input;
mod localizer;
mod measured;
mod member;
pub mod memory;
mod pictures;
mod place_record;
mod pose_encoder;
mod pose_head;
mod pose_network;
mod pose_tensor;
mod prediction;
pub mod references;
mod refinement;
mod regressor;
mod rotation_output;
mod saliency;
pub mod scene_coordinates;
mod scene_points;
mod scene_record;
mod scene_stream;
mod semantics;
mod step_times;
mod temporal;
pub mod transformer;
pub mod uncertainty;
pub mod visual_odometry;

pub use anchors::Anchored;
pub use autoencoder::{AUTOENCODER_FILE, PoseAutoencoder};
pub use card::{
    AutoencoderErrors, AutoencoderRecord, CARD_FILE, GALLERY_FILE, GalleryRecord, MAX_MEMBERS, MEMBERS_FOLDER,
    MemberParts, MemberRecord, ModelCard, OriginRecord, PicturesRecord, SCHEMA_VERSION, SegmentationRecord,
    TrainingRecord, ValidationRecord, VideoRecord, WEIGHTS_FILE, WeightsRecord,
};
pub use config::{
    Activation, AnchorsConfig, Block, CropConfig, EncoderConfig, GalleryConfig, InputSize, LocalizerConfig,
    NetworkConfig, Normalization, Odometry, PRESETS, ResNetConfig, RotationOutput, SceneCoordinatesConfig,
    SemanticsConfig, Temporal, TransformerConfig, Variance,
};
pub(crate) use config::{members, position as preset_position, texts};
pub use device::Device;
pub use gallery::Gallery;
pub use pictures::{PICTURES_FILE, PictureDecoder, PicturesConfig};
pub use place_record::{PLACE_FILE, PartRecord, PlaceRecord};
pub use pose_encoder::{AutoencoderConfig, PoseEncoder};
pub use pose_head::{Dropout, PoseOutput};
pub use pose_network::{Features, OdometryStream, PoseNetwork};
pub use pose_tensor::{MapFromNormalized, PoseTensor};
pub use refinement::{affine_weights, nearest_poses, pose_distance};
pub use regressor::{PixelFrame, PoseRegressor, Regression};
pub use saliency::Saliency;
pub use scene_record::SceneRecord;
pub use step_times::StepTimes;
pub use temporal::History;
pub use uncertainty::Calibration;
