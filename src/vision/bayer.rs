//! Bayer mosaics: each pixel saw one colour; the other two are the means of its nearest neighbours of that colour
//! (bilinear interpolation). Beyond the image's edge lies its mirror image, which keeps the pattern.

/// The colours of the first two pixels of the first two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Rggb,
    Bggr,
    Gbrg,
    Grbg,
}

impl Pattern {
    /// Column and row, modulo two, of the red pixels.
    fn red(self) -> (usize, usize) {
        match self {
            Pattern::Rggb => (0, 0),
            Pattern::Grbg => (1, 0),
            Pattern::Gbrg => (0, 1),
            Pattern::Bggr => (1, 1),
        }
    }
}

/// Appends the pixels of a mosaic of at least 2x2 pixels.
pub(super) fn demosaic(rows: &[&[u8]], pattern: Pattern, rgb: &mut Vec<u8>) {
    let (red_x, red_y) = pattern.red();
    let width = rows.first().map_or(0, |row| row.len());
    for (y, row) in rows.iter().enumerate() {
        let (above, below) = (rows[mirrored_before(y)], rows[mirrored_after(y, rows.len())]);
        for x in 0..width {
            let (left, right) = (mirrored_before(x), mirrored_after(x, width));
            let own = row[x];
            let beside = mean(&[row[left], row[right]]);
            let over = mean(&[above[x], below[x]]);
            let pixel = match (x % 2 == red_x, y % 2 == red_y) {
                (true, true) | (false, false) => {
                    let cross = mean(&[row[left], row[right], above[x], below[x]]);
                    let corners = mean(&[above[left], above[right], below[left], below[right]]);
                    if x % 2 == red_x { [own, cross, corners] } else { [corners, cross, own] }
                }
                (false, true) => [beside, own, over],
                (true, false) => [over, own, beside],
            };
            rgb.extend_from_slice(&pixel);
        }
    }
}

fn mirrored_before(index: usize) -> usize {
    index.checked_sub(1).unwrap_or(1)
}

fn mirrored_after(index: usize, count: usize) -> usize {
    if index + 1 < count { index + 1 } else { count - 2 }
}

/// Rounded half up.
fn mean(values: &[u8]) -> u8 {
    let (sum, count) = (values.iter().map(|value| usize::from(*value)).sum::<usize>(), values.len());
    ((sum + count / 2) / count) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sensor behind the filters sees of a picture.
    fn mosaic(pattern: Pattern, picture: impl Fn(usize, usize) -> [u8; 3]) -> Vec<Vec<u8>> {
        let (red_x, red_y) = pattern.red();
        let seen = |x: usize, y: usize| match (x % 2 == red_x, y % 2 == red_y) {
            (true, true) => picture(x, y)[0],
            (false, false) => picture(x, y)[2],
            _ => picture(x, y)[1],
        };
        (0..6).map(|y| (0..8).map(|x| seen(x, y)).collect()).collect()
    }

    fn seen(pattern: Pattern, picture: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        let mosaic = mosaic(pattern, picture);
        let rows: Vec<&[u8]> = mosaic.iter().map(Vec::as_slice).collect();
        let mut rgb = Vec::new();
        demosaic(&rows, pattern, &mut rgb);
        rgb
    }

    #[test]
    fn one_colour_comes_back_whole_and_a_ramp_within_the_image() {
        for pattern in [Pattern::Rggb, Pattern::Bggr, Pattern::Gbrg, Pattern::Grbg] {
            assert_eq!(seen(pattern, |_, _| [200, 90, 10]), [200, 90, 10].repeat(48), "{pattern:?}");
            let ramp = |x: usize, y: usize| [(10 * x + 4 * y) as u8, (6 * x + 8 * y) as u8, (100 - 2 * x) as u8];
            let rgb = seen(pattern, ramp);
            for y in 1..5 {
                for x in 1..7 {
                    let found = &rgb[3 * (8 * y + x)..][..3];
                    assert_eq!(found, ramp(x, y), "{pattern:?} at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn a_mosaic_is_what_opencv_makes_of_it() {
        // cv2.cvtColor(mosaic, cv2.COLOR_BayerRGGB2RGB) of OpenCV 5.0, row 2, columns 2 to 4 of this 6x6 mosaic.
        let mosaic: Vec<Vec<u8>> =
            (0..6).map(|y| (0..6).map(|x| ((37 * x * x + 101 * y + 13 * x * y) % 256) as u8).collect()).collect();
        let rows: Vec<&[u8]> = mosaic.iter().map(Vec::as_slice).collect();
        let mut rgb = Vec::new();
        demosaic(&rows, Pattern::Rggb, &mut rgb);
        assert_eq!(rgb[3 * (6 * 2 + 2)..3 * (6 * 2 + 5)], [146, 37, 183, 138, 101, 229, 130, 149, 167]);
    }
}
