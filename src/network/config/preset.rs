//! The members of the family by name: the files in `config/models`.

use super::NetworkConfig;
use crate::{Error, Result};

/// Declares the presets, each a file in `config/models`.
macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        /// Names that [`NetworkConfig::preset`] knows.
        pub const PRESETS: &[&str] = &[$($name),*];
        /// Their texts, in the same order.
        const TEXTS: &[&str] =
            &[$(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/models/", $name, ".yaml"))),*];
    };
}

presets![
    "vlocnet",
    "vlocnet-small",
    "vlocnet-squeezenet",
    "vlocnet-plus-plus",
    "posenet",
    "posenet-learned",
    "bayesian-posenet",
    "lstm-pose",
    "hourglass-pose",
    "svs-pose",
    "branchnet",
    "mapnet",
];

impl NetworkConfig {
    /// An architecture by name: what the file `config/models/<name>.yaml` says, which also says where it is from.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name, with the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let unknown = || Error::config("preset", format!("one of {}", PRESETS.join(", ")), format!("{name:?}"));
        let index = PRESETS.iter().position(|known| *known == name).ok_or_else(unknown)?;
        serde_yaml::from_str(TEXTS[index]).map_err(|error| Error::compute(format!("reading the preset {name}"), error))
    }
}
