//! Which parts of a large place an image may show: those of the training images that look most alike.
//!
//! An image is described by the means of its features over the map, which the encoder has computed anyway; each of these numbers
//! is brought to mean 0 and deviation 1 over the training images, since some channels differ more than others whatever is seen,
//! and the whole to length 1 (global average pooling with a diagonal whitening; Jégou & Chum, "Negative evidences and
//! co-occurrences in image retrieval", ECCV 2012, have the full one).
//!
//! `place.safetensors` in the model folder has a row per image: `descriptor` in half precision and `part`; and `mean` and
//! `deviation` of the numbers, in single. The card has its checksum.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::head::SceneCoordinateHead;
use crate::network::checkpoint::{self, Precision, write_tensors};
use crate::network::place_record::{PartRecord, PlaceRecord};
use crate::network::pose_network::Features;
use crate::{Error, Result};

/// The most that the file may take.
const MAX_BYTES: u64 = 1 << 28;
/// Parts that are tried.
const TRIED: usize = 2;
/// Added to the deviation of a number: one that never changed says nothing, and is not blown up.
const STILL: f64 = 1e-3;

/// What the images of frames look like as a whole, `bd`: the means of the maps that cells are read from.
pub fn describe(head: &SceneCoordinateHead, shared: &Features) -> Tensor {
    let mean = |map: &Tensor| map.to_kind(Kind::Float).mean_dim([2i64, 3].as_slice(), false, Kind::Float);
    Tensor::cat(&head.maps(shared).map(mean), 1)
}

/// The training images of a large place, to see which parts of it an image may show.
#[derive(Debug)]
pub struct PlaceIndex {
    /// Standardized, of length 1, on the CPU.
    descriptors_nd: Tensor,
    parts: Vec<usize>,
    mean_d: Tensor,
    deviation_d: Tensor,
}

impl PlaceIndex {
    /// Images by what [`describe`] makes of them, `nd`, each with the part of the place in which it was taken.
    pub fn new(described_nd: &Tensor, parts: Vec<usize>) -> Self {
        let described = described_nd.to_device(Device::Cpu).to_kind(Kind::Float);
        let mean_d = described.mean_dim([0i64].as_slice(), false, Kind::Float);
        let deviation_d =
            (&described - &mean_d).square().mean_dim([0i64].as_slice(), false, Kind::Float).sqrt() + STILL;
        let descriptors_nd = unit((described - &mean_d) / &deviation_d).to_kind(Kind::Half).to_kind(Kind::Float);
        Self { descriptors_nd, parts, mean_d, deviation_d }
    }

    /// Writes a file and returns what the card says of it, for a place of these parts.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path, parts: Vec<PartRecord>) -> Result<PlaceRecord> {
        let numbers: Vec<i64> = self.parts.iter().map(|part| *part as i64).collect();
        let tensors = BTreeMap::from([
            ("descriptor".to_owned(), self.descriptors_nd.to_kind(Kind::Half)),
            ("part".to_owned(), Tensor::from_slice(&numbers)),
            ("mean".to_owned(), self.mean_d.shallow_clone()),
            ("deviation".to_owned(), self.deviation_d.shallow_clone()),
        ]);
        let sha256 = write_tensors(&tensors, path, Precision::Single)?;
        Ok(PlaceRecord { parts, images: self.parts.len(), sha256 })
    }

    /// Reads the file that a card speaks of.
    ///
    /// # Errors
    /// [`Error::Model`] when it is missing, too large, not the file of the card, or something else.
    pub fn load(path: &Path, record: &PlaceRecord) -> Result<Self> {
        let fail = |expected: String, found: String| Err(Error::model(path, expected, found));
        let what = format!("the {} training images that say which part of the place is seen", record.images);
        let mut tensors = checkpoint::read_of_card(path, &what, &record.sha256, MAX_BYTES)?;
        let images = record.images as i64;
        let width = tensors.get("mean").map_or(0, |mean| mean.numel() as i64);
        let mut take = |name: &str, size: &[i64]| match tensors.remove(name) {
            Some(tensor) if tensor.size() == size => Ok(tensor),
            found => {
                let found = found.map_or("none".to_owned(), |tensor| format!("{:?}", tensor.size()));
                Err(Error::model(path, format!("{name} of shape {size:?}"), found))
            }
        };
        let numbers = Vec::<i64>::try_from(take("part", &[images])?);
        let numbers = numbers.map_err(|error| Error::compute("reading the parts of a place", error))?;
        let count = record.parts.len() as i64;
        if let Some(wrong) = numbers.iter().find(|part| !(0..count).contains(part)) {
            return fail(format!("parts below {count}, as in model.yaml"), wrong.to_string());
        }
        Ok(Self {
            descriptors_nd: take("descriptor", &[images, width])?,
            parts: numbers.into_iter().map(|part| part as usize).collect(),
            mean_d: take("mean", &[width])?,
            deviation_d: take("deviation", &[width])?,
        })
    }

    /// The parts to be tried for a frame, of what [`describe`] makes of it, `1d`: those of the most alike images, the most
    /// alike first; of equal ones, the earlier.
    ///
    /// # Errors
    /// [`Error::Compute`] when libtorch fails.
    pub(in crate::network) fn likeliest(&self, described_1d: &Tensor) -> Result<Vec<usize>> {
        let query = unit((described_1d.to_device(Device::Cpu) - &self.mean_d) / &self.deviation_d);
        let cosines = Vec::<f32>::try_from(self.descriptors_nd.mv(&query.get(0)));
        let cosines = cosines.map_err(|error| Error::compute("which part of the place is seen", error))?;
        let mut order: Vec<usize> = (0..cosines.len()).collect();
        order.sort_by(|&one, &other| cosines[other].total_cmp(&cosines[one]));
        let mut likeliest = Vec::with_capacity(TRIED);
        for image in order {
            if !likeliest.contains(&self.parts[image]) {
                likeliest.push(self.parts[image]);
            }
            if likeliest.len() == TRIED {
                break;
            }
        }
        Ok(likeliest)
    }
}

