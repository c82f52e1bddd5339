//! Counters that every thread may bump without waiting. The console turns them into text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::data::{Branch, CameraId, Status};

/// Upper bounds of the latency buckets, in seconds; the last bucket is open.
pub const LATENCY_BOUNDS_S: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// A latency histogram of fixed buckets.
#[derive(Default)]
pub struct Histogram {
    buckets: [AtomicU64; LATENCY_BOUNDS_S.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub fn observe_ns(&self, ns: u64) {
        let s = ns as f64 / 1e9;
        let i = LATENCY_BOUNDS_S
            .iter()
            .position(|b| s <= *b)
            .unwrap_or(LATENCY_BOUNDS_S.len());
        self.buckets[i].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(ns / 1_000, Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Relaxed)).sum()
    }

    /// The upper bound of the bucket that holds quantile `q` (0 to 1); None without observations.
    pub fn quantile_s(&self, q: f64) -> Option<f64> {
        let total = self.count();
        let mut left = (total as f64 * q).ceil().max(1.0) as u64;
        for (i, bucket) in self.buckets.iter().enumerate() {
            let n = bucket.load(Relaxed);
            if n >= left && total > 0 {
                return Some(LATENCY_BOUNDS_S.get(i).copied().unwrap_or(f64::INFINITY));
            }
            left -= n.min(left);
        }
        None
    }
}

#[derive(Default)]
pub struct EdgeMetrics {
    pub pushed: AtomicU64,
    pub dropped: AtomicU64,
    /// Over all mailboxes of the edge. An item may be taken before its push is counted, so this may be -1 for a moment.
    waiting: AtomicI64,
    /// From push to taking.
    pub wait: Histogram,
}

impl EdgeMetrics {
    pub(super) fn pushed(&self) {
        self.pushed.fetch_add(1, Relaxed);
        self.waiting.fetch_add(1, Relaxed);
    }

    pub(super) fn taken(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// Items in the edge now.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.load(Relaxed)).unwrap_or(0)
    }
}

#[derive(Default)]
pub struct StageMetrics {
    pub processed: AtomicU64,
    pub failed: AtomicU64,
    pub panics: AtomicU64,
    pub latency: Histogram,
}

/// Of one camera: its windows by what became of them, and how long they took from camera to verdict.
#[derive(Default)]
pub struct CameraMetrics {
    pub windows: AtomicU64,
    /// Frames and seconds of stream in them.
    pub frames: AtomicU64,
    pub stream_ms: AtomicU64,
    reports: [[AtomicU64; 6]; Branch::ALL.len()],
    /// Window's last part received → judged.
    pub latency: Histogram,
    pub alerts: AtomicU64,
    /// Clips that were judged without what was heard, because the two were too far apart in time.
    pub skewed: AtomicU64,
    /// Host time (monotonic) of the last `ok` report of vision; 0 before the first.
    pub last_ok_ns: AtomicU64,
}

impl CameraMetrics {
    pub fn report(&self, branch: Branch, status: Status) {
        self.reports[branch as usize][status as usize].fetch_add(1, Relaxed);
    }

    pub fn reports(&self, branch: Branch, status: Status) -> u64 {
        self.reports[branch as usize][status as usize].load(Relaxed)
    }
}

/// Every counter of the graph. Made once; cameras are added at start and at reloads, by replacing the map.
#[derive(Clone, Default)]
pub struct Metrics {
    pub edges: BTreeMap<&'static str, Arc<EdgeMetrics>>,
    pub stages: BTreeMap<&'static str, Arc<StageMetrics>>,
    pub cameras: BTreeMap<CameraId, Arc<CameraMetrics>>,
}

const STATUSES: [(Status, &str); 6] = [
    (Status::Ok, "ok"),
    (Status::Empty, "empty"),
    (Status::Gated, "gated"),
    (Status::Shed, "shed"),
    (Status::Late, "late"),
    (Status::Failed, "failed"),
];

/// Writes the Prometheus text format (version 0.0.4).
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Starts a family.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP watchfire_{name} {help}\n# TYPE watchfire_{name} {kind}");
    }

    /// One sample; label values are escaped here.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.0, "watchfire_{name}");
        for (i, (key, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{}{key}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of one sample.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), h: &Histogram) {
        let mut running = 0;
        for (i, bucket) in h.buckets.iter().enumerate() {
            running += bucket.load(Relaxed);
            let le = LATENCY_BOUNDS_S
                .get(i)
                .map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            self.sample(&format!("{name}_bucket"), &[label, ("le", &le)], running as f64);
        }
        self.sample(&format!("{name}_sum"), &[label], h.sum_us.load(Relaxed) as f64 / 1e6);
        self.sample(&format!("{name}_count"), &[label], running as f64);
    }

    pub fn finish(self) -> String {
        self.0
    }
}

