//! Bitmaps of surface colour with a mip pyramid, so that far surfaces are averaged and do not flicker.

/// Linear (not gamma-encoded) red, green and blue.
pub type Rgb = [f32; 3];

/// The colour of a rectangular face: linear albedo on a grid that spans the whole face, and its halved copies.
#[derive(Clone, Debug)]
pub struct Texture {
    levels: Vec<Level>,
    texels_per_metre: f32,
}

#[derive(Clone, Debug)]
struct Level {
    width: usize,
    height: usize,
    texels: Vec<Rgb>,
}

impl Texture {
    /// A texture from row-major albedo (`width * height` texels) at a resolution.
    pub(super) fn new(width: usize, height: usize, texels: Vec<Rgb>, texels_per_metre: f32) -> Self {
        assert_eq!(texels.len(), width * height);
        let mut levels = vec![Level { width, height, texels }];
        while let Some(half) = levels.last().and_then(Level::halved) {
            levels.push(half);
        }
        Self { levels, texels_per_metre }
    }

    /// The albedo at `(u, v)`, each in `0..1` across the face, averaged over about `footprint` metres.
    pub fn sample(&self, u: f32, v: f32, footprint: f32) -> Rgb {
        let finest = (footprint * self.texels_per_metre).max(1.0).log2();
        let last = self.levels.len() - 1;
        let lower = (finest as usize).min(last);
        let upper = (lower + 1).min(last);
        let ratio = (finest - lower as f32).clamp(0.0, 1.0);
        let (fine, coarse) = (self.levels[lower].bilinear(u, v), self.levels[upper].bilinear(u, v));
        mix(fine, coarse, ratio)
    }
}

impl Level {
    fn bilinear(&self, u: f32, v: f32) -> Rgb {
        let x = (u * self.width as f32 - 0.5).clamp(0.0, (self.width - 1) as f32);
        let y = (v * self.height as f32 - 0.5).clamp(0.0, (self.height - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (fx, fy) = (x - left as f32, y - top as f32);
        let texel = |x: usize, y: usize| self.texels[y * self.width + x];
        mix(mix(texel(left, top), texel(right, top), fx), mix(texel(left, bottom), texel(right, bottom), fx), fy)
    }

    /// Half the size, each texel the mean of four; `None` when a side is a single texel already.
    fn halved(&self) -> Option<Level> {
        if self.width < 2 || self.height < 2 {
            return None;
        }
        let (width, height) = (self.width / 2, self.height / 2);
        let mut texels = Vec::with_capacity(width * height);
        for row in 0..height {
            for column in 0..width {
                let first = 2 * row * self.width + 2 * column;
                let four = [first, first + 1, first + self.width, first + self.width + 1];
                texels.push([0, 1, 2].map(|c| 0.25 * four.iter().map(|&index| self.texels[index][c]).sum::<f32>()));
            }
        }
        Some(Level { width, height, texels })
    }
}

/// `a` at 0, `b` at 1.
pub(super) fn mix(a: Rgb, b: Rgb, ratio: f32) -> Rgb {
    [a[0] + (b[0] - a[0]) * ratio, a[1] + (b[1] - a[1]) * ratio, a[2] + (b[2] - a[2]) * ratio]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(size: usize) -> Texture {
        let texels = (0..size * size).map(|i| [((i % size + i / size) % 2) as f32; 3]).collect();
        Texture::new(size, size, texels, size as f32)
    }

    #[test]
    fn close_by_a_texel_keeps_its_colour() {
        let texture = checker(8);
        assert_eq!(texture.sample(0.5 / 8.0, 0.5 / 8.0, 0.0), [0.0; 3]);
        assert_eq!(texture.sample(1.5 / 8.0, 0.5 / 8.0, 0.0), [1.0; 3]);
    }

    #[test]
    fn from_afar_a_checkerboard_is_grey() {
        for channel in checker(8).sample(0.3, 0.7, 0.5) {
            assert!((channel - 0.5).abs() < 1e-6);
        }
    }
}
