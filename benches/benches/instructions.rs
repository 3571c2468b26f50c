//! How many instructions the steps of a message take: the same on a busy machine as on an idle one. Counted by
//! valgrind, once a case and warm, the release of what comes out left out. Run with `make bench`, which brings the runner.
#![expect(missing_docs, clippy::expect_used, reason = "a report, not part of the gateway")]

mod cases {
    pub(crate) mod decide;
    pub(crate) mod log;
    pub(crate) mod route;
    pub(crate) mod sets;
}

use std::hint::black_box;
use std::sync::Arc;

use audit::Reader;
use bytes::Bytes;
use domain::{Decision, Policy};
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use policy::{PolicyEngine, Sources};
use protocol::Message;
use replay::{Judge, Options, Report};
use router::{Reply, Router};
use session::Session;
use tempfile::TempDir;

use crate::cases::decide::{Call, engine, four_rules, four_rules_apart, rules_as_data};
use crate::cases::log::{CANDIDATE, RECORDED, judge, record};
use crate::cases::route::{call, open, policy, router, send};
use crate::cases::sets::{one_condition, shipped};

/// Runs before the one that is counted.
const WARM_UP: usize = 3;

#[library_benchmark]
#[bench::of_300_bytes(call(300))]
fn parse(message: Bytes) -> Message {
    Message::parse(black_box(message)).expect("the message is valid")
}

struct Routing {
    router: Arc<Router>,
    session: Arc<Session>,
    message: Bytes,
}

fn routing(sources: Sources, cached: bool) -> Routing {
    let router = router(policy(&sources, cached), Arc::new(audit::Disabled));
    let session = open(&router);
    let message = call(300);
    for _ in 0..WARM_UP {
        send(&router, &session, message.clone());
    }
    Routing { router, session, message }
}

#[library_benchmark(setup = routing)]
#[bench::one_condition_cached(one_condition(), true)]
#[bench::shipped_cached(shipped(), true)]
#[bench::shipped_uncached(shipped(), false)]
fn route(on: Routing) -> (Reply, Routing) {
    (send(&on.router, &on.session, on.message.clone()), on)
}

fn deciding(sources: Sources, cached: bool) -> (Arc<PolicyEngine>, Call) {
    let (engine, call) = (engine(&sources, cached), Call::new());
    for _ in 0..WARM_UP {
        engine.decide(&call.input());
    }
    (engine, call)
}

#[library_benchmark(setup = deciding)]
#[bench::one_condition_uncached(one_condition(), false)]
#[bench::one_condition_cached(one_condition(), true)]
#[bench::four_rules_uncached(four_rules(), false)]
#[bench::four_rules_counter_apart_cached(four_rules_apart(), true)]
#[bench::shipped_uncached(shipped(), false)]
#[bench::shipped_cached(shipped(), true)]
#[bench::rules_as_data_1000_uncached(rules_as_data(1_000), false)]
#[bench::rules_as_data_10000_uncached(rules_as_data(10_000), false)]
fn decide(by: (Arc<PolicyEngine>, Call)) -> (Decision, (Arc<PolicyEngine>, Call)) {
    (by.0.decide(&black_box(by.1.input())), by)
}

struct Recorded {
    reader: Reader,
    candidate: Judge,
    /// Removed when dropped.
    _folder: TempDir,
}

fn recorded(rows: u64) -> Recorded {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.db");
    record(&path, judge(RECORDED).revision(), rows);
    let reader = Reader::open(&path).expect("the log");
    Recorded { reader, candidate: judge(CANDIDATE), _folder: folder }
}

// What one row takes is the difference of the two, divided by 1,000.
#[library_benchmark(setup = recorded)]
#[bench::of_1000_rows(1_000)]
#[bench::of_2000_rows(2_000)]
fn replay_rows(of: Recorded) -> (Report, Recorded) {
    (replay::run(&of.reader, &of.candidate, Options::default()).expect("a report"), of)
}

library_benchmark_group!(name = steps, benchmarks = [parse, route, decide, replay_rows]);
main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::with_args(["--cache-sim=no"]).format([EventKind::Ir])),
    library_benchmark_groups = steps
);
