//! Shares and rates with their intervals, in words.

/// `7 of 9 (0.78; 0.45 to 0.94)`: Wilson's interval.
pub fn share(hits: usize, n: usize) -> String {
    if n == 0 {
        return "none".into();
    }
    let (z, count, p) = (1.96_f64, n as f64, hits as f64 / n as f64);
    let centre = p + z * z / (2.0 * count);
    let half = z * (p * (1.0 - p) / count + z * z / (4.0 * count * count)).sqrt();
    let scale = 1.0 + z * z / count;
    let (low, high) = ((centre - half) / scale, (centre + half) / scale);
    format!("{hits} of {n} ({p:.2}; {low:.2} to {high:.2})")
}

/// `2 in 95 s: 76 an hour (9 to 274)`: Garwood's interval, as if alarms came independently of each other.
pub fn an_hour(alarms: usize, seconds: f64) -> String {
    let per_hour = |n: f64| n * 3600.0 / seconds;
    let low = if alarms == 0 { 0.0 } else { mean_with(alarms - 1, 0.975) };
    let high = mean_with(alarms, 0.025);
    format!(
        "{alarms} in {seconds:.0} s: {:.0} an hour ({:.0} to {:.0})",
        per_hour(alarms as f64),
        per_hour(low),
        per_hour(high)
    )
}

/// The mean of the Poisson distribution that gives at most `most` with probability `p`.
fn mean_with(most: usize, p: f64) -> f64 {
    let at_most = |mean: f64| {
        let mut term = (-mean).exp();
        let mut sum = term;
        for k in 1..=most {
            term *= mean / k as f64;
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (0.0, 10.0 + 4.0 * most as f64);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        // The larger the mean, the rarer so few.
        if at_most(middle) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[test]
fn an_interval_of_a_rate_is_garwoods() {
    // Of the table in Garwood (1936): 0 → 3.689; 2 → 0.242 to 7.225.
    assert_eq!(an_hour(0, 3600.0), "0 in 3600 s: 0 an hour (0 to 4)");
    assert_eq!(an_hour(2, 36.0), "2 in 36 s: 200 an hour (24 to 722)");
}
