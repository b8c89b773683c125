//! Deployment configuration: where things lie and who may reach them. The science is in the study.
//!
//! `hoofbeat.toml` is optional; a command's flags win over it. Unknown keys are errors.

mod alerts;
mod query;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lake::StorageOptions;
use serde::Deserialize;

pub use self::alerts::{Alerts, Email, MailEncryption, Webhook};
pub use self::query::{Engine, EngineKind, Role, Sql};
use crate::calendar::{Every, Kind};
use crate::cli::Global;

/// Read where `--config` is not given and the file exists.
const DEFAULT_FILE: &str = "hoofbeat.toml";
const DEFAULT_PORT: u16 = 8501;

/// What `hoofbeat.toml` may say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Data directory; relative to the configuration file.
    pub data_dir: Option<PathBuf>,
    /// Study file; relative to the configuration file.
    pub study: Option<PathBuf>,
    /// Threads for counting and training (default: all cores).
    pub threads: Option<usize>,
    pub storage: Storage,
    pub distributed: Distributed,
    pub registry: RegistryConfig,
    pub cycle: Cycle,
    pub review: Review,
    pub schedule: Schedule,
    pub engine: Engine,
    pub sql: Sql,
    pub publication: Publication,
    pub server: Server,
    pub monitoring: Monitoring,
    pub alerts: Alerts,
    pub log: Log,
}

/// Where runs, models, reviews and the audit are recorded.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// A PostgreSQL database that replicas share, e.g. `postgresql://hoofbeat@db.hospital/hoofbeat`; without it a
    /// file in the data directory. The environment's `HOOFBEAT_REGISTRY_URL` wins, so that a password need not be written here.
    url: Option<String>,
    /// How long a server or a training that no longer answers keeps its work from others.
    lease_seconds: u64,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig { url: None, lease_seconds: 30 }
    }
}

// The address may hold a password.
impl std::fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lease = &self.lease_seconds;
        f.debug_struct("RegistryConfig")
            .field("shared", &self.url.is_some())
            .field("lease_seconds", lease)
            .finish()
    }
}

impl RegistryConfig {
    pub fn url(&self) -> Option<String> {
        std::env::var("HOOFBEAT_REGISTRY_URL").ok().filter(|url| !url.is_empty()).or_else(|| self.url.clone())
    }

    /// How long a claim holds without being renewed.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.lease_seconds > 1, "[registry] lease_seconds must be 2 or more");
        Ok(())
    }
}

/// Where the lake's tables lie: a path, or a bucket by URL. Credentials belong into the environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// A path (relative to the configuration file), `s3://bucket/prefix`, `az://container/prefix` or
    /// `gs://bucket/prefix` (default: `lake` in the data directory).
    pub url: Option<String>,
    /// Address of the object store, where it is not the provider's own.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Whether the connection may be unencrypted.
    pub allow_http: bool,
    /// The longest that one request may take.
    pub timeout_seconds: u64,
    /// The longest that a request is repeated while the store does not answer.
    pub retry_seconds: u64,
    /// How long a writer that no longer answers keeps others out.
    pub lease_seconds: u64,
    /// Further options, by the names that the provider's tools have.
    pub options: Options,
}

/// Options that may hold secrets.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Options(BTreeMap<String, String>);

impl fmt::Debug for Options {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Default for Storage {
    fn default() -> Self {
        let usual = StorageOptions::default();
        Storage {
            url: None,
            endpoint: None,
            region: None,
            allow_http: false,
            timeout_seconds: usual.timeout.as_secs(),
            retry_seconds: usual.retry.as_secs(),
            lease_seconds: usual.lease.as_secs(),
            options: Options::default(),
        }
    }
}

impl Storage {
    fn options(&self) -> Result<StorageOptions> {
        ensure!(self.timeout_seconds > 0, "[storage] timeout_seconds must be 1 or more");
        ensure!(self.lease_seconds > 1, "[storage] lease_seconds must be 2 or more");
        Ok(StorageOptions {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            allow_http: self.allow_http,
            timeout: Duration::from_secs(self.timeout_seconds),
            retry: Duration::from_secs(self.retry_seconds),
            lease: Duration::from_secs(self.lease_seconds),
            more: self.options.0.clone(),
        })
    }
}

/// Training by several processes, for studies with too many possible patients for a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distributed {
    /// Processes that share the rows of one model (default: one).
    pub workers: usize,
    /// The address of this machine, as the processes reach it.
    pub host: String,
    /// The command that starts a process on another machine, in place of this program: a program of the
    /// same version, e.g. `["ssh", "node-{rank}", "hoofbeat"]`. `{rank}` becomes the process's number.
    pub launch: Vec<String>,
}

impl Default for Distributed {
    fn default() -> Self {
        Distributed { workers: 1, host: "127.0.0.1".into(), launch: Vec::new() }
    }
}

/// The cycle. What a challenger must show is the study's; who lets it take the champion's place is said here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cycle {
    pub approval: Approval,
}

/// Who lets a challenger that passed its gates become the champion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// The gates alone.
    #[default]
    Automatic,
    /// Somebody else than who asked for it.
    SecondPerson,
}

/// What a server does by itself, and when; nothing that is not named. Times are UTC: `daily 02:00`, `weekly sunday 03:00`,
/// `monthly 1 03:00`, `quarterly 1 04:00`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    pub incremental: Option<Every>,
    pub full: Option<Every>,
    /// `at once`: as soon as orphan cases are confirmed that the champion does not know.
    pub orphan: Option<Every>,
    pub monitor: Option<Every>,
}

