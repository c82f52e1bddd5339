//! `labels.csv` beside sounds or clips, in a folder or a tar.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::MAX_MEMBER_BYTES;
use crate::eval::filter::{Filter, passes};

/// A tar with more than this is not unpacked.
const MAX_TAR_BYTES: u64 = 8 << 30;

/// The rows of `labels.csv`.
pub(in crate::eval) struct Table {
    folder: PathBuf,
    rows: Vec<BTreeMap<String, String>>,
    /// Holds an unpacked tar for as long as it is read.
    _unpacked: Option<tempfile::TempDir>,
}

/// One clip.
pub(in crate::eval) struct Row {
    /// As it stands in `labels.csv`: relative to its folder.
    pub file: String,
    pub path: PathBuf,
    pub label: String,
}

impl Table {
    pub fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(folder.join("labels.csv"))?;
        let rows = reader.deserialize().collect::<Result<_, _>>()?;
        Ok(Self {
            folder: folder.to_owned(),
            rows,
            _unpacked: None,
        })
    }

    /// Sounds and films are read by their path, so a tar is unpacked into a folder that goes with the table.
    pub fn of_tar(path: &Path) -> anyhow::Result<Self> {
        let to = tempfile::tempdir().context("no folder to unpack into")?;
        let (mut total, mut csv) = (0, None);
        for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
            let mut entry = entry?;
            let inside = entry.path()?.into_owned();
            total += entry.size();
            ensure!(
                entry.size() <= MAX_MEMBER_BYTES && total <= MAX_TAR_BYTES,
                "{}: too large",
                inside.display()
            );
            let kind = entry.header().entry_type();
            if !kind.is_file() && !kind.is_dir() {
                continue;
            }
            // `unpack_in` refuses what would lie outside.
            if entry.unpack_in(to.path())? && inside.file_name().is_some_and(|n| n == "labels.csv") {
                csv.get_or_insert_with(|| to.path().join(&inside));
            }
        }
        let folder = csv.as_deref().and_then(Path::parent).context("no labels.csv in it")?;
        Ok(Self {
            _unpacked: Some(to),
            ..Self::of_folder(folder)?
        })
    }

    /// The rows that pass `filters`.
    ///
    /// # Errors
    /// A column is missing; no row is left.
    pub fn rows(&self, filters: &[Filter]) -> anyhow::Result<Vec<Row>> {
        let mut out = Vec::new();
        for row in &self.rows {
            let get = |column: &str| {
                row.get(column)
                    .map(String::as_str)
                    .with_context(|| format!("labels.csv has no column {column:?}"))
            };
            if !passes(filters, get)? {
                continue;
            }
            let label = row
                .get("label")
                .or_else(|| row.get("emotion"))
                .context("labels.csv has neither a column \"label\" nor \"emotion\"")?;
            let file = get("file")?;
            let inside = Path::new(file)
                .components()
                .all(|c| matches!(c, std::path::Component::Normal(_) | std::path::Component::CurDir));
            ensure!(inside, "labels.csv: {file:?} lies outside of the data set");
            out.push(Row {
                file: file.to_owned(),
                path: self.folder.join(file),
                label: label.clone(),
            });
        }
        ensure!(!out.is_empty(), "no row of labels.csv is left");
        Ok(out)
    }
}

pub(super) fn is_in_tar(path: &Path) -> anyhow::Result<bool> {
    for entry in tar::Archive::new(std::fs::File::open(path)?).entries()? {
        if entry?.path()?.file_name().is_some_and(|n| n == "labels.csv") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "file,emotion,speaker\na.ogg,anger,03\nb.ogg,fear,15\nc.ogg,fear,16\n";

    fn files(table: &Table, filters: &[&str]) -> Vec<String> {
        let filters: Vec<Filter> = filters.iter().map(|f| f.parse().unwrap()).collect();
        let rows = table.rows(&filters).unwrap();
        rows.into_iter().map(|r| format!("{} {}", r.file, r.label)).collect()
    }

    #[test]
    fn rows_are_filtered_and_a_missing_column_or_an_empty_rest_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("labels.csv"), CSV).unwrap();
        let table = Table::of_folder(dir.path()).unwrap();
        assert_eq!(files(&table, &[]).len(), 3);
        assert_eq!(
            files(&table, &["speaker=15", "speaker=16"]),
            ["b.ogg fear", "c.ogg fear"]
        );
        let error = |filter: &str| table.rows(&[filter.parse().unwrap()]).err().unwrap().to_string();
        assert!(error("fold=1").contains("fold") && error("speaker=7").contains("no row"));
    }

    #[test]
    fn a_tar_is_read_like_its_folder_and_nothing_is_written_outside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            // Written by hand: the builder itself refuses a way out.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, bytes).unwrap();
        };
        add("emodb/labels.csv", CSV.as_bytes());
        add("emodb/a.ogg", b"sound");
        add("../escaped.txt", b"out");
        tar.finish().unwrap();
        drop(tar);
        let table = Table::of_tar(&path).unwrap();
        assert_eq!(files(&table, &[]).len(), 3);
        assert_eq!(std::fs::read(&table.rows(&[]).unwrap()[0].path).unwrap(), b"sound");
        assert!(!std::env::temp_dir().join("escaped.txt").exists());
    }

    #[test]
    fn a_row_that_points_outside_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("labels.csv"), "file,label\n../../etc/passwd,x\n").unwrap();
        let error = Table::of_folder(dir.path()).unwrap().rows(&[]).err().unwrap();
        assert!(error.to_string().contains("outside"), "{error}");
    }
}
