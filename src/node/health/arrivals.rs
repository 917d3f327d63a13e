//! What came on one input: how often, how late, and how long it was silent.

use crate::Stamp;

/// Delays that are kept for their median.
const KEPT_DELAYS: usize = 256;

/// The messages of one input. "Recent" means since the last report.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Since the start.
    pub count: u64,
    /// Since the last report.
    pub recent: u64,
    /// When the last one came, in this run of the clock.
    pub last: Option<Stamp>,
    /// The stamp of the last one that has one.
    pub last_stamp: Option<Stamp>,
    /// Recent delays between stamp and arrival, seconds; the newest of them.
    delays: Vec<f64>,
    /// Where the next delay goes when as many are kept as may be.
    next: usize,
    /// Least and greatest recent delay.
    extremes: Option<(f64, f64)>,
    /// The longest time without a message that ended since the last report, seconds.
    longest_gap: f64,
}

/// Recent delays between stamp and arrival, seconds; negative where stamps are ahead of the node's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    pub least: f64,
    pub median: f64,
    pub greatest: f64,
}

impl Arrivals {
    /// A message came at `now`; `stamp` says when it was made, where it says so.
    pub fn add(&mut self, now: Stamp, stamp: Option<Stamp>) {
        self.count += 1;
        self.recent += 1;
        if let Some(last) = self.last {
            self.longest_gap = self.longest_gap.max(now.seconds_since(last));
        }
        self.last = Some(now);
        let Some(stamp) = stamp else { return };
        self.last_stamp = Some(stamp);
        let delay = now.seconds_since(stamp);
        let (least, greatest) = self.extremes.unwrap_or((delay, delay));
        self.extremes = Some((least.min(delay), greatest.max(delay)));
        if self.delays.len() < KEPT_DELAYS {
            self.delays.push(delay);
        } else {
            self.delays[self.next] = delay;
            self.next = (self.next + 1) % KEPT_DELAYS;
        }
    }

    /// Seconds since the last message.
    pub fn age(&self, now: Stamp) -> Option<f64> {
        self.last.map(|last| now.seconds_since(last))
    }

    /// Recent delays; `None` where no message with a stamp came.
    pub fn delay(&self) -> Option<Delay> {
        let (least, greatest) = self.extremes?;
        let mut sorted = self.delays.clone();
        sorted.sort_by(f64::total_cmp);
        Some(Delay { least, median: *sorted.get(sorted.len() / 2)?, greatest })
    }

    /// The longest recent silence, the present one included, seconds.
    pub fn longest_gap(&self, now: Stamp) -> Option<f64> {
        self.age(now).map(|age| age.max(self.longest_gap))
    }

    /// A report went out.
    pub fn reported(&mut self) {
        self.recent = 0;
        self.delays.clear();
        self.next = 0;
        self.extremes = None;
        self.longest_gap = 0.0;
    }

    /// The clock jumped: what came before is of another run.
    pub fn clock_jumped(&mut self) {
        self.reported();
        self.last = None;
        self.last_stamp = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Stamp {
        Stamp::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn delays_and_gaps_are_those_since_the_last_report_and_bounded() {
        let mut arrivals = Arrivals::default();
        for i in 0..10_000 {
            arrivals.add(at(10 * i + 30), Some(at(10 * i)));
        }
        arrivals.add(at(100_500), Some(at(100_000)));
        let delay = arrivals.delay().unwrap();
        assert!((delay.median - 0.03).abs() < 1e-9 && (delay.greatest - 0.5).abs() < 1e-9, "{delay:?}");
        assert!(arrivals.delays.len() == KEPT_DELAYS && arrivals.delays.capacity() < 2 * KEPT_DELAYS);
        assert!((arrivals.longest_gap(at(100_600)).unwrap() - 0.48).abs() < 1e-9);
        arrivals.reported();
        assert!(arrivals.delay().is_none());
        assert!((arrivals.longest_gap(at(101_500)).unwrap() - 1.0).abs() < 1e-9, "the present silence counts");
    }
}
