//! `make bench`: what Watchfire costs on this machine, beside what others cost. Prints; decides nothing.
//!
//! 1. CPU-seconds a camera-second of ingest, beside bare decoding of the same stream;
//! 2. milliseconds a detector frame and a sound patch, beside onnxruntime, in turns;
//! 3. how late a camera's pictures are on MQTT with 1, 4 and 8 cameras, and how many windows were shed.
//!
//! Parts run alone with `cargo bench --bench machine -- ingest`, `models` or `latency`.

mod ingest;
mod latency;
mod models;

use std::path::{Path, PathBuf};

use nix::sys::resource::{UsageWho, getrusage};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        // Processes of their own, so that their CPU time is theirs alone.
        ["serve", clip] => return ingest::serve(Path::new(clip)),
        ["take", url, seconds] => return ingest::take(url, seconds.parse()?),
        ["decode", url, seconds] => return ingest::decode(url, seconds.parse()?),
        _ => {}
    }
    let wanted = |part: &str| args.is_empty() || args.contains(&part);
    println!(
        "Watchfire {}, {} cores, other load on the machine shows in every figure\n",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    let dir = work_dir();
    std::fs::create_dir_all(&dir)?;
    if wanted("ingest") {
        ingest::compare(&dir)?;
    }
    if wanted("models") {
        models::compare(&dir)?;
    }
    if wanted("latency") {
        latency::measure(&dir)?;
    }
    Ok(())
}

/// Clips, exported networks and logs; kept for the next time.
fn work_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// CPU time of this process so far, all threads.
fn cpu_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
