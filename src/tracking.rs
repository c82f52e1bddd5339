//! Follows detections over frames.
