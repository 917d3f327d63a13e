//! Numbers against their ranges, and whether parts go together.

use super::{
    CropConfig, EncoderConfig, GalleryConfig, InputSize, LocalizerConfig, NetworkConfig, Normalization, Odometry,
    SceneCoordinatesConfig, SemanticsConfig, Temporal, TransformerConfig, Variance,
};
use crate::{Error, Result};

impl NetworkConfig {
    /// Checks every number against its range, and whether the parts go together.
    ///
    /// # Errors
    /// [`Error::Config`] with the key, what it should be and what to change.
    pub fn check(&self) -> Result<()> {
        self.check_sizes()?;
        self.check_regressor()?;
        self.check_composition()
    }

    fn check_sizes(&self) -> Result<()> {
        let InputSize { height, width } = self.input;
        sizes("network.input", &[height.into(), width.into()], 4096)?;
        let seen = self.seen();
        if seen.height.min(seen.width) < 32 {
            let key = if self.crop.is_some() { "network.crop" } else { "network.input" };
            let found = format!("{}x{}", seen.height, seen.width);
            return Err(Error::config(key, "at least 32 rows and columns", found));
        }
        if let Some(CropConfig { height: rows, width: cols, count }) = self.crop {
            if rows > height || cols > width {
                let expected = format!("at most the input, {height}x{width}");
                return Err(Error::config("network.crop", expected, format!("{rows}x{cols}")));
            }
            sizes("network.crop.count", &[count as i64], 1024)?;
        }
        if let EncoderConfig::Resnet { shape } = &self.encoder {
            sizes("network.encoder.shape.depths", &shape.depths, 64)?;
            sizes("network.encoder.shape.widths", &shape.widths, 4096)?;
        }
        if let Some(SemanticsConfig { channels, classes }) = &self.semantics {
            sizes("network.semantics.channels", &[*channels], 1024)?;
            let twice = classes.iter().enumerate().any(|(index, name)| classes[..index].contains(name));
            if twice || classes.len() > 255 {
                let found = format!("{} names{}", classes.len(), if twice { ", one of them twice" } else { "" });
                return Err(Error::config("network.semantics.classes", "at most 255 names, each once", found));
            }
        }
        match self.localizer {
            LocalizerConfig::Average => Ok(()),
            LocalizerConfig::Grid { rows, cols, channels } => sizes("network.localizer", &[rows, cols, channels], 1024),
            LocalizerConfig::Lstm { rows, cols, units } => sizes("network.localizer", &[rows, cols, units], 4096),
            LocalizerConfig::Hourglass { channels, rows, cols } => {
                sizes("network.localizer", &[rows, cols, channels], 1024)
            }
            LocalizerConfig::Transformer { shape } => shape.check_sizes(),
            LocalizerConfig::SceneCoordinates { shape } => shape.check_sizes(),
        }
    }

