use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::ChildStdout;
use std::time::Duration;

use lake::predictions::{LogError, LogOptions, MAX_PAYLOAD, PredictionLog, PredictionReader};
use uuid::Uuid;

use crate::support::{Dice, child_dir, spawn_child, spawn_limited_child};

fn all(reader: &PredictionReader) -> Vec<(Uuid, Vec<u8>)> {
    reader.scan().unwrap().map(Result::unwrap).collect()
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "log"));
    files.sort();
    files
}

#[test]
fn what_was_acknowledged_is_found_by_its_id_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 64 << 10, ..LogOptions::default() };
    let mut dice = Dice(1);
    let mut records = Vec::new();
    for _ in 0..3 {
        let log = PredictionLog::open_with(dir.path(), options).unwrap();
        for _ in 0..20 {
            // Some longer than the first read, some empty.
            let payload = vec![b'x'; [0, 10, 700, 9_000, 30_000][dice.below(5) as usize]];
            records.push((log.append(&payload).wait().unwrap(), payload));
        }
        let batch: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; 100]).collect();
        let ids = log.append_all(&batch).wait().unwrap();
        records.extend(ids.into_iter().zip(batch));
        for (id, payload) in &records {
            assert_eq!(log.get(*id).unwrap().as_ref(), Some(payload));
        }
    }
    assert!(segments(dir.path()).len() > 3, "the log rotated");
    let reader = PredictionReader::open(dir.path());
    assert_eq!(all(&reader), records);
    let check = reader.check().unwrap();
    assert_eq!((check.records as usize, check.damage.len()), (records.len(), 0));
    let after: Vec<_> = reader.scan_after(Some(records[99].0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(after, records[100..]);
}

#[test]
fn forged_and_foreign_ids_find_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = PredictionLog::open(dir.path()).unwrap();
    let id = log.append(b"secret").wait().unwrap();
    for bit in 0..128 {
        let forged = Uuid::from_u128(id.as_u128() ^ (1 << bit));
        assert_eq!(log.get(forged).unwrap(), None, "bit {bit}");
    }
    assert_eq!(log.get(Uuid::new_v4()).unwrap(), None);
    assert_eq!(log.get(Uuid::nil()).unwrap(), None);
}

#[test]
fn each_writer_has_a_log_and_readers_see_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 16 << 10, ..LogOptions::default() };
    let mut written = HashMap::new();
    for round in 0..3u8 {
        let logs = [0, 1].map(|_| PredictionLog::open_with(dir.path(), options).unwrap());
        std::thread::scope(|scope| {
            let write = |log: &PredictionLog, writer: u8| -> Vec<(Uuid, Vec<u8>)> {
                let payload = |n: u8| [round, writer, n].repeat(100);
                (0..200u8).map(|n| (log.append(payload(n)).wait().unwrap(), payload(n))).collect()
            };
            let writers = [0u8, 1].map(|writer| (writer, &logs[usize::from(writer)]));
            let writers = writers.map(|(writer, log)| scope.spawn(move || write(log, writer)));
            writers.into_iter().for_each(|writer| written.extend(writer.join().unwrap()));
        });
        // Each finds what the other wrote.
        for (id, payload) in &written {
            assert!(logs.iter().all(|log| log.get(*id).unwrap().as_ref() == Some(payload)));
        }
    }
    assert_eq!(written.len(), 3 * 2 * 200);
    let reader = PredictionReader::open(dir.path());
    let stored: HashMap<Uuid, Vec<u8>> = all(&reader).into_iter().collect();
    assert_eq!(stored, written);
    // Two logs, however often they were opened; the tail that a killed writer tore is nobody else's damage.
    let others: Vec<_> = segments(&dir.path().join("001"));
    assert!(!dir.path().join("002").exists() && others.len() > 3 && segments(dir.path()).len() > 3);
    let last = others.last().unwrap();
    let whole = std::fs::read(last).unwrap();
    std::fs::write(last, &whole[..whole.len() - 5]).unwrap();
    let check = reader.check().unwrap();
    assert!(check.is_sound() && check.damage.len() == 1, "{check:?}");
    let [first, second] = [0, 1].map(|_| PredictionLog::open_with(dir.path(), options).unwrap());
    assert!(reader.check().unwrap().damage.is_empty());
    // Erasing reaches all of them.
    let theirs = |payload: &[u8]| payload[2] == 7;
    assert_eq!(lake::predictions::erase(dir.path(), theirs).unwrap().len(), 6);
    assert_eq!(all(&reader).len(), 3 * 2 * 199 - 1);
    drop((first, second));
    let nowhere = PredictionReader::open(&dir.path().join("nowhere"));
    assert_eq!((nowhere.get(*written.keys().next().unwrap()).unwrap(), all(&nowhere).len()), (None, 0));
}

