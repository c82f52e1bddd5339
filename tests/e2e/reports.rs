//! Cameras whose sender reports tell a clock that is none, or that is set while they stream; networks that stall.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use watchfire::clock::{Clock, SystemClock};
use watchfire::data::{AudioState, CameraId, CameraStatus, Redactor, Window};
use watchfire::ingest::gst::sim::{Mount, SimServer};
use watchfire::ingest::{Camera, CameraOptions, CameraSink};

use super::cameras::source;

/// Makes a report's NTP time another: of the how manyth report of its stream.
type Rewrite = fn(ntp: u64, nth: u32) -> u64;

/// What the reports of picture and sound were so far.
#[derive(Default)]
struct Reports([AtomicU32; 2]);

impl Reports {
    /// Of the stream that has fewer.
    fn of_both(&self) -> u32 {
        self.0.iter().map(|n| n.load(SeqCst)).min().unwrap()
    }
}

/// Stands before an RTSP server and rewrites the reports that it sends, for one connection. `stall`: once, for so long, nothing comes
/// through, and then all of it.
fn rewriting(server: u16, rewrite: Rewrite, stall: Option<Duration>) -> (u16, Arc<Reports>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let reports: Arc<Reports> = Arc::default();
    let told = reports.clone();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let (mut asks, mut asked) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut asks, &mut asked);
            let _ = asked.shutdown(std::net::Shutdown::Both);
        });
        // Ends with the connection.
        let _ = answer(&mut BufReader::new(server), client, rewrite, stall, &told);
    });
    (port, reports)
}

/// Answers of RTSP and, among them, packets: `$`, a channel, a length of two bytes, RTP (even channel) or RTCP (RFC 2326, 10.12).
fn answer(
    server: &mut BufReader<TcpStream>,
    mut client: TcpStream,
    rewrite: Rewrite,
    mut stall: Option<Duration>,
    reports: &Reports,
) -> std::io::Result<()> {
    loop {
        if let Some(stall) = stall.take_if(|_| reports.of_both() > 0) {
            let _ = crossbeam_channel::after(stall).recv();
        }
        if server.fill_buf()?.first() == Some(&b'$') {
            let mut head = [0; 4];
            server.read_exact(&mut head)?;
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            server.read_exact(&mut packet)?;
            // A sender report, which tells NTP time from its eighth byte on (RFC 3550, 6.4.1).
            if head[1] % 2 == 1 && packet.get(1) == Some(&200) {
                let ntp: &mut [u8; 8] = (&mut packet[8..16]).try_into().unwrap();
                let nth = reports.0[usize::from(head[1] / 2)].fetch_add(1, SeqCst);
                *ntp = rewrite(u64::from_be_bytes(*ntp), nth).to_be_bytes();
            }
            client.write_all(&[&head[..], &packet].concat())?;
            continue;
        }
        let (mut text, mut length) = (String::new(), 0);
        while !text.ends_with("\r\n\r\n") {
            let from = text.len();
            if server.read_line(&mut text)? == 0 {
                return Ok(());
            }
            let line = text[from..].to_ascii_lowercase();
            length = line
                .strip_prefix("content-length:")
                .map_or(length, |n| n.trim().parse().unwrap());
        }
        let mut body = vec![0; length];
        server.read_exact(&mut body)?;
        client.write_all(&[text.as_bytes(), &body].concat())?;
    }
}

enum Told {
    Window(Window),
    Offset(Option<i64>),
}

struct Tell(crossbeam_channel::Sender<Told>);

impl CameraSink for Tell {
    fn window(&mut self, window: Window) {
        let _ = self.0.send(Told::Window(window));
    }
    fn status(&mut self, status: CameraStatus) {
        let _ = self.0.send(Told::Offset(status.clock_offset_ms));
    }
    fn lost(&mut self) {}
}

/// Watches until `most` reports of both streams have come and three windows after them. The offsets of the camera's clock that were
/// told, the windows in which picture or sound is missing, and how far the UTC of those three was from the host's at the worst.
fn watch(
    server: &SimServer,
    rewrite: Rewrite,
    stall: Option<Duration>,
    most: u32,
) -> (Vec<Option<i64>>, Vec<u64>, Duration) {
    let (port, reports) = rewriting(server.port(), rewrite, stall);
    let (tell, told) = crossbeam_channel::unbounded();
    let options = CameraOptions::new(CameraId::new("yard"), source(format!("rtsp://127.0.0.1:{port}/yard")));
    let clock = Arc::new(SystemClock::new());
    let camera = Camera::spawn(options, clock.clone(), Redactor::default(), Box::new(Tell(tell)), None).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let (mut offsets, mut gaps, mut worst_ns, mut more) = (Vec::new(), Vec::new(), 0, 3);
    while more > 0 {
        match told.recv_deadline(until).expect("windows, and reports of both streams") {
            Told::Offset(offset) => offsets.push(offset),
            Told::Window(window) => {
                if window.frames.is_empty() || window.audio_state != AudioState::Present {
                    gaps.push(window.seq);
                }
                let utc_ns = window.end_ns as i64 + window.utc_offset_ns;
                if reports.of_both() >= most {
                    worst_ns = worst_ns.max((clock.utc_ns() - utc_ns).unsigned_abs());
                    more -= 1;
                }
            }
        }
    }
    let _ = camera.stop().join();
    (offsets, gaps, Duration::from_nanos(worst_ns))
}

#[test]
fn a_camera_without_a_clock_or_one_that_is_set_stays_whole() {
    let server = SimServer::start(&[Mount::test("yard", "h264", "aac")], None, None).unwrap();
    // RFC 3550: who has no clock sends 0.
    let without = || watch(&server, |_, _| 0, None, 3);
    let set = || watch(&server, |ntp, nth| if nth < 1 { ntp } else { ntp + (2 << 32) }, None, 3);
    let (without, set) = std::thread::scope(|all| {
        let set = all.spawn(set);
        (without(), set.join().unwrap())
    });
    let (offsets, gaps, late) = without;
    assert!(offsets.iter().all(Option::is_none), "{offsets:?}");
    assert!(gaps.is_empty() && late < Duration::from_secs(1), "{gaps:?} {late:?}");
    let (offsets, gaps, late) = set;
    let last = offsets.last().copied().flatten();
    assert!(last.is_some_and(|ms| ms.abs_diff(2_000) < 500), "{offsets:?}");
    // Between the report of one stream and that of the other the sound is where the one says: some windows miss it.
    assert!(gaps.len() <= 5 && late < Duration::from_secs(1), "{gaps:?} {late:?}");
}

#[test]
fn what_a_network_held_back_is_seen_and_heard_and_leaves_no_lag() {
    let server = SimServer::start(&[Mount::test("yard", "h264", "aac")], None, None).unwrap();
    let (_, gaps, late) = watch(&server, |ntp, _| ntp, Some(Duration::from_millis(1_900)), 3);
    assert!(gaps.is_empty() && late < Duration::from_secs(1), "{gaps:?} {late:?}");
}
