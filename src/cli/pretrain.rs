//! `vloc pretrain`: an encoder for scene coordinates from synthetic rooms alone. A verb of its own beside `train`: it takes no
//! dataset, and what it makes is no model yet but where a training starts.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;

use super::train::stop_on_signal;
use crate::config::load_yaml;
use crate::network::memory::keep_freed_memory;
use crate::network::{Device, InputSize, NetworkConfig, device};
use crate::progress::Progress;
use crate::training::{ENCODER_CARD_FILE, ENCODER_FILE, EncoderCard, Judged, Pretraining, Probe, pretrain, probe};
use crate::{Error, Result};

/// The architecture where none is named.
const PRESET: &str = "scene-coordinates-rooms";

/// Train an encoder for --preset scene-coordinates-rooms on synthetic rooms, from no recording.
///
/// The folder gets encoder.safetensors, for `vloc train --weights`, and encoder.yaml, which says what it was made of. They are written
/// many times: after Ctrl-C the last ones stay. At the end the features are judged in rooms that they never saw, beside
/// those of random weights.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  vloc pretrain --out out/encoder --threads 1
  vloc train --dataset my_bag --split config/splits/bag.yaml --preset scene-coordinates-rooms \\
    --weights out/encoder/encoder.safetensors --out out/my_model")]
pub struct PretrainArgs {
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Rooms to learn in.
    #[arg(long, value_name = "N")]
    pub rooms: Option<usize>,
    /// How many of them are there at once; the others follow as these grow old.
    #[arg(long, value_name = "N")]
    pub rooms_at_once: Option<usize>,
    /// Views of each room.
    #[arg(long, value_name = "N")]
    pub views: Option<usize>,
    /// Steps of the optimizer.
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Rooms in each step.
    #[arg(long, value_name = "N")]
    pub rooms_per_step: Option<usize>,
    /// Pairs of views of each of these in a step.
    #[arg(long, value_name = "N")]
    pub pairs_per_step: Option<usize>,
    /// Size of the views, such as 192x144.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub input: Option<InputSize>,
    /// An architecture with the localizer scene_coordinates, instead of the preset's: a file as those in config/models.
    #[arg(long, value_name = "YAML")]
    pub network: Option<PathBuf>,
    /// Seed of every random choice: other rooms, other weights.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Rooms to judge in at the end; 0 leaves that out.
    #[arg(long, value_name = "N", default_value_t = Probe::default().rooms)]
    pub judge_in: usize,
    /// Weights to start from, of an earlier pretraining (another seed then shows it other rooms), instead of random ones.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Threads of libtorch; default: all cores. One thread makes runs equal bit for bit.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl PretrainArgs {
    /// The usual settings with what the command line changes.
    fn settings(&self) -> Result<Pretraining> {
        let usual = Pretraining::default();
        let network = match &self.network {
            Some(path) => load_yaml(path)?,
            None => NetworkConfig::preset(PRESET)?,
        };
        let rooms = self.rooms.unwrap_or(usual.rooms);
        let rooms_at_once = self.rooms_at_once.unwrap_or(usual.rooms_at_once.min(rooms));
        Ok(Pretraining {
            network: Some(network),
            rooms,
            rooms_at_once,
            views: self.views.unwrap_or(usual.views),
            steps: self.steps.unwrap_or(usual.steps),
            rooms_per_step: self.rooms_per_step.unwrap_or(usual.rooms_per_step.min(rooms_at_once)),
            pairs_per_step: self.pairs_per_step.unwrap_or(usual.pairs_per_step),
            input: self.input.unwrap_or(usual.input),
            seed: self.seed,
            device: self.device,
            start: self.weights.clone(),
            out: self.out.clone(),
            ..usual
        })
    }
}

/// Runs the command.
///
/// # Errors
/// Those of [`pretrain`]; [`Error::Config`] for a folder that has a model.
pub fn run(args: &PretrainArgs) -> Result<()> {
    keep_freed_memory();
    if let Some(threads) = args.threads {
        device::set_threads(threads);
    }
    if args.out.join("model.yaml").exists() {
        return Err(Error::config("out", "a folder without a model", format!("{}; name another", args.out.display())));
    }
    let settings = args.settings()?;
    let stop = stop_on_signal()?;
    let card = pretrain(&settings, Progress::automatic(), &|| !stop.load(Ordering::Relaxed))?;
    let card = EncoderCard { judged: judge(args.judge_in, &settings)?, ..card };
    card.write(&args.out)?;
    println!("{}: {} steps in {} rooms", args.out.join(ENCODER_FILE).display(), card.steps_done, settings.rooms);
    if let Some(Judged { probe, encoder, random }) = card.judged {
        println!(
            "in {} rooms that it never saw the points of a new head are {encoder:.3} m off in the median, on random weights {random:.3} m",
            probe.rooms
        );
    }
    println!("what it was made of: {}", args.out.join(ENCODER_CARD_FILE).display());
    Ok(())
}

fn judge(rooms: usize, settings: &Pretraining) -> Result<Option<Judged>> {
    if rooms == 0 {
        return Ok(None);
    }
    let how = Probe { rooms, ..Probe::default() };
    let encoder = probe(settings, Some(&settings.out.join(ENCODER_FILE)), how)?;
    let random = probe(settings, None, how)?;
    Ok(Some(Judged { probe: how, encoder, random }))
}
