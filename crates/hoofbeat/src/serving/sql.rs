//! The SQL endpoint of a deployment: who may ask, how much a query may take.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use query::wire::{self, Endpoint, Tls};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{Role, Sql};
use crate::deployment::Deployment;
use crate::pipeline::engine;

/// Starts the endpoint on threads of its own, so that no query keeps a prediction waiting. Resolves only when it fails.
pub async fn start(
    deployment: &Deployment,
    address: SocketAddr,
) -> Result<(SocketAddr, oneshot::Receiver<anyhow::Error>)> {
    let endpoint = endpoint(deployment, address)?;
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("{address} cannot be listened on for SQL (in use? choose another)"))?
        .into_std()?;
    let address = listener.local_addr()?;
    let (failed, failure) = oneshot::channel();
    std::thread::Builder::new().name("sql".into()).spawn(move || {
        let served =
            engine::block_on(async { Ok(wire::serve(TcpListener::from_std(listener)?, endpoint).await?) });
        // Nobody listens any more when the process is about to end.
        let _ = failed.send(served.err().unwrap_or_else(|| anyhow!("it ended")));
    })?;
    Ok((address, failure))
}

/// What the configuration says, checked.
fn endpoint(deployment: &Deployment, address: SocketAddr) -> Result<Endpoint> {
    let sql = &deployment.config.sql;
    let tls = tls(sql)?;
    check(sql, address, tls.is_some())?;
    let mut limits = sql.limits(deployment);
    limits.time = sql.timeout();
    Ok(Endpoint {
        lake: deployment.lake.clone(),
        inputs: engine::inputs(&deployment.study),
        pseudonyms: deployment.pseudonyms()?,
        roles: sql.roles.iter().map(role).collect::<Result<_>>()?,
        tls,
        connections: sql.connections.max(1),
        limits,
    })
}

/// Other machines need a password and encryption.
fn check(sql: &Sql, address: SocketAddr, encrypted: bool) -> Result<()> {
    if !address.ip().is_loopback() && (sql.roles.is_empty() || !encrypted) {
        bail!(
            "{address} can be reached from other machines: give [[sql.roles]] with passwords, and tls_cert and tls_key under \
             [sql] in hoofbeat.toml, or listen on 127.0.0.1"
        );
    }
    let names: BTreeSet<&str> = sql.roles.iter().map(|role| role.name.as_str()).collect();
    if names.len() < sql.roles.len() {
        bail!("two [[sql.roles]] have the same name");
    }
    Ok(())
}

fn tls(sql: &Sql) -> Result<Option<Tls>> {
    let read =
        |path: &Path| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    match (&sql.tls_cert, &sql.tls_key) {
        (None, None) => Ok(None),
        (Some(certificates), Some(key)) => {
            Ok(Some(Tls { certificates: read(certificates)?, key: read(key)? }))
        }
        _ => bail!("[sql] has one of tls_cert and tls_key: encryption needs both"),
    }
}

fn role(role: &Role) -> Result<wire::Role> {
    let name = &role.name;
    let password = match (&role.password_file, &role.password_env) {
        (Some(path), None) => {
            let text = std::fs::read_to_string(path).with_context(|| {
                format!("the password file {} of SQL role `{name}` cannot be read", path.display())
            })?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, Some(variable)) => std::env::var(variable).with_context(|| {
            format!("the password of SQL role `{name}` is not in the environment variable {variable}")
        })?,
        _ => bail!("SQL role `{name}` needs password_file or password_env, one of them"),
    };
    if name.is_empty() || password.is_empty() {
        bail!("SQL role `{name}` needs a name and a password that is not empty");
    }
    Ok(wire::Role { name: name.clone(), password, identifiers: role.identifiers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_a_password_and_encryption() {
        let outside: SocketAddr = "0.0.0.0:5433".parse().unwrap();
        let role = |name: &str| Role {
            name: name.to_owned(),
            password_file: None,
            password_env: None,
            identifiers: false,
        };
        let with_role = Sql { roles: vec![role("analyst")], ..Sql::default() };
        assert!(check(&Sql::default(), outside, true).is_err());
        assert!(check(&with_role, outside, false).is_err());
        assert!(check(&with_role, outside, true).is_ok());
        assert!(check(&Sql::default(), "127.0.0.1:5433".parse().unwrap(), false).is_ok());
        let twice = Sql { roles: vec![role("a"), role("a")], ..Sql::default() };
        assert!(check(&twice, outside, true).is_err());
    }
}
