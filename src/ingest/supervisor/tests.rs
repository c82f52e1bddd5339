use super::*;
use crate::clock::ManualClock;
use crate::data::CameraId;
use crate::ingest::Transport;

const MS: i64 = 1_000_000;
const UTC0_NS: i64 = 1_700_000_000_000_000_000;

/// Hears of a camera's states.
struct Ear(Sender<CameraStatus>);

impl CameraSink for Ear {
    fn window(&mut self, _: Window) {}
    fn status(&mut self, status: CameraStatus) {
        let _ = self.0.send(status);
    }
    fn lost(&mut self) {}
}

fn supervisor(clock: ClockSource, host: Arc<dyn Clock>) -> (Supervisor, Receiver<CameraStatus>) {
    let path = "yard.mp4".into();
    let options = CameraOptions {
        clock,
        ..CameraOptions::new(CameraId::new("yard"), Source::File { path })
    };
    let (ear, told) = bounded(8);
    let redactor = Redactor::default();
    let supervisor = Supervisor::new(
        options,
        host,
        redactor,
        Box::new(Ear(ear)),
        bounded(1).1,
        Arc::default(),
    );
    (supervisor, told)
}

/// What makes UTC of a camera's times once a picture has come, whose camera's clock is a minute ahead.
fn utc_offset_ns(clock: ClockSource) -> i64 {
    let (mut supervisor, _told) = supervisor(clock, Arc::new(ManualClock::default()));
    let pts_ns = supervisor.stream.video(Stamp {
        running_ns: 0,
        camera_utc_ns: Some(UTC0_NS + 61_000 * MS),
        arrived_ns: 1_000 * MS as u64,
        arrived_utc_ns: UTC0_NS + 1_000 * MS,
    });
    assert_eq!(pts_ns, 1_000 * MS as u64);
    supervisor.utc_offset_ns()
}

#[test]
fn utc_is_the_hosts_or_the_cameras_as_the_operator_wants_it() {
    assert_eq!(utc_offset_ns(ClockSource::Host), UTC0_NS);
    assert_eq!(utc_offset_ns(ClockSource::Camera), UTC0_NS + 60_000 * MS);
}

/// The host's clocks: the one that goes on, and the one that is set.
#[derive(Default)]
struct Host {
    goes: ManualClock,
    set_ns: AtomicU64,
}

impl Clock for Host {
    fn monotonic_ns(&self) -> u64 {
        self.goes.monotonic_ns()
    }
    fn utc_ns(&self) -> i64 {
        self.goes.utc_ns() + self.set_ns.load(Relaxed) as i64
    }
}

#[test]
fn since_when_a_camera_is_in_its_state_follows_the_hosts_clock_when_it_is_set() {
    let host = Arc::new(Host::default());
    let (mut supervisor, told) = supervisor(ClockSource::Host, host.clone());
    host.goes.advance_ns(60_000 * MS as u64);
    supervisor.tell_clocks();
    assert!(told.is_empty(), "it has been in that state for a minute");
    // A box without a battery learns the time once it reaches a server.
    host.set_ns.store(UTC0_NS as u64, Relaxed);
    supervisor.tell_clocks();
    assert_eq!(told.try_recv().map(|s| s.since_utc_ns), Ok(UTC0_NS));
    host.goes.advance_ns(60_000 * MS as u64);
    supervisor.tell_failure(StateReason::Stalled, "no picture", Duration::ZERO);
    assert_eq!(told.try_recv().map(|s| s.since_utc_ns), Ok(UTC0_NS + 120_000 * MS));
    supervisor.tell_clocks();
    assert!(told.is_empty());
}

#[test]
fn where_something_else_listens_the_port_is_to_be_checked_and_no_cable() {
    let (mut supervisor, _told) = supervisor(ClockSource::Host, Arc::new(ManualClock::default()));
    let (_stop, stopped) = bounded(1);
    supervisor.stopped = stopped;
    // It takes connections and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    supervisor.options.source = Source::Rtsp {
        url: format!("rtsp://127.0.0.1:{port}/x"),
        username: None,
        password: None,
        transport: Transport::Tcp,
        ca: None,
    };
    let failed = || supervisor.looked_into(StateReason::Unreachable, "Failed to connect. (Parse error)".into());
    let (reason, detail) = failed();
    assert_eq!(reason, StateReason::Unreachable);
    assert!(
        detail.contains("(Parse error); the port is open") && detail.contains("check the port in `url`"),
        "{detail}"
    );
    assert!(!detail.contains("cable"), "{detail}");
    drop(listener);
    let (reason, detail) = failed();
    assert_eq!(reason, StateReason::Refused);
    assert!(detail.ends_with("nothing listens at that address and port"), "{detail}");
}
