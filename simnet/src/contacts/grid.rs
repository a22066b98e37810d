//! A grid over a plane that finds who is near without looking at everybody.

/// Most cells along a side; more would cost more to keep than to search.
const CELLS_MAX: f64 = 256.0;
/// Ends a cell's list.
const NOBODY: u32 = u32::MAX;

/// Peers in square cells that are at least as wide as the range.
#[derive(Debug)]
pub(super) struct Grid {
    range_squared: f64,
    cell_m: f64,
    columns: usize,
    rows: usize,
    /// The last peer of each cell, and for each peer the one before it there.
    head: Vec<u32>,
    next: Vec<u32>,
    cell_of: Vec<usize>,
}

impl Grid {
    /// An empty grid over an area; all lengths are positive.
    pub(super) fn new([width_m, height_m]: [f64; 2], range_m: f64) -> Self {
        let cell_m = range_m.max(width_m.max(height_m) / CELLS_MAX);
        // Between 1 and 257 cells, so the casts keep the value.
        let cells = |side_m: f64| (side_m / cell_m).floor() as usize + 1;
        let (columns, rows) = (cells(width_m), cells(height_m));
        Self {
            range_squared: range_m * range_m,
            cell_m,
            columns,
            rows,
            head: vec![NOBODY; columns * rows],
            next: Vec::new(),
            cell_of: Vec::new(),
        }
    }

    /// Calls `near` once for each two peers at `places` that are within range,
    /// the lower first.
    pub(super) fn pairs(&mut self, places: &[[f64; 2]], mut near: impl FnMut(u16, u16)) {
        self.clear();
        for (peer, place) in (0..=u16::MAX).zip(places) {
            let (column, row) = (self.cell(place[0], self.columns), self.cell(place[1], self.rows));
            for row in row.saturating_sub(1)..(row + 2).min(self.rows) {
                for column in column.saturating_sub(1)..(column + 2).min(self.columns) {
                    self.search(row * self.columns + column, places, place, |it| near(it, peer));
                }
            }
            let cell = row * self.columns + column;
            self.next.push(self.head[cell]);
            self.head[cell] = u32::from(peer);
            self.cell_of.push(cell);
        }
    }

    fn clear(&mut self) {
        for &cell in &self.cell_of {
            self.head[cell] = NOBODY;
        }
        self.next.clear();
        self.cell_of.clear();
    }

    fn cell(&self, at_m: f64, cells: usize) -> usize {
        // Saturates below zero; rounding may not lead out of the grid above.
        ((at_m / self.cell_m) as usize).min(cells - 1)
    }

    fn search(
        &self,
        cell: usize,
        places: &[[f64; 2]],
        place: &[f64; 2],
        mut found: impl FnMut(u16),
    ) {
        let mut at = self.head[cell];
        while at != NOBODY {
            let other = u16::try_from(at).expect("peers have 16-bit numbers");
            let [x, y] = places[usize::from(other)];
            let (dx, dy) = (x - place[0], y - place[1]);
            if dx * dx + dy * dy <= self.range_squared {
                found(other);
            }
            at = self.next[usize::from(other)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute_force(places: &[[f64; 2]], range_m: f64) -> Vec<(u16, u16)> {
        let mut pairs = Vec::new();
        for (a, one) in (0..).zip(places) {
            for (b, other) in (0..).zip(places).skip(usize::from(a) + 1) {
                let (dx, dy) = (one[0] - other[0], one[1] - other[1]);
                if dx * dx + dy * dy <= range_m * range_m {
                    pairs.push((a, b));
                }
            }
        }
        pairs
    }

    proptest! {
        #[test]
        fn finds_whom_a_search_through_all_finds(
            places in prop::collection::vec((0.0..=300.0_f64, 0.0..=100.0_f64), 0..40),
            range_m in 0.1..400.0_f64,
        ) {
            let places: Vec<_> = places.into_iter().map(|(x, y)| [x, y]).collect();
            let mut grid = Grid::new([300.0, 100.0], range_m);
            for _ in 0..2 {
                let mut found = Vec::new();
                grid.pairs(&places, |a, b| found.push((a, b)));
                found.sort_unstable();
                prop_assert_eq!(&found, &brute_force(&places, range_m));
            }
        }
    }
}
