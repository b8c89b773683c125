//! Reading case files: a thread of its own parses, so that parsing and what becomes of the rows each have a core.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use interop::{CaseFile, Columns, FileError, Format, Mapping, Meter, Reading, Row};

use crate::progress::{Progress, Task};

/// Rows that the reading thread hands over at once.
const HANDED_ROWS: usize = 1 << 11;
/// Such portions that may wait.
const WAITING: usize = 4;
/// How often progress is shown while no row comes.
const SHOWN_EVERY: Duration = Duration::from_millis(250);

/// One file, or the files of one export, whose rows are joined from all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Set {
    pub paths: Vec<PathBuf>,
    export: bool,
}

/// Rows, each with the number of its file in the set.
pub type Portion = Vec<(usize, Row)>;

/// What the reading thread has to say.
enum Said {
    Opened(Meter),
    /// Rows, and the share of the input that has been read.
    Rows(Portion, Option<f64>),
}

/// Which files are read together: all FHIR files are one export, every other file is alone.
pub fn sets(files: &[PathBuf], mapping: Option<&Mapping>) -> Result<Vec<Set>> {
    let by_rules = mapping.is_some_and(Mapping::is_fhir);
    let mut sets: Vec<Set> = Vec::new();
    for path in files {
        let format = Format::of_file(path).with_context(|| path.display().to_string())?;
        let export = format == Format::Fhir || (by_rules && format == Format::Ndjson);
        match sets.iter_mut().find(|set| set.export && export) {
            Some(set) => set.paths.push(path.clone()),
            None => sets.push(Set { paths: vec![path.clone()], export }),
        }
    }
    Ok(sets)
}

/// A file's name without its folder.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl Set {
    pub fn open<'a>(&self, reading: Reading<'a>) -> Result<CaseFile<'a>, FileError> {
        match self.paths.as_slice() {
            [path] => CaseFile::open(path, reading),
            paths => CaseFile::open_export(paths, reading),
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| file_name(path)).collect()
    }

    fn title(&self) -> String {
        match self.paths.as_slice() {
            [path] => file_name(path),
            paths => format!("an export of {} files", paths.len()),
        }
    }

    /// Where an error happened.
    fn place(&self) -> String {
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        paths.join(", ")
    }

    /// Reads all rows, some at a time; what the columns were used for, and the header of a CSV file.
    pub fn read(
        &self,
        reading: Reading<'_>,
        progress: &Progress,
        mut each: impl FnMut(&[(usize, Row)]) -> Result<()>,
    ) -> Result<Told> {
        let task = progress.reading(&self.title());
        let mut rows = 0;
        std::thread::scope(|scope| {
            let (said, inbox) = sync_channel(WAITING);
            let (give_back, used) = channel();
            let reader = scope.spawn(move || self.say(reading, &said, &used));
            take(inbox, &give_back, &task, |portion| {
                rows += portion.len();
                each(portion)
            })?;
            let read = reader.join().map_err(|_| anyhow!("{}: the reading thread stopped", self.place()))?;
            read.with_context(|| match rows {
                0 => self.place(),
                rows => format!("{}, after {rows} rows; nothing was stored", self.place()),
            })
        })
    }

    /// Reads and hands over. Used portions come back: memory is freed for less in the thread that took it.
    fn say(
        &self,
        reading: Reading<'_>,
        said: &SyncSender<Said>,
        used: &Receiver<Portion>,
    ) -> Result<Told, FileError> {
        let mut cases = self.open(reading)?;
        let _ = said.send(Said::Opened(cases.meter()));
        let mut portion = Vec::with_capacity(HANDED_ROWS);
        while let Some(row) = cases.next() {
            match row {
                Ok(row) => portion.push((cases.file(), row)),
                Err(error) => {
                    let _ = said.send(Said::Rows(portion, None)); // so that the error can say after how many rows it came
                    return Err(error);
                }
            }
            if portion.len() == HANDED_ROWS {
                let full = std::mem::replace(&mut portion, Vec::with_capacity(HANDED_ROWS));
                if said.send(Said::Rows(full, cases.done())).is_err() {
                    return Ok(told(&cases)); // the receiver failed and says why
                }
                used.try_iter().for_each(drop);
            }
        }
        let _ = said.send(Said::Rows(portion, Some(1.0)));
        Ok(told(&cases))
    }
}

/// What the columns were used for, and the header of a CSV file.
type Told = (Columns, Option<Vec<String>>);

fn told(cases: &CaseFile<'_>) -> Told {
    (cases.columns(), cases.header().map(<[String]>::to_vec))
}

/// Hands on what the reading thread says, and shows how far it is.
fn take(
    inbox: Receiver<Said>,
    give_back: &Sender<Portion>,
    task: &Task,
    mut each: impl FnMut(&[(usize, Row)]) -> Result<()>,
) -> Result<()> {
    let (mut rows, mut share, mut meter) = (0, None, None::<Meter>);
    loop {
        match inbox.recv_timeout(SHOWN_EVERY) {
            Ok(Said::Opened(opened)) => meter = Some(opened),
            Ok(Said::Rows(portion, done)) => {
                rows += portion.len() as u64;
                share = done.or(share);
                each(&portion)?;
                // A reader that has ended takes nothing back.
                let _ = give_back.send(portion);
            }
            Err(RecvTimeoutError::Timeout) => {
                share = share.or_else(|| meter.as_ref().and_then(Meter::share));
                task.read(rows, meter.as_ref().and_then(Meter::share).or(share));
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        task.read(rows, share);
    }
}
