//! `vloc inspect`: what is in a bag or a model.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::bag::{BagSummary, TopicSummary, inspect_bag};
use crate::network::{CARD_FILE, ModelCard};
use crate::{Error, Result};

/// Say what is in a bag (topics, rates, gaps, stamps, image sizes) or a model (its card).
#[derive(Clone, Debug, clap::Args)]
pub struct InspectArgs {
    /// A rosbag2 (its folder, or a single .mcap or .db3 file) or a model folder.
    pub path: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Prints the summary.
///
/// # Errors
/// As [`inspect_bag`] and [`ModelCard::read`].
pub fn run(args: &InspectArgs) -> Result<()> {
    if args.path.join(CARD_FILE).is_file() {
        return print_card(&ModelCard::read(&args.path)?, args.json);
    }
    let summary = inspect_bag(&args.path)?;
    if args.json {
        let json = serde_json::to_string_pretty(&summary).map_err(|error| Error::compute("summary as JSON", error))?;
        println!("{json}");
    } else {
        print!("{}", bag_table(&summary));
    }
    Ok(())
}

/// A model's card: JSON, or the YAML of the file with angles in degrees as a headline.
fn print_card(card: &ModelCard, as_json: bool) -> Result<()> {
    if as_json {
        let json = serde_json::to_string_pretty(card).map_err(|error| Error::compute("card as JSON", error))?;
        println!("{json}");
        return Ok(());
    }
    println!(
        "{}: {} parameters, {}x{} pixels, trained on {} ({} frames); validation median {:.3} m, {:.2} deg",
        card.name,
        card.weights.parameters,
        card.camera.width,
        card.camera.height,
        card.training.dataset,
        card.training.frames,
        card.validation.median_translation_error,
        card.validation.median_rotation_error.to_degrees()
    );
    print!("{}", serde_yaml::to_string(card).map_err(|error| Error::compute("card as YAML", error))?);
    Ok(())
}

/// The summary as lines of text: the bag, a table of its topics, and what is wrong.
pub fn bag_table(summary: &BagSummary) -> String {
    let mut text = format!(
        "{} ({}): {} messages in {:.3} s",
        summary.path.display(),
        summary.storage,
        summary.message_count,
        summary.duration
    );
    if let Some((start, end)) = summary.start.zip(summary.end) {
        let _ = write!(text, ", from {start} to {end}");
    }
    text.push('\n');
    let header = ["topic", "type", "messages", "Hz", "largest gap s", "images", "problems"].map(String::from);
    let rows: Vec<[String; 7]> = std::iter::once(header).chain(summary.topics.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let is_number = (2..5).contains(&column);
            let _ = if is_number { write!(line, "  {cell:>width$}") } else { write!(line, "  {cell:<width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for problem in &summary.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    text
}

fn row(topic: &TopicSummary) -> [String; 7] {
    let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
    let images = topic.images.iter().map(|image| format!("{}x{} {}", image.width, image.height, image.encoding));
    [
        topic.name.clone(),
        topic.message_type.clone(),
        topic.message_count.to_string(),
        number(topic.median_rate, 2),
        number(topic.largest_gap, 3),
        images.collect::<Vec<_>>().join(", "),
        topic.problems().join(", "),
    ]
}
