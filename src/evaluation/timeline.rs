//! Time as the axis of a picture: seconds since the first frame, with long pauses cut short, so that two recordings
//! an hour apart, or test blocks with training between them, still fill the picture.

use crate::Stamp;

/// A pause is longer than this many usual intervals, and than [`SHORTEST_PAUSE`] seconds.
const USUAL_INTERVALS: f64 = 10.0;
const SHORTEST_PAUSE: f64 = 1.0;

/// The seconds at which frames are drawn.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// One per frame, never decreasing.
    pub seconds: Vec<f64>,
    /// Whether a frame comes after a pause; so does the first.
    pub after_pause: Vec<bool>,
}

impl Timeline {
    /// Of frames in the order in which they are drawn; a stamp before the last one begins a new recording.
    pub fn new(stamps: impl IntoIterator<Item = Stamp>) -> Self {
        let stamps: Vec<Stamp> = stamps.into_iter().collect();
        let intervals: Vec<f64> = stamps.windows(2).map(|pair| pair[1].seconds_since(pair[0])).collect();
        let usual = super::pose_error::median(&intervals).unwrap_or(0.0).max(0.0);
        let pause = (USUAL_INTERVALS * usual).max(SHORTEST_PAUSE);
        let mut timeline = Self { seconds: Vec::new(), after_pause: Vec::new() };
        let mut now = 0.0;
        for index in 0..stamps.len() {
            let interval = if index == 0 { f64::INFINITY } else { intervals[index - 1] };
            let is_pause = !(0.0..=pause).contains(&interval);
            if index > 0 {
                now += if is_pause { pause } else { interval };
            }
            timeline.seconds.push(now);
            timeline.after_pause.push(is_pause);
        }
        timeline
    }

    /// The title of the axis.
    pub fn label(&self) -> &'static str {
        if self.after_pause.iter().skip(1).any(|pause| *pause) { "time, pauses cut short (s)" } else { "time (s)" }
    }

    /// The end of the axis, a little above 0 for a single frame.
    pub fn end(&self) -> f64 {
        self.seconds.last().copied().unwrap_or(0.0).max(1e-3)
    }

    /// Values at their seconds, in stretches without a pause and without a missing value.
    pub fn stretches<T>(&self, values: impl IntoIterator<Item = Option<T>>) -> Vec<Vec<(f64, T)>> {
        let mut stretches: Vec<Vec<(f64, T)>> = Vec::new();
        let mut goes_on = false;
        for (index, value) in values.into_iter().enumerate().take(self.seconds.len()) {
            goes_on &= !self.after_pause[index];
            let Some(value) = value else {
                goes_on = false;
                continue;
            };
            match stretches.last_mut().filter(|_| goes_on) {
                Some(stretch) => stretch.push((self.seconds[index], value)),
                None => stretches.push(vec![(self.seconds[index], value)]),
            }
            goes_on = true;
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(milliseconds: &[i64]) -> Timeline {
        Timeline::new(milliseconds.iter().map(|ms| Stamp::from_nanos(ms * 1_000_000)))
    }

    #[test]
    fn pauses_and_new_recordings_are_cut_to_a_second() {
        let cut = timeline(&[1000, 1050, 1100, 9000, 9050, 0, 50]);
        let expected = [0.0, 0.05, 0.1, 1.1, 1.15, 2.15, 2.2];
        assert!(cut.seconds.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9), "{cut:?}");
        assert_eq!(cut.after_pause, [true, false, false, true, false, true, false]);
        assert_eq!((cut.label(), timeline(&[0, 100]).label()), ("time, pauses cut short (s)", "time (s)"));
    }

    #[test]
    fn a_missing_value_or_a_pause_ends_a_stretch() {
        let stretches = timeline(&[0, 100, 200, 300, 9000]).stretches([Some(0), None, Some(2), Some(3), Some(4)]);
        let values: Vec<Vec<i32>> =
            stretches.iter().map(|stretch| stretch.iter().map(|(_, value)| *value).collect()).collect();
        assert_eq!(values, [vec![0], vec![2, 3], vec![4]]);
        assert!(timeline(&[]).stretches(Vec::<Option<i32>>::new()).is_empty() && timeline(&[]).end() > 0.0);
    }
}
