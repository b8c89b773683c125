//! `kill -9` at random moments: what was acknowledged is kept, and nothing half-done is seen.
//!
//! `HOOFBEAT_KILLS` sets the number of kills, e.g. `HOOFBEAT_KILLS=100 cargo test -p hoofbeat --test it kill::`.

use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Deployment, Dice, Server, random_patient, trained};

const CLIENTS: u64 = 4;
const ROWS: u64 = 3_000;
const REFUSED: u64 = 40;

/// How often to kill.
pub(crate) fn kills(usual: u64) -> u64 {
    std::env::var("HOOFBEAT_KILLS").map_or(usual, |kills| kills.parse().unwrap())
}

/// Asks until the server is gone; the answers that came whole.
fn ask_until_killed(server: &Server, seed: u64, acknowledged: &Mutex<Vec<Value>>) {
    let (mut client, mut dice) = (server.client(), Dice(seed));
    let headers = [("content-type", "application/json")];
    loop {
        let body = random_patient(&mut dice).to_string();
        let Ok(reply) = client.try_send("POST", "/api/v1/predictions", &headers, body.as_bytes()) else {
            return;
        };
        assert_eq!(reply.status, 200);
        acknowledged.lock().unwrap().push(reply.json());
    }
}

fn assert_kept(server: &Server, answers: &[Value]) {
    let mut client = server.client();
    for answer in answers {
        let id = answer["prediction_id"].as_str().unwrap();
        let reply = client.get(&format!("/api/v1/predictions/{id}"));
        assert_eq!(reply.status, 200, "the answered prediction {id} is lost");
        let kept = reply.json();
        for part in ["created_at", "model", "severity", "rarity", "explanation"] {
            assert_eq!(kept[part], answer[part], "{id}: {part}");
        }
    }
}

#[test]
fn a_killed_server_has_kept_every_answered_prediction() {
    let deployment = trained().copy();
    let mut dice = Dice(99);
    let mut all = 0;
    let mut server = Server::start(&deployment);
    let mut round = 0;
    // On a slow machine less is answered: kill until there is something to lose.
    while round < kills(8) || (all == 0 && round < 20 * kills(8)) {
        round += 1;
        let acknowledged = Mutex::new(Vec::new());
        let moment = Duration::from_millis(dice.below(400));
        let clients = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    let (server, acknowledged) = (&server, &acknowledged);
                    let seed = round * CLIENTS + client;
                    scope.spawn(move || ask_until_killed(server, seed, acknowledged))
                })
                .collect();
            std::thread::sleep(moment);
            server.signal("KILL");
            clients.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        clients.into_iter().for_each(|client| client.unwrap());
        drop(server);
        server = Server::start(&deployment);
        let acknowledged = acknowledged.into_inner().unwrap();
        assert_kept(&server, &acknowledged);
        all += acknowledged.len();
    }
    server.stop();
    deployment.assert_well();
    let logged = doctor_message(&deployment, "log");
    let logged: usize = logged.split(' ').next().unwrap().parse().unwrap();
    assert!(all > 0 && logged >= all, "{all} answered, {logged} in the log");
    eprintln!("{round} kills, {all} answered predictions, all of them in the log of {logged}");
}

fn doctor_message(deployment: &Deployment, check: &str) -> String {
    let found = deployment.json("doctor");
    let finding =
        found["checks"].as_array().unwrap().iter().find(|finding| finding["check"] == check).cloned();
    finding.unwrap()["message"].as_str().unwrap().to_owned()
}

/// A case file with some rows that are refused.
fn case_file(deployment: &Deployment, seed: u64) {
    deployment.ok(&format!("synth --rows {ROWS} --seed {seed} --out cases.csv"));
    let mut text = deployment.read("cases.csv");
    for row in 0..REFUSED {
        text += &format!("bad-{seed}-{row},,,,900,female,O,138,86,6,,,,\n");
    }
    deployment.write("cases.csv", &text);
}

/// Cases and refused rows of the newest dataset version.
fn stored(deployment: &Deployment) -> (u64, u64) {
    let versions = deployment.json("dataset list");
    let newest = versions.as_array().unwrap().last().cloned().unwrap_or(json!({}));
    let total = |key: &str| newest["totals"][key].as_u64().unwrap_or(0);
    (total("rows"), total("quarantined"))
}

#[test]
fn a_killed_ingest_leaves_the_dataset_before_or_after() {
    const LINE: &str = "ingest cases.csv --source reference";
    let deployment = Deployment::empty();
    case_file(&deployment, 0);
    let started = Instant::now();
    deployment.ok(LINE);
    let mut usual = started.elapsed();
    let mut dice = Dice(5);
    let (mut before, mut after) = (stored(&deployment), 0);
    assert_eq!(before, (ROWS, REFUSED));
    let mut round = 0;
    // However the machine's load changes: kill until some kill has hit an ingest under way.
    while round < kills(8) || (after == round && round < 20 * kills(8)) {
        round += 1;
        case_file(&deployment, round);
        let mut command = deployment.command(LINE.split(' '));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(usual.mul_f64(dice.below(1_000) as f64 / 900.0));
        child.kill().unwrap();
        child.wait().unwrap();
        deployment.assert_well();
        let complete = (before.0 + ROWS, before.1 + REFUSED);
        let found = stored(&deployment);
        assert!(
            found == before || found == complete,
            "round {round}: {found:?} is neither {before:?} nor {complete:?}"
        );
        after += u64::from(found == complete);
        let started = Instant::now();
        let again = deployment.json(LINE);
        usual = if found == before { started.elapsed() } else { usual.mul_f64(0.9) };
        assert_eq!(again["accepted"], complete.0 - found.0, "round {round}");
        assert_eq!(again["duplicates"], found.0 - before.0);
        before = stored(&deployment);
        assert_eq!(before, complete, "round {round}: the repeated ingest did not complete");
    }
    deployment.assert_well();
    assert!(after < round, "every kill came too late to interrupt an ingest");
    eprintln!(
        "{round} kills: the dataset was the one before {} times, the one after {after} times",
        round - after
    );
}
