use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::demo::{capacity, media, rig};
use crate::ingest::gst::no_file;

/// How many cameras does this box carry?
#[derive(clap::Args)]
pub struct Args {
    /// What the simulated cameras show: an MP4 of H.264 and AAC, best a recording of yours. By default a moving
    /// pattern of 1280×720 at 15 frames a second, with sound.
    #[arg(long)]
    clip: Option<PathBuf>,
    /// Cameras that are tried at most.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    most: u16,
    /// Seconds that the search may take.
    #[arg(long, default_value_t = 150.0)]
    seconds: f64,
    /// Folder of the models. Default: /usr/share/watchfire/models where there is one, else models.
    #[arg(long)]
    models: Option<PathBuf>,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    args.clip.as_deref().map_or(Ok(()), is_there)?;
    let dir = std::env::temp_dir().join(format!("watchfire-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    // An error names the daemon's log: the folder stays then.
    let capacity = measure(args, &dir)?;
    let _ = std::fs::remove_dir_all(&dir);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&capacity)?);
    } else {
        println!("\nThis box carries {} such cameras.", capacity.cameras);
        println!("Limit: {}.", capacity.limit);
    }
    Ok(ExitCode::SUCCESS)
}

/// GStreamer would only say that nothing came out of it.
fn is_there(clip: &Path) -> anyhow::Result<()> {
    let about = std::fs::metadata(clip).with_context(|| clip.display().to_string())?;
    match no_file(&about) {
        Some(why) => bail!("{}: {why}", clip.display()),
        None => Ok(()),
    }
}

fn measure(args: &Args, dir: &Path) -> anyhow::Result<capacity::Capacity> {
    let clip = match &args.clip {
        Some(clip) => clip.clone(),
        None => media::pattern(dir, 1280, 720, 15)?,
    };
    let most = usize::from(args.most);
    let mut rig = rig::Rig::start(rig::Options {
        program: std::env::current_exe()?,
        clip,
        most,
        dir: dir.to_owned(),
        models: args.models.clone().unwrap_or_else(super::models_dir),
    })?;
    let within = Duration::from_secs_f64(args.seconds.clamp(0.0, 3_600.0));
    let capacity = capacity::find(&mut rig, most, within, |step| {
        if !args.json {
            println!(
                "{:3} cameras: {} of {} windows shed, {:.1} frames a second and camera, {:.2} cores, {} busy {:.0} %",
                step.cameras,
                step.shed,
                step.windows,
                step.fps,
                step.cores,
                step.busiest_stage,
                step.busy * 100.0
            );
        }
    })?;
    rig.stop()?;
    Ok(capacity)
}
