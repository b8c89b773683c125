//! What every command has in common: exit statuses, one line of reason, one JSON document, completions.

use serde_json::Value;

use crate::harness::{Deployment, trained};

#[test]
fn wrong_usage_is_two_and_failure_is_one_with_one_line_why() {
    let deployment = Deployment::empty();
    for line in [
        "",
        "gallop",
        "train --trials",
        "train --learner abacus",
        "synth --rows 5 --seed 1",
        "synth --rows many --seed 1 --out x.csv",
        "ingest --source x",
        "ingest x.csv",
        "evaluate",
        "evaluate m-0001 --set training",
        "serve --listen nowhere",
        "retrain",
        "retrain --mode sideways",
        "model promote m-0001 --colour blue",
    ] {
        deployment.run(line).exits(2);
    }
    deployment.write("bad.csv", "age_years\n54\n");
    deployment.write("bad.map.toml", "columns = 5\n");
    deployment.write("bad.study.toml", "name = \"x\"\n");
    for (line, why) in [
        ("train", "no dataset version"),
        ("evaluate m-0001", "m-0001"),
        ("evaluate first", "first"),
        ("dataset show", "no dataset version"),
        ("dataset show 7", "7"),
        ("model show", "no champion"),
        ("model show m-0009", "m-0009"),
        ("model rollback", ""),
        ("predict --in bad.csv", "no champion"),
        ("retrain --mode orphan", "no champion"),
        ("ingest absent.csv --source x", "absent.csv"),
        ("ingest bad.csv --source x --map absent.toml", "absent.toml"),
        ("ingest bad.csv --source x --map bad.map.toml", "bad.map.toml"),
        ("synth --rows 1 --seed 1 --out cases.xls", "cases.xls"),
        ("synth --rows 1 --seed 1 --out no/such/folder/x.csv", "no/such/folder/x.csv"),
        ("--study bad.study.toml study check", "bad.study.toml"),
        ("--config absent.toml dataset list", "absent.toml"),
        ("serve --listen 0.0.0.0:0", "behind_gateway"),
        ("up --listen 0.0.0.0:0", "behind_gateway"),
    ] {
        let run = deployment.run(line).exits(1);
        assert!(run.reason().contains(why), "`{line}` does not say `{why}`: {}", run.reason());
        assert_eq!(run.stdout, "", "{line}");
        let quiet = deployment.run(&format!("--quiet {line}")).exits(1);
        assert_eq!(quiet.stderr.lines().count(), 1, "{line}: {}", quiet.stderr);
    }
}

#[test]
fn json_is_one_document_for_every_command_that_prints() {
    let deployment = trained().copy();
    let header = "age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month";
    deployment.write("batch.csv", &format!("{header}\n54,female,O,138,86,6\n"));
    for line in [
        "study show",
        "study check",
        "synth --rows 10 --seed 1 --out few.csv",
        "ingest few.csv --source reference",
        "dataset list",
        "dataset show",
        "dataset quarantine",
        "evaluate m-0002",
        "retrain --mode orphan --dry-run",
        "review list",
        "schedule list",
        "model history",
        "model list",
        "model show",
        "model verify m-0002",
        "model export m-0002 --table table.csv",
        "predict --in batch.csv --out scored.csv",
        "doctor",
    ] {
        assert!(!deployment.json(line).is_null(), "{line}");
        assert_prose(line, &deployment.ok(line));
    }
    for line in ["model promote m-0002", "model rollback"] {
        assert!(deployment.json(line).is_object(), "{line}");
    }
    for line in ["model promote m-0002", "model rollback"] {
        assert_prose(line, &deployment.ok(line));
    }
    // The ways that there are, and no silent other one.
    let refused = deployment.run("retrain --mode quick").exits(2);
    assert!(refused.stderr.contains("orphan"), "{}", refused.stderr);
    let quiet = deployment.run("--quiet evaluate m-0002").exits(0);
    assert_eq!(quiet.stderr, "");
}

/// Without `--json` a result is a text for people.
fn assert_prose(line: &str, text: &str) {
    assert!(!text.trim().is_empty() && serde_json::from_str::<Value>(text).is_err(), "{line}: {text}");
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Deployment::empty().ok(&format!("completions {shell}"));
        assert!(script.contains("hoofbeat") && script.contains("quarantine"), "{shell}");
    }
}