#[test]
fn too_large_and_too_many_are_refused_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { pending_bytes: 1 << 20, ..LogOptions::default() };
    let log = PredictionLog::open_with(dir.path(), options).unwrap();
    let large = log.append(vec![0; MAX_PAYLOAD + 1]).wait();
    assert!(matches!(large, Err(LogError::TooLarge { .. })));
    let waiting: Vec<_> = (0..200).map(|_| log.append(vec![1; 100 << 10])).collect();
    let answers: Vec<_> = waiting.into_iter().map(|pending| pending.wait()).collect();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(LogError::Overloaded))).count();
    assert!(refused > 0 && refused < 200, "{refused} of 200 refused");
    let acknowledged: HashSet<Uuid> = answers.into_iter().flatten().collect();
    let id = log.append(b"after").wait().unwrap();
    assert_eq!(log.get(id).unwrap().unwrap(), b"after");
    assert_eq!(all(log.reader()).len(), acknowledged.len() + 1);
}

#[test]
fn many_concurrent_clients_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let log = PredictionLog::open(dir.path()).unwrap();
    let started = std::time::Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ids = runtime.block_on(async {
        let mut ids = HashSet::new();
        for wave in 0..40u32 {
            let pending: Vec<_> =
                (0..500u32).map(|n| log.append([wave, n].map(u32::to_le_bytes).concat())).collect();
            for answer in pending {
                ids.insert(answer.await.unwrap());
            }
        }
        ids
    });
    assert_eq!(ids.len(), 20_000);
    println!("{:.0} appends/s", 20_000.0 / started.elapsed().as_secs_f64());
    assert_eq!(log.reader().check().unwrap().records, 20_000);
}

#[test]
fn a_torn_tail_is_truncated_and_earlier_damage_is_kept_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<Uuid> = {
        let log = PredictionLog::open(dir.path()).unwrap();
        (0..10u8).map(|n| log.append(vec![n; 50]).wait().unwrap()).collect()
    };
    let path = segments(dir.path())[0].clone();
    let whole = std::fs::read(&path).unwrap();
    let frame = (whole.len() - 8) / 10;
    // A crash may leave any part of the last frame.
    for cut in 1..frame {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let check = PredictionReader::open(dir.path()).check().unwrap();
        assert!(check.is_sound() && check.damage.len() == 1);
        let log = PredictionLog::open(dir.path()).unwrap();
        assert_eq!(all(log.reader()).len(), 9);
        let next = log.append(b"next").wait().unwrap();
        assert_eq!(log.get(next).unwrap().unwrap(), b"next");
        assert_eq!(log.get(ids[9]).unwrap(), None);
    }
    // Garbage or zeros after the end (blocks that were allocated but not written).
    let mut padded = whole.clone();
    padded.extend([0; 5000]);
    std::fs::write(&path, &padded).unwrap();
    drop(PredictionLog::open(dir.path()).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    // A flipped bit in the middle: nothing is cut off, new records go to a new segment, the loss is named.
    let mut flipped = whole.clone();
    flipped[8 + 3 * frame + 30] ^= 4;
    std::fs::write(&path, &flipped).unwrap();
    let log = PredictionLog::open(dir.path()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), flipped);
    log.append(b"more").wait().unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    assert!(matches!(log.get(ids[3]), Err(LogError::Damaged { segment: 1, .. })));
    assert_eq!(log.get(ids[4]).unwrap().unwrap(), vec![4; 50]);
    assert_eq!(all(log.reader()).len(), 10);
    let check = log.reader().check().unwrap();
    assert!(!check.is_sound());
    assert_eq!((check.damage[0].segment, check.damage[0].offset), (1, (8 + 3 * frame) as u32));
}

