//! The daemon as a process, real RTSP cameras, a real Mosquitto: what an operator and an integrator see.
//! Every wait is for an event, with a deadline.

mod alerts;
mod broker;
mod cameras;
mod commands;
mod disk;
mod house;
mod leak;
mod memory;
mod mqtt;
mod orders;
mod panics;
mod pki;
mod reload;
mod reports;
mod rivals;
mod secrets;
mod sixteen;
mod state;
mod stop;
mod stopped;
mod tls;
mod truth;
