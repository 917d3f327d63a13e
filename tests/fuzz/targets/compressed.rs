//! Jpeg and png bytes to pixels.

use vloc::Stamp;
use vloc::sensor::CompressedImage;
use vloc::vision::{MAX_PIXELS, decode_compressed};

pub fn run(data: &[u8]) {
    let image = CompressedImage {
        stamp: Stamp::default(),
        frame_id: String::new(),
        format: "jpeg".into(),
        data: data.to_vec(),
    };
    if let Ok(pixels) = decode_compressed(&image) {
        assert!(u64::from(pixels.width()) * u64::from(pixels.height()) <= MAX_PIXELS);
    }
}
