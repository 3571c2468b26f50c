use std::sync::Arc;
use std::time::Duration;

use domain::{Health, Slot};
use tempfile::TempDir;
use testkit::clock::ManualClock;

use super::{BATCH, Next, REST, SOON, Writer};
use crate::fixture;
use crate::log::Shared;
use crate::store::Store;
use crate::{Config, Stats};

/// A writer without a thread: the test takes its turns.
struct Bench {
    writer: Writer,
    shared: Arc<Shared>,
    clock: Arc<ManualClock>,
    config: Config,
    _directory: TempDir,
}

fn bench(change: impl FnOnce(&mut Config)) -> Bench {
    let (mut config, directory) = fixture::config();
    change(&mut config);
    let clock = fixture::clock();
    let store = Store::open(&config.db_path).unwrap();
    let (shared, receiver) = Shared::new(&config);
    let time = Arc::<ManualClock>::clone(&clock);
    let writer = Writer::new(&config, store, Arc::clone(&shared), receiver, time);
    Bench { writer, shared, clock, config, _directory: directory }
}

impl Bench {
    fn slot(&self) -> Box<dyn Slot> {
        self.shared.try_slot().unwrap()
    }

    fn record(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.slot().record(fixture::event(number));
        }
    }

    fn settle(&mut self) {
        while self.writer.turn() == Next::Turn {}
    }

    fn down(&self) -> String {
        match self.shared.health() {
            Health::Down(reason) => reason,
            Health::Up => panic!("the log is up"),
        }
    }
}

#[test]
fn what_gathered_is_committed_together_and_then_it_rests() {
    let mut bench = bench(|config| config.flush_interval = domain::Span::millis(123));
    bench.settle();
    bench.record(0..40);
    assert_eq!(bench.shared.stats(), Stats { queued: 40, ..Stats::default() });
    assert_eq!(bench.writer.turn(), Next::Wait(Duration::from_millis(123)));
    assert_eq!(bench.shared.stats(), Stats { written: 40, flushes: 1, ..Stats::default() });
    assert!(bench.shared.is_idle());
    bench.record(40..43);
    assert_eq!(bench.writer.turn(), Next::Wait(SOON), "a few rows are no load");
    assert_eq!(bench.writer.turn(), Next::Wait(REST));
    assert_eq!(bench.shared.stats().flushes, 2, "nothing is committed when there is nothing");
    bench.record(43..44);
    assert!(!bench.shared.rest(), "what came in the meantime is not slept over");
}

#[test]
fn a_batch_has_a_bound_and_the_next_follows_at_once() {
    let mut bench = bench(|_| {});
    bench.settle();
    let batch = u32::try_from(BATCH).unwrap();
    bench.record(0..batch + 1);
    assert_eq!(bench.writer.turn(), Next::Turn);
    assert_eq!(bench.shared.stats().queued, 1);
    assert!(matches!(bench.writer.turn(), Next::Wait(_)));
    assert_eq!(fixture::rows(&bench.config.db_path).len(), BATCH + 1);
}

#[test]
fn a_full_disk_holds_the_rows_until_there_is_room() {
    let mut bench = bench(|config| config.buffer_size = 200);
    bench.settle();
    let limit = |bench: &mut Bench, pages: i64| {
        let set = format!("PRAGMA max_page_count = {pages}");
        bench.writer.store.with(|db| db.query_row(&set, [], |_| Ok(()))).unwrap();
    };
    limit(&mut bench, 1);
    bench.record(0..200);
    assert_eq!(bench.writer.turn(), Next::Wait(Duration::from_millis(50)));
    assert_eq!(bench.writer.turn(), Next::Wait(Duration::from_millis(100)));
    let reason = bench.down();
    assert!(reason.contains("audit.db") && reason.contains("full"), "{reason}");
    assert!(bench.shared.try_slot().is_none(), "the rows keep their room");
    assert_eq!(bench.shared.stats(), Stats { queued: 200, ..Stats::default() });
    limit(&mut bench, 1_000_000);
    bench.settle();
    assert_eq!(bench.shared.health(), Health::Up);
    assert_eq!(bench.shared.stats(), Stats { written: 200, flushes: 1, ..Stats::default() });
    assert_eq!(fixture::rows(&bench.config.db_path).len(), 200);
    limit(&mut bench, 1);
    bench.record(0..200);
    assert_eq!(bench.writer.turn(), Next::Wait(Duration::from_millis(50)), "patience is restored");
}

#[test]
fn old_rows_go_between_batches() {
    let mut bench = bench(|config| config.retention_days = 1);
    bench.record(0..900);
    assert!(bench.writer.turn() == Next::Turn, "the first sweep is due at the start");
    bench.settle();
    bench.record(200_000..200_001);
    bench.clock.advance(Duration::from_secs(200_000));
    assert_eq!(bench.writer.turn(), Next::Turn);
    assert_eq!(fixture::rows(&bench.config.db_path).len(), 401);
    bench.record(200_001..200_002);
    assert_eq!(bench.writer.turn(), Next::Turn);
    assert_eq!(fixture::rows(&bench.config.db_path).len(), 2);
    bench.settle();
    assert_eq!(bench.shared.health(), Health::Up);
}
