//! CPU-seconds a camera-second, RTSP over TCP in.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use crossbeam_channel::{Sender, bounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use watchfire::clock::SystemClock;
use watchfire::data::{CameraId, CameraState, CameraStatus, Redactor, Window};
use watchfire::demo::media;
use watchfire::ingest::gst::sim::{Mount, Show, SimServer};
use watchfire::ingest::{Camera, CameraOptions, CameraSink, Source, Transport};

const SECONDS: &str = "12";

pub fn compare(dir: &Path) -> anyhow::Result<()> {
    println!("Ingest: CPU-seconds a camera-second, RTSP over TCP, {SECONDS} s each, both at once");
    println!("  ours: receive, decode, 5 pictures a second to RGB of 640 px, AAC to 16 kHz, windows cut");
    println!("  bare: receive, decode (avdec_h264 on one thread), nothing else\n");
    let clips = [
        ("1920×1080 at 15, sound", media::pattern(dir, 1920, 1080, 15)?),
        ("640×360 at 10, sound", media::pattern(dir, 640, 360, 10)?),
    ];
    for (what, clip) in clips {
        // Two servers, since each client wants a camera of its own.
        let (ours, bare) = (measure("take", &clip)?, measure("decode", &clip)?);
        let (ours, bare) = (ours.result()?, bare.result()?);
        println!("  {what:24} ours {ours:.3}   bare {bare:.3}   ratio {:.2}", ours / bare);
    }
    println!();
    Ok(())
}

/// A server and a client, each a process.
struct Measurement {
    _server: Ended,
    client: Ended,
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(what: &str, clip: &Path) -> anyhow::Result<Measurement> {
    let this = std::env::current_exe()?;
    let server = Command::new(&this)
        .arg("serve")
        .arg(clip)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut server = Ended(server);
    let mut url = String::new();
    let out = server.0.stdout.take().context("the server's stdout")?;
    BufReader::new(out).read_line(&mut url)?;
    let client = Command::new(&this)
        .args([what, url.trim(), SECONDS])
        .stdout(Stdio::piped())
        .spawn()?;
    Ok(Measurement {
        _server: server,
        client: Ended(client),
    })
}

impl Measurement {
    fn result(mut self) -> anyhow::Result<f64> {
        let mut text = String::new();
        self.client
            .0
            .stdout
            .take()
            .context("the client's stdout")?
            .read_to_string(&mut text)?;
        let last = text.lines().last().unwrap_or_default();
        last.parse().map_err(|_| anyhow!("the measuring process said {text:?}"))
    }
}

/// Shows a clip until stdin closes.
pub fn serve(clip: &Path) -> anyhow::Result<()> {
    let show = Show::Clip {
        path: clip.to_owned(),
        looped: true,
    };
    let mount = Mount {
        name: "clip".into(),
        show,
    };
    let server = SimServer::start(&[mount], None, None)?;
    println!("{}", server.url("clip"));
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}

/// Lets what was just started settle, then prints the CPU-seconds a second of the next `seconds`.
fn tell_cost(seconds: f64) -> anyhow::Result<()> {
    let tick = |s: f64| crossbeam_channel::after(Duration::from_secs_f64(s)).recv();
    tick(2.0)?;
    let (start, before_s) = (Instant::now(), crate::cpu_s()?);
    tick(seconds)?;
    println!("{}", (crate::cpu_s()? - before_s) / start.elapsed().as_secs_f64());
    Ok(())
}

struct Sink(Sender<()>);

impl CameraSink for Sink {
    fn window(&mut self, _: Window) {}
    fn status(&mut self, status: CameraStatus) {
        if status.state == CameraState::Streaming {
            let _ = self.0.try_send(());
        }
    }
    fn lost(&mut self) {}
}

/// Our own way in, up to the window.
pub fn take(url: &str, seconds: f64) -> anyhow::Result<()> {
    let source = Source::Rtsp {
        url: url.into(),
        username: None,
        password: None,
        transport: Transport::Tcp,
        ca: None,
    };
    let (tell, streaming) = bounded(1);
    let options = CameraOptions::new(CameraId::new("bench"), source);
    let camera = Camera::spawn(
        options,
        Arc::new(SystemClock::new()),
        Redactor::default(),
        Box::new(Sink(tell)),
        None,
    )?;
    streaming
        .recv_timeout(Duration::from_secs(20))
        .context("the camera does not stream")?;
    tell_cost(seconds)?;
    let _ = camera.stop().join();
    Ok(())
}

/// The least that looking at a stream can cost.
pub fn decode(url: &str, seconds: f64) -> anyhow::Result<()> {
    gst::init()?;
    let launch = "rtspsrc name=source protocols=tcp ! rtph264depay ! h264parse ! avdec_h264 max-threads=1 \
                  ! fakesink name=sink sync=false";
    let pipeline = gst::parse::launch(launch)?;
    let bin = pipeline.downcast_ref::<gst::Bin>().context("not a bin")?;
    bin.by_name("source")
        .context("no source")?
        .set_property("location", url);
    let pad = bin
        .by_name("sink")
        .and_then(|s| s.static_pad("sink"))
        .context("no sink")?;
    let (tell, decoded) = bounded(1);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = tell.try_send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing)?;
    decoded
        .recv_timeout(Duration::from_secs(20))
        .context("nothing is decoded")?;
    tell_cost(seconds)?;
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}
