//! From pairs of views to tensors, prepared on a thread of their own while the network works.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use image::RgbImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::pairs::{Pair, View};
use super::pixels::Pixels;
use crate::geometry::Se3;
use crate::network::NetworkConfig;
use crate::network::input::input_tensor;
use crate::{Error, Result};

/// Batches that wait for the network.
pub(super) const PREPARED: usize = 2;

/// What gives the tensor of some views, and their `map_from_camera`: network inputs, or features of a frozen trunk.
pub trait Source: Sync {
    /// The views in their order, on the CPU.
    ///
    /// # Errors
    /// [`Error::Message`] for an image of another size than the network's.
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)>;

    /// Points of the map that the views' frames see, normalized, `vn3` on the CPU; `None` where the training needs none.
    fn points(&self, _views: &[View]) -> Option<Tensor> {
        None
    }

    /// The class of each pixel of the views, `vhw` bytes on the CPU, [`UNLABELLED`](crate::loss::UNLABELLED) where there is
    /// none; `None` where the training needs none.
    fn labels(&self, _views: &[View]) -> Option<Tensor> {
        None
    }

    /// The number of the scene of each view; `None` where all are of one.
    fn scenes(&self, _views: &[View]) -> Option<Vec<usize>> {
        None
    }
}

/// Augmented images as inputs of a network.
pub(super) struct PixelSource<'a> {
    pub(super) pixels: &'a Pixels,
    pub(super) network: &'a NetworkConfig,
}

impl Source for PixelSource<'_> {
    fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
        let (images, poses): (Vec<_>, Vec<_>) = self.pixels.augmented(views).into_iter().unzip();
        let network = self.network;
        let seen = images.into_iter().zip(views).map(|(image, view)| part(image, network, view.draw));
        let images: Vec<RgbImage> = seen.collect();
        let references: Vec<_> = images.iter().collect();
        Ok((input_tensor(&references, network.seen(), &network.normalization, tch::Device::Cpu)?, poses))
    }
}

/// A part of the image at random, where the network sees parts.
fn part(image: RgbImage, network: &NetworkConfig, draw: u64) -> RgbImage {
    let Some(crop) = network.crop else { return image };
    let mut generator = ChaCha8Rng::seed_from_u64(!draw);
    let x = generator.random_range(0..=image.width() - crop.width);
    let y = generator.random_range(0..=image.height() - crop.height);
    image::imageops::crop_imm(&image, x, y, crop.width, crop.height).to_image()
}

/// A pair of labelled frames, with one of a video where there is a video.
pub(super) type Drawn = (Pair, Option<Pair>);

/// Pairs of a video ready for a step. Where its odometry has them stays behind: all that is known is how they moved.
#[derive(Debug)]
pub struct VideoBatch {
    /// The earlier frames, then the later ones.
    pub input: Tensor,
    /// `previous_from_current` of each pair.
    pub motions: Vec<Se3>,
}

/// Pairs ready for a step.
#[derive(Debug)]
pub struct Batch {
    /// The earlier frames, then the later ones.
    pub input: Tensor,
    /// `map_from_camera` of the earlier frames.
    pub previous: Vec<Se3>,
    /// `map_from_camera` of the later frames.
    pub current: Vec<Se3>,
    /// What [`Source::points`] says of the earlier frames, then of the later ones.
    pub points: Option<Tensor>,
    /// What [`Source::labels`] says of them.
    pub labels: Option<Tensor>,
    /// What [`Source::scenes`] says of them.
    pub scenes: Option<Vec<usize>>,
    /// As many pairs of a video, where there is one.
    pub video: Option<VideoBatch>,
}

impl Batch {
    fn new(source: &dyn Source, video: Option<&dyn Source>, drawn: &[Drawn]) -> Result<Self> {
        let views = views_of(drawn.iter().map(|(pair, _)| *pair));
        let (input, mut previous) = source.views(&views)?;
        let current = previous.split_off(drawn.len());
        let of_video = |video: &dyn Source| -> Result<VideoBatch> {
            let (input, poses) = video.views(&views_of(drawn.iter().filter_map(|(_, pair)| *pair)))?;
            let (previous, current) = poses.split_at(poses.len() / 2);
            let motions = previous.iter().zip(current).map(|(&previous, &current)| previous.inverse() * current);
            Ok(VideoBatch { input, motions: motions.collect() })
        };
        let video = video.map(of_video).transpose()?;
        let (points, labels, scenes) = (source.points(&views), source.labels(&views), source.scenes(&views));
        Ok(Self { input, previous, current, points, labels, scenes, video })
    }
}

/// The earlier frames of pairs, then the later ones.
fn views_of(pairs: impl Iterator<Item = Pair> + Clone) -> Vec<View> {
    pairs.clone().map(|pair| pair.previous).chain(pairs.map(|pair| pair.current)).collect()
}

/// Makes the batches on a thread of `scope`, in their order, a few ahead. Dropping the receiver ends it.
pub(super) fn prefetch<'scope, 'data: 'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: &'data dyn Source,
    video: Option<&'data dyn Source>,
    batches: Vec<Vec<Drawn>>,
) -> Result<Receiver<Result<Batch>>> {
    let (sender, receiver) = sync_channel(PREPARED);
    let work = move || {
        for drawn in batches {
            if sender.send(Batch::new(source, video, &drawn)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("batches".to_owned());
    thread.spawn_scoped(scope, work).map_err(|error| Error::compute("starting the batch thread", error))?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::So3;
    use nalgebra::Vector3;

    /// Frames of a walk whose poses are in a frame of their own.
    struct Walk {
        own_from_map: Se3,
    }

    impl Source for Walk {
        fn views(&self, views: &[View]) -> Result<(Tensor, Vec<Se3>)> {
            let pose = |view: &View| {
                let t = view.frame as f64;
                let map_from_camera =
                    Se3::new(So3::exp(&Vector3::new(0.1 * t, 0.2, -0.3 * t)), Vector3::new(t, 0.5 * t, 1.0));
                self.own_from_map * map_from_camera
            };
            Ok((
                Tensor::zeros([views.len() as i64, 1], (tch::Kind::Float, tch::Device::Cpu)),
                views.iter().map(pose).collect(),
            ))
        }
    }

    #[test]
    fn a_video_tells_its_motions_whatever_its_frame() {
        let view = |frame: usize| View { frame, draw: 0 };
        let pair = |previous: usize, current: usize| Pair { previous: view(previous), current: view(current) };
        let drawn = [(pair(0, 1), Some(pair(3, 7))), (pair(1, 2), Some(pair(5, 6))), (pair(2, 4), Some(pair(1, 9)))];
        let map = Walk { own_from_map: Se3::identity() };
        let far =
            Walk { own_from_map: Se3::new(So3::exp(&Vector3::new(1.0, -2.0, 0.5)), Vector3::new(5e5, -4e6, 120.0)) };
        let [near, moved] = [&map, &far].map(|video| Batch::new(&map, Some(video), &drawn).unwrap());
        let poses = map.views(&[view(5), view(6)]).unwrap().1;
        for batch in [&near, &moved] {
            let video = batch.video.as_ref().unwrap();
            assert_eq!((video.input.size(), video.motions.len()), (vec![6, 1], 3));
            assert!(video.motions[1].local(poses[0].inverse() * poses[1]).norm() < 1e-8);
            // The labelled pairs keep their places in the map.
            assert_eq!(batch.current, map.views(&[view(1), view(2), view(4)]).unwrap().1);
        }
        assert!(Batch::new(&map, None, &[(pair(0, 1), None)]).unwrap().video.is_none());
    }
}
