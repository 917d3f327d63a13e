//! A ROS 2 node without a ROS 2 installation: the port over RTPS, by `ros2-client`.
//!
//! Each subscription has a task that waits for samples, turns them into [`Incoming`] and hands them to
//! [`Middleware::next`] through one bounded channel; a full channel leaves samples to their topic's QoS. `/clock` is
//! read here, with `rosgraph_msgs/Clock` (the client's own reader of it has another type). [`Rtps::close`] ends the
//! tasks and says goodbye to the network, so that peers see the node leave at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use ros2_client::dds::rustdds::{DomainParticipantBuilder, Topic};
use ros2_client::{Context, MessageTypeName, Name, Node, NodeName, NodeOptions, Publisher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Incoming, Input, Middleware, Names, Outgoing, Qos, messages};
use crate::config::{Config, ImageTransport, OdometrySource};
use crate::msg::{RosMessage, diagnostic_msgs, geometry_msgs, nav_msgs, rosgraph_msgs, sensor_msgs, tf2_msgs};
use crate::{Error, Result, Stamp};

mod profile;

/// Messages between the subscriptions' tasks and the node.
const CHANNEL_CAPACITY: usize = 16;
/// How long a stop waits for tasks to end.
const PATIENCE_AT_CLOSE: Duration = Duration::from_secs(1);

/// The port over RTPS. See the module's text.
pub struct Rtps {
    endpoints: Endpoints,
    node_name: String,
    incoming: mpsc::Receiver<Incoming>,
    pose: Publisher<geometry_msgs::PoseWithCovarianceStamped>,
    absolute_pose: Publisher<geometry_msgs::PoseWithCovarianceStamped>,
    odometry: Publisher<nav_msgs::Odometry>,
    transforms: Publisher<tf2_msgs::TFMessage>,
    diagnostics: Publisher<diagnostic_msgs::DiagnosticArray>,
    /// Nanoseconds of `/clock`, where it is the time.
    sim_time: Option<Arc<AtomicI64>>,
}

/// What lives in the network, and the tasks that serve it.
struct Endpoints {
    node: Node,
    names: Names,
    sender: mpsc::Sender<Incoming>,
    /// Serves discovery; ends with the node.
    spinner: JoinHandle<()>,
    /// One per subscription.
    tasks: Vec<JoinHandle<()>>,
}

impl Rtps {
    /// Joins the network: `ROS_DOMAIN_ID` names the domain, 0 without it. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong domain or name; [`Error::Middleware`] when the network cannot be joined.
    pub fn open(config: &Config, names: &Names) -> Result<Self> {
        let (sender, incoming) = mpsc::channel(CHANNEL_CAPACITY);
        let mut endpoints = Endpoints::join(names.clone(), sender)?;
        let images = Qos::images(config.image_reliability);
        match config.image_transport {
            ImageTransport::Raw => endpoints.listen("image", images, Input::Image, messages::image)?,
            ImageTransport::Compressed => {
                endpoints.listen("image/compressed", images, Input::Image, messages::compressed_image)?;
            }
        }
        let rectified = config.rectified_images;
        let camera_info = move |message: sensor_msgs::CameraInfo| messages::camera_info(&message, rectified);
        endpoints.listen("camera_info", images, Input::CameraInfo, camera_info)?;
        endpoints
            .listen("/tf", Qos::TF, Input::Transforms, |tf: tf2_msgs::TFMessage| messages::transforms(&tf, false))?;
        endpoints.listen("/tf_static", Qos::TF_STATIC, Input::Transforms, |tf: tf2_msgs::TFMessage| {
            messages::transforms(&tf, true)
        })?;
        if config.use_imu {
            endpoints.listen("imu", Qos::IMU, Input::Imu, |imu: sensor_msgs::Imu| messages::imu(&imu))?;
        }
        if config.odometry_source == OdometrySource::Topic {
            let odometry = |message: nav_msgs::Odometry| messages::odometry(&message);
            endpoints.listen("odom", Qos::ODOM, Input::Odometry, odometry)?;
        }
        let initial_pose = |message: geometry_msgs::PoseWithCovarianceStamped| messages::initial_pose(&message);
        endpoints.listen("initialpose", Qos::INITIAL_POSE, Input::InitialPose, initial_pose)?;
        let sim_time = if config.use_sim_time { Some(endpoints.listen_to_clock()?) } else { None };
        Ok(Self {
            pose: endpoints.publisher("pose", Qos::POSE)?,
            absolute_pose: endpoints.publisher("absolute_pose", Qos::ODOMETRY)?,
            odometry: endpoints.publisher("odometry", Qos::ODOMETRY)?,
            transforms: endpoints.publisher("/tf", Qos::TF)?,
            diagnostics: endpoints.publisher("/diagnostics", Qos::DIAGNOSTICS)?,
            node_name: endpoints.node.fully_qualified_name(),
            endpoints,
            incoming,
            sim_time,
        })
    }

