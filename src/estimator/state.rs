//! The state of the estimator, and why it changed.

use std::fmt;

use crate::Stamp;

/// How far the estimator can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No fix has come, or too few to compare.
    #[default]
    Uninitialized,
    /// Fixes come, but they do not agree with each other yet.
    Converging,
    /// The pose is known as well as its covariance says.
    Tracking,
    /// The pose was known and no longer is.
    Lost,
}

impl State {
    /// The name in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            State::Uninitialized => "uninitialized",
            State::Converging => "converging",
            State::Tracking => "tracking",
            State::Lost => "lost",
        }
    }
}

/// Why the state changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// A fix came where there was none.
    FirstFix,
    /// So many fixes agree with each other and with the motion between them.
    Consensus {
        /// How many.
        fixes: usize,
    },
    /// So many fixes in a row contradict the estimate and agree with each other: the robot was moved.
    Kidnapped {
        /// How many.
        fixes: usize,
    },
    /// The standard deviations of position and rotation are within what Tracking needs.
    Certain {
        /// Of the position, along its worst axis, metres.
        position: f64,
        /// Of the rotation, about its worst axis, radians.
        rotation: f64,
    },
    /// The standard deviation of the position or the rotation passed its limit.
    Uncertain {
        /// Of the position, along its worst axis, metres.
        position: f64,
        /// Of the rotation, about its worst axis, radians.
        rotation: f64,
    },
    /// The solver failed or found numbers that are not finite.
    Solver(String),
    /// So many fixes contradict the estimate and agree with each other: it may be wrong, or they.
    Contradicted {
        /// How many.
        fixes: usize,
    },
    /// Somebody asked for it.
    Asked,
    /// Somebody said where the robot is.
    Given,
    /// The clock jumped back: what came before belongs to another run.
    ClockJumped,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::FirstFix => write!(formatter, "a first fix came"),
            Cause::Consensus { fixes } => write!(formatter, "{fixes} fixes agree"),
            Cause::Kidnapped { fixes } => {
                write!(formatter, "{fixes} fixes in a row contradict the estimate and agree: the robot was moved")
            }
            Cause::Certain { position, rotation } => {
                let degrees = rotation.to_degrees();
                write!(formatter, "the standard deviation fell to {position:.2} m, {degrees:.1} degrees")
            }
            Cause::Uncertain { position, rotation } => {
                let degrees = rotation.to_degrees();
                write!(formatter, "the standard deviation grew to {position:.2} m, {degrees:.1} degrees")
            }
            Cause::Contradicted { fixes } => write!(formatter, "{fixes} fixes contradict the estimate and agree"),
            Cause::Solver(reason) => write!(formatter, "the solver failed: {reason}"),
            Cause::Given => write!(formatter, "a pose was given"),
            Cause::Asked => write!(formatter, "a restart was asked for"),
            Cause::ClockJumped => write!(formatter, "the clock jumped back"),
        }
    }
}

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The stamp of the measurement that brought it.
    pub stamp: Stamp,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Cause,
}
