//! What a node said while it ran: its path, how sure it was, its states, and what it refused.

use std::collections::BTreeMap;
use std::fmt::Write;

use nalgebra::Vector3;
use plotters::prelude::*;

use super::csv::quoted;
use super::place_pictures::draw_plan;
use super::{Figure, Section, states};
use crate::evaluation::canvas::{FONT, METHODS, draw_key, draw_scale, drawn, failed, key_height, method_key};
use crate::evaluation::timeline::Timeline;
use crate::{Error, Result, Stamp};

/// A pose that was said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SaidPose {
    /// When it was true.
    pub stamp: Stamp,
    /// Position of the robot's base in the map, metres.
    pub position: Vector3<f64>,
    /// Its claimed standard deviations: of the position (metres) and of the rotation (radians), along the worst axis.
    pub sigmas: [f64; 2],
}

/// How the node said that it was.
#[derive(Clone, Debug, PartialEq)]
pub struct SaidState {
    /// When.
    pub stamp: Stamp,
    /// The state's name.
    pub state: String,
    /// Since when it is in that state.
    pub since: Stamp,
    /// Measurements that were not used up to then, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// What a node said, in the order of its stamps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Its poses.
    pub poses: Vec<SaidPose>,
    /// Its states.
    pub states: Vec<SaidState>,
}

/// Pictures of what a node said; without poses and states an empty section.
///
/// # Errors
/// When a picture cannot be drawn.
pub fn live(said: &Said) -> Result<Section> {
    let mut section = Section::new("What the node said");
    if !said.poses.is_empty() {
        section = section.with(path(&said.poses)?).with(states::confidence(said)?);
    }
    if said.states.iter().any(|state| !state.refused.is_empty()) {
        section = section.with(refused(&said.states)?);
    }
    if section.blocks.is_empty() {
        section = section.with("It gave no pose.".to_owned());
    }
    Ok(section)
}

fn path(poses: &[SaidPose]) -> Result<Figure> {
    let highest = poses.iter().map(|pose| pose.sigmas[0]).fold(0.0, f64::max).max(1e-6);
    let svg = drawn((980, 720), |area| {
        let (plot, margin) = area.split_horizontally(860);
        let dots: Vec<_> = poses.iter().map(|pose| (pose.position, pose.sigmas[0] / highest)).collect();
        draw_plan(&plot, &[], &dots, &[])?;
        let texts = [0.0, 0.5, 1.0].map(|share| format!("{:.2} m", share * highest));
        draw_scale(&margin, (12, 110), 480, [&texts[0], &texts[1], &texts[2]], "sigma")
    })?;
    let mut csv = String::from("stamp,tx,ty,tz,sigma_position_m,sigma_rotation_deg\n");
    for SaidPose { stamp, position: at, sigmas: [position, rotation] } in poses {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(csv, "{stamp},{:.6},{:.6},{:.6},{position:.6},{:.6}", at.x, at.y, at.z, rotation.to_degrees());
    }
    Ok(Figure {
        name: "path".into(),
        title: "The path as the node gave it".into(),
        caption:
            "Every pose of the robot's base from above, coloured by the claimed standard deviation of its position \
                  along the worst axis."
                .into(),
        svg,
        csv,
    })
}

/// Counts of what was not used, over time.
fn refused(states: &[SaidState]) -> Result<Figure> {
    let timeline = Timeline::new(states.iter().map(|state| state.stamp));
    let last = states.last().ok_or_else(|| Error::message("picture", "states", "none"))?;
    let reasons: Vec<&String> = last.refused.keys().collect();
    let count = |state: &SaidState, reason: &String| state.refused.get(reason).copied().unwrap_or(0);
    let highest = 1.1 * last.refused.values().copied().max().unwrap_or(0).max(4) as f64;
    let key = method_key(reasons.iter().map(|reason| reason.as_str()));
    let above = key_height(84, 1100, &key);
    let svg = drawn((1100, 440 + above as u32), |area| {
        draw_key(area, 84, &key)?;
        let area = area.margin(above, 0, 0, 0);
        let mut chart = ChartBuilder::on(&area)
            .margin(15)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..timeline.end(), 0.0..highest)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(BLACK.mix(0.1))
            .x_desc(timeline.label())
            .y_desc("not used so far")
            .y_label_formatter(&|count| if count.fract() == 0.0 { count.to_string() } else { String::new() })
            .label_style((FONT, 15))
            .draw()
            .map_err(failed)?;
        for (reason, color) in reasons.iter().zip(METHODS.iter().cycle()) {
            let mut steps: Vec<(f64, f64)> = Vec::new();
            for (state, at) in states.iter().zip(&timeline.seconds) {
                steps.extend(steps.last().map(|last| (*at, last.1)));
                steps.push((*at, count(state, reason) as f64));
            }
            chart.draw_series(LineSeries::new(steps, color.stroke_width(2))).map_err(failed)?;
        }
        Ok(())
    })?;
    let mut csv = String::from("stamp,reason,count\n");
    for state in states {
        for (reason, count) in &state.refused {
            let _ = writeln!(csv, "{},{},{count}", state.stamp, quoted(reason));
        }
    }
    Ok(Figure {
        name: "refused".into(),
        title: "What was not used".into(),
        caption:
            "Messages that the node refused and measurements that the estimator rejected, counted from the start, by \
                  reason. A few at the start are usual; a line that keeps rising names something to repair."
                .into(),
        svg,
        csv,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::report::Block;

    fn at(seconds: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000 * seconds)
    }

    fn said() -> Said {
        let pose = |second: i64| SaidPose {
            stamp: at(second),
            position: Vector3::new(second as f64, 0.0, 0.0),
            sigmas: [0.1, 0.01],
        };
        let state = |second: i64, state: &str| SaidState {
            stamp: at(second),
            state: state.into(),
            since: at(second),
            refused: BTreeMap::from([("gated".to_owned(), second as u64)]),
        };
        let states = vec![state(0, "converging"), state(1, "tracking"), state(2, "tracking"), state(3, "lost")];
        Said { poses: (1..=4).map(pose).collect(), states }
    }

    #[test]
    fn only_what_was_said_is_drawn() {
        let names = |said: &Said| -> Vec<String> {
            let blocks = live(said).unwrap().blocks;
            let name =
                |block: &Block| if let Block::Figure(figure) = block { figure.name.clone() } else { "text".into() };
            blocks.iter().map(name).collect()
        };
        assert_eq!(names(&said()), ["path", "states", "refused"]);
        assert_eq!(names(&Said { states: Vec::new(), ..said() }), ["path", "states"]);
        assert_eq!(names(&Said::default()), ["text"]);
    }
}