impl Schedule {
    /// The schedules that are named, in the order in which they run.
    pub fn entries(&self) -> Vec<(Kind, Every)> {
        let of = |kind| match kind {
            Kind::Monitor => self.monitor,
            Kind::Orphan => self.orphan,
            Kind::Incremental => self.incremental,
            Kind::Full => self.full,
        };
        Kind::ALL.into_iter().filter_map(|kind| Some((kind, of(kind)?))).collect()
    }

    fn check(&self) -> Result<()> {
        for (name, every) in
            [("incremental", self.incremental), ("full", self.full), ("monitor", self.monitor)]
        {
            if every == Some(Every::Once) {
                bail!("[schedule] {name} needs times: only orphan runs `at once`");
            }
        }
        Ok(())
    }
}

/// The review queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// Reviewers who must find the same before a case of an orphan disease is confirmed, `1..=5`.
    pub confirmations: usize,
    /// Share of what `review suggest` chooses that is drawn at random: the only unbiased sample.
    pub random_share: f64,
    /// Unanswered alarms that `review suggest` opens at most.
    pub suspicions: usize,
    /// The pool: of the newest answers of all servers so many, from which it chooses those that nobody has reviewed. At least 1.
    pub pool: usize,
}

impl Default for Review {
    fn default() -> Self {
        Review { confirmations: 1, random_share: 0.10, suspicions: 100, pool: 100_000 }
    }
}

impl Review {
    fn check(&self) -> Result<()> {
        if !(1..=5).contains(&self.confirmations) {
            bail!("[review] confirmations is 1 to 5");
        }
        if !(0.0..=1.0).contains(&self.random_share) {
            bail!("[review] random_share is a share, 0 to 1");
        }
        if !(1..=10_000_000).contains(&self.pool) {
            bail!("[review] pool is 1 to 10000000");
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub listen: SocketAddr,
    /// Listening beyond this machine is refused unless this is true: there are no user accounts yet,
    /// so a gateway that authenticates must stand in front.
    pub behind_gateway: bool,
    /// Host names under which a gateway reaches the server.
    pub hosts: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            behind_gateway: false,
            hosts: Vec::new(),
        }
    }
}

/// How often a server brings its answers, and what became of them, into the lake's open tables.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Publication {
    /// 0: only `hoofbeat dataset publish` does.
    pub every_seconds: u64,
}

impl Default for Publication {
    fn default() -> Self {
        Publication { every_seconds: 300 }
    }
}

/// How the served model is watched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Monitoring {
    /// Days of the window that is compared with the training cohort.
    pub window_days: u32,
}

impl Default for Monitoring {
    fn default() -> Self {
        Monitoring { window_days: 30 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, or a filter such as `serve=debug,info`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Log { level: "info".to_owned(), format: LogFormat::Text }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// The configuration of a command: the named file, the default file where it exists, or defaults.
    pub fn load(global: &Global) -> Result<Config> {
        let path = match &global.config {
            Some(path) => path.clone(),
            None if Path::new(DEFAULT_FILE).exists() => PathBuf::from(DEFAULT_FILE),
            None => return Ok(Config::default()),
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
        let mut config: Config = toml::from_str(&text)
            .with_context(|| format!("the configuration {} is not valid", path.display()))?;
        config
            .review
            .check()
            .and_then(|()| config.schedule.check())
            .and_then(|()| config.registry.check())
            .and_then(|()| config.alerts.check())
            .with_context(|| format!("the configuration {} is not valid", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let own = [&mut config.data_dir, &mut config.study].into_iter().flatten();
        for relative in own.chain(config.alerts.paths()).chain(config.sql.paths()) {
            *relative = folder.join(&*relative);
        }
        if let Some(url) = config.storage.url.as_mut().filter(|url| !url.contains("://")) {
            *url = folder.join(&*url).display().to_string();
        }
        Ok(config)
    }

    pub fn data_dir(&self, global: &Global) -> PathBuf {
        let chosen = global.data_dir.clone().or_else(|| self.data_dir.clone());
        chosen.unwrap_or_else(|| PathBuf::from("hoofbeat-data"))
    }

    /// Where the lake lies: `--storage`, else the configuration's, else in the data directory.
    pub fn storage(&self, global: &Global) -> Result<lake::Storage> {
        match global.storage.as_ref().or(self.storage.url.as_ref()) {
            None => Ok(lake::Storage::local(&self.data_dir(global).join("lake"))),
            Some(url) => Ok(lake::Storage::open(url, &self.storage.options()?)?),
        }
    }

    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_errors_and_defaults_listen_on_loopback() {
        assert!(toml::from_str::<Config>("[server]\nport = 1").is_err());
        assert!(toml::from_str::<Config>("datadir = \"x\"").is_err());
        assert!(toml::from_str::<Config>("[storage]\nbucket = \"x\"").is_err());
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8501");
    }

    #[test]
    fn a_secret_among_the_options_is_never_printed() {
        let text = "[storage]\nurl = \"s3://b\"\n[storage.options]\nsecret_access_key = \"hush\"";
        let config: Config = toml::from_str(text).unwrap();
        let printed = format!("{config:?} {:?}", config.storage.options().unwrap());
        assert!(printed.contains("secret_access_key") && !printed.contains("hush"), "{printed}");
    }
}
