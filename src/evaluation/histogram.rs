//! Counts of values in bars of equal width: what a histogram draws, and its CSV.

use std::fmt::Write;

/// Values from 0 on, in bars of equal width; the last bar also counts all that lie beyond.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    /// Width of a bar.
    pub width: f64,
    /// Values per bar.
    pub counts: Vec<usize>,
}

impl Histogram {
    /// `bars` bars from 0 to `end`, both above 0. Negative values count in the first bar.
    pub fn new(values: &[f64], end: f64, bars: usize) -> Self {
        let width = end / bars as f64;
        let mut counts = vec![0; bars];
        values.iter().for_each(|value| counts[((value / width) as usize).min(bars - 1)] += 1);
        Self { width, counts }
    }

    /// All values.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Where the bars end.
    pub fn end(&self) -> f64 {
        self.width * self.counts.len() as f64
    }

    /// From where on to where each bar is, and its count.
    pub fn bars(&self) -> impl Iterator<Item = (f64, f64, usize)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .map(|(index, count)| (index as f64 * self.width, (index + 1) as f64 * self.width, *count))
    }

    /// Share of the values per unit in a bar of `count` values.
    pub fn density(&self, count: usize) -> f64 {
        count as f64 / (self.total().max(1) as f64 * self.width)
    }

    /// `from,to,count`, one row per bar; the last `to` is infinite.
    pub fn csv(&self) -> String {
        let mut text = String::from("from,to,count\n");
        for (index, (from, to, count)) in self.bars().enumerate() {
            // Writing to a String cannot fail.
            let _ = match index + 1 == self.counts.len() {
                true => writeln!(text, "{from:.6},inf,{count}"),
                false => writeln!(text, "{from:.6},{to:.6},{count}"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_lost() {
        let histogram = Histogram::new(&[-1.0, 0.0, 0.4, 0.5, 1.9, 2.0, f64::INFINITY], 2.0, 4);
        assert_eq!((histogram.counts.as_slice(), histogram.total()), ([3, 1, 0, 3].as_slice(), 7));
        let all: f64 = histogram.bars().map(|(from, to, count)| histogram.density(count) * (to - from)).sum();
        assert!((all - 1.0).abs() < 1e-12 && histogram.end() == 2.0);
        assert!(histogram.csv().ends_with("1.000000,1.500000,0\n1.500000,inf,3\n"), "{}", histogram.csv());
    }
}
