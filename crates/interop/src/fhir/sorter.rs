//! Brings together what belongs to one patient, in bounded memory: sorted runs in one temporary file, merged.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use super::{fact::Fact, reference::Key};

/// Bytes that are gathered before they go to disk, at most.
const RUN: usize = 32 << 20;
/// Bytes of one run that are in memory while the runs are merged.
const WINDOW: usize = 1 << 16;
/// Patients of Bundles whose `fullUrl` is not their id, at most: they are kept in memory.
const ALIASES: usize = 1 << 21;
/// Facts and bytes of one patient that are held at once, at most.
const PATIENT_BYTES: usize = 64 << 20;

/// A key and the length of the fact's bytes.
const HEADER: usize = 16 + 4;

/// Takes facts in any order and gives them back patient by patient.
pub(super) struct Sorter {
    gathered: Vec<u8>,
    run: usize,
    spill: Option<File>,
    /// Lengths of the runs in the file, which lie one behind the other.
    runs: Vec<u64>,
    aliases: HashMap<Key, Key>,
}

impl Sorter {
    pub(super) fn new() -> Sorter {
        Sorter::with_runs_of(RUN)
    }

    fn with_runs_of(run: usize) -> Sorter {
        Sorter { gathered: Vec::new(), run, spill: None, runs: Vec::new(), aliases: HashMap::new() }
    }

    pub(super) fn push(&mut self, key: Key, fact: &Fact) -> io::Result<()> {
        let start = self.gathered.len();
        self.gathered.extend(key.to_le_bytes());
        self.gathered.extend([0; 4]);
        fact.write(&mut self.gathered);
        let length = (self.gathered.len() - start - HEADER) as u32;
        self.gathered[start + 16..start + HEADER].copy_from_slice(&length.to_le_bytes());
        if self.gathered.len() >= self.run {
            self.write_run()?;
        }
        Ok(())
    }

    /// Two keys are one patient; `false` where too many are.
    pub(super) fn alias(&mut self, other: Key, key: Key) -> bool {
        if self.aliases.len() >= ALIASES {
            return false;
        }
        self.aliases.insert(other, key);
        true
    }

    /// Where nothing can still become another's alias, runs could be sorted at once; aliases may come
    /// after what they explain, so runs are sorted when all is known.
    fn write_run(&mut self) -> io::Result<()> {
        let file = match &mut self.spill {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.write_all(&self.gathered)?;
        self.runs.push(self.gathered.len() as u64);
        self.gathered.clear();
        Ok(())
    }

    /// All facts, sorted by patient; those of one patient in the order in which they came.
    pub(super) fn finish(mut self) -> io::Result<Patients> {
        let mut heads = Vec::new();
        if let Some(file) = &mut self.spill {
            let mut offset = 0;
            for &length in &self.runs {
                let mut run = vec![0; length as usize];
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(&mut run)?;
                let sorted = sorted(&run, &self.aliases);
                file.seek(SeekFrom::Start(offset))?;
                file.write_all(&sorted)?;
                heads.push(Run { offset, end: offset + length, window: Vec::new(), at: 0 });
                offset += length;
            }
        }
        let last = sorted(&self.gathered, &self.aliases);
        heads.push(Run { offset: 0, end: 0, window: last, at: 0 });
        let mut patients = Patients { file: self.spill, runs: heads, next: BinaryHeap::new() };
        for run in 0..patients.runs.len() {
            patients.advance(run)?;
        }
        Ok(patients)
    }
}

/// The records of a run in the order of their patients' keys.
fn sorted(run: &[u8], aliases: &HashMap<Key, Key>) -> Vec<u8> {
    let mut records = Vec::new();
    let mut rest = run;
    while let Some((key, record)) = first(rest) {
        records.push((aliases.get(&key).copied().unwrap_or(key), &rest[16..record]));
        rest = &rest[record..];
    }
    records.sort_by_key(|(key, _)| *key);
    let mut out = Vec::with_capacity(run.len());
    for (key, record) in records {
        out.extend(key.to_le_bytes());
        out.extend(record);
    }
    out
}

/// The key of the first record and its whole length, where it is there in full.
fn first(bytes: &[u8]) -> Option<(Key, usize)> {
    let (key, rest) = bytes.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    (rest.len() >= length).then_some((u128::from_le_bytes(*key), HEADER + length))
}

/// One sorted run: a window of it in memory, the rest in the file.
struct Run {
    offset: u64,
    end: u64,
    window: Vec<u8>,
    at: usize,
}

/// The merged runs.
pub(super) struct Patients {
    file: Option<File>,
    runs: Vec<Run>,
    /// The next key of each run that is not at its end.
    next: BinaryHeap<Reverse<(Key, usize)>>,
}

/// Everything that is known of one patient.
pub(super) struct Facts {
    pub(super) facts: Vec<Fact>,
    /// There was more than may be held at once, and it was passed over.
    pub(super) too_many: bool,
}

impl Patients {
    /// The next patient.
    pub(super) fn next_patient(&mut self) -> io::Result<Option<Facts>> {
        let Some(&Reverse((key, _))) = self.next.peek() else {
            return Ok(None);
        };
        let mut all = Facts { facts: Vec::new(), too_many: false };
        let mut held = 0;
        while let Some(&Reverse((next, run))) = self.next.peek() {
            if next != key {
                break;
            }
            self.next.pop();
            let Run { window, at, .. } = &mut self.runs[run];
            let Some((_, length)) = first(&window[*at..]) else {
                return Err(torn());
            };
            held += length;
            if held > PATIENT_BYTES {
                all.too_many = true;
            } else {
                all.facts.push(Fact::read(&window[*at + HEADER..*at + length]).ok_or_else(torn)?);
            }
            *at += length;
            self.advance(run)?;
        }
        Ok(Some(all))
    }

