//! Sources of data: a hospital's records, a registry, a specialised centre; how their files are read and what
//! columns they had when they were registered.

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    act::{Act, from_json, parse_stamp, stamp, to_json},
    audit,
    error::{Error, Result},
    sql::{Connection, OptionalExtension, Row, params},
    store::Registry,
};

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A hospital's electronic health records.
    Ehr,
    /// A registry of patients.
    Registry,
    /// A specialised centre.
    Centre,
    Laboratory,
    Other,
}

impl SourceKind {
    pub const ALL: [SourceKind; 5] = [Self::Ehr, Self::Registry, Self::Centre, Self::Laboratory, Self::Other];

    pub fn code(self) -> &'static str {
        match self {
            Self::Ehr => "ehr",
            Self::Registry => "registry",
            Self::Centre => "centre",
            Self::Laboratory => "laboratory",
            Self::Other => "other",
        }
    }
}

/// A source to register. The caller has checked the mapping and digested its text.
#[derive(Debug, Clone, Copy)]
pub struct NewSource<'a> {
    pub name: &'a str,
    pub kind: SourceKind,
    /// The mapping file's text and the SHA-256 of it.
    pub mapping: Option<(&'a str, &'a str)>,
    /// Columns of a sample file.
    pub columns: &'a [String],
    /// Digest of the study that it was checked against.
    pub study_hash: &'a str,
    /// In place of a source of the same name with other content.
    pub replace: bool,
}

/// A registered source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    pub name: String,
    pub kind: SourceKind,
    pub mapping: Option<String>,
    pub mapping_hash: Option<String>,
    pub columns: Vec<String>,
    pub study_hash: String,
    #[serde(with = "time::serde::rfc3339")]
    pub added_at: OffsetDateTime,
    pub added_by: String,
}

impl Registry {
    /// Registers a source. Repeating the call with the same content changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken by other content and is not to be replaced; storage fails.
    pub fn add_source(&self, new: &NewSource<'_>, act: &Act<'_>) -> Result<Source> {
        self.write(|tx| {
            let before = find(tx, new.name)?;
            if let Some(source) = &before {
                if source.says(new) {
                    return Ok(source.clone());
                }
                if !new.replace {
                    return Err(Error::Conflict { kind: "source", id: new.name.to_owned() });
                }
            }
            let (mapping, hash) = new.mapping.unzip();
            tx.execute("DELETE FROM sources WHERE name = ?1", [new.name])?;
            tx.execute(
                "INSERT INTO sources (name, kind, mapping, mapping_hash, columns, study_hash, added_at, added_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    new.name,
                    new.kind.code(),
                    mapping,
                    hash,
                    to_json(&new.columns)?,
                    new.study_hash,
                    stamp(act.at)?,
                    act.actor
                ],
            )?;
            let replaced = before.map(|before| json!({ "mapping": before.mapping_hash, "kind": before.kind }));
            let detail = json!({ "kind": new.kind, "mapping": hash, "columns": new.columns.len(), "replaced": replaced });
            audit::append(tx, act, "source.add", new.name, &detail)?;
            known(tx, new.name)
        })
    }

    /// Forgets a source; its cases stay. Repeating the call is an error, because the name is then unknown.
    ///
    /// # Errors
    /// [`Error::UnknownSource`]; storage fails.
    pub fn remove_source(&self, name: &str, act: &Act<'_>) -> Result<()> {
        self.write(|tx| {
            let source = known(tx, name)?;
            tx.execute("DELETE FROM sources WHERE name = ?1", [name])?;
            audit::append(tx, act, "source.remove", name, &json!({ "mapping": source.mapping_hash }))?;
            Ok(())
        })
    }

    /// A source by its name, where it is registered.
    ///
    /// # Errors
    /// Storage fails.
    pub fn source(&self, name: &str) -> Result<Option<Source>> {
        self.read(|db| find(db, name))
    }

    /// All sources, by name.
    ///
    /// # Errors
    /// Storage fails.
    pub fn sources(&self) -> Result<Vec<Source>> {
        self.read(|db| {
            let mut query = db.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
            let rows = query.query_map(params![], Stored::from_row)?;
            rows.map(|row| row?.source()).collect()
        })
    }
}

impl Source {
    fn says(&self, new: &NewSource<'_>) -> bool {
        self.kind == new.kind
            && self.mapping.as_deref() == new.mapping.map(|(text, _)| text)
            && self.columns == new.columns
            && self.study_hash == new.study_hash
    }
}

const SELECT: &str =
    "SELECT name, kind, mapping, mapping_hash, columns, study_hash, added_at, added_by FROM sources";

fn find(db: &Connection<'_>, name: &str) -> Result<Option<Source>> {
    let mut query = db.prepare_cached(&format!("{SELECT} WHERE name = ?1"))?;
    query.query_row([name], Stored::from_row).optional()?.map(Stored::source).transpose()
}

fn known(db: &Connection<'_>, name: &str) -> Result<Source> {
    find(db, name)?.ok_or_else(|| Error::UnknownSource(name.to_owned()))
}

/// A row as the database gives it, before its texts are parsed.
struct Stored {
    name: String,
    kind: String,
    mapping: Option<String>,
    mapping_hash: Option<String>,
    columns: String,
    study_hash: String,
    added_at: String,
    added_by: String,
}

impl Stored {
    fn from_row(r: &Row) -> Result<Self> {
        Ok(Self {
            name: r.get(0)?,
            kind: r.get(1)?,
            mapping: r.get(2)?,
            mapping_hash: r.get(3)?,
            columns: r.get(4)?,
            study_hash: r.get(5)?,
            added_at: r.get(6)?,
            added_by: r.get(7)?,
        })
    }

    fn source(self) -> Result<Source> {
        let kind = SourceKind::ALL.into_iter().find(|kind| kind.code() == self.kind);
        Ok(Source {
            kind: kind.ok_or(Error::Corrupt { what: "a source's kind" })?,
            name: self.name,
            mapping: self.mapping,
            mapping_hash: self.mapping_hash,
            columns: from_json(&self.columns)?,
            study_hash: self.study_hash,
            added_at: parse_stamp(&self.added_at)?,
            added_by: self.added_by,
        })
    }
}
