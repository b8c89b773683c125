//! The keeper: of all servers of a deployment one at a time queues what schedules owe and has jobs worked off.
//!
//! Who keeps is decided by a lease in the registry. A job is worked off in a child process, so that answers do not wait for
//! a training, and at lower priority. The child renews the lease of its attempt as long as it lives, and outlives its
//! server: whoever keeps then leaves the job alone. A job under way whose lease has ended is queued again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use registry::{Attempt, Job, JobState, Lease};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::pipeline::{retrain, schedule};

const LEASE: &str = "keeper";
/// Renewals in a lease's length.
const RENEWALS: u32 = 3;
/// Between two looks at the jobs.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at the schedules.
const SCHEDULES_EVERY: time::Duration = time::Duration::seconds(5);
/// Attempts at a job whose process keeps dying.
const ATTEMPTS: u32 = 3;

/// The running keeper; it stops when told to or dropped.
pub(crate) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts keeping in a thread of its own.
    pub(crate) fn start(deployment: Arc<Deployment>, global: Global) -> Keeper {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || Watch::new(deployment, global).run(&told));
        Keeper { stop, thread: Some(thread) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends by itself; a panic there was logged by the runtime.
            let _ = thread.join();
        }
    }
}

/// What the keeper's thread knows.
struct Watch {
    deployment: Arc<Deployment>,
    global: Global,
    holder: String,
    /// Since when this process is surely the keeper, for a lease's length: just before it last asked, by its own steady
    /// clock.
    kept: Option<Instant>,
    schedules_at: Option<OffsetDateTime>,
    worker: Option<Worker>,
    /// What the last process said that ended before its job.
    last_words: String,
}

/// A job's process.
struct Worker {
    attempt: Attempt,
    child: Child,
    /// The last line that it wrote to standard error.
    said: Arc<Mutex<String>>,
}

impl Watch {
    fn new(deployment: Arc<Deployment>, global: Global) -> Watch {
        let holder = Uuid::now_v7().to_string();
        let last_words = String::new();
        Watch { deployment, global, holder, kept: None, schedules_at: None, worker: None, last_words }
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut failing = false;
        while !stop.load(Ordering::Relaxed) {
            let looked = self.look(self.deployment.now());
            // The same trouble is told once, not twice a second.
            if let Err(error) = &looked
                && !failing
            {
                tracing::error!(error = format!("{error:#}"), "schedules and jobs stand still");
            }
            failing = looked.is_err();
            std::thread::park_timeout(LOOK_EVERY);
        }
        if let Err(error) = self.leave() {
            tracing::error!(error = format!("{error:#}"), "the keeper did not leave in order");
        }
    }

    fn look(&mut self, now: OffsetDateTime) -> Result<()> {
        self.follow_worker()?;
        if !self.keeps()? {
            return Ok(());
        }
        if self.schedules_at.is_none_or(|at| now - at >= SCHEDULES_EVERY) {
            self.schedules_at = Some(now);
            retrain::fail_interrupted(&self.deployment)?;
            for job in schedule::queue_due(&self.deployment, now)? {
                tracing::info!(job = job.id, slot = job.slot, "owed by its schedule");
            }
        }
        let jobs = self.deployment.registry.unfinished_jobs()?;
        for job in jobs.iter().filter(|job| job.state == JobState::Running) {
            self.revive(job, now)?;
        }
        // One at a time, among all servers: trainings would take each other's processors, and the champion's place.
        match jobs.first() {
            Some(first) if self.worker.is_none() && jobs.iter().all(|job| job.state == JobState::Queued) => {
                self.begin(first, now)
            }
            _ => Ok(()),
        }
    }

    /// Whether this process is the keeper; takes or renews the lease where it is time to.
    fn keeps(&mut self) -> Result<bool> {
        let (asked, length) = (Instant::now(), self.deployment.config.registry.lease());
        if self.kept.is_some_and(|kept| asked - kept < length / RENEWALS) {
            return Ok(true);
        }
        let lease = Lease { name: LEASE, holder: &self.holder, length };
        let keeps = self.deployment.registry.take_lease(&lease)?;
        if keeps && self.kept.is_none() {
            tracing::info!("this server runs schedules and jobs");
        }
        self.kept = keeps.then_some(asked);
        Ok(keeps)
    }

