//! Runs of the clock: a bag that is played again or a simulation that starts anew sets it back, and nothing of the run
//! before may meet what comes now.

use super::Core;
use crate::Stamp;

impl Core {
    pub(super) fn forget(&mut self) {
        self.intake.start_epoch();
        self.waiting.clear();
        self.broadcast.clear();
        self.path.clear();
        self.published = None;
        self.published_odometry = None;
        self.last_pose = None;
    }

    /// Another run of the clock: nothing of the one before may meet what comes now.
    pub(super) fn start_epoch(&mut self) {
        self.estimator.clock_jumped(self.newest_time.unwrap_or_default());
        self.forget();
        // A given pose of the run before is true no more; that of the parameters has no time.
        self.initial_pose = self.initial_pose.take().filter(|given| given.stamp == Stamp::default());
        self.next_report = None;
        self.health.clock_jumped();
    }

    /// The node's own clock may jump back as well: a simulation that starts anew.
    pub(super) fn watch_clock(&mut self, now: Stamp) {
        let jumped =
            self.newest_time.is_some_and(|newest| newest.seconds_since(now) > self.config.clock_jump_threshold);
        if jumped {
            self.transforms.clear();
            self.start_epoch();
        }
        self.newest_time = if jumped { Some(now) } else { self.newest_time.max(Some(now)) };
    }

    /// A simulation's time that does not go on: a report would never be due, so ticks are counted.
    pub(super) fn time_stands(&mut self, now: Stamp) -> bool {
        let stands = self.config.use_sim_time && self.last_tick == Some(now);
        self.standing_ticks = if stands { self.standing_ticks.saturating_add(1) } else { 0 };
        self.last_tick = Some(now);
        let stood = self.tick_period().as_secs_f64() * f64::from(self.standing_ticks);
        let is_due = stood >= self.config.diagnostics_period.max(1.0);
        if is_due {
            self.standing_ticks = 0;
        }
        is_due
    }
}
