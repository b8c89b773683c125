//! The champion changes while clients ask: no request fails, and no answer mixes two models.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Answered, Dice, Server, random_patient, table, trained};

const CLIENTS: usize = 4;
const SWAPS: usize = 6;

/// A hang, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often each model has answered one client.
type Answers = [AtomicUsize; 2];

/// Asks until told to stop.
fn hammer(server: &Server, seed: u64, answered: &Answers, stop: &AtomicBool) {
    let (mut client, mut dice) = (server.client(), Dice(seed));
    while !stop.load(Ordering::Relaxed) {
        let patient = random_patient(&mut dice);
        let answer = client.predict(&patient);
        let version = answer["model"]["version"].as_str().unwrap();
        let (told, exported) = (Answered::of_answer(&answer), table(version).of(&patient));
        assert!(told.agrees(exported, 1e-12), "{version} does not answer {told:?} but {exported:?}");
        let dataset = if version == "m-0001" { 1 } else { 2 };
        assert_eq!(answer["model"]["dataset_version"], dataset);
        answered[dataset - 1].fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until `model` has answered every client again.
fn wait_for_answers(clients: &[Answers], model: usize) {
    let counts = || clients.iter().map(|client| client[model].load(Ordering::Relaxed));
    let (before, started) = (counts().collect::<Vec<_>>(), Instant::now());
    while counts().zip(&before).any(|(now, before)| now == *before) {
        assert!(started.elapsed() < PATIENCE, "some client is not answered by m-000{}", model + 1);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn promotions_lose_no_request_and_mix_no_answer() {
    // Both tables first: reading them takes longer than a swap.
    let (_, _) = (table("m-0001"), table("m-0002"));
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let stop = AtomicBool::new(false);
    let answered: [Answers; CLIENTS] = Default::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..)
            .zip(&answered)
            .map(|(seed, answered)| {
                let (server, stop) = (&server, &stop);
                scope.spawn(move || hammer(server, seed, answered, stop))
            })
            .collect();
        // Another process changes the champion; the server follows.
        let change = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in 0..SWAPS {
                let (line, next) = match swap % 2 {
                    0 => ("model promote m-0002", 1),
                    _ => ("model rollback", 0),
                };
                deployment.ok(line);
                wait_for_answers(&answered, next);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        change.unwrap();
    });
    // Promoted through the server itself, the next answer is the new model's.
    let mut client = server.client();
    assert_eq!(client.send("POST", "/api/v1/models/m-0002/promote", &[], b"").status, 200);
    let answer = client.predict(&random_patient(&mut Dice(9)));
    assert_eq!(answer["model"]["version"], "m-0002");
    assert_eq!(client.send("POST", "/api/v1/models/rollback", &[], b"").status, 200);
    assert_eq!(client.predict(&random_patient(&mut Dice(9)))["model"]["version"], "m-0001");
    server.stop();
    deployment.assert_well();
}

#[test]
fn a_server_that_is_asked_to_stop_finishes_what_it_began() {
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let mut client = server.client();
    let answer = client.predict(&random_patient(&mut Dice(3)));
    let id = answer["prediction_id"].as_str().unwrap().to_owned();
    drop(client);
    server.stop();
    let server = Server::start(&deployment);
    assert_eq!(server.client().get(&format!("/api/v1/predictions/{id}")).status, 200);
}