    fn check_regressor(&self) -> Result<()> {
        sizes("network.hidden", &self.hidden, 65_536)?;
        if self.hidden.is_empty() && self.scene_coordinates().is_none() {
            return Err(Error::config("network.hidden", "at least one width", "none"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config("network.dropout", "0 <= dropout < 1", self.dropout.to_string()));
        }
        if self.dropout_samples > 1024 {
            return Err(Error::config("network.dropout_samples", "0 to 1024", self.dropout_samples.to_string()));
        }
        if let Some(anchors) = self.anchors {
            sizes("network.anchors.count", &[anchors.count as i64], 65_536)?;
        }
        if let Some(GalleryConfig { neighbours, images }) = self.gallery {
            sizes("network.gallery.images", &[images as i64], 1_000_000)?;
            sizes("network.gallery.neighbours", &[neighbours as i64], images.min(64) as i64)?;
        }
        let samples = self.crop.map_or(self.dropout_samples, |crop| crop.count.max(self.dropout_samples));
        if self.variance == Variance::Samples && (samples < 2 || self.dropout == 0.0) {
            let found = format!("samples, with dropout {} and {samples} of them", self.dropout);
            let expected = "predicted, or samples with a dropout above 0 and at least 2 dropout_samples";
            return Err(Error::config("network.variance", expected, found));
        }
        let Normalization { mean, std } = &self.normalization;
        if !mean.iter().all(|value| value.is_finite()) || !std.iter().all(|value| value.is_finite() && *value > 0.0) {
            return Err(Error::config(
                "network.normalization",
                "finite means, positive std",
                format!("{mean:?} {std:?}"),
            ));
        }
        Ok(())
    }

    fn check_composition(&self) -> Result<()> {
        let stages = self.encoder.stages();
        let refuse = |key: &str, expected: String, found: String| Err(Error::config(key, expected, found));
        let shared = self.shared_stages();
        if !(1..=stages).contains(&shared) {
            return refuse("network.shared_stages", format!("1 to {stages} for this encoder"), shared.to_string());
        }
        let joins_maps = matches!(self.temporal, Temporal::PreviousPose | Temporal::PreviousFeatures);
        let first = if joins_maps { self.joining_stage() } else { shared };
        if let Some(branch) = self.orientation_branch
            && !(first..=stages).contains(&branch)
        {
            let expected = format!("{first} to {stages}: behind what position and orientation share");
            return refuse("network.orientation_branch", expected, branch.to_string());
        }
        if self.orientation_branch.is_some() && self.temporal == Temporal::Lstm {
            let found = "lstm with orientation_branch; leave one of them out".to_owned();
            return refuse("network.temporal", "one vector per frame for an LSTM".to_owned(), found);
        }
        if let Some(stage) = self.auxiliary_heads.iter().find(|stage| **stage >= shared) {
            let expected = format!("shared stages, 0 to {}", shared - 1);
            return refuse("network.auxiliary_heads", expected, stage.to_string());
        }
        let is_resnet = matches!(self.encoder, EncoderConfig::Resnet { .. });
        if matches!(self.localizer, LocalizerConfig::Hourglass { .. }) && !is_resnet {
            return refuse(
                "network.localizer",
                "a resnet encoder for hourglass, which adds its maps on the way up".to_owned(),
                "another encoder; take resnet, or the localizer grid".to_owned(),
            );
        }
        if self.crop.is_some() && self.semantics.is_some() {
            let found = "a crop with semantics; leave one of them out".to_owned();
            return refuse("network.crop", "whole images, as labels have them".to_owned(), found);
        }
        if let Some(part) = self.of_absolute_poses()
            && self.gallery.is_some()
        {
            let expected = "a pair regressor alone, which has no absolute pose".to_owned();
            return refuse("network.gallery", expected, format!("{part} beside it; leave that out, or the gallery"));
        }
        if let Some(shape) = self.transformer() {
            self.check_transformer(shape)?;
        }
        if self.scene_coordinates().is_some() {
            self.check_scene_coordinates()?;
        }
        if self.crop.is_some() && (self.odometry != Odometry::None || self.temporal != Temporal::None) {
            let found = "a crop with odometry or temporal; set both to none, or leave out crop".to_owned();
            return refuse(
                "network.crop",
                "single frames: parts of two frames show different places".to_owned(),
                found,
            );
        }
        Ok(())
    }
}

impl NetworkConfig {
    /// A part that has no meaning without an absolute pose of a single, whole frame.
    fn of_absolute_poses(&self) -> Option<&'static str> {
        let parts = [
            (self.odometry != Odometry::None, "odometry"),
            (self.temporal != Temporal::None, "temporal"),
            (self.crop.is_some(), "crop"),
            (self.anchors.is_some(), "anchors"),
            (self.semantics.is_some(), "semantics"),
            (self.orientation_branch.is_some(), "orientation_branch"),
            (!self.auxiliary_heads.is_empty(), "auxiliary_heads"),
        ];
        parts.into_iter().find_map(|(present, name)| present.then_some(name))
    }
}

