//! Appending to the journal: a thread of its own that makes records durable in groups.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::journal::Record;

/// What the writing thread is told.
#[derive(Debug)]
enum Job {
    /// Make this line durable, then say so.
    Append(String, oneshot::Sender<Durable>),
    /// Write what waits, then end.
    Stop,
}

/// Whether a record is durable. The error is shared, since one failed write fails a whole group.
pub type Durable = Result<(), Arc<io::Error>>;

/// Makes records durable. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Appender(mpsc::Sender<Job>);

impl Appender {
    /// Appends a record and comes back once it is durable.
    ///
    /// # Errors
    /// When it could not be made durable; so will every later record of this hold.
    pub async fn append(&self, record: &Record) -> Durable {
        let gone = || Arc::new(io::Error::other("the journal is closed"));
        let (done, durable) = oneshot::channel();
        self.0.send(Job::Append(record.to_line(), done)).map_err(|_| gone())?;
        durable.await.map_err(|_| gone())?
    }
}

/// The thread that writes: whatever waits is written at once and made durable together, so that the
/// disk does not set the pace.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<File>,
}

impl Writer {
    /// A handle through which tasks make records durable.
    pub(super) fn appender(&self) -> Appender {
        Appender(self.jobs.clone())
    }

    /// Starts to write to a journal.
    pub(super) fn start(file: File) -> Self {
        let (jobs, received) = mpsc::channel();
        Self { jobs, thread: std::thread::spawn(move || write_groups(file, &received)) }
    }

    /// Ends the thread and gives back the journal, still locked.
    pub(super) fn stop(self) -> io::Result<File> {
        // A thread that is gone cannot be told to stop, and has nothing left to write.
        let _ = self.jobs.send(Job::Stop);
        self.thread.join().map_err(|_| io::Error::other("the thread that writes the journal died"))
    }
}

fn write_groups(mut file: File, jobs: &mpsc::Receiver<Job>) -> File {
    let mut failed: Option<Arc<io::Error>> = None;
    let mut stopping = false;
    while !stopping {
        let (mut text, mut waiting) = (String::new(), Vec::new());
        let mut next = jobs.recv().ok();
        stopping = next.is_none();
        while let Some(job) = next {
            match job {
                Job::Append(line, done) => {
                    text.push_str(&line);
                    waiting.push(done);
                }
                Job::Stop => stopping = true,
            }
            next = jobs.try_recv().ok();
        }
        if failed.is_none() && !text.is_empty() {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
            failed = written.err().map(Arc::new);
        }
        for done in waiting {
            // Who asked may have gone: the record is durable all the same.
            let _ = done.send(failed.clone().map_or(Ok(()), Err));
        }
    }
    file
}