/// Rows of length 1; those without a length stay zero.
fn unit(rows_nd: Tensor) -> Tensor {
    let length_n1 = rows_nd.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
    rows_nd / length_n1.clamp_min(1e-12)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::network::MapFromNormalized;

    const UNITS: MapFromNormalized = MapFromNormalized { mean: [0.0; 3], scale: 1.0 };

    /// Two images in each of three parts; the first number differs a lot, but says nothing.
    fn index() -> PlaceIndex {
        let rows = [
            [90.0, 1.0, 0.0, 0.1],
            [-90.0, 1.1, 0.0, 0.0],
            [90.0, 0.0, 1.0, 0.0],
            [-90.0, 0.0, 1.1, 0.1],
            [90.0, 0.5, 0.5, 1.0],
            [-90.0, 0.5, 0.5, 1.1f32],
        ];
        PlaceIndex::new(&Tensor::from_slice(&rows.concat()).view([6, 4]), vec![0, 0, 1, 1, 2, 2])
    }

    #[test]
    fn parts_are_tried_in_the_order_of_the_most_alike_images() {
        let likeliest = |row: [f32; 4]| index().likeliest(&Tensor::from_slice(&row).view([1, 4])).unwrap();
        assert_eq!(likeliest([10.0, 1.0, 0.1, 0.0])[0], 0);
        assert_eq!(likeliest([-10.0, 0.1, 1.0, 0.0])[0], 1);
        assert_eq!(likeliest([-20.0, 0.9, 0.3, 0.8]), [2, 0]);
        // What looks like nothing is compared all the same.
        assert_eq!(likeliest([0.0; 4]).len(), 2);
    }

    #[test]
    fn a_file_says_what_was_in_memory_and_belongs_to_its_card() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("place.safetensors");
        let part = PartRecord { frames: 2, map_from_normalized: UNITS };
        let record = index().save(&path, vec![part; 3]).unwrap();
        let loaded = PlaceIndex::load(&path, &record).unwrap();
        assert_eq!((&loaded.parts, loaded.parts.len()), (&index().parts, record.images));
        for (one, other) in [
            (&loaded.descriptors_nd, &index().descriptors_nd),
            (&loaded.mean_d, &index().mean_d),
            (&loaded.deviation_d, &index().deviation_d),
        ] {
            assert!(one.equal(other));
        }
        let error = |record: PlaceRecord| PlaceIndex::load(&path, &record).unwrap_err().to_string();
        let few = error(PlaceRecord { parts: vec![part; 2], ..record.clone() });
        assert!(few.contains("expected parts below 2, as in model.yaml, found 2"), "{few}");
        let other = error(PlaceRecord { sha256: "0".into(), ..record.clone() });
        assert!(other.contains("expected SHA-256 0 as in model.yaml"), "{other}");
        let less = error(PlaceRecord { images: 5, ..record.clone() });
        assert!(less.contains("expected part of shape [5], found [6]"), "{less}");
        std::fs::remove_file(&path).unwrap();
        let none = error(record);
        assert!(none.contains("expected the 6 training images"), "{none}");
    }
}
