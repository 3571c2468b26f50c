//! Closed-loop load: a thread a session, each with one call under way, every answer checked.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::Uri;
use serde::Serialize;

use crate::session::{Session, Shape, Transport};
use crate::spread::percentile;
use crate::{Error, cpu};

/// After so many failures without a success between them a session gives up.
const MAX_FAILURES: u32 = 10;

/// What to send where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The MCP endpoint.
    pub url: Uri,
    /// How to talk to it.
    pub transport: Transport,
    /// Sessions, each on its own connection and thread.
    pub conns: usize,
    /// When the measured part ends.
    pub stop: Stop,
    /// Least time from one call of a session to its next; without one they follow at once.
    pub pace: Option<Duration>,
    /// Calls before the measured part; checked, but not timed.
    pub warmup: Duration,
    /// Bytes of the echoed argument.
    pub argument: usize,
    /// Progress events expected before each result.
    pub progress: usize,
    /// Processes whose CPU time is taken, by name.
    pub pids: Vec<(String, i32)>,
}

/// When the measured part ends.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// After this time.
    After(Duration),
    /// After so many calls, all sessions together.
    Calls(u64),
}

/// What was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Measured calls that were answered rightly.
    pub requests: u64,
    /// Calls made in all, warm-up and failures included.
    pub sent: u64,
    /// Calls that were answered wrongly or not at all, and sessions that did not open.
    pub errors: u64,
    /// What the first of them was.
    pub first_error: Option<String>,
    /// Rightly answered calls a second.
    pub rps: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// CPU time a request in microseconds, by name of the process.
    pub cpu_us_per_request: BTreeMap<String, f64>,
}

/// One session's share.
#[derive(Default)]
struct Share {
    sent: u64,
    errors: u64,
    first_error: Option<String>,
    /// Nanoseconds.
    latencies: Vec<u32>,
}

/// What the sessions of one run have in common.
struct Run<'a> {
    plan: &'a Plan,
    shape: Shape,
    /// Met three times: all are warm, the figures before are taken, all have ended.
    phases: Barrier,
    issued: AtomicU64,
}

/// Runs the plan. Wrong and missing answers are in the report, not an error.
///
/// # Errors
/// When the CPU time of a process cannot be read.
pub fn run(plan: &Plan) -> Result<Report, Error> {
    let run = Run {
        plan,
        shape: Shape { argument: plan.argument, progress: plan.progress },
        phases: Barrier::new(plan.conns + 1),
        issued: AtomicU64::new(0),
    };
    let (shares, before, elapsed, after) = std::thread::scope(|scope| {
        let run = &run;
        let sessions: Vec<_> =
            (0..plan.conns).map(|number| scope.spawn(move || run.session(number))).collect();
        run.phases.wait();
        let before = cpu_times(plan);
        let start = now();
        run.phases.wait();
        run.phases.wait();
        let elapsed = start.elapsed();
        let after = cpu_times(plan);
        let shares: Vec<_> = sessions.into_iter().filter_map(|s| s.join().ok()).collect();
        (shares, before, elapsed, after)
    });
    let mut report = summarize(shares, elapsed);
    for ((name, _), (before, after)) in plan.pids.iter().zip(before?.into_iter().zip(after?)) {
        let used = after.saturating_sub(before).as_secs_f64() * 1e6;
        report.cpu_us_per_request.insert(name.clone(), used / report.requests.max(1) as f64);
    }
    Ok(report)
}

impl Run<'_> {
    fn session(&self, number: usize) -> Share {
        let (mut share, mut open) = (Share::default(), None);
        let warm = now() + self.plan.warmup;
        self.calls(number, &mut open, &mut share, || now() < warm);
        share.latencies.clear();
        self.phases.wait();
        self.phases.wait();
        match self.plan.stop {
            Stop::After(duration) => {
                let end = now() + duration;
                self.calls(number, &mut open, &mut share, || now() < end);
            }
            Stop::Calls(calls) => {
                let next = || self.issued.fetch_add(1, Ordering::Relaxed) < calls;
                self.calls(number, &mut open, &mut share, next);
            }
        }
        self.phases.wait();
        if let Some(Err(error)) = open.map(Session::close) {
            share.fail(&error);
        }
        share
    }

    /// Calls while `more` says so; after a failure it goes on with a new session.
    fn calls(
        &self,
        number: usize,
        open: &mut Option<Session>,
        share: &mut Share,
        mut more: impl FnMut() -> bool,
    ) {
        let mut failures = 0;
        let mut due = now();
        while failures < MAX_FAILURES {
            if let Some(pace) = self.plan.pace {
                std::thread::sleep(due.saturating_duration_since(now()));
                due += pace;
            }
            // Opening comes first, so that no session's handshake falls into the measured part.
            let mut session = match open.take().map_or_else(|| self.open(number, share), Ok) {
                Ok(session) => session,
                Err(error) => {
                    share.fail(&error);
                    failures += 1;
                    continue;
                }
            };
            if !more() {
                *open = Some(session);
                return;
            }
            share.sent += 1;
            let start = now();
            match session.call() {
                Ok(()) => {
                    let nanos = start.elapsed().as_nanos();
                    share.latencies.push(u32::try_from(nanos).unwrap_or(u32::MAX));
                    *open = Some(session);
                    failures = 0;
                }
                Err(error) => {
                    share.fail(&error);
                    failures += 1;
                }
            }
        }
    }

    fn open(&self, number: usize, share: &Share) -> Result<Session, Error> {
        let label = format!("c{number}.{}", share.errors);
        Session::open(&self.plan.url, self.plan.transport, self.shape, label)
    }
}

impl Share {
    fn fail(&mut self, error: &Error) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }
}

fn summarize(shares: Vec<Share>, elapsed: Duration) -> Report {
    let mut report = Report::default();
    let mut latencies = Vec::new();
    for share in shares {
        report.sent += share.sent;
        report.errors += share.errors;
        report.first_error = report.first_error.or(share.first_error);
        latencies.extend(share.latencies);
    }
    latencies.sort_unstable();
    report.requests = latencies.len() as u64;
    report.rps = report.requests as f64 / elapsed.as_secs_f64();
    report.p50_us = f64::from(percentile(&latencies, 50)) / 1e3;
    report.p99_us = f64::from(percentile(&latencies, 99)) / 1e3;
    report
}

fn cpu_times(plan: &Plan) -> Result<Vec<Duration>, Error> {
    plan.pids.iter().map(|(_, pid)| cpu::used(*pid)).collect()
}

#[expect(clippy::disallowed_methods, reason = "measuring real time is what this tool is for")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