impl NetworkConfig {
    /// Whether the transformers can read their maps, and nothing stands beside them that has no part in them.
    fn check_transformer(&self, shape: &TransformerConfig) -> Result<()> {
        if let Some(part) = self.of_absolute_poses() {
            let found = format!("{part} beside it; leave that out, or take another localizer");
            return Err(Error::config("network.localizer", "a transformer alone", found));
        }
        let needed = 1 + shape.position_stage.max(shape.orientation_stage);
        let found = self.shared_stages();
        if found != needed {
            let expected = format!("{needed}: up to the last map that a transformer reads, counted from stage 0");
            return Err(Error::config("network.shared_stages", expected, found.to_string()));
        }
        Ok(())
    }
}

impl NetworkConfig {
    /// Whether there are two maps to read the points from, and nothing stands beside them that has no part in them.
    fn check_scene_coordinates(&self) -> Result<()> {
        let refuse = |key: &str, expected: &str, found: String| Err(Error::config(key, expected, found));
        let Some((_, coarse)) = self.encoder.cell_stages() else {
            let found = "another encoder; take one of these".to_owned();
            return refuse("network.encoder", "squeezenet or resnet for scene_coordinates", found);
        };
        let of_regressors = [
            (!self.hidden.is_empty(), "hidden"),
            (self.dropout_samples > 0, "dropout_samples"),
            (self.gallery.is_some(), "gallery"),
        ];
        let of_regressors = of_regressors.into_iter().find_map(|(present, name)| present.then_some(name));
        if let Some(part) = self.of_absolute_poses().or(of_regressors) {
            let found = format!("{part} beside it; leave that out, or take another localizer");
            return refuse("network.localizer", "scene_coordinates alone", found);
        }
        match self.shared_stages() == coarse + 1 {
            true => Ok(()),
            false => {
                let expected = format!("{}: up to the map with a sixteenth of the resolution", coarse + 1);
                refuse("network.shared_stages", &expected, self.shared_stages().to_string())
            }
        }
    }
}

impl SceneCoordinatesConfig {
    fn check_sizes(&self) -> Result<()> {
        let Self { width, blocks, cells, parts } = *self;
        sizes("network.localizer.shape.width", &[width], 4096)?;
        sizes("network.localizer.shape.blocks", &[blocks as i64], 64)?;
        sizes("network.localizer.shape.parts", &[parts as i64], Self::MOST_PARTS as i64)?;
        match cells {
            0 => Ok(()),
            few if few < 64 => {
                let expected = "0 for all, or at least 64: a pose needs points all over the image";
                Err(Error::config("network.localizer.shape.cells", expected, few.to_string()))
            }
            _ => Ok(()),
        }
    }
}

impl TransformerConfig {
    fn check_sizes(&self) -> Result<()> {
        let Self { width, heads, layers, feedforward, dropout, scenes, .. } = *self;
        let key = |name: &str| format!("network.localizer.shape.{name}");
        sizes(&key("heads"), &[heads], 64)?;
        sizes(&key("layers"), &[layers as i64], 64)?;
        sizes(&key("feedforward"), &[feedforward], 16_384)?;
        sizes(&key("scenes"), &[scenes as i64], 1024)?;
        sizes(&key("width"), &[width], 4096)?;
        if width % (2 * heads) != 0 {
            return Err(Error::config(
                key("width"),
                format!("a multiple of {}, twice the heads", 2 * heads),
                width.to_string(),
            ));
        }
        match (0.0..1.0).contains(&dropout) {
            true => Ok(()),
            false => Err(Error::config(key("dropout"), "0 <= dropout < 1", dropout.to_string())),
        }
    }
}

fn sizes(key: &str, values: &[i64], max: i64) -> Result<()> {
    match values.iter().find(|value| !(1..=max).contains(value)) {
        Some(value) => Err(Error::config(key, format!("1 to {max}"), value.to_string())),
        None => Ok(()),
    }
}
