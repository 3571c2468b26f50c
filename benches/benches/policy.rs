//! What one decision costs, the making of its input included. Run with `cargo bench -p benches --bench policy`.
//!
//! The bars are those of issue 4, in `docs/performance.md`. A case is one line in [`main`].
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a report, not part of the gateway")]

mod cases {
    pub(crate) mod decide;
    pub(crate) mod sets;
}

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Duration;

use criterion::Criterion;
use domain::{Clock, Policy, SystemClock};
use policy::Sources;

use crate::cases::decide::{Call, engine, four_rules, four_rules_apart, rules_as_data};
use crate::cases::sets::{one_condition, shipped};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    case(&mut criterion, "decide, one condition, uncached", &one_condition(), false);
    case(&mut criterion, "decide, four rules, uncached", &four_rules(), false);
    case(&mut criterion, "decide, one condition, cached", &one_condition(), true);
    case(&mut criterion, "decide, four rules, counter apart, cached", &four_rules_apart(), true);
    case(&mut criterion, "decide, shipped set, uncached", &shipped(), false);
    case(&mut criterion, "decide, shipped set, cached", &shipped(), true);
    for entries in [10, 1_000, 10_000] {
        let name = format!("decide, {entries} rules as data, uncached");
        case(&mut criterion, &name, &rules_as_data(entries), false);
    }
    threads(&mut criterion);
    criterion.final_summary();
}

fn case(criterion: &mut Criterion, name: &str, sources: &Sources, cached: bool) {
    let engine = engine(sources, cached);
    let call = Call::new();
    criterion.bench_function(name, |bencher| bencher.iter(|| engine.decide(&call.input())));
}

/// As many decisions on each of two threads as on one: how much more is decided in the same time, beside what the
/// machine gives to bare arithmetic.
fn threads(criterion: &mut Criterion) {
    let engine = engine(&four_rules(), false);
    let decide = |each| {
        let call = Call::new();
        for _ in 0..each {
            black_box(engine.decide(&call.input()));
        }
    };
    for count in [1, 2] {
        let name = format!("decide, four rules, uncached, on {count} thread(s) at once");
        criterion.bench_function(&name, |bencher| {
            bencher.iter_custom(|each| on_threads(count, each, decide));
        });
    }
    println!(
        "two threads decide {:.2} times as much as one; of bare arithmetic they do {:.2} times as much\n",
        gain(100_000, decide),
        gain(500_000_000, |each| {
            black_box((0..each).fold(0_u64, |sum, number| black_box(sum ^ number)));
        })
    );
}

/// How many times as much two threads do as one: the median of some tries.
fn gain(each: u64, run: impl Fn(u64) + Sync) -> f64 {
    let mut gains = [(); 5].map(|()| {
        let (one, two) = (on_threads(1, each, &run), on_threads(2, each, &run));
        2.0 * one.as_secs_f64() / two.as_secs_f64()
    });
    gains.sort_by(f64::total_cmp);
    gains[2]
}

/// The time in which each of `count` threads does so much, after a first time, all of them starting together.
fn on_threads(count: usize, each: u64, run: impl Fn(u64) + Sync) -> Duration {
    let clock = SystemClock;
    let barrier = Barrier::new(count + 1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(|| {
                    run(1);
                    barrier.wait();
                    run(each);
                })
            })
            .collect();
        barrier.wait();
        let started = clock.monotonic();
        for thread in threads {
            thread.join().expect("the thread ends well");
        }
        clock.monotonic().saturating_duration_since(started)
    })
}
