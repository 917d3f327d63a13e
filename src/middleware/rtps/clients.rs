//! Whether those who ask would hear the answer.
//!
//! A client asks on one topic and listens on another, and discovery makes them known one after the other: a question can
//! be here before the ear for its answer is, even before the one who asks is known, and what is written then is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ros2_client::dds::rustdds::GUID;
use ros2_client::dds::rustdds::dds::statusevents::DomainParticipantStatusEvent;

/// How long an answer waits for discovery, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(1);

/// The ends of services in the network that are not this node's.
#[derive(Clone, Default)]
pub(super) struct Clients(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    /// Topics on which questions are asked, by the writer that asks.
    asking: BTreeMap<GUID, String>,
    /// Topics on which answers are heard, by the reader that listens.
    listening: BTreeMap<GUID, String>,
    /// Readers that this node's writers reach.
    reached: BTreeSet<GUID>,
}

impl Clients {
    /// Takes one of discovery's reports.
    pub(super) fn follow(&self, event: &DomainParticipantStatusEvent) {
        let mut ends = self.lock();
        match event {
            DomainParticipantStatusEvent::WriterDetected { writer } if writer.topic_name.starts_with("rq/") => {
                ends.asking.insert(writer.guid, writer.topic_name.clone());
            }
            DomainParticipantStatusEvent::ReaderDetected { reader } if reader.topic_name.starts_with("rr/") => {
                ends.listening.insert(reader.guid, reader.topic_name.clone());
            }
            DomainParticipantStatusEvent::RemoteReaderMatched { remote_reader, .. } => {
                ends.reached.insert(*remote_reader);
            }
            DomainParticipantStatusEvent::WriterLost { guid, .. } => drop(ends.asking.remove(guid)),
            DomainParticipantStatusEvent::ReaderLost { guid, .. } => {
                ends.listening.remove(guid);
                ends.reached.remove(guid);
            }
            _ => {}
        }
    }

    /// Waits, at most [`PATIENCE`], until the participant of `client` is known to listen as often as it asks; its listeners.
    pub(super) async fn wait(&self, client: GUID, requests: &str, responses: &str) -> Option<BTreeSet<GUID>> {
        let listeners = async {
            loop {
                if let Some(listeners) = self.listeners(client, requests, responses) {
                    return listeners;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, listeners).await.ok()
    }

    fn listeners(&self, client: GUID, requests: &str, responses: &str) -> Option<BTreeSet<GUID>> {
        let ends = self.lock();
        let of_client = |ends: &BTreeMap<GUID, String>, on: &str| -> BTreeSet<GUID> {
            ends.iter()
                .filter(|(guid, topic)| guid.prefix == client.prefix && *topic == on)
                .map(|(guid, _)| *guid)
                .collect()
        };
        let asking = of_client(&ends.asking, requests).len();
        let reached: BTreeSet<_> = of_client(&ends.listening, responses).intersection(&ends.reached).copied().collect();
        (asking > 0 && reached.len() >= asking).then_some(reached)
    }

    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
