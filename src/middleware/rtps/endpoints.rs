//! What of the node lives in the network, and the tasks that serve it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use ros2_client::dds::rustdds::{DomainParticipant, DomainParticipantBuilder, Topic};
use ros2_client::{Context, MessageTypeName, Name, Node, NodeName, NodeOptions, Publisher};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::matching::Matching;
use super::profile;
use crate::middleware::topics::TopicHost;
use crate::middleware::{Incoming, Input, Link, Names, Qos};
use crate::msg::{RosMessage, rosgraph_msgs};
use crate::{Error, Result, Stamp};

/// How long a stop waits for tasks to end.
const PATIENCE_AT_CLOSE: Duration = Duration::from_secs(1);

/// The node in the network.
pub(super) struct Endpoints {
    pub(super) participant: DomainParticipant,
    pub(super) node: Node,
    names: Names,
    pub(super) sender: mpsc::Sender<Incoming>,
    pub(super) matching: Matching,
    /// One per subscription, one per service, one for discovery.
    pub(super) tasks: Vec<JoinHandle<()>>,
}

impl Endpoints {
    /// Joins the network as a node that has no endpoints yet; what comes goes to `sender`.
    pub(super) fn join(names: Names, sender: mpsc::Sender<Incoming>) -> Result<Self> {
        let joining = |error: String| Error::middleware("joining the DDS network", error);
        let participant = DomainParticipantBuilder::new(domain_id()?).build().map_err(|e| joining(format!("{e:?}")))?;
        let (matching, discovery) = Matching::watch(&participant);
        let context = Context::from_domain_participant(participant.clone()).map_err(|e| joining(format!("{e:?}")))?;
        let name = NodeName::new(&names.namespace, &names.node)
            .map_err(|error| Error::config("node name", "a ROS name", format!("{} ({error})", names.node)))?;
        // The node serves its parameters itself: they are the same over every middleware.
        let options = NodeOptions::new().enable_rosout(false).start_parameter_services(false);
        let node = context.new_node(name, options).map_err(|e| joining(format!("{e:?}")))?;
        Ok(Self { participant, node, names, sender, matching, tasks: vec![discovery] })
    }

    /// Ends the tasks, then the node: peers see it leave at once.
    pub(super) async fn leave(self) {
        let Endpoints { participant, node, sender, tasks, .. } = self;
        drop(sender);
        for task in &tasks {
            task.abort();
        }
        let ended = async {
            futures::future::join_all(tasks).await;
            drop((node, participant));
        };
        if tokio::time::timeout(PATIENCE_AT_CLOSE, ended).await.is_err() {
            tracing::warn!("the network was not left in time");
        }
    }

    /// How the inputs are connected now.
    pub(super) fn links(&self) -> Vec<Link> {
        self.matching.links()
    }

    /// The absolute name of a topic or service, as the client has it.
    pub(super) fn name(&self, relative: &str) -> Result<Name> {
        let resolved = self.names.resolve(relative)?;
        Name::parse(&resolved).map_err(|error| Error::middleware(resolved.clone(), error.to_string()))
    }

    pub(super) fn publisher<T: RosMessage>(&mut self, topic: &str, qos: Qos) -> Result<Publisher<T>> {
        let created = self.node.create_publisher(&self.topic::<T>(topic, qos)?, None);
        created.map_err(|error| Error::middleware(format!("publisher of {topic}"), format!("{error:?}")))
    }

    /// Nanoseconds of `/clock`; 0 before the first.
    pub(super) fn listen_to_clock(&mut self) -> Result<Arc<AtomicI64>> {
        let nanos = Arc::new(AtomicI64::new(0));
        self.each::<rosgraph_msgs::Clock, _>("/clock", Qos::CLOCK, None, ToClock(nanos.clone()))?;
        Ok(nanos)
    }

    fn topic<T: RosMessage>(&self, topic: &str, qos: Qos) -> Result<Topic> {
        let name = self.name(topic)?;
        let failed = |error: String| Error::middleware(format!("topic {topic} ({})", T::TYPE), error);
        let (package, message) = T::TYPE.split_once("/msg/").ok_or_else(|| failed("no message type".into()))?;
        let message_type = MessageTypeName::new(package, message);
        self.node.create_topic(&name, message_type, &profile::of(qos)).map_err(|error| failed(format!("{error:?}")))
    }

    /// Starts a task that hands every sample of a topic to `handle` until it says no more.
    fn each<T, H>(&mut self, topic: &str, qos: Qos, input: Option<Input>, handle: H) -> Result<()>
    where
        T: RosMessage + Send + Sync + 'static,
        H: AsyncSampleHandler<T>,
    {
        let created = self.node.create_subscription::<T>(&self.topic::<T>(topic, qos)?, None);
        let subscription =
            created.map_err(|error| Error::middleware(format!("subscription to {topic}"), format!("{error:?}")))?;
        if let Some(input) = input {
            self.matching.add(subscription.guid(), input, self.names.resolve(topic)?, qos);
        }
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
}

impl TopicHost for Endpoints {
    fn listen<T, C>(&mut self, topic: &str, qos: Qos, input: Input, convert: C) -> Result<()>
    where
        T: RosMessage + Send + Sync + 'static,
        C: Fn(T) -> Incoming + Send + Sync + 'static,
    {
        let sender = self.sender.clone();
        self.each(topic, qos, Some(input), ToNode { input, sender, convert })
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
