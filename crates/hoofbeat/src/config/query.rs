//! `[engine]` and `[sql]`: who counts, and who may ask what over the PostgreSQL wire.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use query::Limits;
use serde::Deserialize;

use crate::deployment::Deployment;

/// Who counts cohorts, verifies splits and profiles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    pub kind: EngineKind,
    /// The scheduler of the cluster, HOST:PORT (`hoofbeat cluster scheduler`).
    pub scheduler: String,
    /// Tasks per query: the executors' cores together, or some times more, so that a lost one costs little.
    pub partitions: usize,
    /// Seconds after which a cluster's count is given up; 0: never.
    pub timeout_seconds: u64,
    /// A cluster knows no passwords: listening beyond this machine is refused unless this says that nobody else reaches
    /// its network.
    pub trusted_network: bool,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            kind: EngineKind::Local,
            scheduler: "127.0.0.1:50050".to_owned(),
            partitions: 16,
            timeout_seconds: 3600,
            trusted_network: false,
        }
    }
}

impl Engine {
    /// The time of a cluster's count.
    pub fn timeout(&self) -> Option<Duration> {
        some_seconds(self.timeout_seconds)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// This process.
    Local,
    /// A cluster of `hoofbeat cluster` processes.
    Ballista,
}

/// SQL: its limits, and the PostgreSQL endpoint, which is off unless an address is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sql {
    /// Address of the endpoint.
    pub listen: Option<SocketAddr>,
    /// Memory of a query, in MiB; what does not fit is written to disk.
    pub memory_mib: usize,
    /// Seconds after which a query over the wire is stopped; 0: never.
    pub timeout_seconds: u64,
    /// Connections at once.
    pub connections: usize,
    /// Certificate chain and private key (PEM); relative to the configuration file. Both or none.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Who may connect. Without any, whoever is on this machine may, and sees no identifiers.
    pub roles: Vec<Role>,
}

/// A login of the endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub name: String,
    /// File whose first line is the password; relative to the configuration file.
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// Whether patient and case identifiers, notes and refused rows are shown as they are.
    #[serde(default)]
    pub identifiers: bool,
}

impl Default for Sql {
    fn default() -> Self {
        Sql {
            listen: None,
            memory_mib: 1024,
            timeout_seconds: 300,
            connections: 32,
            tls_cert: None,
            tls_key: None,
            roles: Vec::new(),
        }
    }
}

impl Sql {
    /// Every path that is relative to the configuration file.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let roles = self.roles.iter_mut().filter_map(|role| role.password_file.as_mut());
        [&mut self.tls_cert, &mut self.tls_key].into_iter().flatten().chain(roles)
    }

    /// What a query may use that nobody waits for over the wire.
    pub fn limits(&self, deployment: &Deployment) -> Limits {
        Limits {
            memory_mib: self.memory_mib,
            threads: deployment.config.threads(),
            time: None,
            spill: std::env::temp_dir(),
        }
    }

    /// The time of a query over the wire.
    pub fn timeout(&self) -> Option<Duration> {
        some_seconds(self.timeout_seconds)
    }
}

/// A limit of so many seconds; none for 0.
fn some_seconds(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}
