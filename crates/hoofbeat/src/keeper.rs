//! The keeper: of all servers of a deployment one at a time queues what schedules owe and has jobs worked off.
//!
//! Who keeps is decided by a lease in the registry. A job is worked off in a child process, so that answers do not wait for
//! a training, and at lower priority. The child holds the job's claim as long as it lives: a keeper that finds a job under
//! way whose claim is free knows that its process is gone, and queues it again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use registry::{Job, JobState};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::pipeline::schedule;

const LEASE: &str = "keeper";
const LEASE_LENGTH: Duration = Duration::seconds(30);
/// A lease is renewed when less than this is left of it.
const RENEW_BEFORE: Duration = Duration::seconds(20);
/// Between two looks at the jobs.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// Between two looks at the schedules.
const SCHEDULES_EVERY: Duration = Duration::seconds(5);
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
    /// Until when this process is the keeper.
    until: Option<OffsetDateTime>,
    schedules_at: Option<OffsetDateTime>,
    worker: Option<Worker>,
}

/// A job's process.
struct Worker {
    job: u64,
    attempt: u32,
    child: Child,
    /// The last line that it wrote to standard error.
    said: Arc<Mutex<String>>,
}

impl Watch {
    fn new(deployment: Arc<Deployment>, global: Global) -> Watch {
        let holder = Uuid::now_v7().to_string();
        Watch { deployment, global, holder, until: None, schedules_at: None, worker: None }
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
        if !self.keeps(now)? {
            return Ok(());
        }
        if self.schedules_at.is_none_or(|at| now - at >= SCHEDULES_EVERY) {
            self.schedules_at = Some(now);
            for job in schedule::queue_due(&self.deployment, now)? {
                tracing::info!(job = job.id, slot = job.slot, "owed by its schedule");
            }
        }
        for job in self.deployment.registry.unfinished_jobs()? {
            match job.state {
                JobState::Running => self.revive(&job, now)?,
                JobState::Queued if self.worker.is_none() => self.begin(&job, now)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether this process is the keeper; takes or renews the lease where it is time to.
    fn keeps(&mut self, now: OffsetDateTime) -> Result<bool> {
        if self.until.is_some_and(|until| until - now > RENEW_BEFORE) {
            return Ok(true);
        }
        let lease = self.deployment.registry.take_lease(LEASE, &self.holder, now, LEASE_LENGTH)?;
        if self.until.is_none()
            && let Some(lease) = &lease
        {
            tracing::info!(fence = lease.fence, "this server runs schedules and jobs");
        }
        self.until = lease.map(|lease| lease.expires_at);
        Ok(self.until.is_some())
    }

    /// Queues a job again whose process is gone, or gives it up.
    fn revive(&self, job: &Job, now: OffsetDateTime) -> Result<()> {
        let own = self.worker.as_ref().is_some_and(|worker| worker.job == job.id);
        // A process that was just started may not hold its claim yet.
        let fresh = job.started_at.is_some_and(|at| now - at < LEASE_LENGTH);
        if own || fresh || schedule::claim(&self.deployment, job.id)?.is_none() {
            return Ok(());
        }
        let registry = &self.deployment.registry;
        match job.attempt < ATTEMPTS {
            true => {
                tracing::warn!(job = job.id, attempt = job.attempt, "its process is gone: queued again");
                registry.requeue_job(job.id, job.attempt)?;
            }
            false => {
                let because = format!("its process died {ATTEMPTS} times");
                registry.end_job(job.id, job.attempt, Err(&because), now)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, job: &Job, now: OffsetDateTime) -> Result<()> {
        let Some(job) = self.deployment.registry.start_job(job.id, now)? else { return Ok(()) };
        match self.spawn(&job) {
            Ok(worker) => {
                tracing::info!(job = job.id, kind = job.kind, attempt = job.attempt, "job begun");
                self.worker = Some(worker);
            }
            Err(error) => {
                let because = format!("{error:#}");
                self.deployment.registry.end_job(job.id, job.attempt, Err(&because), now)?;
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
        match job.kind.as_str() {
            // A command of its own, which knows no jobs: its exit status says how it went.
            "monitor" => arguments.push("monitor".into()),
            _ => {
                let numbers = [job.id.to_string(), job.attempt.to_string()];
                arguments.push("work".into());
                arguments.extend(numbers.map(Into::into));
            }
        }
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
        Ok(Worker { job: job.id, attempt: job.attempt, child, said })
    }

    /// Looks whether the job's process has ended; one that did not end its job itself ends it here.
    fn follow_worker(&mut self) -> Result<()> {
        let Some(worker) = &mut self.worker else { return Ok(()) };
        let Some(status) = worker.child.try_wait()? else { return Ok(()) };
        let (id, attempt) = (worker.job, worker.attempt);
        let said = worker.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.worker = None;
        let registry = &self.deployment.registry;
        let job = registry.job(id)?;
        if job.state == JobState::Running && job.attempt == attempt {
            // Status 3: done, and what was looked for was found.
            let ended = match status.code() {
                Some(0 | 3) => Ok(serde_json::json!({ "status": status.code() })),
                _ => Err(if said.is_empty() { status.to_string() } else { said }),
            };
            registry.end_job(id, attempt, ended.as_ref().map_err(String::as_str), self.deployment.now())?;
        }
        let job = registry.job(id)?;
        tracing::info!(job = id, state = ?job.state, "job ended");
        Ok(())
    }

    /// Leaves nothing behind: the job's process is stopped and its job queued for who keeps next.
    fn leave(mut self) -> Result<()> {
        self.follow_worker()?;
        if let Some(mut worker) = self.worker.take() {
            worker.child.kill()?;
            worker.child.wait()?;
            self.deployment.registry.requeue_job(worker.job, worker.attempt)?;
        }
        if self.until.is_some() {
            self.deployment.registry.give_back_lease(LEASE, &self.holder, self.deployment.now())?;
        }
        Ok(())
    }
}
