//! The synthetic world: a room to be localized in, made from a seed, for a fresh clone that has no recordings.
//!
//! [`World`] is the room that stays: procedurally textured walls and furniture. A [`Pass`] is one recording in it:
//! its own light, its own moving objects and its own robot [`Path`] with exact poses. A [`Renderer`] turns a moment
//! of a pass into the image of a real [`crate::sensor::CameraModel`]: lens distortion, motion blur, vignetting and
//! noise; it also knows the depth and the [`Class`] of each pixel. [`simulate_imu`] and [`simulate_odometry`] measure the
//! same path; [`write_dataset`] and `write_bag` put all of it into a 7-Scenes-style folder or a rosbag2.
//!
//! [`World::varied`] are rooms of another kind: of any size, colour and disorder, for features that should be of use anywhere.
//!
//! [`Building`] is a row of rooms of the first kind, alike but for their pictures and where exactly the furniture stands: a large
//! place in which much repeats.
//!
//! The map frame has its origin on the floor in the middle of the room (of a building: of its first), z up. Everything is a function of the seed:
//! the same seed gives the same bytes, however many threads work.

#[cfg(feature = "bag")]
mod bag;
mod building;
mod dataset;
mod furniture;
mod imu;
mod lens;
mod light;
mod odometry;
mod paint;
mod pass;
mod path;
mod render;
mod solid;
mod texture;
mod truth;
mod varied;
mod world;

#[cfg(feature = "bag")]
pub use bag::write_bag;
pub use building::Building;
pub use dataset::{DatasetContents, ImageFormat, Recording, write_dataset};
pub use imu::{GRAVITY_IN_MAP, ImuErrors, simulate_imu};
pub use light::{Lamp, Lighting};
pub use odometry::{OdometryNoise, OdometrySample, simulate_odometry};
pub use pass::{Pass, PassKind, Rig};
pub use path::{Motion, Path, PathKind};
pub use render::{Renderer, Sensor};
pub use solid::Solid;
pub use texture::Texture;
pub use truth::Class;
pub use world::World;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The random numbers of one purpose: independent for each `purpose` and `index` of one `seed`.
fn random_stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let label = purpose
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(label ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    random
}
