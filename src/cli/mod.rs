//! argv → command, one file each.

#[cfg(feature = "demo")]
mod bench;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod eval;
mod events;
mod explain;
mod gating;
mod init;
mod models;
mod models_bench;
mod moderate;
mod probe;
mod recordings;
mod replay;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand, ValueEnum};

/// Watches camera streams with their sound, and publishes alerts over MQTT.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// How logs look. `auto`: journald under systemd, pretty on a terminal.
    #[arg(long, global = true, value_enum, default_value = "auto")]
    log: LogForm,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    Auto,
    Pretty,
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon.
    Run {
        #[arg(long, default_value = "/etc/watchfire/watchfire.toml")]
        config: PathBuf,
    },
    /// Checks a configuration and tells every error at once.
    Check(check::Args),
    /// Writes a commented starter configuration to stdout.
    Init,
    /// What does this camera send?
    Probe(probe::Args),
    /// Runs recordings through the very same graph.
    Replay(replay::Args),
    /// Simulated cameras, a broker, the daemon, and its alerts on the screen.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// How many cameras does this box carry?
    #[cfg(feature = "demo")]
    Bench(bench::Args),
    /// The models: what they are, and whether they are whole.
    Models(models::Args),
    /// Lists what was seen, from the store.
    Events(events::Args),
    /// Tells why an alert fired, with its evidence.
    Explain(explain::Args),
}

/// Parses the command line and does what it says. Exit status: 0 well, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    crate::app::log::start(cli.log == LogForm::Json, cli.log == LogForm::Pretty);
    if !matches!(cli.command, Command::Run { .. }) {
        end_with_the_reader();
    }
    let result = match cli.command {
        Command::Run { config } => crate::app::run(&config).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => check::run(&args),
        Command::Init => init::run(),
        Command::Probe(args) => probe::run(args),
        Command::Replay(args) => replay::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "demo")]
        Command::Bench(args) => bench::run(&args),
        Command::Models(args) => models::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Explain(args) => explain::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("watchfire: {error:#}");
        ExitCode::FAILURE
    })
}

/// `watchfire events | head` ends quietly once head has enough, as other tools do; Rust would panic.
fn end_with_the_reader() {
    let always = Arc::new(AtomicBool::new(true));
    let _ = signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, always);
}

/// Where the models are when nobody says: installed, else in the working folder.
fn models_dir() -> PathBuf {
    let installed = PathBuf::from("/usr/share/watchfire/models");
    if installed.is_dir() { installed } else { "models".into() }
}
