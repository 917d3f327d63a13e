//! IMU readings -> one measurement of relative motion with a covariance, and what is needed to begin: gravity and
//! biases.
//!
//! Data in: [`crate::sensor::ImuSample`]s, into an [`ImuBuffer`]. Data out: a [`PreintegratedImu`] between any two
//! stamps in it (`buffer.interval(start, end)?.preintegrate(bias, noise)`), which predicts a [`NavState`] from another
//! and gives a factor its residual, derivatives and covariance. [`estimate_still`] and [`align_motion`] find gravity,
//! biases and velocities; [`ImuMounting`] carries states to the robot's base.
//!
//! Everything is in the frame of the IMU: `map_from_imu`. 9-vectors are `[translation, rotation, velocity]`, rotations
//! move on the right, 6-vectors of biases are `[gyroscope, accelerometer]`. Gravity is a parameter, `gravity_in_map`:
//! the acceleration of free fall, `[0, 0, -9.81]` in a map with z up.
#![doc = include_str!("README.md")]

mod alignment;
mod bias;
mod buffer;
mod initialization;
mod interval;
mod mounting;
mod noise;
mod preintegration;
mod residual;
mod segment;
mod state;
mod transition;

pub use alignment::{AlignmentOptions, MotionEstimate, NotAligned, align_motion};
pub use bias::ImuBias;
pub use buffer::{ImuBuffer, ImuCounts, ImuLimits, ImuRefusal};
pub use initialization::{NotStill, StillEstimate, StillLimits, estimate_still};
pub use interval::{ImuInterval, IntervalDefects, IntervalRefusal};
pub use mounting::ImuMounting;
pub use noise::ImuNoise;
pub use preintegration::{ImuDelta, Matrix15, PreintegratedImu, ReadingError};
pub use residual::ImuResidual;
pub use state::{Matrix9, NavState, Vector9};
