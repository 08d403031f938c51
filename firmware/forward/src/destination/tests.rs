use super::*;
use crate::item::tests::item;
use crate::metrics::Families;
use crate::send::{Attempt, Outcome};
use bramble_runtime::{BudgetName, SystemClock};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A destination that does as it is told.
struct Fake {
    taken: Mutex<Vec<(String, u64, bool)>>,
    answer: Mutex<Outcome>,
    /// While set, requests hang.
    hangs: watch::Sender<bool>,
    attempts: AtomicUsize,
}

impl Fake {
    fn new(answer: Outcome) -> Arc<Fake> {
        let (taken, answer) = (Mutex::default(), Mutex::new(answer));
        Arc::new(Fake { taken, answer, hangs: watch::Sender::new(false), attempts: AtomicUsize::new(0) })
    }

    fn says(&self, outcome: Outcome) {
        *self.answer.lock() = outcome;
    }

    fn numbers(&self) -> Vec<u64> {
        self.taken.lock().iter().map(|(_, number, _)| *number).collect()
    }
}

impl Transport for Fake {
    fn send<'a>(&'a self, item: &'a Item, late: bool) -> Attempt<'a> {
        Box::pin(async move {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            _ = self.hangs.subscribe().wait_for(|hangs| !hangs).await;
            let outcome = self.answer.lock().clone();
            if matches!(outcome, Outcome::Taken { .. }) {
                let origin = item.origin.as_ref().unwrap();
                self.taken.lock().push((origin.lane.to_string(), origin.sequence, late));
            }
            outcome
        })
    }
}

struct Bench {
    _directory: tempfile::TempDir,
    settings: Settings,
    fake: Arc<Fake>,
    families: Families,
    destination: Arc<Destination>,
    settled: Arc<Mutex<Vec<(u64, Settled)>>>,
}

fn start(settings: &Settings, fake: &Arc<Fake>, families: &Families) -> Arc<Destination> {
    let budget = Budget::standalone(BudgetName::Receive, 8 << 20);
    let metrics = families.of(&settings.name);
    Destination::start(settings.clone(), fake.clone(), None, Arc::new(SystemClock::new()), budget, metrics)
}

impl Bench {
    fn new(answer: Outcome, change: impl FnOnce(&mut Settings)) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            name: "fake".into(),
            in_order: false,
            is_watched: false,
            hands_over_again: false,
            spool: SpoolOptions { bytes_max: 4 << 20, age_max_ms: i64::MAX / 2 },
            spool_directory: directory.path().join("spool/fake"),
            memory_max: 1 << 20,
            retry_min: Duration::from_millis(1),
            retry_max: Duration::from_millis(20),
            patience: Duration::from_millis(50),
            seed: 1,
        };
        change(&mut settings);
        let fake = Fake::new(answer);
        let families = Families::new(&prometheus::Registry::new()).unwrap();
        let destination = start(&settings, &fake, &families);
        Bench { _directory: directory, settings, fake, families, destination, settled: Arc::default() }
    }

    fn submit(&self, numbers: std::ops::RangeInclusive<u64>) {
        numbers.for_each(|number| self.submit_one(number, 100, false));
    }

    fn submit_one(&self, number: u64, bytes: usize, is_patient: bool) {
        let settled = self.settled.clone();
        let settle = Box::new(move |how| settled.lock().push((number, how)));
        self.destination.submit(item(number, bytes), "files".into(), is_patient, Some(settle));
    }

    /// Waits until so many were settled in that way.
    async fn settled(&self, how: &Settled, count: usize) {
        self.until(|| self.settled.lock().iter().filter(|(_, settled)| settled == how).count() >= count).await;
    }

    async fn until(&self, is: impl Fn() -> bool) {
        let waiting = async {
            while !is() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let seen = || format!("{:?} {:?} {:?}", self.destination.status(), self.settled.lock(), self.fake.taken.lock());
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("{}", seen()));
    }
}

