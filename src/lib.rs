//! Watchfire: camera streams with their sound in, alerts over MQTT out.
//!
//! # Life of a window
//! [`ingest`] pulls decoded frames and samples from a camera, both on one clock; [`window`] cuts them into windows;
//! [`graph`] hands each window to the branches in [`stages`], which ask [`nn`] what is in it and answer with one
//! report a branch; the fuse stage joins the reports and lets [`behaviour`] (over [`tracking`] and [`fusion`]) turn
//! evidence into findings and [`policy`] into an alert's life; [`store`] commits event and outbox; [`publish`] sends.
//!
//! Modules stand in the order of the floors, lowest first; each imports only from those above it in this list.

// 0: types, time, errors
pub mod clock;
pub mod data;
pub mod error;
// 1: pure maths
pub mod cells;
pub mod colour;
pub mod denoise;
pub mod draw;
pub mod faces;
pub mod geometry;
pub mod loudness;
pub mod mel;
pub mod motion;
pub mod patches;
pub mod picture_stats;
pub mod wiener;
// 2: pure decisions, and the models
pub mod behaviour;
pub mod fusion;
pub mod nn;
pub mod policy;
pub mod scream;
pub mod tracking;
pub mod window;
// 3: the edges of the world, and the stages
pub mod console;
pub mod ingest;
pub mod publish;
pub mod stages;
pub mod store;
// 4: threads and channels
pub mod graph;
// 5: what the operator wrote
pub mod config;
// 6: composition
pub mod app;
pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
pub mod eval;
pub mod service;
