//! The members of the family by name: the files in `config/models`.

use super::NetworkConfig;
use crate::{Error, Result};

/// The members by name, handed to the macro that is named: the only list of them.
macro_rules! members {
    ($macro:ident $(, $folder:literal)?) => {
        $macro![
            ($($folder)?)
            "vlocnet",
            "vlocnet-small",
            "vlocnet-squeezenet",
            "vlocnet-plus-plus",
            "vlocnet-plus-plus-semantic",
            "dgrnets",
            "posenet",
            "posenet-learned",
            "posenet-reprojection",
            "bayesian-posenet",
            "lstm-pose",
            "hourglass-pose",
            "svs-pose",
            "branchnet",
            "anchornet",
            "nnnet",
            "nnnet-squeezenet",
            "relocnet",
            "ms-transformer",
            "mapnet",
            "mapnet-plus",
            "scene-coordinates",
            "scene-coordinates-rooms",
        ]
    };
}

/// The names of [`members`].
macro_rules! names {
    (() $($name:literal),* $(,)?) => { &[$($name),*] };
}

/// The text of each member's file in a folder of `config`.
macro_rules! texts {
    (($folder:literal) $($name:literal),* $(,)?) => {
        &[$(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/", $folder, "/", $name, ".yaml"))),*]
    };
}

pub(crate) use {members, texts};

/// Names that [`NetworkConfig::preset`] knows.
pub const PRESETS: &[&str] = members!(names);
/// Their texts, in the same order.
const TEXTS: &[&str] = members!(texts, "models");

/// The place of a preset in [`PRESETS`].
///
/// # Errors
/// [`Error::Config`] for an unknown name, with the known ones.
pub(crate) fn position(name: &str) -> Result<usize> {
    let unknown = || Error::config("preset", format!("one of {}", PRESETS.join(", ")), format!("{name:?}"));
    PRESETS.iter().position(|known| *known == name).ok_or_else(unknown)
}

impl NetworkConfig {
    /// An architecture by name: what the file `config/models/<name>.yaml` says, which also says where it is from.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name, with the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let index = position(name)?;
        serde_yaml::from_str(TEXTS[index]).map_err(|error| Error::compute(format!("reading the preset {name}"), error))
    }
}
