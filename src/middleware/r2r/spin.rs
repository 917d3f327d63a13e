//! The thread that waits in rcl.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::endpoints::{Came, Endpoints};
use crate::middleware::Link;
use crate::{Error, Result};

/// The longest wait: whatever comes ends it at once, except a stop.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// A wait that ends before this without bringing anything has failed; then it is the thread's sleep.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How often the graph is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How long a stop waits for the thread.
const PATIENCE_AT_CLOSE: Duration = Duration::from_secs(1);

/// The thread, and what it has seen of the graph.
pub(super) struct Spinning {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    links: Mutex<Vec<Link>>,
}

impl Spinning {
    pub(super) fn start(endpoints: Endpoints) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let spun = shared.clone();
        let thread = std::thread::Builder::new().name("rcl".into()).spawn(move || spin(endpoints, &spun));
        let thread = thread.map_err(|error| Error::middleware("starting the thread that waits in rcl", error))?;
        Ok(Self { shared, thread })
    }

    /// How the inputs are connected, at most a second ago.
    pub(super) fn links(&self) -> Vec<Link> {
        self.shared.links.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the thread and the node with it: peers see it leave at once.
    pub(super) async fn stop(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(move || self.thread.join());
        match tokio::time::timeout(PATIENCE_AT_CLOSE, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => tracing::error!("the thread that waits in rcl had panicked"),
            Err(_) => tracing::warn!("rcl was not left in time"),
        }
    }
}

fn spin(mut endpoints: Endpoints, shared: &Shared) {
    let mut looked: Option<Instant> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if looked.is_none_or(|looked| now - looked >= LOOK_PERIOD) {
            let links = endpoints.watched.iter().map(|watched| watched.look(&endpoints.node)).collect();
            *shared.links.lock().unwrap_or_else(PoisonError::into_inner) = links;
            looked = Some(now);
        }
        endpoints.node.spin_once(LONGEST_WAIT);
        let woken_early = now.elapsed() < SHORTEST_WAIT;
        let mut came = false;
        for inlet in &mut endpoints.inlets {
            match inlet() {
                Came::Nothing => {}
                Came::Something => came = true,
                Came::End => return,
            }
        }
        if woken_early && !came {
            std::thread::sleep(SHORTEST_WAIT);
        }
    }
}
