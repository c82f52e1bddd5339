use std::process::ExitCode;

/// The starter configuration, also installed as /etc/watchfire/watchfire.toml.
const STARTER: &str = include_str!("../../systemd/watchfire.toml");

pub fn run() -> anyhow::Result<ExitCode> {
    print!("{STARTER}");
    Ok(ExitCode::SUCCESS)
}
