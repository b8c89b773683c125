//! The hospital's own dictionary of rare diseases, read from Orphanet's files, beside the built-in one.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clinical::orphanet::{self, Dictionary};
use serde::Serialize;

use crate::deployment::Deployment;

/// In the data directory.
const FILE: &str = "diseases.json";

/// What an import brought.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// Diseases in each file.
    pub files: Vec<(String, usize)>,
    /// Diseases in the dictionary now.
    pub diseases: usize,
}

/// Puts the data directory's dictionary, where there is one, before the built-in one.
pub fn bring(data_dir: &Path) -> Result<()> {
    if let Some(dictionary) = stored(data_dir)? {
        orphanet::bring(dictionary);
    }
    Ok(())
}

fn stored(data_dir: &Path) -> Result<Option<Dictionary>> {
    let path = data_dir.join(FILE);
    let remedy = || {
        format!(
            "the disease dictionary {} cannot be read: `hoofbeat disease import` makes it anew",
            path.display()
        )
    };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(remedy),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(remedy),
    }
}

/// Adds files to the dictionary; a running server shows them after its next start.
pub fn import(deployment: &Deployment, files: &[PathBuf]) -> Result<Imported> {
    let mut dictionary = stored(&deployment.data_dir)?.unwrap_or_default();
    let mut read = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let task = deployment.progress.task(&format!("reading {name}"), None);
        let found = interop::orphanet::read(path).with_context(|| name.clone())?;
        task.at(found.diseases.len() as u64);
        read.push((name, found.diseases.len()));
        dictionary.extend(found);
    }
    let path = deployment.data_dir.join(FILE);
    let writing = path.with_extension("json.new");
    let mut file = std::fs::File::create(&writing).with_context(|| writing.display().to_string())?;
    file.write_all(&serde_json::to_vec(&dictionary)?)?;
    file.sync_all()?;
    std::fs::rename(&writing, &path).with_context(|| path.display().to_string())?;
    Ok(Imported { files: read, diseases: dictionary.diseases.len() })
}
