//! The writer thread: one write and one `fdatasync` for whatever waits, then the answers.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::queue::{Batch, Mailbox};
use super::segment::MAGIC;
use super::tail::Tail;
use super::{LogError, LogOptions};

/// Owner of the writer thread.
pub(crate) struct Writer {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn start(dir: &Path, options: LogOptions) -> Result<Writer, LogError> {
        let mut tail = Tail::open(dir, options)?;
        let mailbox = Arc::new(Mailbox::new(&options, tail.segment_bytes() - MAGIC.len()));
        let inbox = Arc::clone(&mailbox);
        let thread = std::thread::Builder::new()
            .name("prediction-log".into())
            .spawn(move || {
                let mut batch = Batch::default();
                while inbox.take(&mut batch) {
                    match tail.append(batch.frames()) {
                        Ok((segment, base)) => batch.acknowledge(segment, base),
                        Err(error) => batch.refuse(&error),
                    }
                }
            })
            .map_err(LogError::io(dir))?;
        Ok(Writer { mailbox, thread: Some(thread) })
    }

    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.mailbox.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already seen by every caller as `Closed`.
            let _ = thread.join();
        }
    }
}
