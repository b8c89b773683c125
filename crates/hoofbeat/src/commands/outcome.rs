//! `hoofbeat outcome`: what happened to patients who were answered before.

use anyhow::Result;

use crate::cli::{Global, Outcome};
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::outcome;

pub(super) fn run(global: &Global, command: &Outcome) -> Result<Done> {
    let Outcome::Add { file, source } = command;
    let deployment = Deployment::open(global)?;
    let added = outcome::add(&deployment, file, source)?;
    output::print(global.json, &added, || {
        let mut text = format!(
            "{} outcomes added, {} corrected, {} known already, {} refused\n",
            added.added, added.corrected, added.known, added.refused
        );
        for (reason, rows) in &added.refused_by_reason {
            text += &format!("  {rows:>6} {reason}\n");
        }
        if !added.refused_lines.is_empty() {
            let lines: Vec<String> = added.refused_lines.iter().map(u64::to_string).collect();
            text += &format!("  first refused lines: {}\n", lines.join(", "));
        }
        text
    })?;
    Ok(Done::Well)
}
