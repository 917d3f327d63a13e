//! What a network finds alike: a long vector per frame, drawn in the two directions in which the vectors differ most
//! (principal components: K. Pearson 1901, "On lines and planes of closest fit").

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use plotters::prelude::*;

use super::csv::quoted;
use super::{Figure, Section};
use crate::evaluation::canvas::{Area, FONT, Mark, TRAINING, TRUTH, draw_key, draw_scale, drawn, failed, scale_colour};
use crate::{Error, Result};

/// Most frames that the directions are fitted to.
const MOST_FITTED: usize = 400;

/// Which frames a vector belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameSet {
    /// Seen in training.
    Training,
    /// Only tested.
    Test,
}

/// A frame as the network sees it, just before the pose.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The frame, as its dataset names it.
    pub name: String,
    /// Which set it belongs to.
    pub set: FrameSet,
    /// Its place in its own recording, from 0 (first) to 1 (last).
    pub progress: f64,
    /// The vector; as long for every frame.
    pub vector: Vec<f64>,
}

/// The frames in two dimensions, coloured by time.
///
/// # Errors
/// With fewer than three frames, with vectors of different lengths, or with numbers that are not finite.
pub fn embedding(frames: &[Embedded]) -> Result<Section> {
    let (points, shares) = principal_components(frames)?;
    let svg = drawn((980, 680), |area| draw(area, frames, &points, shares))?;
    let mut csv = String::from("name,set,progress,first,second\n");
    for (frame, [first, second]) in frames.iter().zip(&points) {
        let set = if frame.set == FrameSet::Training { "training" } else { "test" };
        csv.push_str(&format!("{},{set},{:.6},{first:.6},{second:.6}\n", quoted(&frame.name), frame.progress));
    }
    let percent = 100.0 * (shares[0] + shares[1]);
    Ok(Section::new("What the network finds alike").with(Figure {
        name: "embedding".into(),
        title: "Frames in the network's eyes".into(),
        caption: format!(
            "The vector of each frame just before the pose, in the two directions in which the training frames differ \
             most ({percent:.0} % of their variance). The colour is the time in a frame's own recording. Places that look alike \
             lie together: where colours far apart meet, the network confuses two places; test frames away from all \
             training frames look like nothing that was taught."
        ),
        svg,
        csv,
    }))
}

/// Coordinates along the two main directions of the training frames (of all, where none is), and the share of the
/// variance in each.
fn principal_components(frames: &[Embedded]) -> Result<(Vec<[f64; 2]>, [f64; 2])> {
    let size = frames.first().map_or(0, |frame| frame.vector.len());
    let is_sound = |frame: &Embedded| frame.vector.len() == size && frame.vector.iter().all(|value| value.is_finite());
    if frames.len() < 3 || size < 2 || !frames.iter().all(is_sound) {
        let found = format!("{} frames, the first with {size} numbers", frames.len());
        return Err(Error::message("embedding of frames", "three or more finite vectors of one length", found));
    }
    let training: Vec<&Embedded> = frames.iter().filter(|frame| frame.set == FrameSet::Training).collect();
    let basis = if training.len() < 3 { frames.iter().collect() } else { training };
    let basis: Vec<&Embedded> = basis.iter().step_by(basis.len().div_ceil(MOST_FITTED)).copied().collect();
    let vector = |frame: &Embedded| DVector::from_column_slice(&frame.vector);
    let mean = basis.iter().map(|frame| vector(frame)).sum::<DVector<f64>>() / basis.len() as f64;
    // The vectors are longer than there are frames: the small matrix has the same directions.
    let centred = DMatrix::from_columns(&basis.iter().map(|frame| vector(frame) - &mean).collect::<Vec<_>>());
    let gram = SymmetricEigen::new(centred.transpose() * &centred);
    let mut order: Vec<usize> = (0..basis.len()).collect();
    order.sort_by(|one, other| gram.eigenvalues[*other].total_cmp(&gram.eigenvalues[*one]));
    let total = gram.eigenvalues.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let directions = [order[0], order[1]].map(|index| {
        let direction = &centred * gram.eigenvectors.column(index);
        let norm = direction.norm();
        // Of two opposite directions always the same one.
        let sign = if direction[direction.iamax()] < 0.0 { -1.0 } else { 1.0 };
        direction * (sign / norm.max(f64::MIN_POSITIVE))
    });
    let points = frames.iter().map(|frame| {
        let offset = vector(frame) - &mean;
        [directions[0].dot(&offset), directions[1].dot(&offset)]
    });
    let shares = [order[0], order[1]].map(|index| gram.eigenvalues[index].max(0.0) / total);
    Ok((points.collect(), shares))
}

