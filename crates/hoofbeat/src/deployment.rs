//! One opened deployment: the study, the lake, the registry and the models of one data directory.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clinical::Study;
use lake::{CohortCache, Lake, Storage};
use learn::bundle::{Bundle, files};
use query::Pseudonyms;
use registry::{Model, ModelVersion, Registry};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cli::Global;
use crate::clock::Clock;
use crate::config::Config;
use crate::pipeline::diseases;
use crate::progress::Progress;

/// What the commands of one data directory share.
#[derive(Debug)]
pub struct Deployment {
    pub config: Config,
    pub data_dir: PathBuf,
    /// The study that is worked with.
    pub study: Arc<Study>,
    /// The study that the deployment itself names, whichever is worked with.
    declared: Option<Arc<Study>>,
    pub lake: Lake,
    pub registry: Arc<Registry>,
    pub progress: Progress,
    pub clock: Clock,
}

impl Deployment {
    /// Opens the data directory, made where it is missing.
    pub fn open(global: &Global) -> Result<Deployment> {
        let config = Config::load(global)?;
        let data_dir = config.data_dir(global);
        let study = Arc::new(study(global, &config)?);
        let declared = match (&config.study, &global.study) {
            (Some(path), Some(_)) => Some(Arc::new(read_study(path)?)),
            (named, _) => named.as_ref().map(|_| Arc::clone(&study)),
        };
        diseases::bring(&data_dir)?;
        let registry = match config.registry.url() {
            Some(url) => {
                Registry::connect(&url, &data_dir).context("the registry's database cannot be opened")?
            }
            None => Registry::open(&data_dir)
                .with_context(|| format!("the registry in {} cannot be opened", data_dir.display()))?,
        };
        Ok(Deployment {
            lake: Lake::at(config.storage(global)?),
            registry: Arc::new(registry),
            progress: Progress::new(global.quiet),
            clock: Clock::System,
            study,
            declared,
            data_dir,
            config,
        })
    }

    /// A deployment of files in `data_dir` alone, wherever the environment says that others lie, at a clock of its own.
    pub fn of_files(config: Config, data_dir: PathBuf, study: Study, clock: Clock) -> Result<Deployment> {
        let registry = Registry::open(&data_dir)
            .with_context(|| format!("the registry in {} cannot be opened", data_dir.display()))?;
        let study = Arc::new(study);
        Ok(Deployment {
            lake: Lake::at(Storage::local(&data_dir.join("lake"))),
            registry: Arc::new(registry),
            progress: Progress::new(true),
            declared: Some(Arc::clone(&study)),
            study,
            clock,
            data_dir,
            config,
        })
    }

    /// The same deployment, asked by somebody with a study of their own.
    pub fn with_study(&self, study: Study) -> Deployment {
        Deployment {
            config: self.config.clone(),
            data_dir: self.data_dir.clone(),
            study: Arc::new(study),
            declared: self.declared.clone(),
            lake: self.lake.clone(),
            registry: Arc::clone(&self.registry),
            progress: self.progress.clone(),
            clock: self.clock.clone(),
        }
    }

    /// The deployment as the cycle runs in it: the study that its server was started with is the one that it names.
    #[must_use]
    pub fn in_charge(mut self) -> Deployment {
        self.declared = Some(Arc::clone(&self.study));
        self
    }

    /// The study whose gates, limits and margins judge a model: never its own, which could allow itself more. It is the one that
    /// the deployment names, else the champion's; the model's `own` judges where there is neither.
    pub fn study_in_force(&self, own: &Study) -> Result<Arc<Study>> {
        if let Some(declared) = &self.declared {
            return Ok(Arc::clone(declared));
        }
        let Some(champion) = self.registry.champion()? else { return Ok(Arc::new(own.clone())) };
        let study = self.study_of(&champion.model).with_context(|| {
            let version = champion.model.version;
            format!("the study of the champion {version} judges, and its bundle has it no more: name one in hoofbeat.toml (`study = \"FILE\"`)")
        })?;
        Ok(Arc::new(study))
    }

