//! The raw result of each item, one JSON value a line.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

/// Writes lines, or nothing where no file was asked for.
pub(super) struct Predictions(Option<BufWriter<File>>);

impl Predictions {
    pub fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| File::create(path).with_context(|| path.display().to_string());
        Ok(Self(path.map(create).transpose()?.map(BufWriter::new)))
    }

    pub fn wanted(&self) -> bool {
        self.0.is_some()
    }

    pub fn line(&mut self, value: impl FnOnce() -> serde_json::Value) -> anyhow::Result<()> {
        if let Some(file) = &mut self.0 {
            writeln!(file, "{}", value())?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> anyhow::Result<()> {
        self.0.as_mut().map_or(Ok(()), BufWriter::flush)?;
        Ok(())
    }
}
