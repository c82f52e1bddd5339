//! What every network that finds boxes does with them.

use crate::data::BBox;

/// Greedy non-maximum suppression: strongest first, without those that overlap a stronger one of the `same` sort by more
/// than `iou`.
pub(super) fn suppress<T>(
    mut found: Vec<T>,
    iou: f32,
    of: impl Fn(&T) -> (BBox, f32),
    same: impl Fn(&T, &T) -> bool,
) -> Vec<T> {
    found.sort_by(|a, b| of(b).1.total_cmp(&of(a).1));
    let mut kept: Vec<T> = Vec::new();
    for one in found {
        if kept.iter().all(|k| !same(k, &one) || of(k).0.iou(&of(&one).0) <= iou) {
            kept.push(one);
        }
    }
    kept
}
