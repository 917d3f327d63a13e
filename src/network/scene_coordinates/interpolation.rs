//! A coarse map read between its cells, at the centres of a finer one's. The grids of an encoder without padding do not share
//! their corners, so that neither convention of the usual upsampling puts features where they were seen.

use tch::{Kind, Tensor};

use crate::network::encoder::CellGrid;

/// The coarse map `bchw` at some cells of a fine one that has so many columns, `bnc`, bilinear; beyond its last cells those
/// themselves.
pub(super) fn read_at(
    (coarse_bchw, coarse): (&Tensor, &CellGrid),
    fine: &CellGrid,
    cells: &[i64],
    fine_columns: i64,
) -> Tensor {
    let size = coarse_bchw.size();
    let (rows, columns, device) = (size[2], size[3], coarse_bchw.device());
    let cells_bnc = coarse_bchw.permute([0, 2, 3, 1]).flatten(1, 2);
    let neighbours = cells.iter().map(|cell| {
        let row = beside(fine.index_in(coarse, cell / fine_columns), rows);
        let column = beside(fine.index_in(coarse, cell % fine_columns), columns);
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(one, other)| {
            let ((row, share), (column, of_column)) = (row[one], column[other]);
            (row * columns + column, share * of_column)
        })
    });
    let neighbours: Vec<[(i64, f32); 4]> = neighbours.collect();
    let of_corner = |corner: usize| {
        let (numbers, shares): (Vec<i64>, Vec<f32>) = neighbours.iter().map(|four| four[corner]).unzip();
        let shares_1n1 = Tensor::from_slice(&shares).view([1, -1, 1]).to_device(device);
        cells_bnc.index_select(1, &Tensor::from_slice(&numbers).to_device(device)).to_kind(Kind::Float) * shares_1n1
    };
    of_corner(0) + of_corner(1) + of_corner(2) + of_corner(3)
}

/// The cells of a side below and above a place on it, and what each counts there.
fn beside(place: f64, cells: i64) -> [(i64, f32); 2] {
    let place = place.clamp(0.0, (cells - 1) as f64);
    let share = (place - place.floor()) as f32;
    [(place.floor() as i64, 1.0 - share), (place.ceil() as i64, share)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_read_where_its_cells_lie() {
        // A picture of the column (and ten times the row), as the coarse cells see it at their centres; its half in a second
        // frame.
        let coarse = CellGrid { stride: 16.0, first: 17.0 };
        let fine = CellGrid { stride: 8.0, first: 9.0 };
        let picture: Vec<f32> = (0..6).map(|cell| (17 + 16 * (cell % 3)) as f32 + 10.0 * (cell / 3) as f32).collect();
        let map = Tensor::from_slice(&picture).view([1, 1, 2, 3]);
        let both = Tensor::cat(&[&map, &(&map * 0.5)], 0);
        let cells: Vec<i64> = (0..21).collect();
        let read = read_at((&both, &coarse), &fine, &cells, 7);
        assert_eq!(read.size(), [2, 21, 1]);
        let columns: Vec<f64> = (0..7).map(|column| read.double_value(&[0, column, 0])).collect();
        // The first and the last lie outside of the centres.
        assert_eq!(columns, [17.0, 17.0, 25.0, 33.0, 41.0, 49.0, 49.0]);
        let rows: Vec<f64> = (0..3).map(|row| read.double_value(&[1, 7 * row + 1, 0])).collect();
        assert_eq!(rows, [8.5, 8.5, 11.0]);
        let some = read_at((&both, &coarse), &fine, &[20, 9], 7);
        assert_eq!(some.double_value(&[0, 1, 0]), read.double_value(&[0, 9, 0]));
        assert_eq!(some.double_value(&[1, 0, 0]), read.double_value(&[1, 20, 0]));
    }
}
