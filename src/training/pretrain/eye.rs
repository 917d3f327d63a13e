//! The encoder that is pretrained, as it looks at views.

use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::room::CellMap;
use super::settings::Pretraining;
use crate::network::device::guarded;
use crate::network::input::input_tensor;
use crate::network::scene_coordinates::SceneCoordinateHead;
use crate::network::{NetworkConfig, PoseNetwork, checkpoint};
use crate::{Error, Result};

/// An encoder, and what reads its maps.
pub(super) struct Eye {
    pub(super) architecture: NetworkConfig,
    pub(super) network: PoseNetwork,
    pub(super) store: VarStore,
    pub(super) cells: CellMap,
}

impl Eye {
    /// One with random weights, or those that the settings start from.
    pub(super) fn new(settings: &Pretraining) -> Result<Self> {
        let architecture = settings.architecture()?;
        let device = settings.device.resolve()?;
        tch::manual_seed(settings.seed as i64);
        let store = VarStore::new(device);
        let network = guarded("building the network", || PoseNetwork::new(&store.root(), &architecture))??;
        if let Some(path) = &settings.start {
            checkpoint::load_pretrained(&store, path)?;
        }
        let (height, width) = (i64::from(settings.input.height), i64::from(settings.input.width));
        let black = Tensor::zeros([1, 3, height, width], (Kind::Float, device));
        let [rows, columns] = head(&network)?.map_size(&tch::no_grad(|| network.shared(&black, false)));
        let cells = CellMap { grid: *head(&network)?.grid(), rows, columns };
        Ok(Self { architecture, network, store, cells })
    }

    /// Channels of the features of a cell.
    pub(super) fn channels(&self) -> Result<i64> {
        Ok(head(&self.network)?.channels())
    }

    /// The features of all cells of images, row by row, `bnc`.
    pub(super) fn features(&self, images: &[image::RgbImage], train: bool) -> Result<Tensor> {
        let references: Vec<_> = images.iter().collect();
        let NetworkConfig { input, normalization, .. } = &self.architecture;
        let input = input_tensor(&references, *input, normalization, self.store.device())?;
        let cells: Vec<i64> = (0..self.cells.count()).collect();
        Ok(head(&self.network)?.cell_features(&self.network.shared(&input, train), &cells))
    }
}

fn head(network: &PoseNetwork) -> Result<&SceneCoordinateHead> {
    let none = || Error::compute("pretraining", "expected an architecture with the localizer scene_coordinates");
    network.coordinates().ok_or_else(none)
}
