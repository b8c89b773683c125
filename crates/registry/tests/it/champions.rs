//! One champion, whoever promotes, whenever.

use std::{sync::Arc, thread};

use registry::{Act, Error, Promotion, Registry, ReignKind, Replaces, Stage};
use tempfile::tempdir;

use crate::{NOON, act, candidate, open, validated};

fn stages(registry: &Registry) -> Vec<Stage> {
    let mut models = registry.models().unwrap();
    models.reverse();
    models.into_iter().map(|m| m.stage).collect()
}

#[test]
fn promotion_moves_the_epoch_retires_the_champion_and_is_told() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b) = (validated(&registry, "a"), validated(&registry, "b"));
    assert_eq!((registry.champion_epoch().unwrap(), registry.champion().unwrap()), (0, None));

    let first = registry.promote(a, Replaces::Only(None), &act("p1")).unwrap();
    assert_eq!(first, Promotion { epoch: 1, champion: a, previous: None, changed: true });
    let second = registry.promote(b, Replaces::Only(Some(a)), &act("p2")).unwrap();
    assert_eq!(second, Promotion { epoch: 2, champion: b, previous: Some(a), changed: true });
    assert_eq!(stages(&registry), [Stage::Retired, Stage::Champion]);
    let champion = registry.champion().unwrap().unwrap();
    assert_eq!((champion.epoch, champion.model.version), (2, b));

    let told = registry.audit(0, 100).unwrap();
    let [.., promoted, recorded] = told.as_slice() else { panic!("the audit is too short") };
    for (entry, action) in [(promoted, "model.promote"), (recorded, "change.record")] {
        let said = (entry.action.as_str(), entry.subject.as_str(), entry.actor.as_str());
        assert_eq!(said, (action, "m-0002", "ana"));
        assert_eq!(entry.detail["previous"], "m-0001");
    }
}

#[test]
fn only_a_model_that_passed_its_gates_is_promoted() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b) = (validated(&registry, "a"), candidate(&registry, "b"));
    registry.promote(a, Replaces::Any, &act("p1")).unwrap();
    let refused = registry.promote(b, Replaces::Any, &act("p2"));
    assert!(
        matches!(refused, Err(Error::WrongStage { version, stage: Stage::Candidate, .. }) if version == b)
    );
    registry.retire(b, &act("r")).unwrap();
    assert!(matches!(registry.promote(b, Replaces::Any, &act("p3")), Err(Error::WrongStage { .. })));
    assert!(matches!(registry.retire(a, &act("r2")), Err(Error::WrongStage { .. })));
    assert_eq!(registry.champion().unwrap().unwrap().model.version, a);
}

#[test]
fn a_challenger_replaces_only_the_champion_it_was_compared_with() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b, c) = (validated(&registry, "a"), validated(&registry, "b"), validated(&registry, "c"));
    registry.promote(a, Replaces::Only(None), &act("p1")).unwrap();
    registry.promote(b, Replaces::Only(Some(a)), &act("p2")).unwrap();
    let late = registry.promote(c, Replaces::Only(Some(a)), &act("p3"));
    assert!(
        matches!(late, Err(Error::ChampionMoved { expected, found }) if expected == Some(a) && found == Some(b))
    );
    assert_eq!((registry.champion_epoch().unwrap(), stages(&registry)[2]), (2, Stage::Validated));
}

#[test]
fn a_repeated_request_changes_nothing_even_after_others_acted() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, b) = (validated(&registry, "a"), validated(&registry, "b"));
    let first = registry.promote(a, Replaces::Any, &act("p1")).unwrap();
    registry.promote(b, Replaces::Any, &act("p2")).unwrap();
    assert_eq!(registry.promote(a, Replaces::Any, &act("p1")).unwrap(), first);
    assert_eq!(registry.champion().unwrap().unwrap().model.version, b);

    let noop = registry.promote(b, Replaces::Any, &act("p3")).unwrap();
    assert_eq!((noop.changed, noop.epoch), (false, 2));
    assert!(matches!(registry.promote(b, Replaces::Any, &act("p1")), Err(Error::KeyReused { .. })));
    assert!(matches!(registry.rollback(&act("p1")), Err(Error::KeyReused { .. })));
}