    /// Queues a job again whose process is gone, or gives it up.
    fn revive(&self, job: &Job, now: OffsetDateTime) -> Result<()> {
        let said = match self.last_words.as_str() {
            "" => String::new(),
            words => format!(", and said last: {words}"),
        };
        let because = format!("its process ended {ATTEMPTS} times before the work did{said}");
        match self.deployment.registry.revive_job(job.id, ATTEMPTS, &because, now)? {
            Some(job) if job.state == JobState::Queued => {
                tracing::warn!(job = job.id, attempt = job.attempt, "its process is gone: queued again");
            }
            Some(job) => tracing::error!(job = job.id, because, "job given up"),
            None => {}
        }
        Ok(())
    }

    fn begin(&mut self, job: &Job, now: OffsetDateTime) -> Result<()> {
        let lease = self.deployment.config.registry.lease();
        let Some(job) = self.deployment.registry.start_job(job.id, now, lease)? else { return Ok(()) };
        match self.spawn(&job) {
            Ok(worker) => {
                tracing::info!(job = job.id, kind = job.kind, attempt = job.attempt, "job begun");
                self.last_words.clear();
                self.worker = Some(worker);
            }
            Err(error) => {
                let because = format!("{error:#}");
                self.deployment.registry.end_job(job.under_way(), Err(&because), now)?;
            }
        }
        Ok(())
    }

    fn spawn(&self, job: &Job) -> Result<Worker> {
        let program = std::env::current_exe().context("the program cannot find its own file")?;
        let mut arguments: Vec<std::ffi::OsString> = vec!["--quiet".into(), "--data-dir".into()];
        arguments.push(self.deployment.data_dir.clone().into());
        for (flag, path) in [("--config", &self.global.config), ("--study", &self.global.study)] {
            if let Some(path) = path {
                arguments.extend([flag.into(), path.clone().into()]);
            }
        }
        if let Some(url) = &self.global.storage {
            arguments.extend(["--storage".into(), url.into()]);
        }
        arguments.push("work".into());
        arguments.extend([job.id.to_string(), job.attempt.to_string()].map(Into::into));
        let start = |mut command: Command| {
            command.args(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
        };
        let mut nice = Command::new("nice");
        nice.arg("-n").arg("10").arg(&program);
        // Where there is no `nice`, at the same priority.
        let mut child = start(nice).or_else(|_| start(Command::new(&program)))?;
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            let last = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = line;
                }
            });
        }
        Ok(Worker { attempt: job.under_way(), child, said })
    }

    /// Looks whether the job's process has ended; the lease of one that did not end its job ends with it.
    fn follow_worker(&mut self) -> Result<()> {
        let Some(mut worker) = self.worker.take() else { return Ok(()) };
        let registry = &self.deployment.registry;
        let job = registry.job(worker.attempt.job);
        let given_up = |job: &Job| job.state == JobState::Queued || job.under_way() != worker.attempt;
        match (worker.child.try_wait()?, job) {
            (None, Ok(job)) if given_up(&job) => {
                tracing::warn!(job = job.id, "its process was given up for dead: stopped");
                worker.child.kill()?;
                worker.child.wait()?;
            }
            (None, job) => {
                self.worker = Some(worker);
                job?;
            }
            (Some(status), job) => {
                let said = worker.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                registry.let_go(worker.attempt)?;
                let job = job?;
                match job.state == JobState::Running {
                    true => self.last_words = if said.is_empty() { status.to_string() } else { said },
                    false => tracing::info!(job = job.id, state = ?job.state, "job ended"),
                }
            }
        }
        Ok(())
    }

    /// Leaves nothing behind: the job's process is stopped and its job queued for who keeps next.
    fn leave(mut self) -> Result<()> {
        self.follow_worker()?;
        let registry = &self.deployment.registry;
        if let Some(mut worker) = self.worker.take() {
            worker.child.kill()?;
            worker.child.wait()?;
            registry.let_go(worker.attempt)?;
            registry.revive_job(worker.attempt.job, u32::MAX, "", self.deployment.now())?;
        }
        if self.kept.is_some() {
            registry.give_back_lease(LEASE, &self.holder)?;
        }
        Ok(())
    }
}
