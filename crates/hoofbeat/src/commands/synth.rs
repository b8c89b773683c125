//! `hoofbeat synth`: a reference cohort with known truth.

use anyhow::Result;
use evaluate::reference::Preset;
use serde_json::json;

use crate::cli::{Global, Synth};
use crate::output::{self, Done};
use crate::pipeline::synth::{self, Cohort};
use crate::progress::Progress;

pub(super) fn run(global: &Global, command: &Synth) -> Result<Done> {
    let preset: Preset = command.preset.name().parse()?;
    let cohort =
        Cohort { rows: command.rows, seed: command.seed, preset, novel: command.novel, truth: command.truth };
    synth::write(&cohort, &command.out, &Progress::new(global.quiet))?;
    let value = json!({ "rows": command.rows, "seed": command.seed, "preset": preset, "file": command.out });
    output::print(global.json, &value, || {
        format!(
            "{} made-up patients written to {} (disease profiles are made to be learnable, they are no medical knowledge)",
            command.rows,
            command.out.display()
        )
    })?;
    Ok(Done::Well)
}
