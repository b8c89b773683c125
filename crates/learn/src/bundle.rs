//! The bundle: one folder that holds everything a model is, and can prove that nothing was changed.
//!
//! `manifest.json` lists every other file with its SHA-256; the bundle's digest is that of the
//! manifest. A bundle is written beside its place and renamed into it, so it is whole or absent.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Version of the bundle's layout; a reader refuses a later one.
pub const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// Names of the files that every part of the program agrees on.
pub mod files {
    use clinical::study::Learner;

    pub const STUDY: &str = "study.toml";
    pub const PREPROCESSOR: &str = "preprocessor.json";
    /// [`crate::combine::Combination`]: temperature, gate, alarm.
    pub const CALIBRATION: &str = "calibration.json";
    /// The predictor table ([`crate::predict::Table`]).
    pub const TABLE: &str = "table.bin.zst";
    pub const REPORT: &str = "report.json";

    /// A member's model in its learner's own form; the ending says whose.
    pub fn model(member: usize, learner: Learner) -> String {
        let ending = match learner {
            Learner::Xgboost => "ubj",
            Learner::Lightgbm => "txt",
            Learner::Mlp => "safetensors",
        };
        format!("models/member-{member}.{ending}")
    }
}

/// What a bundle says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The model's version.
    pub version: String,
    /// RFC 3339, passed in.
    pub created_at: String,
    /// Digest of the study.
    pub study: String,
    pub dataset_version: u64,
    /// Where the model comes from: seed, parent version, mode, engine version; free text by name.
    pub lineage: BTreeMap<String, String>,
    /// SHA-256 in lower-case hexadecimal of each file, by its path inside the bundle.
    pub files: BTreeMap<String, String>,
}

/// A verified bundle. Its files were read whole and matched their digests.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub manifest: Manifest,
    folder: PathBuf,
    contents: BTreeMap<String, Vec<u8>>,
}

/// Writes a bundle to `folder`, which must not exist; answers the bundle's digest.
///
/// `manifest.files` is filled in here. The folder appears whole, by a rename, after all its bytes
/// are on the disk.
///
/// # Errors
/// When a name leaves the bundle, the folder exists, or writing fails: then nothing is left behind.
pub fn write(folder: &Path, manifest: Manifest, contents: BTreeMap<String, Vec<u8>>) -> Result<String> {
    Bundle::new(manifest, contents)?.write(folder)
}

fn write_whole(folder: &Path, text: &[u8], contents: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    if folder.exists() {
        return Err(Error::Invalid(format!("{} exists already", folder.display())));
    }
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(Error::Invalid(format!("{} is no place for a bundle", folder.display())));
    };
    let temporary = parent.join(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
    let done = (|| {
        let files = contents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        for (name, bytes) in files.chain([(MANIFEST, text)]) {
            write_file(&temporary.join(name), bytes)?;
        }
        synchronise(&temporary)?;
        fs::rename(&temporary, folder).map_err(|source| file(folder, source))?;
        synchronise(parent)
    })();
    if done.is_err() {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
    }
    done
}

impl Bundle {
    /// A bundle that is in no folder yet. `manifest.format` and `manifest.files` are filled in here.
    ///
    /// # Errors
    /// When a name leaves the bundle.
    pub fn new(mut manifest: Manifest, contents: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        contents.keys().try_for_each(|name| check_name(name))?;
        manifest.format = FORMAT;
        manifest.files = contents.iter().map(|(name, bytes)| (name.clone(), digest(bytes))).collect();
        Ok(Bundle { folder: PathBuf::from(&manifest.version), manifest, contents })
    }

    /// Writes the bundle as [`write`] does.
    ///
    /// # Errors
    /// When the folder exists or writing fails: then nothing is left behind.
    pub fn write(&self, folder: &Path) -> Result<String> {
        let text = serde_json::to_vec_pretty(&self.manifest).map_err(|e| Error::malformed(MANIFEST, e))?;
        write_whole(folder, &text, &self.contents)?;
        Ok(digest(&text))
    }

    /// Opens a bundle and verifies every file.
    ///
    /// # Errors
    /// [`Error::Tampered`] naming the file that differs from its digest; [`Error::File`] for one
    /// that is missing; [`Error::Malformed`] for a manifest that cannot be read, is of a later
    /// format, or does not list a file that lies in the bundle.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).map_err(|source| file(&path, source))?;
        let malformed = |why: String| Error::malformed(path.display().to_string(), why);
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if manifest.format > FORMAT {
            return Err(malformed(format!(
                "format {} is newer than this program, which reads {FORMAT}",
                manifest.format
            )));
        }
        let mut contents = BTreeMap::new();
        for (name, expected) in &manifest.files {
            check_name(name)?;
            let path = folder.join(name);
            let bytes = fs::read(&path).map_err(|source| file(&path, source))?;
            if digest(&bytes) != *expected {
                return Err(Error::Tampered { path });
            }
            contents.insert(name.clone(), bytes);
        }
        Ok(Bundle { manifest, folder: folder.to_owned(), contents })
    }

    /// As [`Bundle::open`], and the manifest itself has the digest that [`write`] answered: what the
    /// registry has recorded.
    ///
    /// # Errors
    /// [`Error::Tampered`] naming the manifest, else as [`Bundle::open`].
    pub fn open_recorded(folder: &Path, recorded: &str) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).map_err(|source| file(&path, source))?;
        if digest(&text) != recorded {
            return Err(Error::Tampered { path });
        }
        Bundle::open(folder)
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the bundle has no such file.
    pub fn file(&self, name: &str) -> Result<&[u8]> {
        let bytes = self.contents.get(name).map(Vec::as_slice);
        bytes.ok_or_else(|| {
            Error::malformed(self.folder.display().to_string(), format!("there is no {name} in it"))
        })
    }

    /// A JSON file's value.
    ///
    /// # Errors
    /// As [`Bundle::file`], and when it is not what was asked for.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = || self.folder.join(name).display().to_string();
        serde_json::from_slice(self.file(name)?).map_err(|error| Error::malformed(path(), error))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name and bytes of every file.
    pub(crate) fn contents(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.contents
    }
}

/// SHA-256 in lower-case hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A relative path of plain names: nothing in a manifest may point out of its bundle.
fn check_name(name: &str) -> Result<()> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0']);
    if name != MANIFEST && name.split('/').all(plain) {
        Ok(())
    } else {
        Err(Error::malformed(MANIFEST, format!("{name:?} is no name of a file in a bundle")))
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| file(parent, source))?;
    }
    let write = || {
        let mut out = fs::File::create_new(path)?;
        out.write_all(bytes)?;
        out.sync_all()
    };
    write().map_err(|source| file(path, source))
}

fn synchronise(folder: &Path) -> Result<()> {
    fs::File::open(folder).and_then(|open| open.sync_all()).map_err(|source| file(folder, source))
}

fn file(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}
