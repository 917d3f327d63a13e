//! What a report is about, beside what was counted.

use crate::Stamp;
use crate::config::Config;
use crate::estimator::Estimator;
use crate::middleware::{Durability, Input, Link};
use crate::node::Phase;

/// What a report is about, beside what was counted.
#[derive(Clone, Copy)]
pub(in crate::node) struct Situation<'a> {
    pub now: Stamp,
    pub config: &'a Config,
    pub phase: Phase,
    /// Whether the camera of the images is known.
    pub is_calibrated: bool,
    /// Whether transforms lead from the base to the odometry's frame.
    pub has_odometry: bool,
    /// `None` where poses are the network's.
    pub estimator: Option<&'a Estimator>,
    /// Time stands still while the node runs.
    pub time_stands: bool,
    /// How the inputs are connected, where that is known.
    pub links: &'a [Link],
}

impl<'a> Situation<'a> {
    /// How an input is connected; for transforms, `/tf`.
    pub(super) fn link(&self, input: Input) -> Option<&'a Link> {
        let is_static = |link: &Link| link.requested.durability == Durability::TransientLocal;
        self.links.iter().find(|link| link.input == input && !is_static(link))
    }

    /// How `/tf_static` is connected.
    pub(super) fn static_link(&self) -> Option<&'a Link> {
        let transforms = |link: &&Link| link.input == Input::Transforms;
        self.links.iter().filter(transforms).find(|link| link.requested.durability == Durability::TransientLocal)
    }
}
