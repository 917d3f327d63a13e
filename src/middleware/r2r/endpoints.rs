//! What of the node rcl knows: publishers, subscriptions and services, until the thread takes them over.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ::r2r::Node;
use futures::{FutureExt, Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::links::Watched;
use super::publisher::Publisher;
use super::{context, profile};
use crate::middleware::topics::TopicHost;
use crate::middleware::{Incoming, Input, Names, Qos};
use crate::msg::{RosMessage, cdr, rosgraph_msgs};
use crate::{Error, Result, Stamp};

/// Takes everything that has come to one topic or service.
pub(super) type Inlet = Box<dyn FnMut() -> Came + Send>;

/// What an [`Inlet`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing.
    Nothing,
    /// At least one message.
    Something,
    /// The node listens no more.
    End,
}

/// The node in rcl.
pub(super) struct Endpoints {
    pub(super) node: Node,
    names: Names,
    pub(super) sender: mpsc::Sender<Incoming>,
    /// Where the answers to requests are awaited.
    pub(super) runtime: Handle,
    pub(super) inlets: Vec<Inlet>,
    pub(super) watched: Vec<Watched>,
}

impl Endpoints {
    /// A node that has no endpoints yet; what comes goes to `sender`.
    pub(super) fn join(names: Names, sender: mpsc::Sender<Incoming>) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|error| Error::middleware("starting the node", error))?;
        let node = context::node(&names)?;
        Ok(Self { node, names, sender, runtime, inlets: Vec::new(), watched: Vec::new() })
    }

    pub(super) fn publisher<T: RosMessage>(&mut self, topic: &str, qos: Qos) -> Result<Publisher<T>> {
        let created = self.node.create_publisher_untyped(topic, T::TYPE, profile::of(qos));
        created.map(Publisher::new).map_err(|error| Error::middleware(format!("publisher of {topic}"), error))
    }

    /// Nanoseconds of `/clock`; 0 before the first.
    pub(super) fn listen_to_clock(&mut self) -> Result<Arc<AtomicI64>> {
        let nanos = Arc::new(AtomicI64::new(0));
        let clock = nanos.clone();
        self.each::<rosgraph_msgs::Clock>("/clock", Qos::CLOCK, move |sample| {
            if let Ok(message) = sample {
                clock.store(Stamp::from(message.clock).as_nanos(), Ordering::Relaxed);
            }
            true
        })?;
        Ok(nanos)
    }

    /// Hands every sample of a topic to `handle` until it says no more.
    fn each<T: RosMessage + 'static>(
        &mut self,
        topic: &str,
        qos: Qos,
        mut handle: impl FnMut(Result<T>) -> bool + Send + 'static,
    ) -> Result<()> {
        let subscribed = self.node.subscribe_raw(topic, T::TYPE, profile::of(qos));
        let samples = subscribed.map_err(|error| Error::middleware(format!("subscription to {topic}"), error))?;
        let what = format!("sample of {topic}");
        self.inlets.push(inlet(samples, move |bytes: Vec<u8>| handle(cdr::from_bytes(&what, &bytes))));
        Ok(())
    }
}

/// Hands what a stream has ready to `handle`, until either says no more.
pub(super) fn inlet<I>(
    mut items: impl Stream<Item = I> + Unpin + Send + 'static,
    mut handle: impl FnMut(I) -> bool + Send + 'static,
) -> Inlet {
    Box::new(move || {
        let mut came = Came::Nothing;
        while let Some(item) = items.next().now_or_never() {
            if !item.is_some_and(&mut handle) {
                return Came::End;
            }
            came = Came::Something;
        }
        came
    })
}

impl TopicHost for Endpoints {
    fn listen<T, C>(&mut self, topic: &str, qos: Qos, input: Input, convert: C) -> Result<()>
    where
        T: RosMessage + Send + Sync + 'static,
        C: Fn(T) -> Incoming + Send + Sync + 'static,
    {
        let sender = self.sender.clone();
        self.watched.push(Watched::new(input, self.names.resolve(topic)?, T::TYPE, qos));
        self.each(topic, qos, move |sample| {
            let incoming = sample.map_or_else(|error| Incoming::Refused { input, error }, &convert);
            sender.blocking_send(incoming).is_ok()
        })
    }
}
