//! What hangs on walls and lies on floors: pictures, sheets of text, boards of books, doors and windows, rugs.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::Texture;
use super::super::paint::{Area, Canvas, lattice};
use super::super::texture::Rgb;
use super::leaves;
use super::material::{self, Palette};

/// Texels per metre of walls.
const WALLS: f32 = 130.0;
/// Of floors and ceilings.
const FLOORS: f32 = 90.0;

/// A wall of `size` metres. `paper` is what it is made of, `random` what hangs on it: two walls may have one paper.
pub(super) fn wall(paper: &mut ChaCha8Rng, random: &mut ChaCha8Rng, palette: &Palette, size: [f32; 2]) -> Texture {
    let mut canvas = Canvas::new(size, WALLS);
    material::cover(&mut canvas, paper, palette);
    if random.random_bool(0.6) {
        let skirting = palette.large(random);
        canvas.paint(Area { height: random.random_range(0.04..0.14), ..canvas.area() }, |_, _, _| skirting);
    }
    if random.random_bool(0.4) {
        door(&mut canvas, random, palette, size);
    }
    // Some walls are bare, some full.
    let count = (30.0 * random.random::<f32>()) as usize;
    for _ in 0..count {
        let area = place(random, size, (0.12, 1.3));
        thing(&mut canvas, random, palette, area);
    }
    canvas.finish()
}

/// A floor: a material, and up to three rugs.
pub(super) fn floor(random: &mut ChaCha8Rng, palette: &Palette, size: [f32; 2]) -> Texture {
    let mut canvas = Canvas::new(size, FLOORS);
    if random.random_bool(0.4) {
        material::wood(&mut canvas, random)
    } else {
        material::cover(&mut canvas, random, palette)
    }
    for _ in 0..random.random_range(0..4) {
        let area = place(random, size, (0.6, 2.0));
        match random.random_range(0..2) {
            0 => leaves::strew(&mut canvas, random, palette, area),
            _ => canvas.poster(random, area),
        }
    }
    canvas.finish()
}

/// A ceiling: a material with a few lamps and hatches.
pub(super) fn ceiling(random: &mut ChaCha8Rng, palette: &Palette, size: [f32; 2]) -> Texture {
    let mut canvas = Canvas::new(size, FLOORS);
    material::cover(&mut canvas, random, palette);
    for _ in 0..random.random_range(1..8) {
        let (area, tone) = (place(random, size, (0.15, 0.7)), palette.large(random));
        framed(&mut canvas, random, area, tone);
    }
    canvas.finish()
}

/// The side of a piece of furniture, of `size` metres.
pub(super) fn side(random: &mut ChaCha8Rng, palette: &Palette, size: [f32; 2]) -> Texture {
    let mut canvas = Canvas::new(size, 170.0);
    let area = canvas.area();
    match random.random_range(0..8) {
        0 | 1 => material::wood(&mut canvas, random),
        2 => leaves::strew(&mut canvas, random, palette, area),
        3 => books(&mut canvas, random, palette, area),
        4 => drawers(&mut canvas, random, palette, size),
        _ => material::cover(&mut canvas, random, palette),
    }
    let count = (6.0 * random.random::<f32>().powi(2) * (size[0] * size[1]).sqrt().min(1.0)) as usize;
    for _ in 0..count {
        let area = place(random, size, (0.05, 0.5));
        thing(&mut canvas, random, palette, area);
    }
    canvas.finish()
}

/// A place for something of about `least` to `most` metres.
fn place(random: &mut ChaCha8Rng, size: [f32; 2], (least, most): (f32, f32)) -> Area {
    let scale = least * (most / least).powf(random.random());
    let side = |random: &mut ChaCha8Rng, extent: f32| (scale * random.random_range(0.6..1.6)).min(0.9 * extent);
    let (width, height) = (side(random, size[0]), side(random, size[1]));
    let left = random.random_range(0.0..size[0] - width);
    let bottom = random.random_range(0.0..size[1] - height);
    Area { left, bottom, width, height }
}

/// One of the things that there are.
fn thing(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette, area: Area) {
    match random.random_range(0..8) {
        0 | 1 => leaves::strew(canvas, random, palette, area),
        2 => canvas.poster(random, area),
        3 | 4 => text(canvas, random, palette, area),
        5 => books(canvas, random, palette, area),
        6 => {
            let tone = palette.large(random);
            framed(canvas, random, area, tone);
        }
        _ => {
            let tone = palette.small(random);
            framed(canvas, random, area, tone);
            leaves::strew(canvas, random, palette, inner(area, 0.08 * area.width.min(area.height)));
        }
    }
}

fn inner(area: Area, border: f32) -> Area {
    Area {
        left: area.left + border,
        bottom: area.bottom + border,
        width: area.width - 2.0 * border,
        height: area.height - 2.0 * border,
    }
}

