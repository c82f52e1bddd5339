//! Numbers that no alert has: an account of them would be one of nothing.

use std::ops::RangeInclusive;

use crate::publish::payload::AlertPayload;

/// Probabilities, shares, and fractions of the picture.
const PART: RangeInclusive<f64> = 0.0..=1.0;
/// Log-odds beyond this are no opinion: a probability is kept within 9.3 of even odds.
const ODDS: RangeInclusive<f64> = -100.0..=100.0;

/// # Errors
/// The first field whose number is out of its range, in words.
pub(super) fn check(alert: &AlertPayload) -> Result<(), String> {
    within("score", alert.score, &PART)?;
    if let Some(prior) = alert.prior {
        within("prior", prior, &PART)?;
    }
    for (i, e) in alert.evidence.iter().enumerate() {
        within(&format!("evidence[{i}].score"), e.score, &PART)?;
        within(&format!("evidence[{i}].contribution"), e.contribution, &ODDS)?;
        within(&format!("evidence[{i}].share"), e.share, &PART)?;
    }
    for (i, t) in alert.tracks.iter().enumerate() {
        within(&format!("tracks[{i}].score"), t.score, &PART)?;
        for corner in t.bbox {
            within(&format!("tracks[{i}].bbox"), corner, &PART)?;
        }
    }
    for (label, p) in alert.emotion.iter().flatten() {
        within(&format!("emotion.{label}"), *p, &PART)?;
    }
    Ok(())
}

fn within(field: &str, value: f64, range: &RangeInclusive<f64>) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    // As Rust writes it for programmers: 1e300 has few digits so.
    Err(format!(
        "its {field} is {value:?}, not between {} and {}",
        range.start(),
        range.end()
    ))
}
