//! A decoder from the encodings of poses to pictures of what is seen there (Shavit & Keller 2022, section 3.3): the training
//! images, small, by the mean absolute difference of their colours.

use tch::{Kind, Tensor};

use super::descent::Descent;
use super::pixels::Pixels;
use crate::Result;
use crate::geometry::Se3;
use crate::network::{ModelCard, PictureDecoder, PicturesConfig, PoseAutoencoder};
use crate::progress::Progress;
use crate::vision::resize;

/// Small images, and where they were taken.
struct Views {
    colours_n3hw: Tensor,
    poses: Vec<Se3>,
}

/// Trains a decoder on the `train` frames. Returns it with its mean absolute difference of colours on the `validation` frames
/// against that of the mean training picture, where there are some: 1 is to know nothing, 0 all.
///
/// # Errors
/// Those of [`PictureDecoder::new`] and [`Descent::run`].
pub(super) fn learn_pictures(
    config: &PicturesConfig,
    (card, autoencoder): (&ModelCard, &PoseAutoencoder),
    (pixels, train, validation): (&Pixels, &[usize], &[usize]),
    descent: Descent,
    running: (Progress, &dyn Fn() -> bool),
) -> Result<(PictureDecoder, Option<f64>)> {
    let device = autoencoder.store().device();
    let decoder = PictureDecoder::new(config, &card.network, device)?;
    let seen = views(config, pixels, train, device)?;
    let encodings_nh = tch::no_grad(|| autoencoder.encode(&seen.poses));
    let loss = |rows: &Tensor| {
        let rows = rows.to_device(device);
        let pictures_b3hw = decoder.decode(&encodings_nh.index_select(0, &rows));
        Ok((pictures_b3hw - seen.colours_n3hw.index_select(0, &rows)).abs().mean(Kind::Float))
    };
    descent.run("decoding pictures", decoder.store().variables(), train.len(), &loss, running)?;
    if validation.is_empty() {
        return Ok((decoder, None));
    }
    let unseen = views(config, pixels, validation, device)?;
    let error = tch::no_grad(|| {
        let difference =
            |pictures: &Tensor| (pictures - &unseen.colours_n3hw).abs().mean(Kind::Double).double_value(&[]);
        let own = difference(&decoder.decode(&autoencoder.encode(&unseen.poses)));
        own / difference(&seen.colours_n3hw.mean_dim([0i64].as_slice(), true, Kind::Float)).max(f64::MIN_POSITIVE)
    });
    Ok((decoder, Some(error)))
}

fn views(config: &PicturesConfig, pixels: &Pixels, frames: &[usize], device: tch::Device) -> Result<Views> {
    let size = config.size;
    let (mut bytes, mut poses) = (Vec::new(), Vec::new());
    for &frame in frames {
        let (image, map_from_camera) = pixels.plain(frame);
        bytes.extend_from_slice(resize(image, size.width, size.height)?.as_raw());
        poses.push(map_from_camera);
    }
    let shape = [frames.len() as i64, i64::from(size.height), i64::from(size.width), 3];
    let colours_nhw3 = Tensor::from_slice(&bytes).view(shape).to_device(device).to_kind(Kind::Float) / 255.0;
    Ok(Views { colours_n3hw: colours_nhw3.permute([0, 3, 1, 2]), poses })
}
