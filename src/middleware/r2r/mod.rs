//! The port over an installed ROS 2: rcl, and whatever rmw the robot uses, by `r2r`.
//!
//! One thread waits in rcl. Messages come and go as CDR, the encoding that rcl has them in, and are read and written by
//! the crate's own [`cdr`](crate::msg::cdr), as over native RTPS and in bags. r2r puts what it takes from rcl into a
//! queue of ten per topic and drops what does not fit; but it takes one message per topic and turn, and the thread
//! empties the queues after each turn, so none is ever full. What the node does not take in time waits in rcl, as deep
//! as the topic's QoS says. rcl reads the command line itself and resolves names by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::{Incoming, Link, Live, Middleware, Names, Outgoing, Qos, messages, services, topics};
use crate::config::Config;
use crate::msg::{diagnostic_msgs, geometry_msgs, lifecycle_msgs, nav_msgs, rcl_interfaces, tf2_msgs};
use crate::{Result, Stamp};

mod context;
mod endpoints;
mod links;
mod profile;
mod publisher;
mod server;
mod spin;

use endpoints::Endpoints;
use publisher::Publisher;
use spin::Spinning;

/// Messages between the waiting thread and the node.
const CHANNEL_CAPACITY: usize = 16;

/// The port over rcl. See the module's text.
pub struct Ros {
    spinning: Spinning,
    publishers: Publishers,
    node_name: String,
    incoming: mpsc::Receiver<Incoming>,
    /// Nanoseconds of `/clock`, where it is the time.
    sim_time: Option<Arc<AtomicI64>>,
}

/// What the node says.
struct Publishers {
    pose: Publisher<geometry_msgs::PoseWithCovarianceStamped>,
    absolute_pose: Publisher<geometry_msgs::PoseWithCovarianceStamped>,
    odometry: Publisher<nav_msgs::Odometry>,
    path: Publisher<nav_msgs::Path>,
    transforms: Publisher<tf2_msgs::TFMessage>,
    diagnostics: Publisher<diagnostic_msgs::DiagnosticArray>,
    parameters: Publisher<rcl_interfaces::ParameterEvent>,
    transitions: Publisher<lifecycle_msgs::TransitionEvent>,
}

impl Live for Ros {
    /// Creates the node. rcl renames it and its topics as the arguments of the process say, which must be what `names`
    /// was made of.
    fn open(config: &Config, names: &Names) -> Result<Self> {
        let (sender, incoming) = mpsc::channel(CHANNEL_CAPACITY);
        let mut endpoints = Endpoints::join(names.clone(), sender)?;
        topics::listen_all(&mut endpoints, config)?;
        services::serve_all(&mut endpoints)?;
        let sim_time = if config.use_sim_time { Some(endpoints.listen_to_clock()?) } else { None };
        let publishers = Publishers {
            pose: endpoints.publisher("pose", Qos::POSE)?,
            absolute_pose: endpoints.publisher("absolute_pose", Qos::ODOMETRY)?,
            odometry: endpoints.publisher("odometry", Qos::ODOMETRY)?,
            path: endpoints.publisher("path", Qos::PATH)?,
            transforms: endpoints.publisher("/tf", Qos::TF)?,
            diagnostics: endpoints.publisher("/diagnostics", Qos::DIAGNOSTICS)?,
            parameters: endpoints.publisher("/parameter_events", Qos::PARAMETER_EVENTS)?,
            transitions: endpoints.publisher("~/transition_event", Qos::TRANSITION_EVENT)?,
        };
        let spinning = Spinning::start(endpoints)?;
        Ok(Self { spinning, publishers, node_name: names.absolute_node_name(), incoming, sim_time })
    }

    async fn close(self) {
        let Ros { spinning, publishers, incoming, .. } = self;
        drop((incoming, publishers));
        spinning.stop().await;
    }
}

impl Middleware for Ros {
    async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<()> {
        let to = &self.publishers;
        match outgoing {
            Outgoing::Pose(pose) => to.pose.publish(&messages::pose_message(&pose)),
            Outgoing::AbsolutePose(pose) => to.absolute_pose.publish(&messages::pose_message(&pose)),
            Outgoing::Odometry(odometry) => to.odometry.publish(&messages::odometry_message(&odometry)),
            Outgoing::Path(path) => to.path.publish(&messages::path_message(&path)),
            Outgoing::Transform(transform) => to.transforms.publish(&messages::transform_message(&transform)),
            Outgoing::Parameters(event) => to.parameters.publish(&event),
            Outgoing::Transition(event) => to.transitions.publish(&event),
            Outgoing::Diagnostics(report) => {
                to.diagnostics.publish(&messages::diagnostics_message(&report, &self.node_name))
            }
        }
    }

    fn now(&self) -> Stamp {
        match &self.sim_time {
            Some(nanos) => Stamp::from_nanos(nanos.load(Ordering::Relaxed)),
            None => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Stamp::default() + since_epoch
            }
        }
    }

    fn links(&self) -> Vec<Link> {
        self.spinning.links()
    }
}
