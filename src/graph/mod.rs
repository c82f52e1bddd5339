//! Threads and channels, once for the whole house. [`build`] is the topology; read it first.

mod build;
mod edge;
mod mailbox;
mod metrics;
mod runner;
mod watch;

pub use build::{CameraExit, CameraInlet, Graph, GraphOptions, Models, Pace};
pub use edge::{Edge, EdgeIn, EdgeMeter, EdgeOut, Next, Policy};
pub use metrics::{CameraMetrics, EdgeMetrics, Histogram, LATENCY_BOUNDS_S, Metrics, StageMetrics, Text};
pub use watch::{Health, Pulse};
