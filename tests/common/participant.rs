//! A participant of the robot's network, in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use ros2_client::dds::rustdds::dds::statusevents::StatusEvented;
use ros2_client::dds::rustdds::dds::statusevents::{DomainParticipantStatusEvent as Event, EndpointDescription};
use ros2_client::dds::rustdds::policy;
use ros2_client::dds::rustdds::{DomainParticipant, DomainParticipantBuilder, GUID, RTPSEntity, Topic};
use ros2_client::*;
use vloc::config::Reliability;
use vloc::middleware::services::Service;
use vloc::middleware::{Durability, Qos};
use vloc::msg::RosMessage;

/// Someone whom a node speaks with.
pub struct Participant {
    participant: DomainParticipant,
    node: Node,
}

/// Type, reliability and durability of each topic's end.
pub type Ends = BTreeMap<String, (String, Reliability, Durability)>;

/// The writers and readers in the network.
pub struct Watched(Arc<Mutex<(Described, Described)>>);

type Described = BTreeMap<GUID, EndpointDescription>;

impl Participant {
    pub fn join() -> Self {
        let participant = DomainParticipantBuilder::new(0).build().unwrap();
        let context = Context::from_domain_participant(participant.clone()).unwrap();
        let options = NodeOptions::new().enable_rosout(false).start_parameter_services(false);
        let node = context.new_node(NodeName::new("/", "robot").unwrap(), options).unwrap();
        Self { participant, node }
    }

    pub fn publisher<T: RosMessage>(&mut self, topic: &str, qos: Qos) -> Publisher<T> {
        let topic = self.topic::<T>(topic, qos);
        self.node.create_publisher(&topic, None).unwrap()
    }

    pub fn subscription<T: RosMessage + 'static>(&mut self, topic: &str, qos: Qos) -> Subscription<T> {
        let topic = self.topic::<T>(topic, qos);
        self.node.create_subscription(&topic, None).unwrap()
    }

    fn topic<T: RosMessage>(&self, topic: &str, qos: Qos) -> Topic {
        let (package, kind) = T::TYPE.split_once("/msg/").unwrap();
        let name = Name::parse(&format!("/{}", topic.trim_start_matches('/'))).unwrap();
        self.node.create_topic(&name, MessageTypeName::new(package, kind), &profile(qos)).unwrap()
    }

    /// Asks until there is an answer.
    pub async fn call<S: Service>(&mut self, request: S::Request) -> S::Response {
        let (package, kind) = S::TYPE.split_once("/srv/").unwrap();
        let name = Name::parse(&format!("/{}", S::NAME.replace('~', "vloc"))).unwrap();
        let kind = ServiceTypeName::new(package, kind);
        let qos = profile(Qos::SERVICES);
        let client = self
            .node
            .create_client::<S::Request, S::Response>(ServiceMapping::Cyclone, &name, &kind, qos.clone(), qos)
            .unwrap();
        loop {
            let asked = client.async_call_service(request.clone());
            if let Ok(answer) = tokio::time::timeout(std::time::Duration::from_millis(500), asked).await {
                return answer.unwrap();
            }
        }
    }

    /// Follows who else is in the network from now on.
    pub fn watch(&self) -> Watched {
        let ends = Arc::new(Mutex::new((BTreeMap::new(), BTreeMap::new())));
        let (listener, followed) = (self.participant.status_listener(), ends.clone());
        let own = self.participant.guid().prefix;
        tokio::spawn(async move {
            let mut events = listener.as_async_status_stream();
            while let Some(event) = events.next().await {
                let (writers, readers) = &mut *followed.lock().unwrap();
                match event {
                    Event::WriterDetected { writer } if writer.guid.prefix != own => {
                        writers.insert(writer.guid, writer);
                    }
                    Event::ReaderDetected { reader } if reader.guid.prefix != own => {
                        readers.insert(reader.guid, reader);
                    }
                    Event::WriterLost { guid, .. } => drop(writers.remove(&guid)),
                    Event::ReaderLost { guid, .. } => drop(readers.remove(&guid)),
                    _ => {}
                }
            }
        });
        Watched(ends)
    }
}

impl Watched {
    /// The writers and readers that are there.
    pub fn seen(&self) -> (Ends, Ends) {
        let ends = self.0.lock().unwrap();
        let described = |ends: &Described| ends.values().map(|end| (end.topic_name.clone(), words(end))).collect();
        (described(&ends.0), described(&ends.1))
    }
}

fn words(end: &EndpointDescription) -> (String, Reliability, Durability) {
    let reliability = match end.qos.reliability() {
        Some(policy::Reliability::Reliable { .. }) => Reliability::Reliable,
        _ => Reliability::BestEffort,
    };
    let durability = match end.qos.durability() {
        Some(policy::Durability::TransientLocal) => Durability::TransientLocal,
        _ => Durability::Volatile,
    };
    (end.type_name.clone(), reliability, durability)
}

fn profile(quality: Qos) -> QosProfile {
    let reliability = match quality.reliability {
        Reliability::BestEffort => qos::Reliability::BestEffort,
        Reliability::Reliable => qos::Reliability::Reliable { when_full: qos::WhenFull::Fail },
    };
    let durability = match quality.durability {
        Durability::Volatile => qos::Durability::Volatile,
        Durability::TransientLocal => qos::Durability::TransientLocal,
    };
    QosProfile::subscription_default()
        .reliability(reliability)
        .durability(durability)
        .history(qos::History::KeepLast { depth: quality.depth })
}
