//! What `/metrics` and `/healthz` say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Board, HANGS_AFTER, cpu};
use crate::clock::Clock;
use crate::console;
use crate::data::CameraState;
use crate::graph::{Graph, Text};
use crate::ingest::CameraCounters;
use crate::publish::Publisher;

pub(super) fn answers(
    board: &Arc<Board>,
    graph: &Graph,
    clock: &Arc<dyn Clock>,
    publisher: &Publisher,
) -> console::Answers {
    let (metrics_board, page_clock, health_publisher) = (board.clone(), clock.clone(), publisher.clone());
    let publisher = publisher.clone();
    let (health, clock, health_board) = (graph.health().clone(), clock.clone(), board.clone());
    console::Answers {
        metrics: Arc::new(move || {
            let mut text = Text::default();
            metrics_board.metrics.read().write(&mut text);
            text.family(
                "thread_cpu_seconds_total",
                "counter",
                "CPU time of the threads that run now, by name: of stages, and of models' arithmetic by their task.",
            );
            for (thread, seconds) in cpu::by_thread() {
                text.sample("thread_cpu_seconds_total", &[("thread", &thread)], seconds);
            }
            write_cameras(&mut text, &metrics_board, page_clock.monotonic_ns());
            text.single(
                "outbox",
                "gauge",
                "Alert messages that wait for the broker, half a minute old at most.",
                metrics_board.outbox.load(Relaxed) as f64,
            );
            let state = publisher.state();
            text.single(
                "mqtt_connected",
                "gauge",
                "1 while the broker is connected.",
                f64::from(u8::from(state.connected.load(Relaxed))),
            );
            text.single(
                "mqtt_alerts_acknowledged_total",
                "counter",
                "Alert messages that the broker has taken.",
                state.acknowledged.load(Relaxed) as f64,
            );
            text.single(
                "mqtt_connects_total",
                "counter",
                "Connections to the broker that were made.",
                state.connects.load(Relaxed) as f64,
            );
            text.single(
                "mqtt_short_connections_total",
                "counter",
                "Connections to the broker that broke off soon after they were made.",
                state.short.load(Relaxed) as f64,
            );
            text.single(
                "mqtt_logins_refused_total",
                "counter",
                "Times that the broker did not take user and password.",
                state.refused.load(Relaxed) as f64,
            );
            text.single(
                "mqtt_alerts_refused_total",
                "counter",
                "Alert messages that the broker did not take; they wait and are offered again.",
                state.alerts_refused.load(Relaxed) as f64,
            );
            text.single(
                "mqtt_too_large_total",
                "counter",
                "Messages larger than the broker takes: left out, or sent without tracks and evidence.",
                state.too_large.load(Relaxed) as f64,
            );
            text.finish()
        }),
        health: Arc::new(move || {
            let stuck = health.stuck(clock.monotonic_ns(), HANGS_AFTER);
            let mut problems = health_board.all_problems();
            problems.extend(health_publisher.state().trouble().map(|why| format!("MQTT: {why}")));
            let body = serde_json::json!({"ok": stuck.is_empty(), "stuck": stuck, "problems": problems});
            (stuck.is_empty(), body.to_string() + "\n")
        }),
    }
}

fn write_cameras(text: &mut Text, board: &Board, now_ns: u64) {
    text.family(
        "vision_age_seconds",
        "gauge",
        "Since the camera's last picture that was looked at in full, or since its start where there was none.",
    );
    let cameras = board.cameras.read();
    let metrics = board.metrics.read();
    for (id, camera) in &metrics.cameras {
        let last_ns = camera.last_ok_ns.load(Relaxed);
        // Of a camera that was removed or is switched off nobody wants to know.
        let runs = cameras.get(id).is_some_and(|c| c.state != CameraState::Disabled);
        if runs && last_ns > 0 {
            let age_s = now_ns.saturating_sub(last_ns) as f64 / 1e9;
            text.sample("vision_age_seconds", &[("camera", id.as_str())], age_s);
        }
    }
    let ingest = board.ingest.read();
    let mut counters = |name: &str, help: &str, of: fn(&CameraCounters) -> &AtomicU64| {
        text.family(name, "counter", help);
        for (id, counters) in &*ingest {
            text.sample(name, &[("camera", id.as_str())], of(counters).load(Relaxed) as f64);
        }
    };
    counters(
        "camera_frames_total",
        "Pictures that came, `analysis_fps` a second at most.",
        |c| &c.frames,
    );
    counters(
        "camera_dropped_total",
        "Pictures and pieces of the stream that were left out because it lagged, or came too late.",
        |c| &c.dropped,
    );
    counters(
        "camera_rebuilds_total",
        "Connections that ended or were given up.",
        |c| &c.rebuilds,
    );
    text.family(
        "camera_lag_seconds",
        "gauge",
        "How much later than at best its pictures come.",
    );
    for (id, counters) in &*ingest {
        let lag_s = counters.lag_ms.load(Relaxed) as f64 / 1e3;
        text.sample("camera_lag_seconds", &[("camera", id.as_str())], lag_s);
    }
}