/// A pane of one colour, shaded, in a frame of another.
fn framed(canvas: &mut Canvas, random: &mut ChaCha8Rng, area: Area, pane: Rgb) {
    let rim = pane.map(|channel| channel * random.random_range(0.2..0.8));
    canvas.paint(area, |_, _, _| rim);
    let (slope, border) =
        (random.random_range(-0.5..0.5f32), random.random_range(0.02..0.1) * area.width.min(area.height));
    let height = area.height;
    canvas.paint(inner(area, border), |_, v, _| {
        pane.map(|channel| (channel * (1.0 + slope * v / height)).clamp(0.01, 0.95))
    });
}

/// A sheet of words: lines of strokes of which no two are alike.
fn text(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette, area: Area) {
    let (seed, paper, ink) =
        (random.random(), palette.large(random), palette.small(random).map(|channel| 0.4 * channel));
    let line = area.height / random.random_range(3.0..16.0f32);
    let (stroke, margin) = (line * random.random_range(0.1..0.25), 0.06 * area.width);
    let (width, height) = (area.width, area.height);
    canvas.paint(area, |u, v, _| {
        let row = (v / line).floor();
        let (column, within) = ((u / stroke).floor(), (v / line).rem_euclid(1.0));
        let end = width * (0.5 + 0.5 * lattice(seed, row as i32, -1)) - margin;
        let outside = u < margin || u > end || v < 0.5 * line || v > height - 0.5 * line;
        let word = lattice(seed, (u / (9.0 * stroke)).floor() as i32, row as i32) < 0.85;
        let half = (within * 4.0).floor() as i32;
        let inked = lattice(seed.wrapping_add(5), column as i32, row as i32 * 4 + half) < 0.5;
        if !outside && word && inked && within > 0.25 { ink } else { paper }
    });
}

/// A board of upright books, of several colours and heights.
fn books(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette, area: Area) {
    let boards = (area.height / random.random_range(0.15..0.4)).ceil().max(1.0);
    let (back, height) = (palette.large(random).map(|channel| 0.3 * channel), area.height / boards);
    canvas.paint(area, |_, _, _| back);
    for board in 0..boards as usize {
        let mut left = area.left + 0.01;
        while left < area.left + area.width - 0.02 {
            let width = random.random_range(0.012..0.06f32).min(area.left + area.width - left);
            let tall = height * random.random_range(0.55..0.92);
            let (cover, label) = (palette.small(random), palette.small(random));
            let (band, wide) = (tall * random.random_range(0.2..0.8), tall * random.random_range(0.05..0.2));
            let book = Area { left, bottom: area.bottom + board as f32 * height, width, height: tall };
            let rounded = width * 0.5;
            canvas.paint(book, |u, v, _| {
                let shade = 1.0 - 0.4 * ((u - rounded) / rounded).powi(2);
                let tone = if (v - band).abs() < 0.5 * wide { label } else { cover };
                tone.map(|channel| channel * shade)
            });
            left += width + if random.random_bool(0.1) { random.random_range(0.02..0.15) } else { 0.002 };
        }
    }
}

/// Fronts with handles.
fn drawers(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette, size: [f32; 2]) {
    material::cover(canvas, random, palette);
    let (rows, columns) = (random.random_range(1..5) as f32, random.random_range(1..4) as f32);
    let cell = [size[0] / columns, size[1] / rows];
    let handle = palette.small(random);
    canvas.paint(canvas.area(), |u, v, old| {
        let (x, y) = ((u / cell[0]).rem_euclid(1.0), (v / cell[1]).rem_euclid(1.0));
        let gap = x * cell[0] < 0.008 || y * cell[1] < 0.008;
        let knob = (x - 0.5).abs() < 0.12 && (y - 0.8).abs() * cell[1] < 0.012;
        if gap {
            old.map(|channel| 0.3 * channel)
        } else if knob {
            handle
        } else {
            old
        }
    });
}

/// A door, or a window that reaches the floor.
fn door(canvas: &mut Canvas, random: &mut ChaCha8Rng, palette: &Palette, size: [f32; 2]) {
    let (width, height) = (random.random_range(0.7..1.2f32), random.random_range(1.9..2.2f32).min(size[1] - 0.05));
    let area = Area { left: random.random_range(0.1..size[0] - width - 0.1), bottom: 0.0, width, height };
    let tone = palette.large(random);
    framed(canvas, random, area, tone);
    for _ in 0..random.random_range(0..4) {
        let (at, panel) = (random.random_range(0.1..0.7f32), palette.large(random));
        let part = Area {
            left: area.left + 0.15 * width,
            bottom: at * height,
            width: 0.7 * width,
            height: height * random.random_range(0.08..0.25),
        };
        framed(canvas, random, part, panel);
    }
}
