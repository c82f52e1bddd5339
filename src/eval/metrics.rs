//! Figures and their 95 % intervals. Pure.

/// Resamplings behind an interval.
const RESAMPLES: usize = 500;
/// Bins of confidence for the calibration error.
const BINS: usize = 15;

/// A detection's score, and whether it hit a true box that no stronger one had hit.
pub(super) type Match = (f32, bool);

/// Average precision over 101 recall points, as COCO's evaluation defines it; NaN where there is no true box.
pub(super) fn average_precision<'a>(matches: impl Iterator<Item = &'a Match>, truths: usize) -> f64 {
    if truths == 0 {
        return f64::NAN;
    }
    let mut rows: Vec<Match> = matches.copied().collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut points, mut hits) = (Vec::with_capacity(rows.len()), 0usize);
    for (i, (_, hit)) in rows.iter().enumerate() {
        hits += usize::from(*hit);
        points.push((hits as f64 / truths as f64, hits as f64 / (i + 1) as f64));
    }
    // Precision at a recall is the best at that recall or beyond.
    let mut best = 0.0;
    for point in points.iter_mut().rev() {
        best = f64::max(best, point.1);
        point.1 = best;
    }
    let at = |recall: f64| points.iter().find(|p| p.0 >= recall - 1e-12).map_or(0.0, |p| p.1);
    (0..=100).map(|i| at(f64::from(i) / 100.0)).sum::<f64>() / 101.0
}

/// 95 % of `figure` over resampled items; the same each time.
pub(super) fn interval(items: usize, figure: impl Fn(&[usize]) -> f64) -> [f64; 2] {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut next = || {
        // xorshift64* (Vigna, 2016)
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % items.max(1)
    };
    let mut drawn: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let chosen: Vec<usize> = (0..items).map(|_| next()).collect();
            figure(&chosen)
        })
        .filter(|v| v.is_finite())
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn.get((share * drawn.len() as f64) as usize).copied();
    [at(0.025).unwrap_or(f64::NAN), at(0.975).unwrap_or(f64::NAN)]
}

/// 95 % interval of a share (Wilson, 1927).
pub(super) fn wilson(hits: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (z, n, p) = (1.96, n as f64, hits as f64 / n as f64);
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    [(centre - half) / scale, (centre + half) / scale]
}

/// Share of right decisions. Pairs are (truth, decision), here and below.
pub(super) fn accuracy(pairs: &[(usize, usize)]) -> f64 {
    pairs.iter().filter(|p| p.0 == p.1).count() as f64 / pairs.len().max(1) as f64
}

/// Mean F1 over the classes that are true at least once.
pub(super) fn macro_f1(pairs: &[(usize, usize)]) -> f64 {
    over_classes(pairs, |hits, of_truth, of_decision| {
        2.0 * hits / (of_truth + of_decision)
    })
}

/// Unweighted average recall over the classes that are true at least once.
pub(super) fn uar(pairs: &[(usize, usize)]) -> f64 {
    over_classes(pairs, |hits, of_truth, _| hits / of_truth)
}

/// The mean of a figure of (hits, times true, times decided) over the classes that are true at least once.
fn over_classes(pairs: &[(usize, usize)], figure: impl Fn(f64, f64, f64) -> f64) -> f64 {
    let classes = pairs.iter().map(|p| p.0.max(p.1) + 1).max().unwrap_or(0);
    let mut counts = vec![(0.0, 0.0, 0.0); classes];
    for (truth, decision) in pairs {
        counts[*truth].1 += 1.0;
        counts[*decision].2 += 1.0;
        counts[*truth].0 += f64::from(u8::from(truth == decision));
    }
    let there: Vec<f64> = counts
        .into_iter()
        .filter(|c| c.1 > 0.0)
        .map(|(hits, truths, decisions)| figure(hits, truths, decisions))
        .collect();
    there.iter().sum::<f64>() / there.len().max(1) as f64
}

