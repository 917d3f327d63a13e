//! What poses stand on that were measured from points: how many agree, the place that they make up, and where too few do.

use std::fmt::Write;

use image::RgbImage;

use super::cloud::{CloudPoint, cloud};
use super::csv::quoted;
use super::gallery::{Entry, Photo, in_numbers, in_words};
use super::{Gallery, Section, point_pictures};
use crate::Result;
use crate::evaluation::{Evaluation, FrameResult, PointsSummary, PoseError};

/// A frame without an answer.
#[derive(Clone, Debug)]
pub struct Unanswered {
    /// The frame, as its dataset names it.
    pub name: String,
    /// Why it has none.
    pub reason: String,
    /// Its image.
    pub query: RgbImage,
    /// The training image whose pose is nearest to the true one: its name, its image, and how far it is.
    pub nearest: Option<(String, RgbImage, PoseError)>,
}

/// What a model of points shows of itself, beside its answers.
#[derive(Clone, Debug, Default)]
pub struct Beliefs {
    /// The points that it says for cells of some training images.
    pub cloud: Vec<CloudPoint>,
    /// How many images those are.
    pub images: usize,
    /// Some of the frames without an answer.
    pub unanswered: Vec<Unanswered>,
}

/// The section of a method that measures poses from points: `evaluation` has the evidence of its answers, one entry for each of
/// `results`.
///
/// # Errors
/// When a picture cannot be drawn, or an image has no pixels.
pub fn points(evaluation: &Evaluation, results: &[FrameResult], beliefs: &Beliefs) -> Result<Section> {
    let mut section = Section::new("What the poses stand on").with(
        "Poses are measured: cells of an image show points of the map, as the model says or as they are recognized in reference \
         frames, and the pose is the one that most of these points agree with. Where too few agree there is no answer."
            .to_owned(),
    );
    if let Some(summary) = PointsSummary::new(&evaluation.evidence) {
        section = section.with(format!("{}.", capital(&summary.to_string())));
    }
    section = section.with(point_pictures::over_time(results, &evaluation.evidence)?);
    if let Some(figure) = point_pictures::against_share(results, &evaluation.evidence)? {
        section = section.with(figure);
    }
    if !beliefs.cloud.is_empty() {
        section = section.with(cloud(&beliefs.cloud, beliefs.images, &evaluation.training_path, results)?);
    }
    if !beliefs.unanswered.is_empty() {
        section = section.with(unanswered(&beliefs.unanswered)?);
    }
    Ok(section)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The frames that nothing is said of, beside what was seen from nearby in training.
fn unanswered(frames: &[Unanswered]) -> Result<Gallery> {
    let mut csv = String::from("name,reason,nearest_training,nearest_translation_m,nearest_rotation_deg\n");
    let mut entries = Vec::new();
    for Unanswered { name, reason, query, nearest } in frames {
        let mut photos = vec![Photo::new("no answer", format!("query image {name}"), query)?];
        let mut text = format!("{reason}.");
        // Writing to a String cannot fail, here and below.
        let _ = write!(csv, "{},{}", quoted(name), quoted(reason));
        match nearest {
            Some((nearest, image, distance)) => {
                photos.push(Photo::new("nearest training image", format!("training image {nearest}"), image)?);
                let _ = write!(text, " Nearest training image: {nearest}, {} away.", in_words(*distance));
                let _ = writeln!(csv, ",{},{}", quoted(nearest), in_numbers(*distance));
            }
            None => csv.push_str(",,,\n"),
        }
        entries.push(Entry { name: format!("{name}:"), text, photos });
    }
    let caption = "Frames without an answer, evenly chosen among all of them, each beside the training image that was taken \
                   nearest to the true pose. If that image is far away, the place was not taught; if it shows the same, too \
                   little of it was learned.";
    Ok(Gallery { name: "unanswered_frames".into(), caption: caption.into(), entries, csv })
}
