//! The localization node: messages in, `pose` and `map -> odom` out. It holds no mathematics and no sockets.
//!
//! [`run`] is the story: the port brings messages and questions, [`ManagedNode`] answers the questions and gives the
//! messages to [`Core`] while it is active, [`Core`] turns an image into a [`Job`], the network's thread turns
//! the newest job into an [`Answer`] (decode, rectify, resize, forward pass), and the core turns the answer into
//! messages for the port. [`run_lock_step`] tells the same story without threads: each image is answered before the
//! next message is read, none is dropped, and time is the recording's. Both stop with the port.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};

use crate::config::Config;
use crate::middleware::{Middleware, Outgoing};
use crate::{Error, Result, Stamp, memory};

#[cfg(feature = "bag")]
mod accuracy;
mod broadcast;
mod core;
mod health;
mod inbox;
mod intake;
mod lifecycle;
mod localizer;
mod managed;
mod mounting;
mod parameters;
mod path;
#[cfg(feature = "torch")]
mod regressor;
#[cfg(feature = "bag")]
mod replay;
#[cfg(feature = "bag")]
mod replay_report;
mod saved_pose;
#[cfg(feature = "bag")]
mod smoothed;

pub use self::core::Core;
#[cfg(feature = "bag")]
pub use accuracy::Accuracy;
pub use health::{Health, Reason, Refusals};
pub use inbox::NetworkThread;
pub use lifecycle::{Lifecycle, Outcome, Phase};
pub use localizer::{Answer, Job, Localization, Localizer, Worker};
pub use managed::{Effect, Loaded, ManagedNode};
#[cfg(feature = "bag")]
pub use replay::{Refused, ReplayRequest, Summary, replay};
pub use saved_pose::SavedPose;
#[cfg(feature = "bag")]
pub use smoothed::SmoothedSummary;

/// How long a stop waits for the image in work.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(2);
/// The longest silence of a recording that is filled with ticks.
const LONGEST_FILLED_GAP: Duration = Duration::from_secs(60);

/// Runs the node until `stop` is ready or the port ends. `load` loads the model of a configuration, on a thread of its
/// own.
///
/// # Errors
/// What is wrong with the model of a node that starts itself; [`Error::Compute`] when the network's thread cannot start or
/// dies. What happens to single messages is no error: it is counted, and told in diagnostics.
pub async fn run<M: Middleware, L: Localizer + 'static>(
    port: &mut M,
    node: &mut ManagedNode,
    load: impl Fn(&Config) -> Result<L> + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let load = Arc::new(load);
    let mut network: Option<NetworkThread> = None;
    let mut loading: Option<JoinHandle<Result<L>>> = None;
    let mut ticks = interval(node.tick_period());
    tokio::pin!(stop);
    node.watch_memory(memory::resident);
    node.begin(port.now());
    loop {
        for effect in node.take_effects() {
            match effect {
                Effect::Localize(job) => {
                    if let Some(older) = network.as_ref().and_then(|network| network.offer(job)) {
                        node.replaced(older);
                    }
                }
                Effect::Load(config) => {
                    let load = load.clone();
                    loading = Some(tokio::task::spawn_blocking(move || load(&config)));
                }
                Effect::Unload => stop_network(network.take()).await,
                Effect::Save(pose) => save(node, &pose),
            }
        }
        for outgoing in node.take_outgoing() {
            if let Err(error) = port.send(outgoing).await {
                node.not_sent(&error);
            }
        }
        if ticks.period() != node.tick_period() {
            ticks = interval(node.tick_period());
        }
        tokio::select! {
            () = &mut stop => break,
            incoming = port.next() => {
                let Some(incoming) = incoming else { break };
                node.receive(incoming, port.now());
            }
            answer = next_answer(&mut network) => {
                let ended = || Error::compute("network", "its thread ended; see the log above");
                node.finish(answer.ok_or_else(ended)?, port.now());
            }
            loaded = next_loaded(&mut loading) => {
                loading = None;
                if let Some(localizer) = take_over(node, loaded, port.now())? {
                    node.runs_on(localizer.device());
                    node.set_measured_correlation_time(localizer.correlation_time());
                    stop_network(network.replace(NetworkThread::spawn(localizer)?)).await;
                }
            }
            _ = ticks.tick() => {
                let links = port.links();
                node.tick(port.now(), links);
            }
        }
    }
    node.end();
    for effect in node.take_effects() {
        if let Effect::Save(pose) = effect {
            save(node, &pose);
        }
    }
    stop_network(network).await;
    Ok(())
}

fn interval(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// The next answer of the network; never, where there is none.
async fn next_answer(network: &mut Option<NetworkThread>) -> Option<Answer> {
    match network {
        Some(network) => network.next().await,
        None => std::future::pending().await,
    }
}

/// The model that is being loaded; never, where none is.
async fn next_loaded<L>(loading: &mut Option<JoinHandle<Result<L>>>) -> Result<L> {
    match loading {
        Some(loading) => loading.await.unwrap_or_else(|error| Err(Error::compute("loading the model", error))),
        None => std::future::pending().await,
    }
}

/// The localizer of a model that was loaded, if the node takes it.
fn take_over<L: Localizer>(node: &mut ManagedNode, loaded: Result<L>, now: Stamp) -> Result<Option<L>> {
    let (localizer, camera) = match loaded {
        Ok(localizer) => {
            let camera = localizer.camera();
            (Some(localizer), Ok(camera))
        }
        Err(error) => (None, Err(error)),
    };
    let used = node.loaded(camera, now)? == Loaded::Use;
    Ok(localizer.filter(|_| used))
}

async fn stop_network(network: Option<NetworkThread>) {
    if let Some(network) = network {
        network.stop(PATIENCE_AT_STOP).await;
    }
}

fn save(node: &mut ManagedNode, pose: &SavedPose) {
    if let Err(error) = pose.write() {
        node.not_saved(&error);
    }
}

/// Runs the node until the port ends or `stop` says so, each image answered before the next message is read.
/// `watch` sees every message that goes out.
///
/// # Errors
/// What [`Middleware::send`] says: a recording that cannot be written is of no use.
pub async fn run_lock_step<M: Middleware, L: Localizer>(
    port: &mut M,
    core: &mut Core,
    localizer: L,
    mut stop: impl FnMut() -> bool,
    mut watch: impl FnMut(&Outgoing),
) -> Result<()> {
    let mut worker = Worker::new(localizer);
    let mut next_tick: Option<Stamp> = None;
    while let Some(incoming) = port.next().await {
        if stop() {
            return Err(Error::Interrupted(String::new()));
        }
        let now = port.now();
        let mut tick = next_tick.unwrap_or(now).max(now - LONGEST_FILLED_GAP);
        while tick <= now {
            core.tick(tick, Vec::new());
            tick = tick + core.tick_period();
        }
        next_tick = Some(tick);
        if let Some(job) = core.receive(incoming, now) {
            core.finish(worker.work(job), now);
        }
        send_all(port, core, &mut watch).await?;
    }
    core.end();
    send_all(port, core, &mut watch).await
}

async fn send_all<M: Middleware>(port: &mut M, core: &mut Core, watch: &mut impl FnMut(&Outgoing)) -> Result<()> {
    for outgoing in core.take_outgoing() {
        watch(&outgoing);
        port.send(outgoing).await?;
    }
    Ok(())
}