/// The probability that an item of the class scores above one that is not (Mann & Whitney, 1947; ties count half).
/// None when there is none of either sort. Items are (score, is of the class).
pub(super) fn auc(items: &[(f32, bool)]) -> Option<f64> {
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let of = sorted.iter().filter(|i| i.1).count() as f64;
    let others = sorted.len() as f64 - of;
    if of == 0.0 || others == 0.0 {
        return None;
    }
    let (mut below, mut won) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mine = ties.iter().filter(|i| i.1).count() as f64;
        let theirs = ties.len() as f64 - mine;
        won += mine * (below + theirs / 2.0);
        below += theirs;
    }
    Some(won / (of * others))
}

/// Expected calibration error: how far confidence is from the share of right decisions, over 15 equal bins of
/// confidence, weighted by how full they are (Guo et al., 2017). Items are (confidence 0 to 1, was right).
pub(super) fn ece(items: &[(f32, bool)]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for (confidence, right) in items {
        let bin = ((confidence.clamp(0.0, 1.0) * BINS as f32) as usize).min(BINS - 1);
        bins[bin].0 += f64::from(*confidence);
        bins[bin].1 += f64::from(u8::from(*right));
    }
    bins.iter().map(|(sure, right)| (sure - right).abs()).sum::<f64>() / items.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_of_known_rankings() {
        assert!((average_precision([(0.9, true), (0.8, true)].iter(), 2) - 1.0).abs() < 1e-9);
        assert!(average_precision([(0.9, false)].iter(), 2) < 1e-9);
        assert!(average_precision([(0.9, false)].iter(), 0).is_nan());
        // A hit, a miss, a hit: precision 1 up to recall 0.5, then 2/3.
        let ap = average_precision([(0.9, true), (0.8, false), (0.7, true)].iter(), 2);
        assert!((ap - (51.0 + 50.0 * 2.0 / 3.0) / 101.0).abs() < 1e-9, "{ap}");
    }

    #[test]
    fn macro_f1_of_a_known_table() {
        // Class 0: 1 of 2 found; class 1: both found, one false.
        let f1 = macro_f1(&[(0, 0), (0, 1), (1, 1), (1, 1)]);
        assert!((f1 - (2.0 / 3.0 + 4.0 / 5.0) / 2.0).abs() < 1e-9, "{f1}");
    }

    #[test]
    fn intervals_hold_their_figure_and_shrink_with_more_items() {
        let width = |n: usize| {
            let [low, high] = interval(n, |chosen| {
                chosen.iter().filter(|i| *i % 2 == 0).count() as f64 / n as f64
            });
            assert!(low <= 0.5 && 0.5 <= high);
            high - low
        };
        assert!(width(400) < width(40));
        // 3.92 standard deviations of the share.
        assert!((width(400) - 0.098).abs() < 0.01, "{}", width(400));
        let [low, high] = wilson(8, 10);
        assert!(
            (low - 0.490).abs() < 2e-3 && (high - 0.943).abs() < 2e-3,
            "{low} {high}"
        );
    }

    #[test]
    fn recall_is_averaged_over_classes_not_items() {
        assert!((uar(&[(0, 0), (0, 0), (0, 0), (1, 0)]) - 0.5).abs() < 1e-9);
        assert!((accuracy(&[(0, 0), (0, 0), (0, 0), (1, 0)]) - 0.75).abs() < 1e-9);
    }

    #[test]
    fn auc_counts_ties_half_and_needs_both_sorts() {
        let auc = |items: &[(f32, bool)]| auc(items).unwrap();
        assert!((auc(&[(0.9, true), (0.1, false)]) - 1.0).abs() < 1e-9);
        assert!((auc(&[(0.5, true), (0.5, false)]) - 0.5).abs() < 1e-9);
        assert!((auc(&[(0.9, true), (0.2, true), (0.5, false), (0.1, false)]) - 0.75).abs() < 1e-9);
        assert!(super::auc(&[(0.9, true)]).is_none());
    }

    #[test]
    fn calibration_is_the_distance_of_confidence_from_what_came_true() {
        let sure = |right: usize| -> Vec<(f32, bool)> { (0..10).map(|i| (0.8, i < right)).collect() };
        assert!(ece(&sure(8)) < 1e-6);
        assert!((ece(&sure(5)) - 0.3).abs() < 1e-6);
    }
}