#[test]
fn zeros_ahead_of_the_end_are_free_space_and_go_when_the_log_is_closed_or_opened() {
    let dir = tempfile::tempdir().unwrap();
    let log = PredictionLog::open(dir.path()).unwrap();
    let ids: Vec<Uuid> = (0..3u8).map(|n| log.append([n; 40]).wait().unwrap()).collect();
    let path = segments(dir.path())[0].clone();
    let live = std::fs::read(&path).unwrap();
    let end = 8 + 3 * 60;
    assert!(live.len() > 2 * end && live[end..].iter().all(|byte| *byte == 0));
    // Who reads meanwhile sees the records and no damage.
    let check = log.reader().check().unwrap();
    assert_eq!((check.records, check.bytes, check.damage.len()), (3, end as u64, 0));
    assert_eq!(all(log.reader()).iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    let durable = log.reader().scan_durable(0, None).unwrap();
    assert_eq!(durable.map(|record| record.unwrap().0).collect::<Vec<_>>(), ids);
    drop(log);
    assert_eq!(std::fs::read(&path).unwrap(), live[..end]);

    // A kill leaves the zeros, and perhaps a part of a record that nobody was told of: neither comes back, whatever was written there.
    let frame = &live[end - 60..end];
    for torn in [0, 1, 19, 20, 21, 59] {
        let mut left = live.clone();
        left[end..end + torn].copy_from_slice(&frame[..torn]);
        std::fs::write(&path, &left).unwrap();
        let check = PredictionReader::open(dir.path()).check().unwrap();
        assert!(check.is_sound() && check.records == 3, "{torn}");
        assert_eq!(check.damage.len(), usize::from(torn > 0), "{torn}");
        let log = PredictionLog::open(dir.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), live[..end]);
        let next = log.append([9; 3]).wait().unwrap();
        assert_eq!(log.get(next).unwrap().unwrap(), [9; 3]);
        assert_eq!(all(log.reader()).len(), 4);
        assert!(log.reader().check().unwrap().damage.is_empty());
    }
    // A power failure may leave the later part of such a group alone. What is whole stays, and new records go elsewhere.
    let mut left = live.clone();
    left[end + 4096..end + 4096 + 60].copy_from_slice(frame);
    std::fs::write(&path, &left).unwrap();
    let log = PredictionLog::open(dir.path()).unwrap();
    let next = log.append(b"next").wait().unwrap();
    assert_eq!(log.get(next).unwrap().unwrap(), b"next");
    assert_eq!(segments(dir.path()).len(), 2);
    assert!(ids.iter().all(|id| log.get(*id).unwrap().is_some()));
}

#[test]
fn a_segment_ends_where_it_must_with_zeros_ahead_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    let log = PredictionLog::open_with(dir.path(), options).unwrap();
    // Records that end with zeros, and such as are larger than what lies ahead.
    let mut kept = HashMap::new();
    for (n, len) in [(0, 100), (1, 700 << 10), (2, 500 << 10), (3, 3 << 20), (4, 0), (5, 17)] {
        let payload = [vec![n; len / 2], vec![0; len / 2]].concat();
        kept.insert(log.append(&payload).wait().unwrap(), payload);
        assert!(log.reader().check().unwrap().damage.is_empty());
        assert_eq!(all(log.reader()).into_iter().collect::<HashMap<_, _>>(), kept);
    }
    drop(log);
    let sizes = segments(dir.path()).iter().map(|path| path.metadata().unwrap().len()).sum::<u64>();
    let check = PredictionReader::open(dir.path()).check().unwrap();
    assert_eq!((check.segments, check.bytes), (4, sizes));
    let log = PredictionLog::open_with(dir.path(), options).unwrap();
    assert_eq!(all(log.reader()).into_iter().collect::<HashMap<_, _>>(), kept);
}

