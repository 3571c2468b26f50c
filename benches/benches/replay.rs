//! How many recorded decisions a core replays a second, reading the log included. Run with
//! `cargo bench -p benches --bench replay`.
#![expect(clippy::expect_used, reason = "a report, not part of the gateway")]

mod cases {
    pub(crate) mod log;
}

use audit::Reader;
use criterion::{Criterion, Throughput};
use replay::Options;

use crate::cases::log::{CANDIDATE, RECORDED, judge, record};

const ROWS: u64 = 20_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.db");
    let recorded = [judge(RECORDED)];
    record(&path, recorded[0].revision(), ROWS);
    let reader = Reader::open(&path).expect("the log");
    let candidate = judge(CANDIDATE);
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("a candidate", |bencher| {
        bencher.iter(|| replay::run(&reader, &candidate, Options::default()).expect("a report"));
    });
    let options = Options { recorded: &recorded, ..Options::default() };
    group.bench_function("the evidence, then a candidate", |bencher| {
        bencher.iter(|| replay::run(&reader, &candidate, options).expect("a report"));
    });
    group.finish();
    criterion.final_summary();
}
