//! Pixels to poses: the architectures, their model folders, and inference. The only inference home of libtorch.
//!
//! - [`NetworkConfig`] describes an architecture; [`VLocNet`] is it, for training.
//! - [`ModelCard`] and [`checkpoint`] are the model folder: `model.yaml` and `weights.safetensors`.
//! - [`PoseRegressor`] is inference: a frame in, an absolute and a relative pose out, each with a covariance. It takes
//!   no pose from anywhere; what it remembers of the frame before is its own output.
//! - [`device`] chooses the processor.
//!
//! Shapes travel in names: `b` batch, `h` and `w` rows and columns, so `image_b3hw`.

mod card;
pub mod checkpoint;
mod config;
pub mod device;
pub mod input;
mod localizer;
mod pose_tensor;
mod regressor;
pub mod resnet;
mod saliency;
pub mod squeezenet;
pub mod uncertainty;
mod vlocnet;

pub use card::{CARD_FILE, ModelCard, SCHEMA_VERSION, TrainingRecord, ValidationRecord, WEIGHTS_FILE, WeightsRecord};
pub use config::{
    Activation, Block, InputSize, NetworkConfig, Normalization, PRESETS, Pooling, PreviousPose, ResNetConfig,
    TrunkConfig,
};
pub use device::Device;
pub use localizer::{Dropout, Localizer, PoseOutput};
pub use pose_tensor::{MapFromNormalized, PoseTensor};
pub use regressor::{PixelFrame, PoseRegressor, Regression};
pub use saliency::Saliency;
pub use uncertainty::Calibration;
pub use vlocnet::{History, VLocNet};
