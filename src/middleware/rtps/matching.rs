//! Whom the subscriptions hear, and whom they do not because the QoS does not fit, from discovery's own reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use ros2_client::dds::rustdds::dds::statusevents::{DomainParticipantStatusEvent, StatusEvented};
use ros2_client::dds::rustdds::policy::{Durability, Reliability};
use ros2_client::dds::rustdds::{DomainParticipant, GUID, QosPolicies};
use tokio::task::JoinHandle;

use super::clients::Clients;
use crate::middleware::{Input, Link, Qos};

/// The publishers of each input, and who asks the node's services.
#[derive(Clone, Default)]
pub(super) struct Matching {
    readers: Arc<Mutex<Vec<Reader>>>,
    pub(super) clients: Clients,
}

struct Reader {
    guid: GUID,
    input: Input,
    topic: String,
    requested: Qos,
    heard: BTreeSet<GUID>,
    /// What those offer that are not heard.
    unheard: BTreeMap<GUID, String>,
}

impl Matching {
    /// Follows discovery from now on, in a task.
    pub(super) fn watch(participant: &DomainParticipant) -> (Self, JoinHandle<()>) {
        let matching = Self::default();
        let (listener, followed) = (participant.status_listener(), matching.clone());
        let task = tokio::spawn(async move {
            let mut events = listener.as_async_status_stream();
            while let Some(event) = events.next().await {
                followed.clients.follow(&event);
                followed.follow(event);
            }
        });
        (matching, task)
    }

    /// A subscription of the node.
    pub(super) fn add(&self, guid: GUID, input: Input, topic: String, requested: Qos) {
        let (heard, unheard) = (BTreeSet::new(), BTreeMap::new());
        self.lock().push(Reader { guid, input, topic, requested, heard, unheard });
    }

    /// How the inputs are connected now.
    pub(super) fn links(&self) -> Vec<Link> {
        let link = |reader: &Reader| Link {
            input: reader.input,
            topic: reader.topic.clone(),
            requested: reader.requested,
            publishers: reader.heard.len(),
            incompatible: reader.unheard.values().cloned().collect(),
        };
        self.lock().iter().map(link).collect()
    }

    fn follow(&self, event: DomainParticipantStatusEvent) {
        let mut readers = self.lock();
        match event {
            DomainParticipantStatusEvent::RemoteWriterMatched { local_reader, remote_writer } => {
                // The node does not count as its own publisher of `/tf`.
                let is_other = remote_writer.prefix != local_reader.prefix;
                for reader in readers.iter_mut().filter(|reader| is_other && reader.guid == local_reader) {
                    reader.unheard.remove(&remote_writer);
                    reader.heard.insert(remote_writer);
                }
            }
            DomainParticipantStatusEvent::RemoteWriterQosIncompatible {
                local_reader,
                remote_writer,
                offered_qos,
                ..
            } => {
                for reader in readers.iter_mut().filter(|reader| reader.guid == local_reader) {
                    reader.heard.remove(&remote_writer);
                    reader.unheard.insert(remote_writer, in_words(&offered_qos));
                }
            }
            DomainParticipantStatusEvent::WriterLost { guid, .. } => {
                for reader in readers.iter_mut() {
                    reader.heard.remove(&guid);
                    reader.unheard.remove(&guid);
                }
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_words(qos: &QosPolicies) -> String {
    let reliability = match qos.reliability() {
        Some(Reliability::Reliable { .. }) => "reliable",
        Some(Reliability::BestEffort) | None => "best effort",
    };
    let durability = match qos.durability() {
        Some(Durability::Volatile) | None => "volatile",
        Some(_) => "transient local",
    };
    format!("{reliability}, {durability}")
}