    /// Makes the next record of a run known, fetched where it is still in the file.
    fn advance(&mut self, number: usize) -> io::Result<()> {
        let run = &mut self.runs[number];
        loop {
            if let Some((key, _)) = first(&run.window[run.at..]) {
                self.next.push(Reverse((key, number)));
                return Ok(());
            }
            let wanted = (run.end - run.offset).min(WINDOW.max(run.window.len()) as u64) as usize;
            match (&mut self.file, wanted) {
                (_, 0) | (None, _) if run.at == run.window.len() => return Ok(()),
                (_, 0) | (None, _) => return Err(torn()),
                (Some(file), _) => {
                    run.window.drain(..run.at);
                    run.at = 0;
                    let held = run.window.len();
                    run.window.resize(held + wanted, 0);
                    file.seek(SeekFrom::Start(run.offset))?;
                    file.read_exact(&mut run.window[held..])?;
                    run.offset += wanted as u64;
                }
            }
        }
    }
}

fn torn() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the temporary file of an export was changed while it was read",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{built::Place, fhir::fact::What};

    fn fact(index: u64) -> Fact {
        Fact {
            place: Place { file: 0, line: index, index },
            resource: index,
            updated: 0,
            what: What::Nothing,
        }
    }

    #[test]
    fn facts_come_back_by_patient_whether_or_not_they_fit_into_memory() {
        for run in [1, 200, 5_000, 1 << 20] {
            let mut sorter = Sorter::with_runs_of(run);
            for index in 0..500u64 {
                sorter.push(u128::from(index * 7 % 31), &fact(index)).unwrap();
            }
            assert!(sorter.alias(30, 3));
            assert_eq!(sorter.spill.is_some(), run < 1 << 20);
            let mut patients = sorter.finish().unwrap();
            let mut seen = Vec::new();
            while let Some(of_one) = patients.next_patient().unwrap() {
                let lines: Vec<u64> = of_one.facts.iter().map(|fact| fact.place.line).collect();
                let whose = lines[0] * 7 % 31;
                let own = |line: &u64| line * 7 % 31 == whose || [3, 30].contains(&(line * 7 % 31));
                assert!(lines.iter().all(own) && lines.is_sorted() && !of_one.too_many);
                seen.extend(lines);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..500).collect::<Vec<_>>());
        }
    }
}
