//! Parts of an image (PoseNet, Kendall, Grimes & Cipolla 2015, section 3.2): one at random in training; the one in the
//! middle, or many whose poses are averaged ("dense"), when it counts. The principal point that a part moves is not
//! told to the network, as in the paper.

use tch::Tensor;

use super::config::{CropConfig, InputSize};

impl CropConfig {
    /// Top-left corners `(row, column)` of the parts that inference looks at: evenly spread, in rows and columns whose
    /// numbers are nearest to the room there is.
    pub fn corners(&self, input: InputSize) -> Vec<(u32, u32)> {
        let (down, right) = (input.height - self.height, input.width - self.width);
        if self.count == 1 {
            return vec![(down / 2, right / 2)];
        }
        let wanted = (f64::from(right + 1) / f64::from(down + 1)).ln();
        let mismatch = |rows: usize| ((self.count as f64 / (rows * rows) as f64).ln() - wanted).abs();
        let divisors = (1..=self.count).filter(|rows| self.count.is_multiple_of(*rows));
        let rows = divisors.min_by(|a, b| mismatch(*a).total_cmp(&mismatch(*b))).unwrap_or(1);
        let spread = |index: usize, count: usize, room: u32| match count {
            1 => room / 2,
            _ => (index as f64 * f64::from(room) / (count - 1) as f64).round() as u32,
        };
        let cols = self.count / rows;
        (0..self.count).map(|part| (spread(part / cols, rows, down), spread(part % cols, cols, right))).collect()
    }

    /// Those parts of one image `13hw`, `b3hw`.
    pub fn parts(&self, image_13hw: &Tensor, input: InputSize) -> Tensor {
        let part = |(row, col): (u32, u32)| self.part(image_13hw, row, col);
        Tensor::cat(&self.corners(input).into_iter().map(part).collect::<Vec<_>>(), 0)
    }

    /// The part in the middle of each image `b3hw`.
    pub fn middle(&self, image_b3hw: &Tensor, input: InputSize) -> Tensor {
        self.part(image_b3hw, (input.height - self.height) / 2, (input.width - self.width) / 2)
    }

    fn part(&self, image_b3hw: &Tensor, row: u32, col: u32) -> Tensor {
        image_b3hw.narrow(2, row.into(), self.height.into()).narrow(3, col.into(), self.width.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_spread_over_the_whole_image() {
        let input = InputSize { height: 256, width: 455 };
        let dense = CropConfig { height: 224, width: 224, count: 128 };
        let corners = dense.corners(input);
        assert_eq!(corners.len(), 128);
        assert_eq!((corners[0], corners[127]), ((0, 0), (32, 231)));
        let distinct: std::collections::HashSet<_> = corners.iter().collect();
        assert_eq!(distinct.len(), 128);
        assert_eq!(corners.iter().filter(|(row, _)| *row == 0).count(), 32, "4 rows of 32");
        assert_eq!(CropConfig { count: 1, ..dense }.corners(input), [(16, 115)]);
    }

    #[test]
    fn the_middle_is_the_middle() {
        let image = Tensor::arange(6 * 8, (tch::Kind::Float, tch::Device::Cpu)).view([1, 1, 6, 8]);
        let crop = CropConfig { height: 2, width: 4, count: 1 };
        let input = InputSize { height: 6, width: 8 };
        let middle = crop.middle(&image, input);
        assert_eq!(Vec::<f64>::try_from(middle.flatten(0, -1)).unwrap(), [18., 19., 20., 21., 26., 27., 28., 29.]);
        assert!(crop.parts(&image, input).equal(&middle));
    }
}
