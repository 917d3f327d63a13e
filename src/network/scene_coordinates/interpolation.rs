//! A coarse map read between its cells, at the centres of a finer one's. The grids of an encoder without padding do not share
//! their corners, so that neither convention of the usual upsampling puts features where they were seen.

use tch::{Device, Kind, Tensor};

use crate::network::encoder::CellGrid;

/// The coarse map `bchw` at the cells of a fine one of `rows` x `columns`, bilinear; beyond its last cells those themselves.
pub(super) fn at_cells(
    (coarse_bchw, coarse): (&Tensor, &CellGrid),
    fine: &CellGrid,
    [rows, columns]: [i64; 2],
) -> Tensor {
    let size = coarse_bchw.size();
    let (device, kind) = (coarse_bchw.device(), coarse_bchw.kind());
    let of = |fine_cells, coarse_cells| weights(fine, fine_cells, coarse, coarse_cells).to_device(device).to_kind(kind);
    of(rows, size[2]).matmul(coarse_bchw).matmul(&of(columns, size[3]).tr())
}

/// How much each of the coarse cells along a side counts for each of the fine ones, a row of weights for each of these.
fn weights(fine: &CellGrid, fine_cells: i64, coarse: &CellGrid, coarse_cells: i64) -> Tensor {
    let mut weights = vec![0.0f32; (fine_cells * coarse_cells) as usize];
    for cell in 0..fine_cells {
        let at = fine.index_in(coarse, cell).clamp(0.0, (coarse_cells - 1) as f64);
        let (lower, upper) = (at.floor() as i64, at.ceil() as i64);
        let share = (at - at.floor()) as f32;
        weights[(cell * coarse_cells + lower) as usize] += 1.0 - share;
        weights[(cell * coarse_cells + upper) as usize] += share;
    }
    Tensor::from_slice(&weights).view([fine_cells, coarse_cells]).to_kind(Kind::Float).to_device(Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_read_where_its_cells_lie() {
        // A picture of the column (and ten times the row), as the coarse cells see it at their centres.
        let coarse = CellGrid { stride: 16.0, first: 17.0 };
        let fine = CellGrid { stride: 8.0, first: 9.0 };
        let picture: Vec<f32> = (0..6).map(|cell| (17 + 16 * (cell % 3)) as f32 + 10.0 * (cell / 3) as f32).collect();
        let map = Tensor::from_slice(&picture).view([1, 1, 2, 3]);
        let read = at_cells((&map, &coarse), &fine, [3, 7]);
        let columns: Vec<f64> = (0..7).map(|column| read.double_value(&[0, 0, 0, column])).collect();
        // The first and the last lie outside of the centres.
        assert_eq!(columns, [17.0, 17.0, 25.0, 33.0, 41.0, 49.0, 49.0]);
        let rows: Vec<f64> = (0..3).map(|row| read.double_value(&[0, 0, row, 1])).collect();
        assert_eq!(rows, [17.0, 17.0, 22.0]);
    }
}