    /// Leaves the network: ends the tasks and tells the peers.
    pub async fn close(self) {
        let Rtps { endpoints, incoming, pose, absolute_pose, odometry, transforms, diagnostics, .. } = self;
        let Endpoints { node, spinner, sender, tasks, .. } = endpoints;
        drop((incoming, sender));
        for task in &tasks {
            task.abort();
        }
        // Subscriptions and publishers go first, then the node, which ends its spinner, the last holder of the network.
        let ended = async {
            futures::future::join_all(tasks).await;
            drop((pose, absolute_pose, odometry, transforms, diagnostics, node));
            spinner.await
        };
        if tokio::time::timeout(PATIENCE_AT_CLOSE, ended).await.is_err() {
            tracing::warn!("the network was not left in time");
        }
    }
}

impl Middleware for Rtps {
    async fn next(&mut self) -> Option<Incoming> {
        self.incoming.recv().await
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<()> {
        match outgoing {
            Outgoing::Pose(pose) => publish(&self.pose, messages::pose_message(&pose)).await,
            Outgoing::AbsolutePose(pose) => publish(&self.absolute_pose, messages::pose_message(&pose)).await,
            Outgoing::Odometry(odometry) => publish(&self.odometry, messages::odometry_message(&odometry)).await,
            Outgoing::Transform(transform) => publish(&self.transforms, messages::transform_message(&transform)).await,
            Outgoing::Diagnostics(report) => {
                publish(&self.diagnostics, messages::diagnostics_message(&report, &self.node_name)).await
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
}

async fn publish<T: RosMessage + std::fmt::Debug>(publisher: &Publisher<T>, message: T) -> Result<()> {
    let sent = publisher.async_publish(message).await;
    sent.map_err(|error| Error::middleware(format!("publishing {}", T::TYPE), format!("{error:?}")))
}

impl Endpoints {
    fn join(names: Names, sender: mpsc::Sender<Incoming>) -> Result<Self> {
        let joining = |error: String| Error::middleware("joining the DDS network", error);
        let participant = DomainParticipantBuilder::new(domain_id()?).build().map_err(|e| joining(format!("{e:?}")))?;
        let context = Context::from_domain_participant(participant).map_err(|e| joining(format!("{e:?}")))?;
        let name = NodeName::new(&names.namespace, &names.node)
            .map_err(|error| Error::config("node name", "a ROS name", format!("{} ({error})", names.node)))?;
        // Parameters are read at start only, so no service offers to change them.
        let options = NodeOptions::new().enable_rosout(false).start_parameter_services(false);
        let mut node = context.new_node(name, options).map_err(|e| joining(format!("{e:?}")))?;
        let spinner = node.spinner().map_err(|e| joining(format!("{e:?}")))?;
        let spinner = tokio::spawn(async move {
            if let Err(error) = spinner.spin().await {
                tracing::error!("discovery ended: {error:?}");
            }
        });
        Ok(Self { node, names, sender, spinner, tasks: Vec::new() })
    }

    fn topic<T: RosMessage>(&self, topic: &str, qos: Qos) -> Result<Topic> {
        let resolved = self.names.resolve(topic)?;
        let failed = |error: String| Error::middleware(format!("topic {resolved} ({})", T::TYPE), error);
        let name = Name::parse(&resolved).map_err(|error| failed(error.to_string()))?;
        let (package, message) = T::TYPE.split_once("/msg/").ok_or_else(|| failed("no message type".into()))?;
        let message_type = MessageTypeName::new(package, message);
        self.node.create_topic(&name, message_type, &profile::of(qos)).map_err(|error| failed(format!("{error:?}")))
    }

    fn publisher<T: RosMessage>(&mut self, topic: &str, qos: Qos) -> Result<Publisher<T>> {
        let created = self.node.create_publisher(&self.topic::<T>(topic, qos)?, None);
        created.map_err(|error| Error::middleware(format!("publisher of {topic}"), format!("{error:?}")))
    }

    /// Starts a task that hands every sample of a topic to `handle` until it says no more.
    fn each<T, H>(&mut self, topic: &str, qos: Qos, handle: H) -> Result<()>
    where
        T: RosMessage + Send + Sync + 'static,
        H: AsyncSampleHandler<T>,
    {
        let created = self.node.create_subscription::<T>(&self.topic::<T>(topic, qos)?, None);
        let subscription =
            created.map_err(|error| Error::middleware(format!("subscription to {topic}"), format!("{error:?}")))?;
        let topic = topic.to_owned();
        self.tasks.push(tokio::spawn(async move {
            let mut samples = Box::pin(subscription.async_stream());
            while let Some(sample) = samples.next().await {
                let sample = sample
                    .map(|(message, _)| message)
                    .map_err(|error| Error::message(format!("sample of {topic}"), T::TYPE, format!("{error:?}")));
                if !handle.handle(sample).await {
                    return;
                }
            }
        }));
        Ok(())
    }

    fn listen<T, C>(&mut self, topic: &str, qos: Qos, input: Input, convert: C) -> Result<()>
    where
        T: RosMessage + Send + Sync + 'static,
        C: Fn(T) -> Incoming + Send + Sync + 'static,
    {
        let sender = self.sender.clone();
        self.each(topic, qos, ToNode { input, sender, convert })
    }

    fn listen_to_clock(&mut self) -> Result<Arc<AtomicI64>> {
        let nanos = Arc::new(AtomicI64::new(0));
        self.each::<rosgraph_msgs::Clock, _>("/clock", Qos::CLOCK, ToClock(nanos.clone()))?;
        Ok(nanos)
    }
}

/// Takes samples; `false` ends the subscription.
trait AsyncSampleHandler<T>: Send + Sync + 'static {
    fn handle(&self, sample: Result<T>) -> impl Future<Output = bool> + Send;
}

struct ToNode<C> {
    input: Input,
    sender: mpsc::Sender<Incoming>,
    convert: C,
}

impl<T: Send, C: Fn(T) -> Incoming + Send + Sync + 'static> AsyncSampleHandler<T> for ToNode<C> {
    async fn handle(&self, sample: Result<T>) -> bool {
        let incoming = match sample {
            Ok(message) => (self.convert)(message),
            Err(error) => Incoming::Refused { input: self.input, error },
        };
        self.sender.send(incoming).await.is_ok()
    }
}

struct ToClock(Arc<AtomicI64>);

impl AsyncSampleHandler<rosgraph_msgs::Clock> for ToClock {
    async fn handle(&self, sample: Result<rosgraph_msgs::Clock>) -> bool {
        if let Ok(message) = sample {
            self.0.store(Stamp::from(message.clock).as_nanos(), Ordering::Relaxed);
        }
        true
    }
}

fn domain_id() -> Result<u16> {
    let Ok(text) = std::env::var("ROS_DOMAIN_ID") else { return Ok(0) };
    let domain = text.trim().parse().ok().filter(|id| *id <= 232);
    domain.ok_or_else(|| Error::config("ROS_DOMAIN_ID", "a number from 0 to 232", format!("{text:?}")))
}
