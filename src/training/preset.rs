//! The trainings that suit the members of the family: the files in `config/training`.

use super::config::TrainingConfig;
use crate::network::{NetworkConfig, members, preset_position, texts};
use crate::{Error, Result};

/// In the order of [`PRESETS`](crate::network::PRESETS).
const TEXTS: &[&str] = members!(texts, "training");

impl TrainingConfig {
    /// The training that suits a [network preset](NetworkConfig::preset), with its architecture.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name, with the known ones.
    pub fn preset(name: &str) -> Result<Self> {
        let text = TEXTS[preset_position(name)?];
        let broken = |error| Error::compute(format!("reading the training preset {name}"), error);
        let config: Self = serde_yaml::from_str(text).map_err(broken)?;
        Ok(Self { network: Some(NetworkConfig::preset(name)?), ..config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::PRESETS;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_a_preset_that_can_be_trained() {
        for kind in ["models", "training"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(kind);
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let names: BTreeSet<String> =
                files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            let mut known: BTreeSet<String> = PRESETS.iter().map(|name| (*name).to_owned()).collect();
            if kind == "training" {
                known.extend(["synthetic_room", "vlocnet-squeezenet-unfrozen"].map(str::to_owned));
            }
            assert_eq!(names, known, "{kind}");
        }
        for name in PRESETS {
            let config = TrainingConfig::preset(name).unwrap();
            config.check().unwrap();
            let network = config.network.as_ref().unwrap();
            network.check().unwrap();
            config.check_with(network).unwrap();
        }
        let error = TrainingConfig::preset("vlocnet-large").unwrap_err().to_string();
        assert!(error.starts_with("parameter preset: expected one of vlocnet, vlocnet-small"), "{error}");
    }
}
