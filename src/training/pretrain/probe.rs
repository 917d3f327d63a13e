//! What features are worth in rooms that they never saw: a new head on frozen features, judged on views that it never saw.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::eye::Eye;
use super::heads::RoomHeads;
use super::learn::median_distance;
use super::room::{Room, augmented};
use super::settings::Pretraining;
use crate::loss::{point_loss, soft_clip};
use crate::network::checkpoint;
use crate::training::adam::{Adam, AdamConfig};
use crate::training::pairs::mix;
use crate::training::schedule::learning_rate;
use crate::{Error, Result};

/// Cells in a step.
const CELLS: usize = 2048;
/// Views in one pass of the encoder.
const CHUNK: usize = 8;
/// The stream of seeds of the rooms to judge in; those to learn in are another.
const JUDGED_IN: u64 = 23;

/// How features are judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Rooms, none of which was learned in.
    pub rooms: usize,
    /// Steps of each head.
    pub steps: u64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { rooms: 4, steps: 800 }
    }
}

/// The median distance of points, metres, mean over the rooms: of the encoder in a file, or with random weights. Half of the
/// views teach the head, and the other half, in other colours, judge it.
///
/// # Errors
/// Those of [`pretrain`](super::pretrain), and of a file that does not fit the architecture.
pub fn probe(settings: &Pretraining, weights: Option<&std::path::Path>, probe: Probe) -> Result<f64> {
    settings.check()?;
    if probe.rooms == 0 {
        return Err(Error::config("probe.rooms", "at least 1", "0"));
    }
    let eye = Eye::new(&Pretraining { start: None, ..settings.clone() })?;
    if let Some(path) = weights {
        checkpoint::load_pretrained(&eye.store, path)?;
    }
    let rooms =
        (0..probe.rooms as u64).map(|room| of_room(&eye, settings, mix(settings.seed, JUDGED_IN, room), probe.steps));
    Ok(rooms.sum::<Result<f64>>()? / probe.rooms as f64)
}

fn of_room(eye: &Eye, settings: &Pretraining, seed: u64, steps: u64) -> Result<f64> {
    let room = Room::render(seed, eye.cells, settings, eye.store.device())?;
    let half = room.len() / 2;
    let (features_nc, truth_n3) = seen(eye, &room, (0..half).collect(), (settings, seed))?;
    let (unseen_nc, unseen_n3) = seen(eye, &room, (half..room.len()).collect(), (settings, seed))?;
    // As the head of a scene does: features of the order of one.
    let mean_c = features_nc.mean_dim([0i64].as_slice(), false, Kind::Float);
    let deviation_c = features_nc.std_dim([0i64].as_slice(), true, false) + 1e-3;
    let standard = |features: &Tensor| ((features - &mean_c) / &deviation_c).unsqueeze(0);

    let heads = RoomHeads::new(1, eye.channels()?, settings.head_width, eye.store.device());
    let mut learned: Vec<(String, Tensor)> = heads.variables().collect();
    learned.sort_by(|one, other| one.0.cmp(&other.0));
    let mut adam = Adam::new(learned, AdamConfig::default());
    let rows = features_nc.size()[0] as usize;
    for step in 0..steps {
        let mut random = ChaCha8Rng::seed_from_u64(mix(seed, 3, step));
        let chosen: Vec<i64> =
            index::sample(&mut random, rows, CELLS.min(rows)).into_iter().map(|row| row as i64).collect();
        let chosen = Tensor::from_slice(&chosen).to_device(eye.store.device());
        let points = heads.points(&[0], &standard(&features_nc.index_select(0, &chosen))).get(0);
        let clip = soft_clip(step as f64 / steps as f64, settings.coarse, settings.fine);
        let loss = point_loss(&points, &truth_n3.index_select(0, &chosen), room.scale, clip).mean(Kind::Float);
        let gradients = adam.gradients(&loss)?;
        adam.step(&gradients, settings.head_learning_rate * learning_rate(step, steps, 1));
    }
    let points = tch::no_grad(|| heads.points(&[0], &standard(&unseen_nc)).get(0));
    Ok(room.scale * median_distance(&points, &unseen_n3))
}

/// Features `nc` and points `n3` of all cells of some views, each in colours of its own.
fn seen(eye: &Eye, room: &Room, views: Vec<usize>, (settings, seed): (&Pretraining, u64)) -> Result<(Tensor, Tensor)> {
    let mut features = Vec::new();
    for chunk in views.chunks(CHUNK) {
        let shown: Vec<_> = chunk.iter().map(|&view| (room.image(view), mix(seed, 4, view as u64))).collect();
        let images = augmented(&shown, &settings.photometric);
        features.push(tch::no_grad(|| eye.features(&images, false))?.flatten(0, 1));
    }
    let points: Vec<&Tensor> = views.iter().map(|&view| room.points(view)).collect();
    Ok((Tensor::cat(&features, 0), Tensor::cat(&points, 0)))
}