#[test]
fn who_reads_while_records_are_written_misses_none_of_those_before_the_last_one_seen() {
    let dir = tempfile::tempdir().unwrap();
    let log = PredictionLog::open(dir.path()).unwrap();
    let reader = PredictionReader::open(dir.path());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for group in 0..60u32 {
                let records: Vec<Vec<u8>> = (0..40)
                    .map(|n| [(group * 40 + n).to_le_bytes().to_vec(), vec![0; 700]].concat())
                    .collect();
                log.append_all(&records).wait().unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        loop {
            let last_look = done.load(std::sync::atomic::Ordering::Acquire);
            for scan in [reader.scan().unwrap(), reader.scan_durable(0, None).unwrap()] {
                let seen: Vec<u32> = scan
                    .map(|record| u32::from_le_bytes(*record.unwrap().1.first_chunk().unwrap()))
                    .collect();
                assert!(seen.iter().copied().eq(0..seen.len() as u32), "{seen:?}");
                assert!(!last_look || seen.len() == 2400);
            }
            if last_look {
                break;
            }
        }
    });
}

#[test]
fn a_crash_while_a_segment_is_made_is_no_obstacle() {
    for left in [&b""[..], b"HBPL"] {
        let dir = tempfile::tempdir().unwrap();
        let id = PredictionLog::open(dir.path()).unwrap().append(b"a").wait().unwrap();
        std::fs::write(dir.path().join("000002.log"), left).unwrap();
        let log = PredictionLog::open(dir.path()).unwrap();
        let next = log.append(b"b").wait().unwrap();
        assert_eq!(log.get(id).unwrap().unwrap(), b"a");
        assert_eq!(log.get(next).unwrap().unwrap(), b"b");
        assert!(log.reader().check().unwrap().is_sound());
    }
}

fn acknowledge(id: Uuid, payload: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nACK {id} {payload}").unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: appends from four threads until it is killed.
#[test]
#[ignore = "started by a test below, in a process of its own"]
fn appends_until_killed() {
    let Some(dir) = child_dir() else { return };
    let options = LogOptions { segment_bytes: 32 << 10, ..LogOptions::default() };
    let log = PredictionLog::open_with(&dir, options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = log.clone();
            scope.spawn(move || {
                for n in 0u64.. {
                    let payload =
                        format!("{}-{thread}-{n}-{}", std::process::id(), "y".repeat((n % 300) as usize));
                    let id = log.append(payload.clone().into_bytes()).wait().unwrap();
                    acknowledge(id, &payload);
                }
            });
        }
    });
}

/// What the child acknowledged in whole lines.
fn acknowledged(out: ChildStdout) -> HashMap<Uuid, String> {
    let mut out = BufReader::new(out);
    let (mut found, mut line) = (HashMap::new(), String::new());
    while out.read_line(&mut line).unwrap_or(0) > 0 {
        let parts = line.strip_suffix('\n').and_then(|line| line.strip_prefix("ACK "));
        if let Some((id, payload)) = parts.and_then(|parts| parts.split_once(' ')) {
            found.insert(id.parse().unwrap(), payload.to_owned());
        }
        line.clear();
    }
    found
}

#[test]
fn a_killed_server_loses_no_acknowledged_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(3);
    let mut expected: HashMap<Uuid, String> = HashMap::new();
    let mut round = 0;
    // On a slow machine the children get less done: kill until there is something to lose.
    while round < 24 || (round < 300 && expected.len() <= 100) {
        round += 1;
        let mut child = spawn_child("predictions::appends_until_killed", dir.path());
        let out = child.stdout.take().unwrap();
        let reading = std::thread::spawn(move || acknowledged(out));
        std::thread::sleep(Duration::from_millis(10 + dice.below(80 + 10 * round)));
        child.kill().unwrap();
        child.wait().unwrap();
        expected.extend(reading.join().unwrap());
    }
    assert!(expected.len() > 100, "only {} records were acknowledged", expected.len());
    let log = PredictionLog::open(dir.path()).unwrap();
    let stored: HashMap<Uuid, Vec<u8>> = all(log.reader()).into_iter().collect();
    for (id, payload) in &expected {
        assert_eq!(stored.get(id).map(Vec::as_slice), Some(payload.as_bytes()));
        assert_eq!(log.get(*id).unwrap().as_deref(), Some(payload.as_bytes()));
    }
    assert!(log.reader().check().unwrap().is_sound());
}

