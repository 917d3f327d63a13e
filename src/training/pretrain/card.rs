//! What is written: the encoder under torchvision's names, and a card that says what it was made of.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

use super::probe::Probe;
use super::settings::Pretraining;
use crate::network::checkpoint::{self, Precision};
use crate::network::{EncoderConfig, NetworkConfig, Normalization};
use crate::{Error, Result};

/// The weights, for `vloc train --weights`.
pub const ENCODER_FILE: &str = "encoder.safetensors";
/// The card.
pub const CARD_FILE: &str = "encoder.yaml";

/// What an encoder was made of, and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderCard {
    /// The program.
    pub created_by: String,
    /// Of the weights.
    pub licence: String,
    /// What they were learned from.
    pub trained_on: String,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Scaling of the colours that it expects.
    pub normalization: Normalization,
    /// SHA-256 of the weights that it started from; absent: random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_from: Option<String>,
    /// How it was pretrained.
    pub pretraining: Pretraining,
    /// Steps that were done when it was written.
    pub steps_done: u64,
    /// Seconds that they took.
    pub seconds: f64,
    /// What it is worth in unseen rooms, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// Of the file of weights.
    pub sha256: String,
}

/// Median distances of points in rooms that were not learned in, metres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// How it was measured.
    pub probe: Probe,
    /// On the features of this encoder.
    pub encoder: f64,
    /// On those of the same one with random weights.
    pub random: f64,
}

impl EncoderCard {
    /// Writes the card beside the weights.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn write(&self, folder: &std::path::Path) -> Result<()> {
        let text =
            serde_yaml::to_string(self).map_err(|error| Error::compute("writing the card of an encoder", error))?;
        let path = folder.join(CARD_FILE);
        fs::write(&path, text).map_err(Error::io("write", &path))
    }
}

/// Writes the encoder in half precision, and its card.
pub(super) fn write(
    store: &VarStore,
    settings: &Pretraining,
    architecture: &NetworkConfig,
    (steps_done, seconds): (u64, f64),
) -> Result<EncoderCard> {
    let named = |(name, variable): (String, Tensor)| Some((name.strip_prefix("trunk.")?.to_owned(), variable));
    let tensors: BTreeMap<String, Tensor> = store.variables().into_iter().filter_map(named).collect();
    let sha256 = checkpoint::write_tensors(&tensors, &settings.out.join(ENCODER_FILE), Precision::Half)?;
    let card = EncoderCard {
        created_by: format!("vloc {}", env!("CARGO_PKG_VERSION")),
        licence: "Apache-2.0".to_owned(),
        trained_on: "procedural rooms, rendered from their seeds; no recording, no image and no weights of others"
            .to_owned(),
        encoder: architecture.encoder.clone(),
        normalization: architecture.normalization,
        started_from: settings.start.as_deref().map(checkpoint::sha256).transpose()?,
        pretraining: settings.clone(),
        steps_done,
        seconds: seconds.round(),
        judged: None,
        sha256,
    };
    card.write(&settings.out)?;
    Ok(card)
}
