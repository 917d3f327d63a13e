//! A ROS 2 node without a ROS 2 installation: the port over RTPS, by `ros2-client`.
//!
//! Each subscription and each service has a task that waits for samples, turns them into [`Incoming`] and hands them to
//! [`Middleware::next`] through one bounded channel; a full channel leaves samples to their topic's QoS. `/clock` is
//! read here, with `rosgraph_msgs/Clock` (the client's own reader of it has another type). [`Rtps::close`] ends the
//! tasks and says goodbye to the network, so that peers see the node leave at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ros2_client::Publisher;
use tokio::sync::mpsc;

use super::{Incoming, Link, Live, Middleware, Names, Outgoing, Qos, messages, services, topics};
use crate::config::Config;
use crate::msg::{RosMessage, diagnostic_msgs, geometry_msgs, lifecycle_msgs, nav_msgs, rcl_interfaces, tf2_msgs};
use crate::{Error, Result, Stamp};

mod carriage;
mod clients;
mod endpoints;
mod matching;
mod profile;
mod server;

use endpoints::Endpoints;

/// Messages between the subscriptions' tasks and the node.
const CHANNEL_CAPACITY: usize = 16;

/// The port over RTPS. See the module's text.
pub struct Rtps {
    endpoints: Endpoints,
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

impl Live for Rtps {
    /// Joins the network: `ROS_DOMAIN_ID` names the domain, 0 without it.
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
        Ok(Self { endpoints, publishers, node_name: names.absolute_node_name(), incoming, sim_time })
    }

    /// Leaves the network: ends the tasks and tells the peers.
    async fn close(self) {
        let Rtps { endpoints, publishers, incoming, .. } = self;
        drop((incoming, publishers));
        endpoints.leave().await;
    }
}

impl Middleware for Rtps {
    async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<()> {
        let to = &self.publishers;
        match outgoing {
            Outgoing::Pose(pose) => publish(&to.pose, messages::pose_message(&pose)).await,
            Outgoing::AbsolutePose(pose) => publish(&to.absolute_pose, messages::pose_message(&pose)).await,
            Outgoing::Odometry(odometry) => publish(&to.odometry, messages::odometry_message(&odometry)).await,
            Outgoing::Path(path) => publish(&to.path, messages::path_message(&path)).await,
            Outgoing::Transform(transform) => publish(&to.transforms, messages::transform_message(&transform)).await,
            Outgoing::Parameters(event) => publish(&to.parameters, *event).await,
            Outgoing::Transition(event) => publish(&to.transitions, *event).await,
            Outgoing::Diagnostics(report) => {
                publish(&to.diagnostics, messages::diagnostics_message(&report, &self.node_name)).await
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
        self.endpoints.links()
    }
}

async fn publish<T: RosMessage + std::fmt::Debug>(publisher: &Publisher<T>, message: T) -> Result<()> {
    let sent = publisher.async_publish(message).await;
    sent.map_err(|error| Error::middleware(format!("publishing {}", T::TYPE), format!("{error:?}")))
}
