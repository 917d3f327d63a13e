//! How sure a node was, over the states that it was in.

use plotters::prelude::*;

use super::csv::quoted;
use super::{Figure, Said};
use crate::evaluation::canvas::{Area, FONT, METHODS, Mark, TRUTH, draw_key, drawn, failed};
use crate::evaluation::timeline::Timeline;
use crate::{Result, Stamp};

/// Colours of states, in the order in which they occur.
const STATES: [RGBColor; 4] = [METHODS[1], METHODS[5], METHODS[2], METHODS[3]];

/// Sigmas over time on a band of states.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn confidence(said: &Said) -> Result<Figure> {
    let mut names: Vec<&str> = Vec::new();
    for state in &said.states {
        if !names.contains(&state.state.as_str()) {
            names.push(&state.state);
        }
    }
    let timeline = Timeline::new(said.poses.iter().map(|pose| pose.stamp));
    let bands = bands(said, &timeline);
    let svg = drawn((1100, 620), |area| {
        let panels = area.margin(40, 0, 0, 0).split_evenly((2, 1));
        let colour = |name: &str| STATES[names.iter().position(|known| *known == name).unwrap_or(0) % STATES.len()];
        for (axis, title) in ["sigma of the position (m)", "sigma of the rotation (°)"].iter().enumerate() {
            let unit = if axis == 0 { 1.0 } else { 1f64.to_degrees() };
            let values: Vec<f64> = said.poses.iter().map(|pose| unit * pose.sigmas[axis]).collect();
            draw_confidence(&panels[axis], &timeline, &values, title, &bands, &colour)?;
        }
        let states = names.iter().map(|name| (*name, colour(name), Mark::Area));
        let key: Vec<_> = std::iter::once(("claimed sigma, worst axis", TRUTH, Mark::Line)).chain(states).collect();
        draw_key(area, 84, &key)
    })?;
    let mut csv = String::from("stamp,since,state\n");
    said.states
        .iter()
        .for_each(|state| csv.push_str(&format!("{},{},{}\n", state.stamp, state.since, quoted(&state.state))));
    Ok(Figure {
        name: "states".into(),
        title: "How sure the node was, and in which state".into(),
        caption: "The claimed standard deviation along the worst axis, over the state that /diagnostics told (about once a \
                  second). It grows while no fix is used and falls with each one; where the line has a gap, no pose was \
                  given."
            .into(),
        svg,
        csv,
    })
}

/// From when to when which state held, in seconds of the poses' timeline.
fn bands<'a>(said: &'a Said, timeline: &Timeline) -> Vec<(f64, f64, &'a str)> {
    let at = |stamp: Stamp| {
        let next = said.poses.partition_point(|pose| pose.stamp < stamp).min(said.poses.len() - 1);
        timeline.seconds[next]
    };
    let mut bands: Vec<(f64, f64, &str)> = Vec::new();
    for state in &said.states {
        let from = at(state.since);
        if let Some(last) = bands.last_mut() {
            last.1 = from;
        }
        if bands.last().is_none_or(|last| last.2 != state.state) {
            bands.push((from, timeline.end(), &state.state));
        }
    }
    if let Some(last) = bands.last_mut() {
        last.1 = timeline.end();
    }
    bands
}

fn draw_confidence(
    area: &Area,
    timeline: &Timeline,
    values: &[f64],
    title: &str,
    bands: &[(f64, f64, &str)],
    colour: &dyn Fn(&str) -> RGBColor,
) -> Result<()> {
    let highest = 1.15 * values.iter().copied().fold(0.0, f64::max).max(1e-6);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(24)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..timeline.end(), 0.0..highest)
        .map_err(failed)?;
    let rectangles = bands
        .iter()
        .map(|(from, to, state)| Rectangle::new([(*from, 0.0), (*to, highest)], colour(state).mix(0.18).filled()));
    chart.draw_series(rectangles).map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(BLACK.mix(0.0))
        .bold_line_style(BLACK.mix(0.1))
        .x_desc(timeline.label())
        .y_desc(title)
        .y_labels(5)
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    for line in timeline.stretches(values.iter().copied().map(Some)) {
        chart.draw_series(LineSeries::new(line, TRUTH.stroke_width(2))).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use nalgebra::Vector3;

    use crate::evaluation::report::{SaidPose, SaidState};

    fn at(seconds: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000 * seconds)
    }

    #[test]
    fn states_hold_until_the_next() {
        let pose = |second: i64| SaidPose { stamp: at(second), position: Vector3::zeros(), sigmas: [0.1, 0.01] };
        let state = |second: i64, since: i64, state: &str| SaidState {
            stamp: at(second),
            state: state.into(),
            since: at(since),
            refused: BTreeMap::new(),
        };
        let states =
            vec![state(0, 0, "converging"), state(1, 1, "tracking"), state(2, 1, "tracking"), state(3, 3, "lost")];
        let said = Said { poses: (1..=4).map(pose).collect(), states };
        let timeline = Timeline::new(said.poses.iter().map(|pose| pose.stamp));
        let expected = [(0.0, 0.0, "converging"), (0.0, 2.0, "tracking"), (2.0, 3.0, "lost")];
        assert_eq!(bands(&said, &timeline), expected);
    }
}
