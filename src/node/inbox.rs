//! The network's thread and its one-slot inbox: a newer image replaces one that waits, so the network is never behind.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::localizer::{Answer, Job, Localizer, Worker};
use crate::{Error, Result};

/// A thread that works on one image at a time.
pub struct NetworkThread {
    inbox: Arc<Inbox>,
    answers: mpsc::UnboundedReceiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    slot: Mutex<Slot>,
    filled: Condvar,
}

#[derive(Default)]
struct Slot {
    job: Option<Job>,
    closed: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_job(&self) -> Option<Job> {
        let mut slot = self.lock();
        loop {
            if slot.closed {
                return None;
            }
            if let Some(job) = slot.job.take() {
                return Some(job);
            }
            slot = self.filled.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl NetworkThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Compute`] when the system has no thread to give.
    pub fn spawn<L: Localizer + 'static>(localizer: L) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let (sender, answers) = mpsc::unbounded_channel();
        let thread_inbox = inbox.clone();
        let work = move || {
            let mut worker = Worker::new(localizer);
            while let Some(job) = thread_inbox.wait_for_job() {
                let start = Instant::now();
                let answer = worker.work(job);
                if sender.send(Answer { seconds: Some(start.elapsed().as_secs_f64()), ..answer }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("network".into()).spawn(work);
        let thread = thread.map_err(|error| Error::compute("starting the network's thread", error))?;
        Ok(Self { inbox, answers, thread: Some(thread) })
    }

    /// Puts an image into the inbox; returns the one that waited there, if any.
    pub fn offer(&self, job: Job) -> Option<Job> {
        let replaced = self.inbox.lock().job.replace(job);
        self.inbox.filled.notify_one();
        replaced
    }

    /// The next answer; `None` when the thread has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    /// Asks the thread to end and waits for the image in work, at most `patience`.
    pub async fn stop(mut self, patience: Duration) {
        self.inbox.lock().closed = true;
        self.inbox.filled.notify_one();
        let deadline = Instant::now() + patience;
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !thread.is_finished() {
            tracing::warn!("the network still works on an image; leaving it behind");
        }
    }
}

impl Drop for NetworkThread {
    fn drop(&mut self) {
        self.inbox.lock().closed = true;
        self.inbox.filled.notify_one();
    }
}
