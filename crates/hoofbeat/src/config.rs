//! Deployment configuration: where things lie and who may reach them. The science is in the study.
//!
//! `hoofbeat.toml` is optional; a command's flags win over it. Unknown keys are errors.

mod query;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

pub use self::query::{Engine, EngineKind, Role, Sql};
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
    pub distributed: Distributed,
    pub registry: RegistryConfig,
    pub engine: Engine,
    pub sql: Sql,
    pub server: Server,
    pub log: Log,
}

/// Where runs, models, reviews and the audit are recorded.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// A PostgreSQL database that replicas share, e.g. `postgresql://hoofbeat@db.hospital/hoofbeat`; without it a
    /// file in the data directory. The environment's `HOOFBEAT_REGISTRY_URL` wins, so that a password need not be written here.
    url: Option<String>,
}

// The address may hold a password.
impl std::fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryConfig").field("shared", &self.url.is_some()).finish()
    }
}

impl RegistryConfig {
    pub fn url(&self) -> Option<String> {
        std::env::var("HOOFBEAT_REGISTRY_URL").ok().filter(|url| !url.is_empty()).or_else(|| self.url.clone())
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
        let folder = path.parent().unwrap_or(Path::new(""));
        let own = [&mut config.data_dir, &mut config.study].into_iter().flatten();
        for relative in own.chain(config.sql.paths()) {
            *relative = folder.join(&*relative);
        }
        Ok(config)
    }

    pub fn data_dir(&self, global: &Global) -> PathBuf {
        let chosen = global.data_dir.clone().or_else(|| self.data_dir.clone());
        chosen.unwrap_or_else(|| PathBuf::from("hoofbeat-data"))
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
        let config: Config = toml::from_str("").unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8501");
    }
}
