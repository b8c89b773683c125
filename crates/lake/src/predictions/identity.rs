//! The name that a log has for ever, by which others know how far they have read it.

use std::io::{ErrorKind, Write};
use std::path::Path;

use uuid::Uuid;

use super::LogError;

const FILE: &str = "ID";

/// The identity of the log in `dir`, made where it has none. A log that is put back from a backup keeps it.
///
/// # Errors
/// [`LogError::Io`], also when the file is there and names none.
pub fn identity(dir: &Path) -> Result<Uuid, LogError> {
    let path = dir.join(FILE);
    let read = || std::fs::read_to_string(&path);
    let text = match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(dir, &path).and_then(|()| read()).map_err(LogError::io(&path))?
        }
        text => text.map_err(LogError::io(&path))?,
    };
    let damaged =
        |_| std::io::Error::new(ErrorKind::InvalidData, "it names no identity: put it back from a backup");
    text.trim().parse::<Uuid>().map_err(damaged).map_err(LogError::io(&path))
}

/// Makes the file in one step, so that two processes that need it first share one.
fn make(dir: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let id = Uuid::new_v4();
    let part = dir.join(format!("{FILE}.{id}.part"));
    let mut file = std::fs::File::create_new(&part)?;
    let made = writeln!(file, "{id}").and_then(|()| file.sync_all());
    let linked = made.and_then(|()| std::fs::hard_link(&part, path));
    std::fs::remove_file(&part)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.and_then(|()| std::fs::File::open(dir)?.sync_all()),
    }
}
