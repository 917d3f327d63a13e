//! YUV images: brightness for each pixel, colour for each second one. ITU-R BT.601, limited range (`y` 16 to 235), as
//! OpenCV's and cv_bridge's conversions have it.

/// The order of the four bytes of two pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interleaving {
    Uyvy,
    Yuyv,
}

/// Appends the pixels of rows with two pixels in four bytes.
pub(super) fn from_yuv422(rows: &[&[u8]], interleaving: Interleaving, rgb: &mut Vec<u8>) {
    for pair in rows.iter().flat_map(|row| row.as_chunks::<4>().0) {
        let ([first, second], [u, v]) = match interleaving {
            Interleaving::Uyvy => ([pair[1], pair[3]], [pair[0], pair[2]]),
            Interleaving::Yuyv => ([pair[0], pair[2]], [pair[1], pair[3]]),
        };
        rgb.extend_from_slice(&colour(first, u, v));
        rgb.extend_from_slice(&colour(second, u, v));
    }
}

/// Appends the pixels of `height` rows of brightness with `height / 2` rows of colour behind them.
pub(super) fn from_nv(rows: &[&[u8]], height: usize, u_first: bool, rgb: &mut Vec<u8>) {
    let (brightness, colours) = rows.split_at(height);
    for (y, row) in brightness.iter().enumerate() {
        let pairs = colours[y / 2].as_chunks::<2>().0;
        for (luma, [first, second]) in row.as_chunks::<2>().0.iter().zip(pairs) {
            let (u, v) = if u_first { (*first, *second) } else { (*second, *first) };
            luma.iter().for_each(|luma| rgb.extend_from_slice(&colour(*luma, u, v)));
        }
    }
}

/// Red, green and blue (BT.601 with coefficients in 20 bits, rounded).
fn colour(y: u8, u: u8, v: u8) -> [u8; 3] {
    const BITS: i32 = 20;
    const HALF: i32 = 1 << (BITS - 1);
    let luma = (i32::from(y) - 16).max(0) * 1_220_542;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    let byte = |value: i32| ((luma + value + HALF) >> BITS).clamp(0, 255) as u8;
    [byte(1_673_527 * v), byte(-852_492 * v - 409_993 * u), byte(2_116_026 * u)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_opencv() {
        // cv2.cvtColor(..., cv2.COLOR_YUV2RGB_UYVY) of OpenCV 5.0: (y, u, v) and what it gives.
        let opencv = [
            ([16, 128, 128], [0, 0, 0]),
            ([235, 128, 128], [255, 255, 255]),
            ([81, 90, 240], [254, 0, 0]),
            ([145, 54, 34], [0, 255, 1]),
            ([41, 240, 110], [0, 0, 255]),
            ([0, 0, 0], [0, 154, 0]),
            ([255, 255, 255], [255, 125, 255]),
            ([100, 200, 50], [0, 133, 243]),
            ([180, 30, 220], [255, 154, 0]),
            ([126, 77, 171], [197, 113, 25]),
        ];
        for ([y, u, v], rgb) in opencv {
            assert_eq!(colour(y, u, v), rgb, "{y} {u} {v}");
        }
    }

    #[test]
    fn the_three_arrangements_hold_the_same_picture() {
        let (luma, u, v) = ([40, 80, 120, 160], 90, 200);
        let expected: Vec<u8> = luma.iter().flat_map(|y| colour(*y, u, v)).collect();
        let mut rgb = Vec::new();
        from_yuv422(&[&[u, luma[0], v, luma[1]], &[u, luma[2], v, luma[3]]], Interleaving::Uyvy, &mut rgb);
        assert_eq!(rgb, expected);
        rgb.clear();
        from_yuv422(&[&[luma[0], u, luma[1], v], &[luma[2], u, luma[3], v]], Interleaving::Yuyv, &mut rgb);
        assert_eq!(rgb, expected);
        for (chroma, u_first) in [([u, v], true), ([v, u], false)] {
            rgb.clear();
            from_nv(&[&luma[..2], &luma[2..], &chroma], 2, u_first, &mut rgb);
            assert_eq!(rgb, expected);
        }
    }
}
