//! How long each step took, as histograms.

use plotters::prelude::*;

use super::Figure;
use super::csv::quoted;
use crate::Result;
use crate::evaluation::Latency;
use crate::evaluation::canvas::{Area, FONT, METHODS, Mark, TRUTH, draw_key, drawn, failed};
use crate::evaluation::histogram::Histogram;

const BARS: usize = 40;
const PANEL_HEIGHT: u32 = 260;

/// A histogram per step, one below the other; `None` where no durations were kept.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn figure(latencies: &[Latency]) -> Result<Option<Figure>> {
    let timed: Vec<&Latency> = latencies.iter().filter(|latency| !latency.durations_ms.is_empty()).collect();
    if timed.is_empty() {
        return Ok(None);
    }
    let svg = drawn((900, 40 + PANEL_HEIGHT * timed.len() as u32), |area| {
        let panels = area.margin(40, 0, 0, 0).split_evenly((timed.len(), 1));
        timed.iter().zip(&panels).try_for_each(|(latency, panel)| draw(panel, latency))?;
        let key = [("runs of the step", METHODS[0], Mark::Area), ("median", TRUTH, Mark::Line)];
        draw_key(area, 84, &[key[0], key[1], ("99th percentile", METHODS[1], Mark::Line)])
    })?;
    let mut csv = String::from("step,from_ms,to_ms,count\n");
    for latency in timed {
        let rows = histogram(latency).csv();
        rows.lines().skip(1).for_each(|row| csv.push_str(&format!("{},{row}\n", quoted(&latency.step))));
    }
    Ok(Some(Figure {
        name: "latency_histogram".into(),
        title: "How long each step takes".into(),
        caption:
            "How often a step took how long, in this run on this machine; the last bar holds all that took longer. \
                  A robot feels the 99th percentile, not the median: a long tail means that something else used the \
                  cores."
                .into(),
        svg,
        csv,
    }))
}

/// Bars a little beyond the 99th percentile.
fn histogram(latency: &Latency) -> Histogram {
    Histogram::new(&latency.durations_ms, (1.25 * latency.p99_ms).max(1e-3), BARS)
}

fn draw(area: &Area, latency: &Latency) -> Result<()> {
    let histogram = histogram(latency);
    let highest = histogram.counts.iter().copied().max().unwrap_or(0) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..histogram.end(), 0.0..1.1 * highest)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_desc(format!("{} (ms)", latency.step))
        .y_desc("runs")
        .y_labels(5)
        .y_label_formatter(&|runs| format!("{runs:.0}"))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    let bar = |(from, to, count)| Rectangle::new([(from, 0.0), (to, count as f64)], METHODS[0].mix(0.45).filled());
    chart.draw_series(histogram.bars().map(bar)).map_err(failed)?;
    for (milliseconds, color) in [(latency.median_ms, TRUTH), (latency.p99_ms, METHODS[1])] {
        let line = [(milliseconds, 0.0), (milliseconds, 1.1 * highest)];
        chart.draw_series(LineSeries::new(line, color.stroke_width(2))).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_run_is_in_a_bar() {
        let durations: Vec<Duration> = (1..=150).map(Duration::from_millis).chain([Duration::from_secs(9)]).collect();
        let latency = Latency::new("network, all", "cpu", 1, 1, &durations).unwrap();
        let figure = figure(&[latency]).unwrap().unwrap();
        let counts = figure.csv.lines().skip(1).map(|row| row.rsplit(',').next().unwrap().parse::<usize>().unwrap());
        assert_eq!(counts.sum::<usize>(), 151, "{}", figure.csv);
        assert!(figure.csv.contains("\"network, all\",0.000000,") && figure.svg.contains("network, all (ms)"));
        assert!(super::figure(&[]).unwrap().is_none());
    }
}