fn away() -> Outcome {
    Outcome::Away("connection refused".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_takes_them_nothing_touches_the_disk() {
    let bench = Bench::new(Outcome::taken(), |_| {});
    bench.submit(1..=50);
    bench.settled(&Settled::Sent, 50).await;
    assert_eq!(bench.fake.numbers(), (1..=50).collect::<Vec<_>>());
    assert!(!bench.settings.spool_directory.join("journal").exists());
    bench.destination.finish(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_on_disk_arrives_once_and_in_order_beside_live_items() {
    let bench = Bench::new(away(), |_| {});
    bench.submit(1..=30);
    bench.settled(&Settled::Spooled, 30).await;
    assert!(!bench.destination.status().connected);
    bench.fake.says(Outcome::taken());
    bench.until(|| bench.fake.numbers().len() == 30).await;
    bench.submit(31..=35);
    bench.until(|| bench.fake.numbers().len() == 35).await;
    let taken = bench.fake.taken.lock().clone();
    let late: Vec<u64> = taken.iter().filter(|(_, _, late)| *late).map(|(_, number, _)| *number).collect();
    assert_eq!(late[..30], (1..=30).collect::<Vec<_>>()[..]);
    let mut all = bench.fake.numbers();
    all.sort_unstable();
    assert_eq!(all, (1..=35).collect::<Vec<_>>());
    bench.until(|| bench.destination.status().items == 0).await;
    assert!(bench.destination.status().connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_with_what_is_on_disk() {
    let bench = Bench::new(away(), |_| {});
    bench.submit(1..=20);
    bench.settled(&Settled::Spooled, 20).await;
    bench.destination.finish(Duration::ZERO).await;
    bench.fake.says(Outcome::taken());
    let again = start(&bench.settings, &bench.fake, &bench.families);
    bench.until(|| bench.fake.numbers().len() == 20).await;
    assert_eq!(bench.fake.numbers(), (1..=20).collect::<Vec<_>>());
    bench.until(|| again.found().is_some()).await;
    assert_eq!(again.found().unwrap()["files"].sequence, 20);
    bench.until(|| again.status().items == 0).await;
    again.finish(Duration::from_secs(1)).await;
    let third = start(&bench.settings, &bench.fake, &bench.families);
    bench.until(|| third.found().is_some()).await;
    third.finish(Duration::from_millis(10)).await;
    assert_eq!(bench.fake.numbers().len(), 20, "what was settled does not come again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_items_keep_off_the_lane_of_those_on_disk() {
    let bench = Bench::new(away(), |settings| settings.is_watched = true);
    bench.submit(1..=3);
    bench.settled(&Settled::Spooled, 3).await;
    bench.fake.hangs.send_replace(true);
    bench.fake.says(Outcome::taken());
    bench.destination.set_connected(true, None);
    bench.until(|| bench.fake.attempts.load(Ordering::SeqCst) == 1).await;
    bench.submit(4..=5);
    bench.until(|| bench.fake.attempts.load(Ordering::SeqCst) == 2).await;
    bench.fake.hangs.send_replace(false);
    bench.until(|| bench.fake.numbers().len() == 5).await;
    let taken = bench.fake.taken.lock().clone();
    for (lane, number, late) in taken {
        assert_eq!((lane.as_str(), late), if number < 4 { ("files", true) } else { ("files/1", false) }, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_order_matters_nothing_overtakes() {
    let bench = Bench::new(away(), |settings| settings.in_order = true);
    bench.submit(1..=20);
    bench.settled(&Settled::Spooled, 20).await;
    bench.fake.says(Outcome::taken());
    bench.submit(21..=40);
    bench.until(|| bench.fake.numbers().len() == 40).await;
    bench.submit(41..=45);
    bench.until(|| bench.fake.numbers().len() == 45).await;
    assert_eq!(bench.fake.numbers(), (1..=45).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_good_is_dropped_and_counted() {
    let bench = Bench::new(Outcome::Refused("HTTP 400".into()), |_| {});
    bench.submit(1..=4);
    bench.settled(&Settled::Dropped, 4).await;
    assert_eq!((bench.destination.status().dropped_items, bench.destination.status().connected), (12, true));
    assert_eq!(bench.destination.status().last_error.unwrap().1, "HTTP 400");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_is_waited_for() {
    let busy = Outcome::Later { after: Some(Duration::from_millis(300)), why: "busy".into() };
    let bench = Bench::new(busy, |settings| settings.patience = Duration::from_secs(10));
    let begun = std::time::Instant::now();
    bench.submit(1..=1);
    bench.until(|| bench.fake.attempts.load(Ordering::SeqCst) == 1).await;
    bench.fake.says(Outcome::taken());
    bench.settled(&Settled::Sent, 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(bench.fake.attempts.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_destination_fills_neither_memory_nor_loses_anything() {
    let bench = Bench::new(Outcome::taken(), |settings| settings.memory_max = 2000);
    bench.fake.hangs.send_replace(true);
    // Far more than memory takes: the request under way is given up after a while, all goes to disk.
    for number in 1..=100 {
        bench.submit(number..=number);
        bench.until(|| bench.destination.memory_bytes() < 4000).await;
    }
    bench.settled(&Settled::Spooled, 90).await;
    bench.fake.hangs.send_replace(false);
    bench.until(|| bench.fake.numbers().len() >= 100).await;
    let mut all = bench.fake.numbers();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (1..=100).collect::<Vec<_>>());
}

/// What nobody waits for goes to disk later, unless somebody comes who cannot wait, or there is much of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_patient_waits_for_company() {
    let bench = Bench::new(away(), |settings| settings.is_watched = true);
    bench.destination.set_connected(false, Some("away".into()));
    // Past the time in which nobody can know whether it is there.
    bench.submit(1..=1);
    bench.settled(&Settled::Spooled, 1).await;
    let begun = std::time::Instant::now();
    bench.submit_one(2, 100, true);
    bench.settled(&Settled::Spooled, 2).await;
    assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
    bench.submit_one(3, 100, true);
    bench.submit_one(4, 100, false);
    bench.settled(&Settled::Spooled, 4).await;
    bench.submit_one(5, 80 << 10, true);
    bench.settled(&Settled::Spooled, 5).await;
    let order: Vec<u64> = bench.settled.lock().iter().map(|(number, _)| *number).collect();
    assert_eq!(order, [1, 2, 3, 4, 5]);
    assert_eq!(bench.destination.status().items, 15);
}
