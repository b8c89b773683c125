//! `hoofbeat dataset publish`: what was answered and what became of it, into the open tables.

use anyhow::Result;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output;
use crate::pipeline::publish::{self, Published};

pub(super) fn run(global: &Global, deployment: &Deployment, anew: bool) -> Result<()> {
    let published = publish::publish(deployment, anew)?;
    output::print(global.json, &published, || text(&published))
}

fn text(published: &Published) -> String {
    let Published { predictions, without_study, outcomes, corrected } = published;
    let mut lines = vec![format!(
        "{predictions} predictions and {outcomes} outcomes published ({corrected} in place of earlier ones)"
    )];
    if *without_study > 0 {
        lines.push(format!(
            "{without_study} predictions are of models whose study is gone: they have no severity, probabilities and inputs"
        ));
    }
    lines.join("\n")
}
