//! `hoofbeat doctor`: checks what the product stands on, and says how to mend what is wrong.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use lake::predictions::PredictionReader;
use registry::{Level, ServerCheck, Transport};
use serde::Serialize;

use crate::cli::Global;
use crate::config::Config;
use crate::deployment::{self, Deployment};
use crate::output::{self, Done};
use crate::pipeline::publish;
use crate::pipeline::score::Scorer;

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Well,
    /// Worth knowing; the product works.
    Note,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, check: &'static str, state: State, message: impl Into<String>, remedy: Option<&str>) {
        self.0.push(Finding { check, state, message: message.into(), remedy: remedy.map(str::to_owned) });
    }

    fn well(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, State::Well, message, None);
    }

    fn wrong(&mut self, check: &'static str, message: impl Into<String>, remedy: &str) {
        self.add(check, State::Wrong, message, Some(remedy));
    }
}

/// Where the registry's database is named.
const ADDRESS: &str = "correct [registry] url in hoofbeat.toml, or HOOFBEAT_REGISTRY_URL, which wins";

/// Exit status 3 when a check fails.
pub(super) fn run(global: &Global) -> Result<Done> {
    let mut findings = Findings::default();
    check(global, &mut findings);
    let findings = findings.0;
    let well = findings.iter().all(|finding| finding.state != State::Wrong);
    output::print(global.json, &serde_json::json!({ "well": well, "checks": findings }), || {
        let line = |finding: &Finding| {
            let mark = match finding.state {
                State::Well => "ok   ",
                State::Note => "note ",
                State::Wrong => "WRONG",
            };
            let remedy = finding.remedy.as_ref().map(|remedy| format!("\n             to mend: {remedy}"));
            format!("{mark} {:<10} {}{}", finding.check, finding.message, remedy.unwrap_or_default())
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Done::held(well))
}

fn check(global: &Global, findings: &mut Findings) {
    let config = match Config::load(global) {
        Ok(config) => config,
        Err(error) => {
            return findings.wrong(
                "config",
                format!("{error:#}"),
                "correct the named line of the configuration file",
            );
        }
    };
    findings.well("config", format!("data directory {}", config.data_dir(global).display()));
    match deployment::study(global, &config) {
        Ok(study) => findings.well("study", format!("`{}`, digest {}", study.name(), &study.digest()[..12])),
        Err(error) => {
            return findings.wrong(
                "study",
                format!("{error:#}"),
                "correct the named place of the study file",
            );
        }
    }
    engines(findings);
    listener(&config, findings);
    match Deployment::open(global) {
        Ok(deployment) => stores(&deployment, findings),
        Err(error) if error.downcast_ref().is_some_and(is_of_the_address) => {
            findings.wrong("registry", format!("{error:#}"), ADDRESS)
        }
        Err(error) => findings.wrong(
            "storage",
            format!("{error:#}"),
            "check that the data directory exists and may be written",
        ),
    }
}

fn is_of_the_address(error: &registry::Error) -> bool {
    matches!(error, registry::Error::BadUrl { .. } | registry::Error::Connection { .. })
}

fn engines(findings: &mut Findings) {
    for (engine, library) in [("XGBoost", learn::xgboost_library()), ("LightGBM", learn::lightgbm_library())]
    {
        match library {
            Ok(path) => findings.well("engines", format!("{engine} at {}", path.display())),
            // Serving needs none: a model is a table.
            Err(error) => findings.add(
                "engines",
                State::Note,
                format!("{error}; serving works, training with it does not"),
                Some("run scripts/fetch-engines, or set HOOFBEAT_ENGINES to the folder that holds the libraries"),
            ),
        }
    }
}

fn listener(config: &Config, findings: &mut Findings) {
    let address = config.server.listen;
    if TcpListener::bind(address).is_ok() {
        return findings.well("port", format!("{address} is free"));
    }
    match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(_) => {
            findings.add("port", State::Note, format!("{address} is in use: a server is running there"), None)
        }
        Err(error) => findings.wrong(
            "port",
            format!("{address} cannot be used: {error}"),
            "choose another with --listen ADDR",
        ),
    }
}

/// Alerts that wait to be told, or could not be.
fn alerts(deployment: &Deployment, findings: &mut Findings) {
    // What is wrong with the registry itself is another check's to say.
    if let Ok((waiting, given_up)) = deployment.registry.deliveries_open()
        && waiting + given_up > 0
    {
        let message =
            format!("{waiting} messages about alerts wait for their sink, {given_up} were given up");
        findings.add("alerts", State::Note, message, Some("check the sinks under [alerts] in hoofbeat.toml"));
    }
}

/// Whether the lake's storage can be reached and keeps the promises that commits rest on.
fn storage(deployment: &Deployment, findings: &mut Findings) -> bool {
    let storage = deployment.lake.storage();
    match storage.probe() {
        Ok(probe) if probe.problems.is_empty() => {
            let promises = "it can be read and written, and of several writers one wins";
            findings.well("storage", format!("{}: {promises}", storage.place()));
            true
        }
        Ok(probe) => {
            for problem in probe.problems {
                let message = format!("{}: {problem}", storage.place());
                findings.wrong(
                    "storage",
                    message,
                    "use a storage with atomic conditional puts, such as S3 itself",
                );
            }
            false
        }
        Err(error) => {
            let remedy = "check the URL, the credentials and their permissions, and that the storage answers";
            findings.wrong("storage", error.to_string(), remedy);
            false
        }
    }
}

fn stores(deployment: &Deployment, findings: &mut Findings) {
    if storage(deployment, findings) {
        lake(deployment, findings);
    }
    registry(deployment, findings);
    transport(deployment, findings);
    alerts(deployment, findings);
    predictions(deployment, findings);
    champion(deployment, findings);
}

fn lake(deployment: &Deployment, findings: &mut Findings) {
    match deployment.lake.check() {
        Ok(check) if check.problems.is_empty() => {
            findings.well(
                "lake",
                format!(
                    "dataset version {}, {} cases in {} files",
                    check.dataset_version, check.rows, check.files
                ),
            );
            if !check.leftovers.is_empty() {
                let message = format!(
                    "{} files of unfinished changes; the next change of their table removes them",
                    check.leftovers.len()
                );
                findings.add("lake", State::Note, message, None);
            }
        }
        Ok(check) => {
            for problem in check.problems {
                findings.wrong("lake", problem, "restore the named files from a backup of the lake");
            }
        }
        Err(error) => findings.wrong("lake", error.to_string(), "check the lake's storage and permissions"),
    }
}

fn registry(deployment: &Deployment, findings: &mut Findings) {
    match deployment.registry.check(None) {
        Ok(found) => {
            for finding in &found {
                match finding.level {
                    Level::Error => findings.wrong(
                        "registry",
                        &finding.message,
                        "restore the registry (registry.db, or its database) from a backup",
                    ),
                    Level::Note => findings.add("registry", State::Note, &finding.message, None),
                }
            }
            if !found.iter().any(|finding| finding.level == Level::Error) {
                findings.well("registry", "sound; the audit chain is unbroken");
            }
        }
        Err(error) => {
            findings.wrong("registry", error.to_string(), "check the data directory's disk and permissions")
        }
    }
}

/// Whether others on the network may read, or pretend to be, the registry's database.
fn transport(deployment: &Deployment, findings: &mut Findings) {
    const REMEDY: &str = "say sslmode=verify-full&sslrootcert=FILE in the registry's URL; FILE: its authority's certificate (PEM)";
    let (state, message) = match deployment.registry.transport() {
        // What is wrong with the registry itself is another check's to say.
        Err(_) | Ok(Transport::File) => return,
        Ok(Transport::Local) => {
            (State::Well, "the connection is not encrypted and does not leave this machine")
        }
        Ok(Transport::Plain) => (State::Note, "the connection to the database is not encrypted"),
        Ok(Transport::Encrypted(ServerCheck::Nothing)) => {
            (State::Note, "the connection is encrypted, but whoever answers is believed to be the database")
        }
        Ok(Transport::Encrypted(ServerCheck::Authority)) => {
            (State::Well, "the connection is encrypted, the server's certificate is by a trusted authority")
        }
        Ok(Transport::Encrypted(ServerCheck::Name)) => (
            State::Well,
            "the connection is encrypted, the server's certificate is by a trusted authority and for its name",
        ),
    };
    findings.add("registry", state, message, (state == State::Note).then_some(REMEDY));
}

fn predictions(deployment: &Deployment, findings: &mut Findings) {
    match PredictionReader::open(&deployment.data_dir.join("predictions")).check() {
        Ok(check) if check.is_sound() => match publish::put_back(deployment) {
            Ok(logs) if logs.is_empty() => findings.well("log", format!("{} predictions", check.records)),
            Ok(logs) => findings.wrong(
                "log",
                format!("{} prediction logs do not hold the answer that was published last: put back from a backup?", logs.len()),
                "hoofbeat dataset publish --anew compares all answers with the published ones and goes on",
            ),
            Err(error) => findings.wrong("log", format!("{error:#}"), "see the check of the lake"),
        },
        Ok(check) => findings.wrong(
            "log",
            format!("{} damaged places in the prediction log", check.damage.len()),
            "restore the named segments from a backup; new predictions are not affected",
        ),
        Err(error) => {
            findings.wrong("log", error.to_string(), "check the data directory's disk and permissions")
        }
    }
}

fn champion(deployment: &Deployment, findings: &mut Findings) {
    let champion = match deployment.registry.champion() {
        Ok(Some(champion)) => champion.model,
        Ok(None) => {
            return findings.add(
                "model",
                State::Note,
                "no champion yet",
                Some("hoofbeat train, then hoofbeat model promote MODEL"),
            );
        }
        Err(error) => return findings.wrong("model", error.to_string(), "check the registry"),
    };
    match Scorer::open(deployment, &champion) {
        Ok(_) => {
            findings.well("model", format!("champion {}, every file matches its digest", champion.version))
        }
        Err(error) => findings.wrong(
            "model",
            format!("{error:#}"),
            "restore the bundle from a backup, or hoofbeat model rollback",
        ),
    }
}
