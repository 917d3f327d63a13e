//! What `vloc eval` compares with: image retrieval (Sattler et al. 2019), an answer that looks at no image, and the oracle
//! that knows the true pose.

use clap::ValueEnum;
use image::RgbImage;
use nalgebra::Vector3;

use crate::Result;
use crate::dataset::{Dataset, Split};
use crate::evaluation::Baseline;
use crate::geometry::Se3;
use crate::progress::Progress;
use crate::retrieval::{DenseVlad, DenseVladSettings, Index, Thumbnail, describe_all, nearest_pose};

/// Neighbours that the interpolating retrieval baselines combine (25 on 7-Scenes: Sattler et al. 2019, table 2).
const INTERPOLATED_NEIGHBOURS: usize = 25;

/// Which retrieval baselines are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum RetrievalBaselines {
    /// Only the mean training pose and the oracle
    None,
    /// Grey thumbnails: seconds
    Thumbnail,
    /// Thumbnails and DenseVLAD: 20 s for a thousand images of 640x480 on two cores
    DenseVlad,
    /// These and what the model itself finds alike: a forward pass for each image
    Embedding,
}

/// An image to what the model's head sees of it.
pub(super) type Embed<'a> = &'a dyn Fn(&RgbImage) -> Result<Vec<f64>>;

/// The baselines' poses for the test frames.
///
/// # Errors
/// A frame that cannot be read or is too small for a descriptor.
pub(super) fn baselines(
    dataset: &dyn Dataset,
    split: &Split,
    wanted: RetrievalBaselines,
    embed: Embed,
) -> Result<Vec<Baseline>> {
    let poses = |indices: &[usize]| indices.iter().map(|&index| dataset.frames()[index].map_from_camera).collect();
    let training: Vec<Se3> = poses(&split.train);
    let image = |place: usize| dataset.image(split.train[place]);
    let query = |place: usize| dataset.image(split.test[place]);
    let mut baselines = Vec::new();
    if wanted >= RetrievalBaselines::Thumbnail {
        let vectors = describe_all(&Thumbnail, &image, split.train.len())?;
        let queries = describe_all(&Thumbnail, &query, split.test.len())?;
        let names = ["thumbnail retrieval".into(), format!("thumbnail, {INTERPOLATED_NEIGHBOURS} interpolated")];
        baselines.extend(retrieved(names, &Index::new(vectors, training.clone())?, &queries)?);
    }
    if wanted >= RetrievalBaselines::DenseVlad {
        let reads = split.train.len() + split.train.len().min(DenseVlad::VOCABULARY_IMAGES);
        let steps = Progress::automatic().steps("DenseVLAD", reads as u64);
        let counted = |place: usize| {
            steps.advance(1);
            image(place)
        };
        let (descriptor, vectors) = DenseVlad::fit(&counted, split.train.len(), DenseVladSettings::default())?;
        let queries = describe_all(&descriptor, &query, split.test.len())?;
        let names = ["DenseVLAD".into(), format!("DenseVLAD, {INTERPOLATED_NEIGHBOURS} interpolated")];
        baselines.extend(retrieved(names, &Index::new(vectors, training.clone())?, &queries)?);
    }
    if wanted >= RetrievalBaselines::Embedding {
        let steps = Progress::automatic().steps("embedding", (split.train.len() + split.test.len()) as u64);
        let vectors = |indices: &[usize]| -> Result<Vec<Vec<f32>>> {
            let vector = |&index: &usize| {
                steps.advance(1);
                Ok(unit(&embed(&dataset.image(index)?)?))
            };
            indices.iter().map(vector).collect()
        };
        let names = ["the model's embedding".into(), format!("its embedding, {INTERPOLATED_NEIGHBOURS} interpolated")];
        baselines.extend(retrieved(
            names,
            &Index::new(vectors(&split.train)?, training.clone())?,
            &vectors(&split.test)?,
        )?);
    }
    let blind = vec![mean_pose(&training); split.test.len()];
    baselines.push(Baseline { name: "mean training pose".to_owned(), poses: blind });
    let truths: Vec<Se3> = poses(&split.test);
    let oracle = truths.iter().map(|truth| nearest_pose(&training, *truth)).collect();
    baselines.push(Baseline { name: "nearest training pose (oracle)".to_owned(), poses: oracle });
    Ok(baselines)
}

/// The mean of the positions with the mean of the rotations: what can be said without a look.
fn mean_pose(poses: &[Se3]) -> Option<Se3> {
    let rotation = Se3::mean(poses)?.rotation;
    let position = poses.iter().map(|pose| pose.translation).sum::<Vector3<f64>>() / poses.len() as f64;
    Some(Se3::new(rotation, position))
}

/// The vector at length one; one without any length stays.
fn unit(vector: &[f64]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    vector.iter().map(|value| (value / length) as f32).collect()
}

/// The nearest and the interpolated pose for the vector of every test frame.
fn retrieved(names: [String; 2], index: &Index, queries: &[Vec<f32>]) -> Result<[Baseline; 2]> {
    let [nearest, interpolated] = names;
    let poses = |answer: &dyn Fn(&[f32]) -> Result<Se3>| -> Result<Vec<Option<Se3>>> {
        queries.iter().map(|query| answer(query).map(Some)).collect()
    };
    Ok([
        Baseline { name: nearest, poses: poses(&|query| index.nearest(query))? },
        Baseline { name: interpolated, poses: poses(&|query| index.interpolated(query, INTERPOLATED_NEIGHBOURS))? },
    ])
}
