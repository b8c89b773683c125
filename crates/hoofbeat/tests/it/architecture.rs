//! ARCHITECTURE.md's table of who may depend on whom, against what Cargo knows.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::harness::repository;

type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// The rows between the table's markers.
fn allowed() -> Dependencies {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("<!-- dependencies:begin -->").unwrap();
    let (table, _) = rest.split_once("<!-- dependencies:end -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, dependencies] = cells[..] else { panic!("not a row of two cells: {row}") };
        (name.to_owned(), dependencies.split_whitespace().map(str::to_owned).collect())
    })
    .collect()
}

/// What the manifests say, without what only tests and build scripts need.
fn declared() -> Dependencies {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    let of_package = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let normal = all.filter(|dependency| dependency["kind"].is_null()).map(name);
        (name(package), normal.filter(|dependency| members.contains(dependency)).collect())
    };
    packages.iter().map(of_package).collect()
}

#[test]
fn crates_depend_on_whom_the_architecture_allows() {
    let (allowed, declared) = (allowed(), declared());
    let names = |dependencies: &Dependencies| dependencies.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&allowed), names(&declared), "the table lists the workspace's crates, no more, no less");
    for (name, dependencies) in &declared {
        let beyond: Vec<_> = dependencies.difference(&allowed[name]).collect();
        assert!(beyond.is_empty(), "{name} depends on {beyond:?}, which ARCHITECTURE.md does not allow");
    }
}

/// No cycle even among what is allowed: an order exists in which each crate stands on earlier ones only.
#[test]
fn what_is_allowed_is_one_way() {
    let mut waiting = allowed();
    let mut placed = BTreeSet::new();
    while !waiting.is_empty() {
        let ready: Vec<String> = waiting
            .iter()
            .filter(|(_, dependencies)| dependencies.is_subset(&placed))
            .map(|(name, _)| name.clone())
            .collect();
        assert!(!ready.is_empty(), "{:?} allow each other in a circle", waiting.keys());
        for name in ready {
            waiting.remove(&name);
            placed.insert(name);
        }
    }
}