fn draw(area: &Area, frames: &[Embedded], points: &[[f64; 2]], shares: [f64; 2]) -> Result<()> {
    let (plot, margin) = area.split_horizontally(860);
    let range = |axis: usize| {
        let values = || points.iter().map(|point| point[axis]);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let room = 0.05 * (high - low).max(1e-6);
        low - room..high + room
    };
    let mut chart = ChartBuilder::on(&plot)
        .margin(20)
        .margin_top(50)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d(range(0), range(1))
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.08))
        .x_desc(format!("first component ({:.0} %)", 100.0 * shares[0]))
        .y_desc(format!("second component ({:.0} %)", 100.0 * shares[1]))
        .label_style((FONT, 15))
        .draw()
        .map_err(failed)?;
    let of = |set: FrameSet| frames.iter().zip(points).filter(move |(frame, _)| frame.set == set);
    let place = |point: &[f64; 2]| (point[0], point[1]);
    let training = of(FrameSet::Training)
        .map(|(frame, point)| Circle::new(place(point), 3, scale_colour(frame.progress).mix(0.35).filled()));
    chart.draw_series(training).map_err(failed)?;
    for (frame, point) in of(FrameSet::Test) {
        let dot = [
            Circle::new(place(point), 4, scale_colour(frame.progress).filled()),
            Circle::new(place(point), 5, TRUTH.stroke_width(1)),
        ];
        chart.draw_series(dot).map_err(failed)?;
    }
    let key = [("test frame (ringed)", TRUTH, Mark::Dot), ("training frame (pale)", TRAINING, Mark::Dot)];
    draw_key(&plot, 80, &key)?;
    draw_scale(&margin, (12, 110), 440, ["first", "", "last"], "time")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(index: usize, set: FrameSet, vector: Vec<f64>) -> Embedded {
        Embedded { name: format!("frame-{index}"), set, progress: index as f64 / 9.0, vector }
    }

    #[test]
    fn the_main_direction_is_found_with_its_share() {
        let at = |index: usize| {
            let (long, short) = (index as f64 - 4.5, if index.is_multiple_of(2) { 0.1 } else { -0.1 });
            vec![0.6 * long, 0.8 * long, short, 7.0]
        };
        let frames: Vec<Embedded> = (0..10).map(|index| frame(index, FrameSet::Training, at(index))).collect();
        let (points, shares) = principal_components(&frames).unwrap();
        assert!(shares[0] > 0.99 && (shares[0] + shares[1] - 1.0).abs() < 1e-9, "{shares:?}");
        assert!((points[9][0] - 4.5).abs() < 0.02 && (points[0][0] + 4.5).abs() < 0.02, "{points:?}");
        let section = embedding(&frames).unwrap();
        let super::super::Block::Figure(figure) = &section.blocks[0] else { panic!("a figure") };
        assert_eq!(figure.csv.lines().count(), 11);
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let mut frames: Vec<Embedded> =
            (0..4).map(|index| frame(index, FrameSet::Test, vec![index as f64, 1.0])).collect();
        assert!(embedding(&frames).is_ok());
        frames[1].vector[0] = f64::NAN;
        let error = embedding(&frames).unwrap_err().to_string();
        assert!(error.ends_with("found 4 frames, the first with 2 numbers"), "{error}");
        assert!(embedding(&frames[..2]).is_err() && embedding(&[]).is_err());
    }
}
