//! Two servers on one PostgreSQL: what schedules owe is done once, whoever dies.
//!
//! `HOOFBEAT_KILLS` sets the number of kills, e.g. `HOOFBEAT_KILLS=100 cargo test -p hoofbeat --test it replicas::`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Deployment, Dice, Server, random_patient, running, signal, small_study};
use crate::kill::kills;
use crate::postgres_server::Server as Postgres;

/// A hang, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(300);
const HEADER: &str = "case_id,patient_id,recorded_at,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,\
                      exercise_days_per_month,severity,rarity,disease_code,confirmed_at\n";

/// A deployment whose registry is in a PostgreSQL server of its own, with a champion.
struct House {
    deployment: Deployment,
    postgres: Postgres,
}

impl House {
    fn open() -> House {
        let postgres = Postgres::start();
        let deployment = Deployment::with_study(&small_study());
        let shared = format!(
            "{}[registry]\nurl = \"{} dbname=postgres\"\nlease_seconds = 2\n[schedule]\norphan = \"at once\"\n",
            deployment.read("hoofbeat.toml"),
            postgres.address()
        );
        deployment.write("hoofbeat.toml", &shared);
        deployment.ok("synth --rows 6000 --seed 1 --out first.csv");
        deployment.ok("ingest first.csv --source reference");
        deployment.ok("train --seed 1");
        deployment.ok("model promote m-0001");
        House { deployment, postgres }
    }

    /// Brings twenty new confirmed cases; of an orphan disease, the schedule owes a turn at once.
    fn cases(&self, round: u64, orphan: bool) {
        let mut text = HEADER.to_owned();
        for i in 0..20 {
            let id = format!("{round}-{i}");
            text += &match orphan {
                true => format!(
                    "c-{id},p-{id},2026-03-01,{},male,AB,191,124,30,chronic,orphan,ORPHA:905,2026-03-02\n",
                    8 + i % 3
                ),
                false => format!(
                    "c-{id},p-{id},2026-03-01,{},female,O,{},70,12,healthy,,,2026-03-02\n",
                    30 + i,
                    105 + i % 9
                ),
            };
        }
        self.deployment.write("cases.csv", &text);
        self.deployment.ok("ingest cases.csv --source hospital");
    }

    /// Asks for what the round's cases owe, at a server that lives: the schedule sees orphan cases by itself.
    fn ask(&self, server: &Server, round: u64) {
        self.cases(round, round.is_multiple_of(2));
        if !round.is_multiple_of(2) {
            let wish = json!({ "mode": "incremental", "requested_by": "Ana" });
            assert_eq!(server.client().post("/api/v1/retrainings", &wish).status, 202);
        }
    }

    /// All jobs, oldest first.
    fn jobs(&self) -> Vec<Value> {
        let listed = self.deployment.json("schedule list --limit 1000");
        listed["jobs"].as_array().unwrap().iter().rev().cloned().collect()
    }

