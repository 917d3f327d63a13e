//! The localization node: messages in, `pose` and `map -> odom` out. It holds no mathematics and no sockets.
//!
//! [`run`] is the story: the port brings messages, [`Core`] turns an image into a [`Job`], the network's thread turns
//! the newest job into an [`Answer`] (decode, rectify, resize, forward pass), and the core turns the answer into
//! messages for the port. [`run_lock_step`] tells the same story without threads: each image is answered before the
//! next message is read, none is dropped, and time is the recording's. Both stop with the port.

use std::future::Future;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::middleware::{Middleware, Outgoing};
use crate::{Error, Result, Stamp};

#[cfg(feature = "bag")]
mod accuracy;
mod broadcast;
mod core;
mod health;
mod inbox;
mod intake;
mod localizer;
mod mounting;
#[cfg(feature = "torch")]
mod regressor;
#[cfg(feature = "bag")]
mod replay;
#[cfg(feature = "bag")]
mod smoothed;

pub use self::core::Core;
#[cfg(feature = "bag")]
pub use accuracy::Accuracy;
pub use health::{Health, Reason, Refusals};
pub use inbox::NetworkThread;
pub use localizer::{Answer, Job, Localization, Localizer, Worker};
#[cfg(feature = "bag")]
pub use replay::{Refused, ReplayRequest, Summary, replay};
#[cfg(feature = "bag")]
pub use smoothed::SmoothedSummary;

/// How long a stop waits for the image in work.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(2);
/// The longest silence of a recording that is filled with ticks.
const LONGEST_FILLED_GAP: Duration = Duration::from_secs(60);

/// Runs the node until `stop` is ready or the port ends.
///
/// # Errors
/// [`Error::Compute`] when the network's thread cannot start or dies. What happens to single messages is no error:
/// it is counted, and told in diagnostics.
pub async fn run<M: Middleware, L: Localizer + 'static>(
    port: &mut M,
    core: &mut Core,
    localizer: L,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut network = NetworkThread::spawn(localizer)?;
    let mut ticks = tokio::time::interval(core.tick_period());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            incoming = port.next() => {
                let Some(incoming) = incoming else { break };
                if let Some(job) = core.receive(incoming, port.now())
                    && let Some(older) = network.offer(job)
                {
                    core.replaced(older);
                }
            }
            answer = network.next() => {
                let ended = || Error::compute("network", "its thread ended; see the log above");
                core.finish(answer.ok_or_else(ended)?, port.now());
            }
            _ = ticks.tick() => core.tick(port.now()),
        }
        for outgoing in core.take_outgoing() {
            if let Err(error) = port.send(outgoing).await {
                core.not_sent(&error);
            }
        }
    }
    network.stop(PATIENCE_AT_STOP).await;
    Ok(())
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
            core.tick(tick);
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