/// Not a test of its own: runs where no file may grow beyond 64 KiB.
#[test]
#[ignore = "started by the test below, in a process of its own"]
fn appends_under_a_limit() {
    let Some(dir) = child_dir() else { return };
    let log = PredictionLog::open(&dir).unwrap();
    for n in 0..12 {
        let payload = format!("{n}{}", "z".repeat(20 << 10));
        match log.append(payload.clone().into_bytes()).wait() {
            Ok(id) => acknowledge(id, &payload),
            Err(error) => println!("\nREFUSED {error}"),
        }
        let payload = format!("small {n}");
        if let Ok(id) = log.append(payload.clone().into_bytes()).wait() {
            acknowledge(id, &payload);
        }
    }
}

#[test]
fn a_full_disk_fails_the_record_and_not_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = spawn_limited_child("predictions::appends_under_a_limit", dir.path(), 64);
    let expected = acknowledged(child.stdout.take().unwrap());
    assert!(child.wait().unwrap().success());
    let small = expected.values().filter(|payload| payload.starts_with("small")).count();
    assert_eq!((expected.len() - small, small), (3, 12), "three large ones fit, the small ones go on");
    let reader = PredictionReader::open(dir.path());
    let stored: HashMap<Uuid, Vec<u8>> = all(&reader).into_iter().collect();
    assert_eq!(stored.len(), expected.len(), "nothing that was refused is in the log");
    assert!(expected.iter().all(|(id, payload)| stored[id] == payload.as_bytes()));
    assert!(reader.check().unwrap().is_sound());
}

#[test]
fn erased_records_are_gone_and_the_others_keep_their_identifiers() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 1 << 11, ..LogOptions::default() };
    let log = PredictionLog::open_with(dir.path(), options).unwrap();
    let record = |n: u32| format!("{{\"patient_id\":\"p-{}\",\"n\":{n}}}", n % 7);
    let ids: Vec<_> = (0..200).map(|n| log.append(record(n)).wait().unwrap()).collect();
    let theirs = |payload: &[u8]| payload.starts_with(b"{\"patient_id\":\"p-3\"");
    let expected: Vec<_> = ids.iter().copied().skip(3).step_by(7).collect();
    assert_eq!(lake::predictions::find(dir.path(), theirs).unwrap(), expected);
    assert!(log.get(ids[3]).unwrap().is_some());
    // The writer is at work meanwhile.
    assert_eq!(lake::predictions::erase(dir.path(), theirs).unwrap(), expected);
    let later = log.append(record(1000)).wait().unwrap();
    for (n, id) in (0..).zip(&ids) {
        let found = log.get(*id).unwrap();
        assert_eq!(found, (n % 7 != 3).then(|| record(n).into_bytes()), "record {n}");
    }
    assert_eq!(log.get(later).unwrap(), Some(record(1000).into_bytes()));
    assert!(lake::predictions::erase(dir.path(), theirs).unwrap().is_empty());
    drop(log);
    let reader = PredictionReader::open(dir.path());
    let check = reader.check().unwrap();
    assert_eq!((check.records, check.erased, check.damage.len()), (201 - 29, 29, 0));
    assert_eq!(reader.scan().unwrap().count(), 201 - 29);
    // A restart finds the end behind an erased record too.
    let last = reader.scan().unwrap().last().unwrap().unwrap().0;
    assert_eq!(
        lake::predictions::erase(dir.path(), |payload| payload == record(1000).as_bytes()).unwrap(),
        [last]
    );
    let log = PredictionLog::open_with(dir.path(), options).unwrap();
    let id = log.append("after").wait().unwrap();
    assert_eq!(log.get(id).unwrap(), Some(b"after".to_vec()));
    assert!(reader.check().unwrap().damage.is_empty());
    assert!(lake::predictions::find(Path::new("nowhere"), theirs).unwrap().is_empty());
}
