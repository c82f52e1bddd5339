use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// A broker of yours, mqtt://host:port, instead of the embedded one.
    #[arg(long)]
    broker: Option<String>,
    /// Runs on until Ctrl-C.
    #[arg(long = "loop")]
    looped: bool,
    /// Real footage of pedestrians (`scripts/media.sh` fetches Debian's vtest.avi).
    #[arg(long, default_value = ".cache/media/vtest.avi")]
    footage: PathBuf,
    /// Where clips, configuration and state go; one demo at a time.
    #[arg(long, default_value = ".cache/demo")]
    dir: PathBuf,
    /// Folder of the models. Default: /usr/share/watchfire/models where there is one, else models.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Writes the figures as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    crate::demo::run(&crate::demo::Options {
        broker: args.broker.clone(),
        looped: args.looped,
        footage: args.footage.clone(),
        dir: args.dir.clone(),
        models: args.models.clone().unwrap_or_else(super::models_dir),
        report: args.report.clone(),
    })
}
