//! The only place that imports GStreamer.