    /// The time at which what the deployment does now is done.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Counted cohorts of earlier dataset versions.
    pub fn cohorts(&self) -> CohortCache {
        CohortCache::open(&self.data_dir.join("cohorts"))
    }

    /// The dataset version asked for, else the newest.
    pub fn dataset_version(&self, asked: Option<u64>) -> Result<u64> {
        match asked {
            Some(version) => Ok(self.lake.version(version)?.version),
            None => match self.lake.newest()? {
                Some(newest) => Ok(newest.version),
                None => bail!(
                    "there is no dataset version yet: `hoofbeat ingest FILE --source NAME` makes the first"
                ),
            },
        }
    }

    /// A model by its version.
    pub fn model(&self, version: &str) -> Result<Model> {
        let parsed: ModelVersion = version
            .parse()
            .with_context(|| format!("`{version}` is not a model version; they look like m-0001"))?;
        Ok(self.registry.model(parsed)?)
    }

    /// The champion.
    pub fn champion(&self) -> Result<Model> {
        match self.registry.champion()? {
            Some(champion) => Ok(champion.model),
            None => bail!("there is no champion yet: `hoofbeat model promote MODEL` makes one"),
        }
    }

    /// The key of the pseudonyms that SQL shows, made when it is first needed. Whoever has it can find out whose
    /// pseudonym one is, so only this user may read it.
    pub fn pseudonyms(&self) -> Result<Pseudonyms> {
        let path = self.data_dir.join("pseudonyms.key");
        if !path.exists() {
            make_key(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let key = <[u8; 32]>::try_from(bytes.as_slice());
        key.map(Pseudonyms::new).map_err(|_| {
            anyhow!(
                "{} is damaged: put it back from a backup, or delete it to get other pseudonyms",
                path.display()
            )
        })
    }

    /// The folder of a model's bundle.
    pub fn bundle_dir(&self, model: &Model) -> PathBuf {
        self.data_dir.join(&model.bundle_path)
    }

    /// The study that a model's bundle carries; none where it is gone or was changed.
    pub fn study_of(&self, model: &Model) -> Option<Study> {
        let text = std::fs::read_to_string(self.bundle_dir(model).join(files::STUDY)).ok()?;
        Study::parse(&text).ok().filter(|study| study.digest() == model.study_hash)
    }

    /// A model's bundle, as it was registered.
    pub fn bundle(&self, model: &Model) -> Result<Bundle> {
        Bundle::open_recorded(&self.bundle_dir(model), &model.bundle_digest)
            .with_context(|| format!("model {} cannot be opened", model.version))
    }
}

/// Makes a random key in one step, so that two processes that need it first share one.
fn make_key(path: &Path) -> std::io::Result<()> {
    // Two random identifiers have 244 random bits between them; the hash spreads them over the key.
    let mut hash = Sha256::new();
    for id in [Uuid::new_v4(), Uuid::new_v4()] {
        hash.update(id.as_bytes());
    }
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let made = file.write_all(&hash.finalize()).and_then(|()| file.sync_all());
    let linked = made.and_then(|()| std::fs::hard_link(&part, path));
    std::fs::remove_file(&part)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// The study of a command: `--study`, else the configuration's, else the built-in one.
pub fn study(global: &Global, config: &Config) -> Result<Study> {
    match global.study.as_ref().or(config.study.as_ref()) {
        None => Ok(Study::default_study().clone()),
        Some(path) => read_study(path),
    }
}

fn read_study(path: &Path) -> Result<Study> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the study {} cannot be read", path.display()))?;
    Study::parse(&text).with_context(|| format!("the study {} is not valid", path.display()))
}

/// Who acts from the command line: the operating system's user, as the audit names them.
pub fn actor() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    format!("cli:{}", user.filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".to_owned()))
}
