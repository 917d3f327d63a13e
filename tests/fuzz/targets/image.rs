//! Raw images of any size, step and encoding, decoded and brought to the network's camera through any calibration.

use vloc::Stamp;
use vloc::sensor::{CameraModel, Distortion, Image};
use vloc::vision::{Preprocessor, contrast, decode};

use super::bytes::Bytes;

const ENCODINGS: [&str; 21] = [
    "rgb8",
    "bgr8",
    "rgba8",
    "bgra8",
    "mono8",
    "mono16",
    "bayer_rggb8",
    "bayer_bggr8",
    "bayer_gbrg8",
    "bayer_grbg8",
    "yuv422",
    "uyvy",
    "yuv422_yuy2",
    "yuyv",
    "nv12",
    "nv21",
    "8UC1",
    "8UC3",
    "8UC4",
    "16UC1",
    "unheard-of",
];

/// So many bytes an image of this target has at most.
const LARGEST: usize = 1 << 16;

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let encoding = ENCODINGS[usize::from(bytes.byte()) % ENCODINGS.len()];
    let flags = bytes.byte();
    // An honest image has the step and the bytes that its size asks for; any other has what the fuzzer says.
    let (is_honest, is_small) = (flags & 1 == 1, flags & 2 == 2);
    let size = |bytes: &mut Bytes<'_>| if is_small { u32::from(bytes.byte()) } else { bytes.u32() };
    let (width, height) = (size(&mut bytes), size(&mut bytes));
    let step = if is_honest { width.saturating_mul(4) } else { size(&mut bytes) };
    let camera = camera(&mut bytes, width, height);
    let target = CameraModel::pinhole(16, 12, 12.0);
    let mut pixels = bytes.rest().to_vec();
    if is_honest {
        let rows = if encoding.starts_with("nv") { u64::from(height) / 2 * 3 } else { u64::from(height) };
        let total = u64::from(step).saturating_mul(rows).min(LARGEST as u64) as usize;
        pixels = pixels.iter().copied().cycle().take(total).collect();
    }
    let image = Image {
        stamp: Stamp::default(),
        frame_id: String::new(),
        height,
        width,
        encoding: encoding.into(),
        step,
        is_bigendian: flags & 4 == 4,
        data: pixels,
    };
    let decoded = decode(&image);
    if let Ok(decoded) = &decoded {
        assert_eq!(decoded.dimensions(), (width, height));
        assert!(contrast(decoded).is_finite());
    }
    let Ok(preprocessor) = Preprocessor::new(&camera, &target) else { return };
    assert!((0.0..=1.0).contains(&preprocessor.outside_fraction()));
    if let Ok(decoded) = decoded {
        let seen = preprocessor.apply(&decoded).expect("an image of the camera's size");
        assert_eq!(seen.dimensions(), (target.width, target.height));
    }
}

fn camera(bytes: &mut Bytes<'_>, width: u32, height: u32) -> CameraModel {
    let kind = bytes.byte();
    if kind & 4 == 4 {
        return CameraModel::pinhole(width, height, 0.75 * f64::from(width));
    }
    let [fx, fy, cx, cy] = bytes.numbers();
    let distortion = match kind % 4 {
        0 => Distortion::None,
        1 | 2 => Distortion::PlumbBob(bytes.numbers()),
        _ => Distortion::Equidistant(bytes.numbers()),
    };
    CameraModel { width, height, fx, fy, cx, cy, distortion }
}