impl Metrics {
    /// Appends every family of the graph.
    pub fn write(&self, text: &mut Text) {
        text.family("edge_pushed_total", "counter", "Items pushed into an edge.");
        for (name, m) in &self.edges {
            text.sample("edge_pushed_total", &[("edge", name)], m.pushed.load(Relaxed) as f64);
        }
        text.family(
            "edge_dropped_total",
            "counter",
            "Items that an edge evicted under load.",
        );
        for (name, m) in &self.edges {
            text.sample("edge_dropped_total", &[("edge", name)], m.dropped.load(Relaxed) as f64);
        }
        text.family(
            "edge_depth",
            "gauge",
            "Items waiting in an edge, over all cameras' mailboxes.",
        );
        for (name, m) in &self.edges {
            text.sample("edge_depth", &[("edge", name)], m.waiting() as f64);
        }
        text.family("edge_wait_seconds", "histogram", "Time that an item waits in an edge.");
        for (name, m) in &self.edges {
            text.histogram("edge_wait_seconds", ("edge", name), &m.wait);
        }
        text.family("stage_processed_total", "counter", "Inputs that a stage worked on.");
        for (name, m) in &self.stages {
            text.sample(
                "stage_processed_total",
                &[("stage", name)],
                m.processed.load(Relaxed) as f64,
            );
        }
        text.family(
            "stage_failed_total",
            "counter",
            "Inputs that a stage could not compute.",
        );
        for (name, m) in &self.stages {
            text.sample("stage_failed_total", &[("stage", name)], m.failed.load(Relaxed) as f64);
        }
        text.family("stage_panics_total", "counter", "Panics caught in a stage.");
        for (name, m) in &self.stages {
            text.sample("stage_panics_total", &[("stage", name)], m.panics.load(Relaxed) as f64);
        }
        text.family("stage_seconds", "histogram", "Time that a stage takes for an input.");
        for (name, m) in &self.stages {
            text.histogram("stage_seconds", ("stage", name), &m.latency);
        }
        self.write_cameras(text);
    }

    fn write_cameras(&self, text: &mut Text) {
        type Reading = fn(&CameraMetrics) -> f64;
        let counters: [(&str, &str, Reading); 5] = [
            ("windows_total", "Windows cut from a camera's stream.", |m| {
                m.windows.load(Relaxed) as f64
            }),
            ("frames_total", "Frames in the windows.", |m| {
                m.frames.load(Relaxed) as f64
            }),
            ("stream_seconds_total", "Seconds of stream in the windows.", |m| {
                m.stream_ms.load(Relaxed) as f64 / 1e3
            }),
            ("alerts_total", "Alerts started.", |m| m.alerts.load(Relaxed) as f64),
            (
                "skewed_total",
                "Clips judged without what was heard: too far apart in time.",
                |m| m.skewed.load(Relaxed) as f64,
            ),
        ];
        for (name, help, read) in counters {
            text.family(name, "counter", help);
            for (camera, m) in &self.cameras {
                text.sample(name, &[("camera", camera.as_str())], read(m));
            }
        }
        text.family("reports_total", "counter", "Reports of the branches by status.");
        for (camera, m) in &self.cameras {
            for branch in Branch::ALL {
                for (status, status_name) in STATUSES {
                    let labels = [
                        ("camera", camera.as_str()),
                        ("branch", branch.as_str()),
                        ("status", status_name),
                    ];
                    text.sample("reports_total", &labels, m.reports(*branch, status) as f64);
                }
            }
        }
        text.family(
            "window_latency_seconds",
            "histogram",
            "From the window's last part received to its verdict.",
        );
        for (camera, m) in &self.cameras {
            text.histogram("window_latency_seconds", ("camera", camera.as_str()), &m.latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_bounds_of_their_buckets() {
        let h = Histogram::default();
        assert_eq!(h.quantile_s(0.5), None);
        for ms in [1, 3, 3, 40] {
            h.observe_ns(ms * 1_000_000);
        }
        assert_eq!(
            (h.quantile_s(0.25), h.quantile_s(0.5), h.quantile_s(1.0)),
            (Some(0.001), Some(0.005), Some(0.05))
        );
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"\\\n")], 1.0);
        assert_eq!(text.finish(), "watchfire_x{a=\"q\\\"\\\\\\n\"} 1\n");
    }
}
