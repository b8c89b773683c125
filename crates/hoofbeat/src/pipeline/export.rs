//! Export: a bundle's models in their libraries' own formats, with what is needed to use them elsewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use learn::bundle::files;
use registry::Model;
use serde::Serialize;
use serde_json::{Value, json};

use crate::deployment::Deployment;

/// Folder of the fitted models inside a bundle.
const MODELS: &str = "models/";

/// One file that was written.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// Its name in the folder.
    pub file: String,
    /// Where it comes from in the bundle; its bytes are the same.
    pub from: String,
    pub sha256: String,
}

/// Writes a model's boosters as `VERSION-LEARNER-member-N.ENDING`, its preprocessor and calibration, and
/// `VERSION-boosters.json`, which says what they are. Files of these names are replaced.
pub fn boosters(deployment: &Deployment, model: &Model, folder: &Path) -> Result<Vec<Exported>> {
    let bundle = deployment.bundle(model)?;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let manifest = &bundle.manifest;
    let learner = manifest.lineage.get("learner").map(String::as_str).unwrap_or_default();
    let library = learner.split_whitespace().next().unwrap_or("model");
    let mut exported = Vec::new();
    for (name, digest) in &manifest.files {
        let file = match name.strip_prefix(MODELS) {
            Some(member) => format!("{}-{library}-{}", model.version, member.replace('/', "-")),
            None if [files::PREPROCESSOR, files::CALIBRATION].contains(&name.as_str()) => {
                format!("{}-{name}", model.version)
            }
            None => continue,
        };
        write(&folder.join(&file), bundle.file(name)?)?;
        exported.push(Exported { file, from: name.clone(), sha256: digest.clone() });
    }
    let (preprocessor, calibration): (Value, Value) =
        (bundle.json(files::PREPROCESSOR)?, bundle.json(files::CALIBRATION)?);
    let about = json!({
        "model": model.version,
        "bundle_digest": model.bundle_digest,
        "learner": learner,
        "columns": preprocessor["encoding"]["columns"],
        "classes": calibration["classes"],
        "use": "encode a patient into the columns (preprocessor), average the members' class probabilities, then pool and calibrate (calibration); the exported table holds the finished answers",
        "files": exported,
    });
    write(&folder.join(format!("{}-boosters.json", model.version)), &serde_json::to_vec_pretty(&about)?)?;
    Ok(exported)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}
