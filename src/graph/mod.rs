//! The factor graph: measurements in, the most probable trajectory and its covariance out. No raw sensor data, no ROS,
//! no clock.
//!
//! A [`FactorGraph`] is a sum of costs `½ ρ(‖r(x)‖²)`, one per [`Factor`], with whitened residuals `r` and optional robust
//! kernels `ρ` ([`RobustKernel`]). [`Values`] holds the unknowns `x` under typed [`Key`]s: poses, planar poses, velocities,
//! IMU biases. The [`Optimizer`] moves them to a minimum by Levenberg-Marquardt, Gauss-Newton or dog-leg on the normal
//! equations, factorized by sparse Cholesky. A [`FixedLag`] does so again and again with the latest part of a graph that
//! grows for ever.
//!
//! Perturbations act on the right and tangents of poses are `[translation, rotation]`, as in [`crate::geometry`].
//! Literature: Dellaert and Kaess, "Factor Graphs for Robot Perception", 2017; Solà, Deray and Atchuthan, "A micro Lie
//! theory for state estimation in robotics", 2018.

mod archive;
mod assembly;
mod block_matrix;
mod cholesky;
mod chordal;
mod components;
mod dog_leg;
pub mod factor;
mod factor_graph;
mod fixed_lag;
mod g2o;
mod gauss_newton;
mod index;
mod key;
mod leaving;
mod levenberg_marquardt;
mod linear_system;
mod linearization_points;
mod marginalization;
mod marginals;
mod noise;
mod optimizer;
mod planar;
mod report;
mod robust;
mod selected_inverse;
mod settings;
mod values;
mod variable;

pub use chordal::chordal_initialization;
pub use factor::{
    Arguments, BetweenFactor, Factor, ImuFactor, LinearPrior, PlanarBetweenFactor, PlanarPriorFactor, PriorFactor,
    VectorBetweenFactor, VectorPriorFactor,
};
pub use factor_graph::FactorGraph;
pub use fixed_lag::{FactorId, FixedLag};
pub use g2o::G2o;
pub use key::Key;
pub use marginals::Marginals;
pub use noise::Gaussian;
pub use optimizer::Optimizer;
pub use planar::{planar_coordinates, planar_transform};
pub use report::{Report, StopReason};
pub use robust::RobustKernel;
pub use settings::{Method, Settings};
pub use values::Values;
pub use variable::{Variable, VariableKind};
