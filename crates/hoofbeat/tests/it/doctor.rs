//! `hoofbeat doctor` on sound and on damaged deployments.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::certificates::Authority;
use crate::harness::{Deployment, trained};
use crate::postgres_server::Server as Postgres;

#[test]
fn doctor_names_what_is_broken() {
    let deployment = trained().copy();
    deployment.assert_well();

    // A byte of the champion's table turned.
    let bundle = deployment.path("hoofbeat-data/models/m-0001");
    let largest = std::fs::read_dir(&bundle)
        .unwrap()
        .map(Result::unwrap)
        .max_by_key(|file| file.metadata().unwrap().len());
    let damaged = largest.unwrap().path();
    let sound = std::fs::read(&damaged).unwrap();
    let mut bytes = sound.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    assert_eq!(wrong(&deployment, "model"), [name(&damaged)]);
    // Nobody is answered from it either.
    let refused = deployment.run("predict --in batch.csv").exits(1);
    assert!(refused.reason().contains(&name(&damaged)), "{}", refused.reason());
    std::fs::write(&damaged, sound).unwrap();
    deployment.assert_well();

    let data = find(&deployment.path("hoofbeat-data"), &|path| {
        path.extension().is_some_and(|e| e == "parquet") && path.to_string_lossy().contains("cases")
    });
    std::fs::remove_file(&data).unwrap();
    assert_eq!(wrong(&deployment, "lake"), [name(&data)]);
}

#[test]
fn doctor_says_who_may_read_the_way_to_the_database() {
    let deployment = Deployment::empty();
    let authority = Authority::new(&deployment.path(""), "house");
    let shown = authority.issue("server", "DNS:localhost", 2);
    let postgres =
        Postgres::encrypted(&shown, authority.certificate(), "hostssl all all 127.0.0.1/32 trust\n");
    let look = |settings: &str| {
        let port = postgres.port();
        let url = format!("postgresql://hoofbeat:hush-hush@localhost:{port}/postgres?{settings}");
        deployment.write("hoofbeat.toml", &format!("[registry]\nurl = \"{url}\"\n"));
        let run = deployment.run("doctor --json");
        assert!(!format!("{run:?}").contains("hush"), "{run:?}");
        run
    };
    let said = |settings: &str| -> Value {
        let found = look(settings).exits(0).json();
        let mut about = found["checks"].as_array().unwrap().iter();
        about.find(|finding| finding["message"].as_str().unwrap().contains("encrypted")).unwrap().clone()
    };
    let checked = said("sslmode=verify-full&sslrootcert=house.crt");
    assert_eq!((&checked["check"], &checked["state"]), (&"registry".into(), &"well".into()), "{checked}");
    assert!(checked["message"].as_str().unwrap().contains("for its name"), "{checked}");
    let unchecked = said("");
    assert_eq!(unchecked["state"], "note");
    assert!(unchecked["remedy"].as_str().unwrap().contains("sslmode=verify-full"), "{unchecked}");

    let refused = look("sslmode=disable").exits(3).json();
    let wrong = refused["checks"].as_array().unwrap().iter().find(|finding| finding["state"] == "wrong");
    let wrong = wrong.unwrap();
    assert_eq!(wrong["check"], "registry");
    assert!(wrong["message"].as_str().unwrap().contains("sslmode=require"), "{wrong}");
    assert!(wrong["remedy"].as_str().unwrap().contains("HOOFBEAT_REGISTRY_URL"), "{wrong}");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Runs `doctor`, which must find one thing wrong, with this check; the file that it names.
fn wrong(deployment: &Deployment, check: &str) -> Vec<String> {
    let run = deployment.run("doctor --json").exits(3);
    let found = run.json();
    let wrong: Vec<&Value> =
        found["checks"].as_array().unwrap().iter().filter(|finding| finding["state"] == "wrong").collect();
    assert_eq!(wrong.len(), 1, "{found}");
    assert_eq!(wrong[0]["check"], check);
    assert!(wrong[0]["remedy"].is_string());
    let message = wrong[0]["message"].as_str().unwrap().replace(['/', ':', '`', ','], " ");
    message
        .split_whitespace()
        .filter(|word| word.contains('.') && !word.starts_with('.') && !word.ends_with('.'))
        .map(str::to_owned)
        .collect()
}

/// The first file below a folder that a rule takes.
fn find(folder: &Path, rule: &dyn Fn(&Path) -> bool) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(path),
                false if rule(&path) => return path,
                false => {}
            }
        }
    }
    panic!("there is no such file")
}
