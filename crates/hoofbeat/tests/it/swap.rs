//! The champion changes while clients ask: no request fails, and no answer mixes two models.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Answered, Dice, Server, random_patient, table, trained};

const CLIENTS: u64 = 4;
const SWAPS: usize = 6;

/// Asks until told to stop; how often each model answered.
fn hammer(server: &Server, seed: u64, stop: &AtomicBool) -> BTreeMap<String, usize> {
    let (mut client, mut dice) = (server.client(), Dice(seed));
    let mut answered = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let patient = random_patient(&mut dice);
        let answer = client.predict(&patient);
        let version = answer["model"]["version"].as_str().unwrap();
        let (told, exported) = (Answered::of_answer(&answer), table(version).of(&patient));
        assert!(told.agrees(exported, 1e-12), "{version} does not answer {told:?} but {exported:?}");
        let dataset = if version == "m-0001" { 1 } else { 2 };
        assert_eq!(answer["model"]["dataset_version"], dataset);
        *answered.entry(version.to_owned()).or_default() += 1;
    }
    answered
}

#[test]
fn promotions_lose_no_request_and_mix_no_answer() {
    // Both tables first: reading them takes longer than a swap.
    let (_, _) = (table("m-0001"), table("m-0002"));
    let deployment = trained().copy();
    let server = Server::start(&deployment);
    let stop = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                scope.spawn({
                    let (server, stop) = (&server, &stop);
                    move || hammer(server, seed, stop)
                })
            })
            .collect();
        // Another process changes the champion; the server follows.
        let change = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for swap in 0..SWAPS {
                let (line, next) = match swap % 2 {
                    0 => ("model promote m-0002", "m-0002"),
                    _ => ("model rollback", "m-0001"),
                };
                deployment.ok(line);
                server.wait_for_model(next);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let answered: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        change.unwrap();
        answered
    });
    for (client, by_model) in answered.iter().enumerate() {
        assert_eq!(by_model.len(), 2, "client {client} met one model only: {by_model:?}");
    }
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
