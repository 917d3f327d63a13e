//! Stamps of another clock than the node's: the most frequent reason why everything runs and nothing fits.

use super::arrivals::{Arrivals, Delay};
use crate::Stamp;

/// Stamps further from the node's clock than this are of another one, or come very late, seconds.
const TOLERATED: f64 = 1.0;
/// Delays that differ by less than this are an offset of clocks, seconds.
const CONSTANT: f64 = 0.5;
/// Before the year 2000: the time of a simulation, or of a machine since its start.
const DAYS_CLOCK_SINCE: Stamp = Stamp::from_nanos(946_684_800_000_000_000);
const DAY: f64 = 86_400.0;

/// What is wrong with the stamps of a topic, and what to do.
pub(super) fn disagreement(what: &str, arrivals: &Arrivals, now: Stamp, use_sim_time: bool) -> Option<String> {
    let (delay, stamp) = (arrivals.delay()?, arrivals.last_stamp?);
    if delay.least <= TOLERATED && delay.greatest >= -TOLERATED {
        return None;
    }
    let Delay { least, median, greatest } = delay;
    let (is_of_the_day, is_of_a_simulation) = (stamp >= DAYS_CLOCK_SINCE, now < DAYS_CLOCK_SINCE);
    let seconds = |time: Stamp| format!("{:.1} s", time.seconds_since(Stamp::default()));
    Some(if is_of_the_day && is_of_a_simulation && use_sim_time {
        format!(
            "stamps of {what} are of the day's clock, the node's time is that of /clock ({}): give their publisher \
             use_sim_time: true, or set the node's to false",
            seconds(now)
        )
    } else if !is_of_the_day && !is_of_a_simulation {
        format!(
            "stamps of {what} count from zero ({}), the node's clock is the day's: set use_sim_time: true in a \
             simulation; on a robot, have the driver stamp with the system's clock",
            seconds(stamp)
        )
    } else if median > DAY && !use_sim_time {
        format!(
            "stamps of {what} are {:.1} days old: play a recording with ros2 bag play --clock and set use_sim_time: \
             true",
            median / DAY
        )
    } else if median > 0.0 && greatest - least > CONSTANT {
        format!(
            "{what} comes {median:.1} s late, at worst {greatest:.1} s: the driver or the network holds it back; send \
             less, or compressed images"
        )
    } else {
        let direction = if median > 0.0 { "behind" } else { "ahead of" };
        format!(
            "stamps of {what} are {:.1} s {direction} the node's clock: synchronize the machines' clocks (chrony); for a \
             recording, --clock and use_sim_time: true",
            median.abs()
        )
    })
}
