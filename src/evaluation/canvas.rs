//! What all pictures have in common: colours, the font, logarithmic axes, and the key above a plot.
//!
//! The page of a report recolours pictures for a dark screen by the colours that are named here (`report/style.css`).

use std::fmt::Display;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, LogCoord, WithKeyPoints};
use plotters::prelude::*;

use crate::{Error, Result};

/// The truth, and whatever is measured against.
pub(super) const TRUTH: RGBColor = RGBColor(30, 30, 30);
/// What was trained on.
pub(super) const TRAINING: RGBColor = RGBColor(200, 200, 200);
/// Methods side by side, told apart by most colour-blind eyes (after Okabe & Ito 2008).
pub(super) const METHODS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(117, 112, 179),
    RGBColor(140, 86, 75),
];
/// From low to high: seen on white and on black alike.
const SCALE: [RGBColor; 5] = [
    RGBColor(54, 110, 214),
    RGBColor(38, 162, 176),
    RGBColor(122, 178, 80),
    RGBColor(232, 160, 32),
    RGBColor(222, 62, 28),
];
pub(super) const FONT: &str = "sans-serif";

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(super) fn failed(error: impl Display) -> Error {
    Error::compute("drawing of a picture", error)
}

/// The text of an SVG file of `size` pixels (width, height).
pub(super) fn drawn(size: (u32, u32), draw: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// The colour of a share from 0 (low) to 1 (high); what lies outside has the colour of the end.
pub(super) fn scale_colour(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * (SCALE.len() - 1) as f64;
    let below = (place as usize).min(SCALE.len() - 2);
    let (low, high, between) = (SCALE[below], SCALE[below + 1], place - below as f64);
    let mix = |low: u8, high: u8| (f64::from(low) + between * (f64::from(high) - f64::from(low))).round() as u8;
    RGBColor(mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
}

/// The bar of [`scale_colour`] from bottom to top in pixels, with texts at its ends and its middle, and a title above.
pub(super) fn draw_scale(area: &Area, corner: (i32, i32), height: i32, texts: [&str; 3], title: &str) -> Result<()> {
    const STEPS: i32 = 64;
    let (left, top) = corner;
    for step in 0..STEPS {
        let bottom = top + height - step * height / STEPS;
        let color = scale_colour((f64::from(step) + 0.5) / f64::from(STEPS));
        // Each over the upper part of the one before: between neighbours a screen may show a seam.
        let corners = [(left, top), (left + 16, bottom)];
        area.draw(&Rectangle::new(corners, color.filled())).map_err(failed)?;
    }
    let font = || (FONT, 14).into_font();
    for (text, y) in texts.into_iter().zip([top + height, top + height / 2, top]) {
        area.draw(&Text::new(text.to_owned(), (left + 24, y - 8), font())).map_err(failed)?;
    }
    area.draw(&Text::new(title.to_owned(), (left - 4, top - 28), font())).map_err(failed)
}

/// A logarithmic axis, labelled at the powers of ten, and at their doubles and fives where there are few.
pub(super) fn logarithmic(range: Range<f64>) -> WithKeyPoints<LogCoord<f64>> {
    let exponents = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let is_short = range.end / range.start <= 100.0;
    let points = |factors: &[f64]| -> Vec<f64> {
        let all = exponents.clone().flat_map(|exponent| factors.iter().map(move |by| by * 10f64.powi(exponent)));
        all.filter(|point| (range.start * 0.999..=range.end * 1.001).contains(point)).collect()
    };
    let labelled = points(if is_short { &[1.0, 2.0, 5.0] } else { &[1.0] });
    let between = points(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    range.log_scale().with_key_points(labelled).with_light_points(between)
}

/// A number of a logarithmic axis without the noise of its last digits.
pub(super) fn log_label(value: &f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

/// How something is drawn, for the key.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    Dot,
    Line,
    Area,
}

/// An entry of a key: its text, its colour, and how it is drawn.
pub(super) type KeyEntry<'a> = (&'a str, RGBColor, Mark);

/// Height of a line of the key, pixels.
const KEY_LINE: i32 = 24;

/// Where each entry of a key begins, `(x, y)` in pixels, in lines that are no wider than a picture of `width`.
fn key_places(left: i32, width: i32, entries: &[KeyEntry]) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (left, 26);
    let place = |(text, ..): &KeyEntry| {
        let letters = text.chars().count() as i32;
        // A letter is about seven and a half pixels wide.
        if x > left && x + 32 + 15 * letters / 2 > width {
            (x, y) = (left, y + KEY_LINE);
        }
        let place = (x, y);
        x += 70 + 8 * letters;
        place
    };
    entries.iter().map(place).collect()
}

/// How much room above the plots [`draw_key`] takes in a picture of `width` pixels.
pub(super) fn key_height(left: i32, width: i32, entries: &[KeyEntry]) -> i32 {
    key_places(left, width, entries).last().map_or(0, |place| place.1 + KEY_LINE / 2)
}

/// The key above the plots, so that it covers none of them.
pub(super) fn draw_key(area: &Area, left: i32, entries: &[KeyEntry]) -> Result<()> {
    let width = area.dim_in_pixel().0 as i32;
    for ((x, y), (text, color, mark)) in key_places(left, width, entries).into_iter().zip(entries) {
        let shape = match mark {
            Mark::Dot => Circle::new((x + 12, y), 4, color.filled()).into_dyn(),
            Mark::Line => PathElement::new(vec![(x, y), (x + 24, y)], color.stroke_width(3)).into_dyn(),
            Mark::Area => Rectangle::new([(x, y - 7), (x + 24, y + 7)], color.mix(0.4).filled()).into_dyn(),
        };
        area.draw(&shape).map_err(failed)?;
        area.draw(&Text::new((*text).to_owned(), (x + 32, y - 8), (FONT, 16).into_font())).map_err(failed)?;
    }
    Ok(())
}

/// The key of methods side by side, each in its colour.
pub(super) fn method_key<'a>(names: impl Iterator<Item = &'a str>) -> Vec<KeyEntry<'a>> {
    names.zip(METHODS.iter().cycle()).map(|(name, color)| (name, *color, Mark::Line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_has_labels_at_both_ends() {
        use plotters::coord::ranged1d::{BoldPoints, Ranged};
        let labels = |range: Range<f64>| -> Vec<String> {
            logarithmic(range).key_points(BoldPoints(10)).iter().map(log_label).collect()
        };
        assert_eq!(labels(0.01..10.0), ["0.01", "0.1", "1", "10"]);
        assert_eq!(labels(0.1..1.0), ["0.1", "0.2", "0.5", "1"]);
    }

    #[test]
    fn a_long_key_goes_on_in_the_next_line() {
        let names = ["a".repeat(40), "b".repeat(40), "c".repeat(40), "d".repeat(400)];
        let key = method_key(names.iter().map(String::as_str));
        let places = key_places(70, 900, &key);
        assert_eq!(places, [(70, 26), (460, 26), (70, 50), (70, 74)]);
        assert_eq!((key_height(70, 900, &key), key_height(70, 900, &[])), (86, 0));
    }

    #[test]
    fn colours_run_from_end_to_end() {
        assert_eq!((scale_colour(-1.0), scale_colour(0.0)), (SCALE[0], SCALE[0]));
        assert_eq!((scale_colour(0.5), scale_colour(1.0), scale_colour(7.0)), (SCALE[2], SCALE[4], SCALE[4]));
    }
}
