//! The place as a model believes it to be: points of the map from above, in the colours of the images that show them.

use std::fmt::Write;
use std::ops::Range;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, Rgba, RgbaImage};
use nalgebra::Vector3;
use plotters::prelude::*;

use super::Figure;
use super::gallery::base64;
use crate::evaluation::FrameResult;
use crate::evaluation::canvas::{METHODS, Mark, TRAINING, TRUTH, draw_key, drawn, failed};
use crate::evaluation::plan::Plan;
use crate::geometry::Se3;
use crate::{Error, Result};

/// Share of the points on each side of an axis that the picture may leave outside: what lies far off is believed of hardly
/// anything.
const OUTSIDE_SHARE: f64 = 0.02;
/// Pixels of the picture per pixel of the cloud in it, so that single points are seen.
const DOT: i32 = 2;
/// What shows through a single point; through two of them its square does.
const TRANSPARENCY: f64 = 0.4;

/// A point of the map, as an image shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CloudPoint {
    /// In the map, metres.
    pub position: Vector3<f64>,
    /// Red, green and blue.
    pub colour: [u8; 3],
}

/// Points from above with the training path and the answers in them; `frames` is how many images the points are of.
///
/// # Errors
/// When the picture cannot be drawn.
pub(super) fn cloud(points: &[CloudPoint], frames: usize, training: &[Se3], results: &[FrameResult]) -> Result<Figure> {
    let seen: Vec<Vector3<f64>> = training.iter().map(|pose| pose.translation).collect();
    let truths = results.iter().map(|result| result.truth.translation);
    let known: Vec<Vector3<f64>> = seen.iter().copied().chain(truths).collect();
    let shown: Vec<Vector3<f64>> = known.iter().copied().chain(robust_corners(points)).collect();
    let plan = Plan::new(&known, &shown);
    let inside = points.iter().filter(|point| plan.shows(point.position)).count();
    let answers = results.iter().filter_map(|result| Some(result.estimate.as_ref()?.map_from_camera.translation));
    let answers: Vec<Vector3<f64>> = answers.collect();
    let answered = match answers.iter().filter(|at| !plan.shows(**at)).count() {
        0 => "answer".to_owned(),
        outside => format!("answer ({outside} outside)"),
    };
    let mut pixels = (0..0, 0..0);
    let svg = drawn((980, 760), |area| {
        let mut chart = plan.chart(area, 50)?;
        pixels = chart.plotting_area().get_pixel_range();
        let dots = |positions: Vec<Vector3<f64>>, radius: i32, colour: RGBColor| {
            let places: Vec<_> = positions.into_iter().filter(|at| plan.shows(*at)).map(|at| plan.place(at)).collect();
            places.into_iter().map(move |at| Circle::new(at, radius, colour.filled()))
        };
        chart.draw_series(dots(seen, 2, TRAINING)).map_err(failed)?;
        chart.draw_series(dots(answers, 3, METHODS[0])).map_err(failed)?;
        let silent = results.iter().filter(|result| result.estimate.is_none()).map(|result| result.truth.translation);
        let crosses = silent.map(|at| Cross::new(plan.place(at), 4, TRUTH.stroke_width(2)));
        chart.draw_series(crosses).map_err(failed)?;
        draw_key(area, 80, &[("training path", TRAINING, Mark::Dot), (&answered, METHODS[0], Mark::Dot)])
    })?;
    Ok(Figure {
        name: "point_cloud".into(),
        title: "The place that the model believes in".into(),
        caption: caption(points.len(), points.len() - inside, frames, results),
        svg: with_backdrop(&svg, &raster(points, &plan, &pixels), &pixels)?,
        csv: csv(points),
    })
}

fn caption(points: usize, outside: usize, frames: usize, results: &[FrameResult]) -> String {
    let silent = match results.iter().filter(|result| result.estimate.is_none()).count() {
        0 => String::new(),
        silent => format!(" Crosses: where {silent} frames without an answer truly were."),
    };
    format!(
        "From above (the plane of the two longest extents of the path): {points} points behind cells of {frames} \
         training images, as the model says or, of poses measured from reference frames, as these have them, each in \
         the colour of its pixel; {outside} of them lie outside of the picture. Sharp walls and furniture: learned. A fog, or one wall in two places: not learned there, and poses that stand on it are not \
         measured well.{silent}"
    )
}

/// Two corners between which most points lie, along each axis of the map; none without points.
fn robust_corners(points: &[CloudPoint]) -> Vec<Vector3<f64>> {
    let sorted = [0, 1, 2].map(|axis| {
        let values = points.iter().map(|point| point.position[axis]).filter(|value| value.is_finite());
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values
    });
    let Some(fewest) = sorted.iter().map(Vec::len).min().filter(|count| *count > 0) else { return Vec::new() };
    let outside = (OUTSIDE_SHARE * fewest as f64) as usize;
    let corner = |from_end: bool| {
        let value = |values: &Vec<f64>| values[if from_end { values.len() - 1 - outside } else { outside }];
        Vector3::from_iterator(sorted.iter().map(value))
    };
    vec![corner(false), corner(true)]
}

