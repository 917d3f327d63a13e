//! How far a long step is: a bar on a terminal, else a plain line every few seconds.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A bar on standard error.
    Bar,
    /// Lines on standard error.
    Lines,
    /// Nowhere.
    Silent,
}

impl Progress {
    /// A bar where standard error is a terminal, else lines.
    pub fn automatic() -> Self {
        if std::io::stderr().is_terminal() { Progress::Bar } else { Progress::Lines }
    }

    /// A line of its own.
    pub fn note(self, text: &str) {
        if self != Progress::Silent {
            eprintln!("{text}");
        }
    }

    /// Begins `total` steps of `what`.
    pub fn steps(self, what: &str, total: u64) -> Steps {
        let bar = (self == Progress::Bar).then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg} left {eta}");
            let bar = ProgressBar::new(total).with_prefix(what.to_owned());
            style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
        });
        let now = Instant::now();
        Steps {
            bar,
            lines: self == Progress::Lines,
            what: what.to_owned(),
            total,
            started: now,
            state: Mutex::new(State { done: 0, first: None, shown: now, message: String::new() }),
        }
    }
}

struct State {
    done: u64,
    /// Steps that were done before this run.
    first: Option<u64>,
    shown: Instant,
    message: String,
}

/// Steps under way; shared by threads.
pub struct Steps {
    bar: Option<ProgressBar>,
    lines: bool,
    what: String,
    total: u64,
    started: Instant,
    state: Mutex<State>,
}

impl Steps {
    /// Goes on from `done` steps of an earlier run.
    pub fn resume_at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.reset_eta();
        }
        let mut state = self.lock();
        (state.done, state.first) = (done, Some(done));
    }

    /// Says something beside the count.
    pub fn message(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
        self.lock().message = text.to_owned();
    }

    /// `count` more are done.
    pub fn advance(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(count);
        }
        let mut state = self.lock();
        state.done += count;
        if self.lines && (state.shown.elapsed() >= LINE_INTERVAL || state.done == self.total) {
            state.shown = Instant::now();
            let here = (state.done - state.first.unwrap_or(0)).max(1) as f64;
            let left = self.started.elapsed().as_secs_f64() / here * (self.total - state.done.min(self.total)) as f64;
            let message = if state.message.is_empty() { String::new() } else { format!(" {}", state.message) };
            eprintln!("{}: {}/{}{message}, {left:.0} s left", self.what, state.done, self.total);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A thread that panicked while counting leaves a count that is good enough.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
