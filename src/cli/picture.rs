//! `vloc picture`: what a model's map remembers at poses.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::geometry::Trajectory;
use crate::network::{Device, ModelCard, PictureDecoder, PoseAutoencoder};
use crate::vision::resize;
use crate::{Error, Result};

/// Show what a model remembers of its place: a picture of what a camera would see at each pose of a file, from the pose alone.
///
/// The model needs a pose auto-encoder with a decoder to pictures (vloc autoencode --pictures). A picture is a png of the size
/// of the network's input, smoothly enlarged from the few pixels that are decoded, and named by the stamp of its pose.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:
  vloc picture out/my_model --poses out/eval/estimate.tum --every 20 --out out/pictures")]
pub struct PictureArgs {
    /// The model folder.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Poses of the camera in the model's map: lines `stamp tx ty tz qx qy qz qw`, as `vloc eval` writes them.
    #[arg(long, value_name = "TUM")]
    pub poses: PathBuf,
    /// Every how many of them.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub every: usize,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: Device,
}

/// Runs the command.
///
/// # Errors
/// Those of the model and the poses; [`Error::Model`] for a model without a decoder to pictures; [`Error::Io`].
pub fn run(args: &PictureArgs) -> Result<()> {
    if args.every == 0 {
        return Err(Error::config("every", "at least 1", "0"));
    }
    let card = ModelCard::read(&args.model)?;
    let record = card.autoencoder.as_ref();
    let Some((record, pictures)) = record.and_then(|record| Some((record, record.pictures.as_ref()?))) else {
        let expected = "a model with a decoder to pictures";
        return Err(Error::model(&args.model, expected, "one without; train it (vloc autoencode --pictures 48x36)"));
    };
    let device = args.device.resolve()?;
    let autoencoder = PoseAutoencoder::load(&args.model, record, &card.network, card.map_from_normalized, device)?;
    let decoder = PictureDecoder::load(&args.model, pictures, &card.network, device)?;
    let poses = Trajectory::read_tum(&args.poses)?;
    fs::create_dir_all(&args.out).map_err(Error::io("create", &args.out))?;
    let mut written = 0;
    for (stamp, map_from_camera) in poses.poses().iter().step_by(args.every) {
        let picture = decoder.picture(&autoencoder, *map_from_camera)?;
        let picture = resize(&picture, card.camera.width, card.camera.height)?;
        let file = args.out.join(format!("{stamp}.png"));
        picture.save(&file).map_err(|error| Error::io("write", &file)(std::io::Error::other(error)))?;
        written += 1;
    }
    println!("{written} pictures in {}", args.out.display());
    Ok(())
}
