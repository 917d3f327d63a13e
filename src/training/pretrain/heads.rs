//! A small head for each room, several of them at once.

use tch::nn::{Init, VarStore};
use tch::{Device, Tensor};

/// Standard deviation of the weights that say the points: small, so that all start in the middle of their room.
const SMALL: f64 = 0.01;

/// Perceptrons of the same shape with weights of their own: channels - width - (width - width, residual) - 3.
pub(super) struct RoomHeads {
    store: VarStore,
    /// Weights `io` and biases `o` of the four layers of each.
    layers: Vec<Vec<[Tensor; 2]>>,
}

impl RoomHeads {
    /// So many heads with random weights.
    pub(super) fn new(count: usize, channels: i64, width: i64, device: Device) -> Self {
        let store = VarStore::new(device);
        let sides = [[channels, width], [width, width], [width, width], [width, 3]];
        let head = |head: usize| {
            let path = store.root() / "heads" / head as i64;
            let layer = |(index, [into, out]): (usize, [i64; 2])| {
                let path = &path / index as i64;
                [path.var("weight", &[into, out], Init::Const(0.0)), path.var("bias", &[out], Init::Const(0.0))]
            };
            sides.into_iter().enumerate().map(layer).collect()
        };
        let heads = Self { layers: (0..count).map(head).collect(), store };
        (0..count).for_each(|head| heads.begin_anew(head));
        heads
    }

    /// What is learned, by name: `heads.HEAD.LAYER.weight` and `.bias`.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.store.variables().into_iter()
    }

    /// Draws the weights of a head anew, as He et al. (2015) do.
    pub(super) fn begin_anew(&self, head: usize) {
        let last = self.layers[head].len() - 1;
        tch::no_grad(|| {
            for (index, [weight_io, bias_o]) in self.layers[head].iter().enumerate() {
                let deviation = if index == last { SMALL } else { (2.0 / weight_io.size()[0] as f64).sqrt() };
                weight_io.shallow_clone().copy_(&(weight_io.randn_like() * deviation));
                let _ = bias_o.shallow_clone().zero_();
            }
        });
    }

    /// The points `rn3` that the cells of rooms show, in the units of their rooms, from features `rnc`; `heads` are those of the
    /// rooms, in their order.
    pub(super) fn points(&self, heads: &[usize], features_rnc: &Tensor) -> Tensor {
        let layer = |rows: &Tensor, index: usize| {
            let of = |part: usize| {
                let parts: Vec<&Tensor> = heads.iter().map(|&head| &self.layers[head][index][part]).collect();
                Tensor::stack(&parts, 0)
            };
            rows.matmul(&of(0)) + of(1).unsqueeze(1)
        };
        let rows = layer(features_rnc, 0).relu();
        let rows = &rows + layer(&layer(&rows, 1).relu(), 2).relu();
        layer(&rows, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn each_room_is_read_by_its_own_head() {
        let heads = RoomHeads::new(3, 5, 8, Device::Cpu);
        let features = Tensor::randn([2, 4, 5], (Kind::Float, Device::Cpu));
        let both = heads.points(&[2, 0], &features);
        assert_eq!(both.size(), [2, 4, 3]);
        for (row, head) in [(0, 2), (1, 0)] {
            let alone = heads.points(&[head], &features.narrow(0, row, 1));
            assert!((alone - both.narrow(0, row, 1)).abs().max().double_value(&[]) < 1e-6);
        }
        heads.begin_anew(2);
        let again = heads.points(&[2, 0], &features);
        assert!((again.get(0) - both.get(0)).abs().max().double_value(&[]) > 1e-6);
        assert!((again.get(1) - both.get(1)).abs().max().double_value(&[]) < 1e-6);
    }
}