    /// Waits until there are `count` jobs and all have ended.
    fn wait_for_jobs(&self, count: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let jobs = self.jobs();
            let ended = |job: &&Value| ["succeeded", "failed"].contains(&job["state"].as_str().unwrap());
            if jobs.iter().filter(ended).count() >= count {
                return jobs;
            }
            assert!(since.elapsed() < PATIENCE, "{count} jobs do not end: {jobs:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Every slot has one job that succeeded, with one change record and one model; and nothing is damaged.
    fn assert_each_once(&self, count: usize) {
        let jobs = self.jobs();
        let slots: BTreeSet<&str> = jobs.iter().map(|job| job["slot"].as_str().unwrap()).collect();
        assert_eq!((jobs.len(), slots.len()), (count, count), "{jobs:?}");
        let mut changes = BTreeSet::new();
        for job in &jobs {
            assert_eq!(job["state"], "succeeded", "{job}");
            changes
                .insert(job["outcome"]["change"].as_u64().unwrap_or_else(|| panic!("nothing came of {job}")));
        }
        assert_eq!(changes.len(), count, "{jobs:?}");
        let history = self.deployment.json("model history --limit 1000");
        let of_cycle = |change: &&Value| change["cause"].as_str().unwrap().starts_with("retrain:");
        let recorded: BTreeSet<u64> = history["changes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(of_cycle)
            .map(|change| change["id"].as_u64().unwrap())
            .collect();
        assert_eq!(recorded, changes, "a change that is no job's, or is missing");
        let models = self.deployment.json("model list");
        assert_eq!(models.as_array().unwrap().len(), 1 + count, "one model per slot");
        self.deployment.assert_well();
    }
}

/// Waits until one of the servers has a process that works on a job: which server, and the process.
fn wait_for_work(servers: &[Server; 2]) -> (usize, u32) {
    let since = Instant::now();
    loop {
        for (at, server) in servers.iter().enumerate() {
            if let Some(worker) = server.worker() {
                return (at, worker);
            }
        }
        assert!(since.elapsed() < PATIENCE, "no work begins:\n{}\n{}", servers[0].said(), servers[1].said());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_owed_is_done_once_and_both_servers_serve_it() {
    let house = House::open();
    let servers = [0, 1].map(|_| Server::start(&house.deployment));
    house.ask(&servers[0], 0);
    let jobs = house.wait_for_jobs(1);
    assert_eq!((&jobs[0]["slot"], &jobs[0]["attempt"]), (&json!("orphan@dataset-2"), &json!(1)), "{jobs:?}");
    assert_eq!(jobs[0]["outcome"]["decision"], "promoted", "{jobs:?}");
    for server in &servers {
        server.wait_for_model("m-0002");
    }
    // What one has answered the other finds; the same patient gets the same answer.
    let mut dice = Dice(4);
    for turn in 0..20 {
        let patient = random_patient(&mut dice);
        let [mut here, mut there] = [turn % 2, 1 - turn % 2].map(|n| servers[n].client());
        let (answer, other) = (here.predict(&patient), there.predict(&patient));
        assert_eq!((&answer["severity"], &answer["model"]), (&other["severity"], &other["model"]));
        let id = answer["prediction_id"].as_str().unwrap();
        let found = there.get(&format!("/api/v1/predictions/{id}"));
        assert_eq!((found.status, &found.json()["severity"]), (200, &answer["severity"]));
    }
    let [first, second] = servers;
    let said = first.stop() + &second.stop();
    assert_eq!(said.matches("this server runs schedules and jobs").count(), 1, "{said}");
    house.assert_each_once(1);
}

#[test]
fn a_machine_that_sleeps_through_its_lease_wakes_up_and_changes_nothing() {
    let house = House::open();
    let servers = [0, 1].map(|_| Server::start(&house.deployment));
    house.ask(&servers[0], 1);
    let (asleep, worker) = wait_for_work(&servers);
    assert!(signal(servers[asleep].pid(), "STOP") && signal(worker, "STOP"));
    let jobs = house.wait_for_jobs(1);
    assert_eq!(jobs[0]["state"], "succeeded", "{jobs:?}");
    assert!(jobs[0]["attempt"].as_u64() > Some(1), "{jobs:?}");
    // The work goes on where it was, to its end, and is refused; then the server wakes up, too.
    assert!(signal(worker, "CONT"));
    let since = Instant::now();
    while running(worker).is_some() {
        assert!(since.elapsed() < PATIENCE, "the sleeper's work does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(signal(servers[asleep].pid(), "CONT"));
    assert_eq!(house.jobs(), jobs);
    let model = jobs[0]["outcome"]["challenger"]["model"].as_str().unwrap();
    servers.iter().for_each(|server| server.wait_for_model(model));
    servers.into_iter().for_each(|server| drop(server.stop()));
    house.assert_each_once(1);
}

#[test]
fn no_job_is_lost_or_done_twice_whoever_is_killed_and_when() {
    let house = House::open();
    let mut servers = [0, 1].map(|_| Server::start(&house.deployment));
    let (mut dice, mut hit) = (Dice(17), 0);
    let rounds = kills(4);
    for round in 0..rounds {
        house.ask(&servers[(round % 2) as usize], round);
        let (at, worker) = wait_for_work(&servers);
        // Most turns are longer than that; the others end before the kill.
        std::thread::sleep(Duration::from_millis(dice.below(4_000)));
        hit += u64::from(servers[at].worker() == Some(worker));
        let (server, work) = match round % 4 {
            0 => (true, true),
            1 => (true, false),
            2 => (false, true),
            // The database instead.
            _ => (false, false),
        };
        if server {
            servers[at].signal("KILL");
        }
        if work {
            // It may have ended by itself.
            signal(worker, "KILL");
        }
        if server {
            servers[at] = Server::start(&house.deployment);
        } else if !work {
            house.postgres.crash();
        }
        let jobs = house.wait_for_jobs(1 + round as usize);
        assert_eq!(jobs.last().unwrap()["state"], "succeeded", "round {round}: {jobs:?}");
    }
    let model = house.deployment.json("model show")["model"]["version"].as_str().unwrap().to_owned();
    servers.iter().for_each(|server| server.wait_for_model(&model));
    servers.into_iter().for_each(|server| drop(server.stop()));
    house.assert_each_once(rounds as usize);
    assert!(hit > 0, "every kill came too late");
    eprintln!("{rounds} kills, {hit} of them in the middle of a turn: each slot was done once");
}
