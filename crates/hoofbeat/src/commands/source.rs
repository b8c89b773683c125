//! `hoofbeat source`: where data come from, and how their files are read.

use anyhow::{Result, bail};
use clinical::Study;
use registry::Source as Registered;
use serde_json::json;

use crate::cli::{Global, Source, SourceKind};
use crate::commands::dataset::quality;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::sources::{self, Checked, ColumnChange};

pub(super) fn run(global: &Global, command: &Source) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Source::Add { name, map, kind, schema_from, replace } => {
            let (map, sample) = (map.as_deref(), schema_from.as_deref());
            let added = sources::add(&deployment, name, kind.registered(), map, sample, *replace)?;
            output::print(global.json, &added, || text(&added))?;
        }
        Source::List => list(global, &deployment)?,
        Source::Show { name } => match deployment.registry.source(name)? {
            Some(source) => output::print(global.json, &source, || {
                let mapping = source.mapping.as_deref().unwrap_or("(the study's own columns)");
                format!("{}\n\n{mapping}", text(&source))
            })?,
            None => bail!("no source `{name}` is registered; `hoofbeat source list` names all"),
        },
        Source::Check { name, files } => {
            let checked = sources::check(&deployment, name, files)?;
            output::print(global.json, &checked, || report(&deployment.study, &checked))?;
            return Ok(Done::held(checked.changed_columns.is_none() && checked.accepted > 0));
        }
        Source::Remove { name } => {
            sources::remove(&deployment, name)?;
            output::print(global.json, &json!({ "removed": name }), || {
                format!("source {name} is forgotten; its cases stay")
            })?;
        }
    }
    Ok(Done::Well)
}

impl SourceKind {
    fn registered(self) -> registry::SourceKind {
        match self {
            SourceKind::Ehr => registry::SourceKind::Ehr,
            SourceKind::Registry => registry::SourceKind::Registry,
            SourceKind::Centre => registry::SourceKind::Centre,
            SourceKind::Laboratory => registry::SourceKind::Laboratory,
            SourceKind::Other => registry::SourceKind::Other,
        }
    }
}

fn list(global: &Global, deployment: &Deployment) -> Result<()> {
    let all = deployment.registry.sources()?;
    output::print(global.json, &all, || {
        if all.is_empty() {
            return "no source yet: `hoofbeat source add NAME --map FILE` registers one".to_owned();
        }
        let mut rows = vec![["source", "kind", "mapping", "columns", "added"].map(str::to_owned).to_vec()];
        rows.extend(all.iter().map(|source| {
            vec![
                source.name.clone(),
                source.kind.code().to_owned(),
                short(source),
                source.columns.len().to_string(),
                source.added_at.date().to_string(),
            ]
        }));
        output::table(&rows)
    })
}

fn short(source: &Registered) -> String {
    source.mapping_hash.as_ref().map_or_else(|| "-".to_owned(), |hash| hash.chars().take(12).collect())
}

fn text(source: &Registered) -> String {
    let columns = match source.columns.as_slice() {
        [] => "not known: register with --schema-from FILE to be told of changes".to_owned(),
        columns => columns.join(", "),
    };
    format!(
        "source {} ({}), mapping {}, added by {} on {}\ncolumns: {columns}",
        source.name,
        source.kind.code(),
        short(source),
        source.added_by,
        source.added_at.date()
    )
}

fn report(study: &Study, checked: &Checked) -> String {
    let mut lines = vec![format!(
        "{} rows: {} would be accepted, {} refused, {} left out; nothing was stored",
        checked.rows,
        checked.accepted,
        checked.refused,
        checked.skipped.values().sum::<u64>()
    )];
    let counted = checked.refused_by_reason.iter().chain(&checked.skipped);
    lines.extend(counted.map(|(reason, rows)| format!("  {reason:<40} {rows:>8}")));
    lines.extend(checked.changed_columns.iter().map(changed));
    if !checked.ignored_columns.is_empty() {
        lines.push(format!("not used: {}", checked.ignored_columns.join(", ")));
    }
    if !checked.derived_fields.is_empty() {
        lines.push(format!("derived, because the files lack them: {}", checked.derived_fields.join(", ")));
    }
    lines.push(String::new());
    lines.push(quality::text(study, &checked.quality.total()));
    lines.join("\n")
}

/// What is other in the columns, in one line.
pub(super) fn changed(change: &ColumnChange) -> String {
    let part = |names: &[String], word: &str| match names {
        [] => None,
        names => Some(format!("{word}: {}", names.join(", "))),
    };
    let parts: Vec<String> = part(&change.gone, "gone").into_iter().chain(part(&change.new, "new")).collect();
    format!("columns changed since the source was registered; {}", parts.join("; "))
}
