//! Our networks beside onnxruntime: the same weights and input, call by call in turns.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use watchfire::data::Picture;
use watchfire::denoise::Denoise;
use watchfire::nn::{DeviceChoice, Exercise, ModelError};

const TIME: Duration = Duration::from_secs(6);

pub fn compare(dir: &Path) -> anyhow::Result<()> {
    println!("Models: ms a call, ours and onnxruntime's in turns, each figure the 20th percentile of the calls");
    println!("  1 thread: CPU time, which other load disturbs little; all threads: time on the clock");
    println!(
        "  onnxruntime's threads sleep between its calls (session.force_spinning_stop = 1), so that they take no core from ours\n"
    );
    for name in ["detector", "sound"] {
        for threads in [1, 0] {
            one(name, threads, dir)?;
        }
    }
    noise_reduction()?;
    println!();
    Ok(())
}

fn one(name: &str, threads: usize, dir: &Path) -> anyhow::Result<()> {
    let folder = crate::root().join("models").join(name);
    let mut model = Exercise::load(&folder, DeviceChoice::Cpu, threads)?;
    let values: usize = model.input.iter().product();
    let input: Vec<f32> = (0..values).map(|i| ((i * 37 % 255) as f32 - 127.0) / 64.0).collect();
    let raw: Vec<u8> = input.iter().flat_map(|v| v.to_le_bytes()).collect();
    let (given, answered) = (dir.join(format!("{name}.in.f32")), dir.join(format!("{name}.out.f32")));
    std::fs::write(&given, raw)?;
    let mut peer = Peer::start(&folder, &model.input, threads, dir, &given, &answered);
    let ours = model.network(&input)?;
    let agreement = match &peer {
        Ok(_) => same(&ours, &std::fs::read(&answered)?)?,
        Err(_) => String::new(),
    };
    let (mut net_ms, mut whole_ms, mut peer_ms) = (Vec::new(), Vec::new(), Vec::new());
    let until = Instant::now() + TIME;
    while Instant::now() < until {
        let of = |(clock_ms, cpu_ms): (f64, f64)| if threads == 1 { cpu_ms } else { clock_ms };
        net_ms.push(of(timed(|| model.network(&input).map(drop))?));
        whole_ms.push(of(timed(|| model.call())?));
        if let Ok(peer) = &mut peer {
            peer_ms.push(of(peer.call()?));
        }
    }
    let label = format!(
        "{name} a {}, {}",
        model.unit,
        if threads == 1 { "1 thread" } else { "all threads" }
    );
    let (net, whole) = (fifth(&mut net_ms), fifth(&mut whole_ms));
    let calls = net_ms.len();
    match peer {
        Ok(_) => {
            let theirs = fifth(&mut peer_ms);
            println!(
                "  {label:32} network {net:7.2}   onnxruntime {theirs:7.2}   ratio {:.2}   whole call {whole:7.2}   ({calls} \
                 calls, {agreement})",
                net / theirs
            );
        }
        Err(why) => println!("  {label:32} network {net:7.2}   whole call {whole:7.2}   ({calls} calls; {why:#})"),
    }
    Ok(())
}

/// What goes before the detector: frames of a second stream with noise that differs from one to the next, and the same
/// without.
fn noise_reduction() -> anyhow::Result<()> {
    for (what, noise) in [("noisy", 24), ("quiet", 1)] {
        let mut state = 1u32;
        let mut grain = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 24) % noise) as u8
        };
        let frames: Vec<Arc<Picture>> = (0..8)
            .map(|_| {
                let rgb = (0..640 * 360 * 3)
                    .map(|i| 60 + (i / 640 % 90) as u8 + grain())
                    .collect();
                Arc::new(Picture {
                    width: 640,
                    height: 360,
                    rgb,
                })
            })
            .collect();
        let (mut denoise, mut ms, mut at_ns) = (Denoise::default(), Vec::new(), 0);
        for frame in frames.iter().cycle().take(100) {
            at_ns += 200_000_000;
            let call = || {
                std::hint::black_box(denoise.clean(frame, at_ns));
                Ok(())
            };
            ms.push(timed(call)?.1);
        }
        println!(
            "  noise reduction, {what} 640 × 360: {:.2}",
            ms.iter().sum::<f64>() / ms.len() as f64
        );
    }
    Ok(())
}

/// Milliseconds on the clock and of CPU time.
fn timed(call: impl FnOnce() -> Result<(), ModelError>) -> anyhow::Result<(f64, f64)> {
    let (start, cpu_s) = (Instant::now(), crate::cpu_s()?);
    call()?;
    Ok((start.elapsed().as_secs_f64() * 1e3, (crate::cpu_s()? - cpu_s) * 1e3))
}

/// The 20th percentile: what a call takes when nothing else disturbs it much.
fn fifth(ms: &mut [f64]) -> f64 {
    ms.sort_by(f64::total_cmp);
    ms.get(ms.len() / 5).copied().unwrap_or(f64::NAN)
}

/// Says how far the two answers are apart, and refuses to compare networks that are not the same.
fn same(ours: &[f32], theirs: &[u8]) -> anyhow::Result<String> {
    let theirs: Vec<f32> = theirs
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    if ours.len() != theirs.len() {
        bail!("{} values of ours, {} of onnxruntime's", ours.len(), theirs.len());
    }
    let off = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (a - b).abs() / (1.0 + b.abs()))
        .max_by(f32::total_cmp)
        .unwrap_or(f32::NAN);
    if off.is_nan() || off > 1e-3 {
        bail!("the answers differ by {off}");
    }
    Ok(format!("answers within {off:.0e}"))
}

/// onnxruntime in a Python process that runs the network once for every line it reads.
struct Peer {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Peer {
    fn start(
        folder: &Path,
        shape: &[usize],
        threads: usize,
        dir: &Path,
        given: &Path,
        answered: &Path,
    ) -> anyhow::Result<Self> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut child = Command::new(&python)
            .arg(crate::root().join("benches/onnxruntime_peer.py"))
            .arg(folder)
            .args([shape, threads.to_string()])
            .args([dir, given, answered])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{python} does not start"))?;
        let (Some(ask), Some(told)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes");
        };
        let mut peer = Self {
            child,
            ask,
            told: BufReader::new(told),
        };
        match &*peer.line()? {
            "ready" => Ok(peer),
            "" => bail!("{python} ended"),
            why => bail!("without onnxruntime: {why}"),
        }
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// One call, in milliseconds on the clock and of CPU time.
    fn call(&mut self) -> anyhow::Result<(f64, f64)> {
        self.ask.write_all(b"\n")?;
        let line = self.line()?;
        let (clock_ms, cpu_ms) = line.split_once(' ').context("the peer ended")?;
        Ok((clock_ms.parse()?, cpu_ms.parse()?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
