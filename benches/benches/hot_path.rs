//! What one message costs inside the gateway, step by step: time by criterion, and the allocations
//! of one iteration beside it. Run with `cargo bench -p benches`.
//!
//! Times include the counting of allocations (a few ns for each) and the system's allocator.
//! A new step is one function that ends in [`step`], named in [`main`].
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a report, not part of the gateway")]

mod cases {
    pub(crate) mod route;
    pub(crate) mod sets;
}

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use domain::Recorder;
use policy::Sources;
use protocol::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::cases::route::{call, clock, open, path, policy, router, send};
use crate::cases::sets::{one_condition, shipped};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parse(&mut criterion);
    route(&mut criterion, "route, cached decision", &one_condition(), true);
    route(&mut criterion, "route, shipped policy", &shipped(), true);
    route(&mut criterion, "route, shipped policy, cache off", &shipped(), false);
    record(&mut criterion);
    criterion.final_summary();
}

fn parse(criterion: &mut Criterion) {
    let message = call(300);
    step(criterion, "parse tools/call 300 B", || {
        Message::parse(message.clone()).expect("the message is valid")
    });
}

/// The whole path of a permitted call but for I/O: parse, identify, decide, permit, answer, event.
fn route(criterion: &mut Criterion, name: &str, sources: &Sources, cached: bool) {
    let router = router(policy(sources, cached), Arc::new(audit::Disabled));
    let session = open(&router);
    let message = call(300);
    step(criterion, name, || send(&router, &session, message.clone()));
}

/// The same with rows written to a real log, at the pace of its writer.
fn record(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config =
        audit::Config { db_path: folder.path().join("audit.db"), ..audit::Config::default() };
    let log = Arc::new(audit::AuditLog::open(&config, clock()).expect("the log opens"));
    let router = router(policy(&one_condition(), true), Arc::clone(&log) as Arc<dyn Recorder>);
    let session = open(&router);
    let message = call(300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    step(criterion, "route and record, sustained", || {
        runtime.block_on(path(&router, &session, message.clone()))
    });
    log.shutdown();
}

/// Reports the time of `run`, and what one run of it allocates, its result included.
fn step<R>(criterion: &mut Criterion, name: &str, mut run: impl FnMut() -> R) {
    criterion.bench_function(name, |bencher| bencher.iter(&mut run));
    drop(black_box(run()));
    let region = Region::new(ALLOCATOR);
    drop(black_box(run()));
    let change = region.change();
    println!(
        "{name}: {} allocations, {} reallocations, {} bytes\n",
        change.allocations, change.reallocations, change.bytes_allocated
    );
}