/// The mean colour of the points in each pixel, the less transparent the more they are.
fn raster(points: &[CloudPoint], plan: &Plan, (x, y): &(Range<i32>, Range<i32>)) -> RgbaImage {
    let [columns, rows] = [x, y].map(|range| ((range.end - range.start) / DOT).max(1) as u32);
    let mut sums = vec![([0u64; 3], 0u32); (columns * rows) as usize];
    for point in points {
        let Some([from_left, from_above]) = plan.share(point.position) else { continue };
        let (column, row) = ((from_left * f64::from(columns)) as u32, (from_above * f64::from(rows)) as u32);
        let (sum, count) = &mut sums[(row * columns + column) as usize];
        *count += 1;
        sum.iter_mut().zip(point.colour).for_each(|(sum, value)| *sum += u64::from(value));
    }
    RgbaImage::from_fn(columns, rows, |column, row| {
        let (sum, count) = sums[(row * columns + column) as usize];
        let [red, green, blue] = sum.map(|sum| (sum / u64::from(count.max(1))) as u8);
        Rgba([red, green, blue, (255.0 * (1.0 - TRANSPARENCY.powf(f64::from(count)))).round() as u8])
    })
}

/// A picture with an image behind all that is drawn, in these pixels of it: the image follows its first shape, the paper.
fn with_backdrop(svg: &str, image: &RgbaImage, (x, y): &(Range<i32>, Range<i32>)) -> Result<String> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(image, image.width(), image.height(), ExtendedColorType::Rgba8)
        .map_err(|error| Error::compute("PNG of a report", error))?;
    let (width, height) = (x.end - x.start, y.end - y.start);
    let element = format!(
        "/>\n<image x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
         image-rendering=\"pixelated\" href=\"data:image/png;base64,{}\"/>\n",
        x.start,
        y.start,
        base64(&png)
    );
    Ok(svg.replacen("/>\n", &element, 1))
}

fn csv(points: &[CloudPoint]) -> String {
    let mut csv = String::from("x,y,z,red,green,blue\n");
    for CloudPoint { position: at, colour: [red, green, blue] } in points {
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "{:.3},{:.3},{:.3},{red},{green},{blue}", at.x, at.y, at.z);
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;

    /// A red wall along x, a blue one along y, and a point far away.
    fn room() -> Vec<CloudPoint> {
        let at = |x: f64, y: f64, colour| CloudPoint { position: Vector3::new(x, y, 1.0), colour };
        let red = (0..100).map(|step| at(0.04 * f64::from(step), 0.0, [200, 0, 0]));
        let blue = (0..100).map(|step| at(0.0, 0.03 * f64::from(step), [0, 0, 200]));
        red.chain(blue).chain([at(500.0, -900.0, [0, 250, 0])]).collect()
    }

    fn path() -> Vec<Se3> {
        let at = |step: i32| Vector3::new(0.3 * f64::from(step), 0.1 * f64::from(step), 1.0);
        (1..10).map(|step| Se3::new(So3::identity(), at(step))).collect()
    }

    #[test]
    fn points_far_off_do_not_shrink_the_picture() {
        let corners = robust_corners(&room());
        assert!(corners[0].x >= 0.0 && corners[1].x < 4.0 && corners[0].y >= 0.0 && corners[1].y < 3.0, "{corners:?}");
        assert!(robust_corners(&[]).is_empty());
        let figure = cloud(&room(), 2, &path(), &[]).unwrap();
        assert!(
            figure.caption.contains("201 points") && figure.caption.contains("1 of them lie outside"),
            "{figure:?}"
        );
        assert!(figure.svg.contains("x (m)") && figure.svg.contains("y (m)"), "{}", figure.svg);
        assert_eq!(figure.csv.lines().count(), 202);
    }

    #[test]
    fn a_point_has_its_colour_where_it_lies() {
        let known: Vec<Vector3<f64>> = path().iter().map(|pose| pose.translation).collect();
        let plan = Plan::new(&known, &known.iter().copied().chain(robust_corners(&room())).collect::<Vec<_>>());
        let image = raster(&room(), &plan, &(80..880, 50..650));
        assert_eq!(image.dimensions(), (400, 300));
        let pixel = |x: f64, y: f64| {
            let [left, above] = plan.share(Vector3::new(x, y, 0.0)).unwrap();
            image.get_pixel((400.0 * left) as u32, (300.0 * above) as u32).0
        };
        assert_eq!(pixel(2.0, 0.0), [200, 0, 0, 153]);
        assert_eq!(pixel(0.0, 1.5), [0, 0, 200, 153]);
        assert_eq!(pixel(0.0, 0.0)[..3], [100, 0, 100], "the mean of both, where they meet");
        assert_eq!(pixel(2.0, 1.5)[3], 0, "nothing is there");
    }

    #[test]
    fn the_image_lies_behind_the_drawing() {
        let svg = "<svg>\n<rect fill=\"#FFFFFF\"/>\n<circle/>\n</svg>\n";
        let with = with_backdrop(svg, &RgbaImage::new(2, 1), &(10..50, 20..40)).unwrap();
        let [paper, image, circle] = ["<rect", "<image", "<circle"].map(|element| with.find(element).unwrap());
        assert!(paper < image && image < circle, "{with}");
        assert!(with.contains("x=\"10\" y=\"20\" width=\"40\" height=\"20\"") && with.contains("base64,iVBORw0KGgo"));
    }
}
