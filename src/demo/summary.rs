//! What the run was like: speed, latency, what was shed, from the daemon's own metrics page.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;

use super::screen::Seen;

/// The demo's figures; `--report` writes them as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Analysed frames a second and camera.
    pub fps: f64,
    pub windows: u64,
    /// Windows that a branch did not look at because its model was busy, counted by the branch that lost most.
    pub shed: u64,
    /// Upper bounds, from the end of a window's data to its verdict; None when beyond the histogram.
    pub latency_p50_s: Option<f64>,
    pub latency_p99_s: Option<f64>,
    /// Alerts that started.
    pub alerts: Vec<Count>,
    /// Expected alerts that did not come.
    pub missing: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Count {
    pub camera: String,
    pub kind: String,
    pub count: u32,
}

impl Summary {
    /// `page`: the daemon's /metrics.
    pub fn new(page: &str, seen: &Seen, missing: Vec<String>) -> Self {
        let streamed_s = sum(page, "watchfire_stream_seconds_total", "").max(0.1);
        Self {
            fps: sum(page, "watchfire_frames_total", "") / streamed_s,
            windows: sum(page, "watchfire_windows_total", "") as u64,
            shed: shed("", page),
            latency_p50_s: quantile_s(page, "watchfire_window_latency_seconds", 0.5),
            latency_p99_s: quantile_s(page, "watchfire_window_latency_seconds", 0.99),
            alerts: seen
                .iter()
                .map(|((camera, kind), count)| Count {
                    camera: camera.clone(),
                    kind: kind.clone(),
                    count: *count,
                })
                .collect(),
            missing,
        }
    }

    pub fn tell(&self) {
        let bound = |s: Option<f64>| s.map_or("more than 10 s".to_owned(), |s| format!("at most {s} s"));
        println!("\nspeed    {:.1} frames a second and camera", self.fps);
        println!(
            "latency  from a window's last data to its verdict: half {}, 99 % {}",
            bound(self.latency_p50_s),
            bound(self.latency_p99_s)
        );
        println!("shed     {} of {} windows", self.shed, self.windows);
        for c in &self.alerts {
            println!("alerts   {} {}: {}", c.camera, c.kind, c.count);
        }
    }
}

/// Adds up the samples whose name starts with `name` and whose labels contain `label`.
pub(super) fn sum(page: &str, name: &str, label: &str) -> f64 {
    page.lines()
        .filter(|l| l.starts_with(name) && l.contains(label))
        .filter_map(|l| l.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum()
}

/// Windows of which at least one branch was shed from the page `before` to `after`, counted by the branch that lost most:
/// one window can be shed from several. An empty `before` is the daemon's start.
pub(super) fn shed(before: &str, after: &str) -> u64 {
    let metric = "watchfire_reports_total";
    let branches = after.lines().filter_map(|l| {
        let labels = l.strip_prefix(metric)?.strip_prefix('{')?;
        labels.split("branch=\"").nth(1)?.split('"').next()
    });
    let shed_of = |branch: &str| {
        let labels = format!("branch=\"{branch}\",status=\"shed\"");
        (sum(after, metric, &labels) - sum(before, metric, &labels)) as u64
    };
    let branches: BTreeSet<&str> = branches.collect();
    branches.into_iter().map(shed_of).max().unwrap_or(0)
}

/// The bound of the bucket with quantile `q`, over all label values of one histogram.
fn quantile_s(page: &str, name: &str, q: f64) -> Option<f64> {
    let bucket = format!("{name}_bucket");
    let total = sum(page, &bucket, "le=\"+Inf\"");
    let mut bounds: Vec<f64> = page
        .lines()
        .filter(|l| l.starts_with(&bucket))
        .filter_map(|l| l.split("le=\"").nth(1)?.split('"').next()?.parse().ok())
        .filter(|b: &f64| b.is_finite())
        .collect();
    bounds.sort_by(f64::total_cmp);
    bounds
        .into_iter()
        .find(|b| total > 0.0 && sum(page, &bucket, &format!("le=\"{b}\"")) >= total * q)
}

/// The daemon's /metrics.
///
/// # Errors
/// It does not answer.
pub(super) fn metrics_page(http: &SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(http, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "watchfire_frames_total{camera=\"a\"} 100\nwatchfire_frames_total{camera=\"b\"} 50\n\
        watchfire_stream_seconds_total{camera=\"a\"} 20\nwatchfire_stream_seconds_total{camera=\"b\"} 10\n\
        watchfire_window_latency_seconds_bucket{camera=\"a\",le=\"0.1\"} 60\n\
        watchfire_window_latency_seconds_bucket{camera=\"a\",le=\"1\"} 99\n\
        watchfire_window_latency_seconds_bucket{camera=\"a\",le=\"+Inf\"} 100\n";

    #[test]
    fn figures_come_from_the_metrics_page() {
        let summary = Summary::new(PAGE, &Seen::new(), Vec::new());
        assert!((summary.fps - 5.0).abs() < 1e-9);
        assert_eq!((summary.latency_p50_s, summary.latency_p99_s), (Some(0.1), Some(1.0)));
        assert_eq!(quantile_s(PAGE, "watchfire_window_latency_seconds", 0.999), None);
    }

    #[test]
    fn a_window_that_two_branches_shed_counts_once() {
        let page = |vision, hearing| {
            format!(
                "watchfire_reports_total{{camera=\"a\",branch=\"vision\",status=\"ok\"}} 90\n\
                 watchfire_reports_total{{camera=\"a\",branch=\"vision\",status=\"shed\"}} {vision}\n\
                 watchfire_reports_total{{camera=\"b\",branch=\"vision\",status=\"shed\"}} 1\n\
                 watchfire_reports_total{{camera=\"a\",branch=\"hearing\",status=\"shed\"}} {hearing}\n"
            )
        };
        assert_eq!(Summary::new(&page(7, 5), &Seen::new(), Vec::new()).shed, 8);
        assert_eq!(shed(&page(7, 5), &page(9, 11)), 6, "hearing lost six, vision two");
        assert_eq!(shed("", ""), 0);
    }
}
