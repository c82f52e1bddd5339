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
mod stop;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Parser, Subcommand, ValueEnum};

use crate::app::words::shown;
use crate::data::Kind;
use crate::error::panic_words;

/// Watches camera streams with their sound, and publishes alerts over MQTT.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// How logs look. `auto`: lines for the journal under systemd, pretty on a terminal.
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

/// A kind of alert on the command line.
fn kind(word: &str) -> Result<Kind, String> {
    let known: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
    // A space behind a comma is how people write lists.
    word.trim()
        .parse()
        .map_err(|()| format!("known kinds are {}", known.join(", ")))
}

/// Parses the command line and does what it says. Exit status: 0 well, 1 failed, 2 wrong usage, 130 or 143 stopped by Ctrl-C or
/// SIGTERM before it was done. What runs until it is stopped (`run`, `demo --loop`) is done by that.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let (json, pretty) = (cli.log == LogForm::Json, cli.log == LogForm::Pretty);
    match cli.command {
        // It tells by itself what the camera's log would say.
        Command::Probe(_) => crate::app::log::start_with(json, pretty, "error"),
        _ => crate::app::log::start(json, pretty),
    }
    if !matches!(cli.command, Command::Run { .. }) {
        end_with_the_reader();
    }
    let result = catch_unwind(AssertUnwindSafe(|| done(cli.command)));
    let result = result.unwrap_or_else(|panic| match panic_words(&*panic) {
        // Told already. Whatever was started has been ended on the way here.
        words if words.contains(UNWRITABLE) => Ok(ExitCode::FAILURE),
        _ => resume_unwind(panic),
    });
    result.unwrap_or_else(|error| {
        // The names of files stand in it. Its own lines stay.
        let told: Vec<String> = format!("{error:#}").lines().map(shown).collect();
        eprintln!("watchfire: {}", told.join("\n"));
        ExitCode::FAILURE
    })
}

fn done(command: Command) -> anyhow::Result<ExitCode> {
    match command {
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
    }
}

/// What Rust says in the panic of a `println!` that cannot be written.
const UNWRITABLE: &str = "failed printing to stdout";

/// `watchfire events | head` ends quietly once head has enough, as other tools do; Rust would panic. So it does still where
/// GStreamer has the signal ignored again, and where the disk is full: then a sentence says so.
fn end_with_the_reader() {
    let always = Arc::new(AtomicBool::new(true));
    let _ = signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, always);
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic_words(panic.payload());
        if !words.contains(UNWRITABLE) {
            others(panic);
        } else if !words.contains("Broken pipe") {
            eprintln!("watchfire: {words}");
        }
    }));
}

/// Where the models are when nobody says: installed, else in the working folder. The help of each command says so too.
fn models_dir() -> PathBuf {
    let installed = PathBuf::from("/usr/share/watchfire/models");
    if installed.is_dir() { installed } else { "models".into() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split(' '))
    }

    #[test]
    fn kinds_are_a_list_as_people_write_it() {
        assert_eq!(kind(" fall "), Ok(Kind::Fall));
        let listed = |kinds| Cli::try_parse_from(["watchfire", "replay", "a.mp4", "--kinds", kinds]);
        assert!(listed("siren, fall ,fight").is_ok());
        assert!(listed("siren, sirens").is_err_and(|e| e.to_string().contains("known kinds are")));
    }

    #[test]
    fn a_camera_is_one_of_a_configuration() {
        let without = parsed("watchfire replay a.mp4 --camera yard");
        assert!(without.is_err_and(|e| e.to_string().contains("--config")));
        assert!(parsed("watchfire replay a.mp4 --camera yard --config w.toml").is_ok());
        // What rules out the one that it needs.
        for words in [
            "--camera yard --models m",
            "--fresh --gating",
            "--fresh --events e.json",
        ] {
            assert!(parsed(&format!("watchfire replay a.mp4 {words}")).is_err(), "{words}");
        }
        assert!(parsed("watchfire replay a.mp4 --fresh --report r.json").is_ok());
    }

    #[test]
    fn a_start_that_is_no_time_is_refused_with_one_that_is() {
        let start = |time: &str| parsed(&format!("watchfire replay a.mp4 --start {time}"));
        assert!(start("yesterday").is_err_and(|e| e.to_string().contains("2026-11-24T00:00:00Z")));
        assert!(start("1970-01-02T00:00:00Z").is_ok());
    }

    #[test]
    fn every_command_looks_for_the_models_in_the_same_place_and_says_where() {
        let mut told = 0;
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let is_of_models = |id: &str| id == "models" || (name == "models" && id == "dir");
            for argument in command.get_arguments().filter(|a| is_of_models(a.get_id().as_str())) {
                let help = argument.get_help().unwrap_or_default().to_string();
                assert!(
                    help.contains("/usr/share/watchfire/models where there is one, else models"),
                    "{name}: {help}"
                );
                assert!(argument.get_default_values().is_empty(), "{name}");
                told += 1;
            }
        }
        assert_eq!(told, if cfg!(feature = "demo") { 4 } else { 2 });
    }
}
