//! How late a camera's pictures are on MQTT.

use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire::demo::media;
use watchfire::demo::rig::{Options, Rig};

const SETTLE: Duration = Duration::from_secs(6);
const WATCH: Duration = Duration::from_secs(20);

pub fn measure(dir: &Path) -> anyhow::Result<()> {
    println!("Camera to MQTT: from the end of a window at the camera to its levels message at a subscriber.");
    println!("  (What happens in a window waits for its end first: half a second at most, a quarter on average.)\n");
    let mut rig = Rig::start(Options {
        program: PathBuf::from(env!("CARGO_BIN_EXE_watchfire")),
        clip: media::pattern(dir, 1280, 720, 15)?,
        most: 8,
        dir: dir.join("rig"),
        models: crate::root().join("models"),
    })?;
    for cameras in [1, 4, 8] {
        rig.carry(cameras)?;
        rig.watch(SETTLE)?;
        let span = rig.watch(WATCH)?;
        let ms = |q| span.latency_ms(q).map_or("none".into(), |ms| format!("{ms:.0} ms"));
        println!(
            "  {cameras} cameras 1280×720 at 15: half {:>8}, 99 % {:>8} ({} messages); {} of {} windows shed; daemon {:.2} cores",
            ms(0.5),
            ms(0.99),
            span.latency_ms.len(),
            span.shed,
            span.windows,
            span.cpu_s / span.seconds
        );
    }
    rig.stop()
}
