//! Figures and their 95 % intervals. Pure.

/// Resamplings behind an interval.
const RESAMPLES: usize = 500;

/// A detection's score, and whether it hit a true box that no stronger one had hit.
pub(super) type Match = (f32, bool);

/// Average precision over 101 recall points, as COCO's evaluation defines it.
pub(super) fn average_precision<'a>(matches: impl Iterator<Item = &'a Match>, truths: usize) -> f64 {
    let mut rows: Vec<Match> = matches.copied().collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut points, mut hits) = (Vec::with_capacity(rows.len()), 0usize);
    for (i, (_, hit)) in rows.iter().enumerate() {
        hits += usize::from(*hit);
        points.push((hits as f64 / truths.max(1) as f64, hits as f64 / (i + 1) as f64));
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

/// Mean F1 over the classes that are true or decided at least once. Pairs are (truth, decision).
pub(super) fn macro_f1(pairs: &[(usize, usize)]) -> f64 {
    let mut truths: Vec<usize> = pairs.iter().map(|p| p.0).collect();
    truths.sort_unstable();
    truths.dedup();
    let f1 = |class: &usize| {
        let count = |test: &dyn Fn(&(usize, usize)) -> bool| pairs.iter().filter(|p| test(p)).count() as f64;
        let hits = count(&|p| p.0 == *class && p.1 == *class);
        2.0 * hits / (count(&|p| p.0 == *class) + count(&|p| p.1 == *class))
    };
    truths.iter().map(f1).sum::<f64>() / truths.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_of_known_rankings() {
        assert!((average_precision([(0.9, true), (0.8, true)].iter(), 2) - 1.0).abs() < 1e-9);
        assert!(average_precision([(0.9, false)].iter(), 2) < 1e-9);
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
        let [low, high] = wilson(8, 10);
        assert!(
            (low - 0.490).abs() < 2e-3 && (high - 0.943).abs() < 2e-3,
            "{low} {high}"
        );
    }
}