#[test]
fn rollback_goes_back_one_champion_at_a_time() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    assert!(matches!(registry.rollback(&act("r0")), Err(Error::NoPreviousChampion)));
    let versions = ["a", "b", "c"].map(|id| validated(&registry, id));
    for v in versions {
        registry.promote(v, Replaces::Any, &act(&format!("p{v}"))).unwrap();
    }
    let [a, b, c] = versions;
    let back = registry.rollback(&act("r1")).unwrap();
    assert_eq!((back.champion, back.previous, back.epoch), (b, Some(c), 4));
    assert_eq!(registry.rollback(&act("r1")).unwrap(), back, "a retry is no second step back");
    assert_eq!(registry.rollback(&act("r2")).unwrap().champion, a);
    assert!(matches!(registry.rollback(&act("r3")), Err(Error::NoPreviousChampion)));
    assert_eq!(stages(&registry), [Stage::Champion, Stage::Retired, Stage::Retired]);

    registry.promote(c, Replaces::Any, &act("again")).unwrap();
    assert_eq!(registry.rollback(&act("r4")).unwrap().champion, a);
    let kinds: Vec<_> = registry.reigns(10).unwrap().into_iter().map(|r| (r.model, r.kind)).collect();
    assert_eq!(kinds[..2], [(a, ReignKind::Rollback), (c, ReignKind::Promotion)]);
    assert_eq!(registry.check(None).unwrap().len(), 1, "only the note on running runs");
}

#[test]
fn the_database_itself_refuses_a_second_champion() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let (a, _) = (validated(&registry, "a"), validated(&registry, "b"));
    registry.promote(a, Replaces::Any, &act("p1")).unwrap();
    let raw = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    let second = raw.execute("UPDATE models SET stage = 'champion' WHERE number = 2", []);
    assert!(second.unwrap_err().to_string().contains("UNIQUE"));
}

/// Sixteen promoters over two handles and one more per thread, all at once, while a reader polls.
#[test]
fn many_promote_at_once_and_each_moves_the_epoch_once() {
    let dir = tempdir().unwrap();
    let shared = Arc::new(open(dir.path()));
    let versions: Vec<_> = (0..8).map(|i| validated(&shared, &format!("r{i}"))).collect();
    thread::scope(|s| {
        for (i, &v) in versions.iter().enumerate() {
            let (shared, path) = (Arc::clone(&shared), dir.path());
            s.spawn(move || {
                let own = open(path);
                for round in 0..5 {
                    let handle = if i % 2 == 0 { &shared } else { &own };
                    let key = format!("{i}-{round}");
                    let act = Act { key: &key, actor: "thread", reason: "race", at: NOON };
                    handle.promote(v, Replaces::Any, &act).unwrap();
                    handle.promote(v, Replaces::Any, &act).unwrap();
                }
            });
        }
        s.spawn(|| {
            let mut last = 0;
            for _ in 0..200 {
                let epoch = shared.champion_epoch().unwrap();
                assert!(epoch >= last);
                last = epoch;
                if let Some(champion) = shared.champion().unwrap() {
                    assert_eq!(champion.model.stage, Stage::Champion);
                    assert!(champion.epoch >= epoch);
                }
            }
        });
    });
    assert_eq!(stages(&shared).iter().filter(|s| **s == Stage::Champion).count(), 1);
    let reigns = shared.reigns(1000).unwrap();
    assert_eq!(reigns.len() as u64, shared.champion_epoch().unwrap());
    assert!(reigns.windows(2).all(|w| w[0].model != w[1].model), "no model follows itself");
    assert_eq!(reigns[0].model, shared.champion().unwrap().unwrap().model.version);
    assert_eq!(shared.check(None).unwrap().len(), 1, "only the note on running runs");
}
