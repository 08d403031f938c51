//! The rounds of one target: wait, scrape, hand over, report.
//!
//! A target is scraped at its own place within its interval, told by a hash of what it is, so that many targets do not come
//! at once and keep their place over restarts. A late round is made up by none: the next one is the next place.

use super::Shared;
use super::fetch::{NoPage, Page, fetch};
use super::live::{Health, LiveTarget, ScrapeStatus, Stop, Work};
use super::page::{PageContext, PageMemory};
use super::report::{self, REPORT_BYTES, Report};
use bramble_runtime::{OverBudget, Reservation};
use bramble_signal::MetricBatch;
use bramble_storage::{Urgency, WriteError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sample times this near their place in the interval are put on it, so that they are regular and so take less: a
/// hundredth of the interval, at most 10 ms.
const TOLERANCE_MS_MAX: i64 = 10;

/// Jobs with shorter intervals are for who watches: what they show is committed at once.
const WATCHED_MS: u64 = 5_000;

/// Pages from this size on are read on a thread that may block, bytes.
const LARGE_PAGE_BYTES: usize = 256 << 10;

/// What a task keeps between rounds.
#[derive(Default)]
struct Memory {
    page: PageMemory,
    /// What the series were made with; another job's rules make others.
    made_by: Option<Work>,
    reported: bool,
    counted_bytes: i64,
}

/// Scrapes until told to stop.
pub(super) async fn run(live: Arc<LiveTarget>, identity: u64, shared: Arc<Shared>) {
    let mut stop = live.stop.subscribe();
    let mut memory = Memory::default();
    let mut scheduled_ms = i64::MIN;
    loop {
        let work = live.work();
        let now_ms = shared.clock.wall_ms();
        let next_ms = next_place(now_ms, scheduled_ms, work.target.interval.ms(), identity ^ shared.seed);
        let wait = Duration::from_millis((next_ms - now_ms).max(0) as u64);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            () = live.changed.notified() => continue,
            () = tokio::time::sleep(wait) => {}
        }
        scheduled_ms = next_ms;
        let begin_ns = shared.clock.wall_ns();
        let began = Instant::now();
        let page = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            page = ask(&work, &shared) => page,
        };
        let round = Round { work, begin_ns, began, time_ms: sample_time(begin_ns, next_ms, interval_of(&live)) };
        finish_round(&live, &shared, &mut memory, round, page).await;
    }
    if *stop.borrow() == Stop::Lost {
        end(&live, &shared, &mut memory);
    }
    shared.counters.memory.sub(memory.counted_bytes);
}

fn interval_of(live: &LiveTarget) -> i64 {
    i64::try_from(live.work().target.interval.ms()).unwrap_or(i64::MAX)
}

/// One scrape under way.
struct Round {
    work: Work,
    begin_ns: i64,
    began: Instant,
    time_ms: i64,
}

async fn ask(work: &Work, shared: &Shared) -> Result<Page, NoPage> {
    match &work.forced_error {
        Some(error) => Err(error.clone().into()),
        None => fetch(&work.job.client, &work.job.config, &work.target, &shared.receive).await,
    }
}

/// Reads a page, hands its samples over and says how it went.
async fn finish_round(
    live: &Arc<LiveTarget>,
    shared: &Arc<Shared>,
    memory: &mut Memory,
    round: Round,
    page: Result<Page, NoPage>,
) {
    memory.take_settings(&round.work);
    let mut report = Report::default();
    let (batch, held) = match page {
        Ok(page) => {
            report.body_bytes = page.bytes.len() as f64;
            read_page(live, shared, memory, &round, page, &mut report).await
        }
        Err(no_page) => {
            report.body_bytes = if no_page.is_too_large { -1.0 } else { 0.0 };
            report.error = Some(no_page.why);
            let mut batch = MetricBatch::new();
            memory.page.end_all(round.time_ms, &mut batch);
            (batch, None)
        }
    };
    report.duration_seconds = round.began.elapsed().as_secs_f64();
    memory.count(shared);
    hand_over(shared, memory, &round, batch, held, &mut report);
    let outcome = if report.error.is_none() { "success" } else { "failure" };
    shared.counters.scrapes.with_label_values(&[outcome]).inc();
    shared.counters.duration.observe(report.duration_seconds);
    shared.counters.rejected.inc_by(report.counts.rejected);
    say(live, &round, report);
}

/// Remembers for `/targets` how a scrape went.
fn say(live: &LiveTarget, round: &Round, report: Report) {
    let mut status = live.status.lock();
    let is_news = match &report.error {
        Some(error) => *error != status.last_error,
        None => status.health == Health::Down,
    };
    if is_news {
        let (uri, job) = (&round.work.target.uri, &round.work.job.config.job_name);
        match &report.error {
            Some(error) => tracing::warn!(%job, target = %uri, %error, "scrape failed"),
            None => tracing::info!(%job, target = %uri, "scrape goes well again"),
        }
    }
    *status = ScrapeStatus {
        health: if report.error.is_none() { Health::Up } else { Health::Down },
        last_error: report.error.unwrap_or_default(),
        last_scrape_ns: Some(round.begin_ns),
        last_duration_seconds: report.duration_seconds,
        samples: report.counts.scraped,
        body_bytes: report.body_bytes.max(0.0) as usize,
    };
}

async fn read_page(
    live: &Arc<LiveTarget>,
    shared: &Arc<Shared>,
    memory: &mut Memory,
    round: &Round,
    page: Page,
    report: &mut Report,
) -> (MetricBatch, Option<Reservation>) {
    let (live, shared_too, work, time_ms) = (live.clone(), shared.clone(), round.work.clone(), round.time_ms);
    let mut mind = std::mem::take(&mut memory.page);
    let is_large = page.bytes.len() >= LARGE_PAGE_BYTES;
    let read = move || {
        let mut batch = MetricBatch::new();
        let context = PageContext {
            config: &work.job.config,
            labels: &work.target.labels,
            time_ms,
            cache_bytes_max: shared_too.cache_bytes_left(mind.memory_bytes()),
            shared: &shared_too.families,
        };
        let mut families = live.families.lock();
        let (counts, outcome) = mind.read(&page.bytes, page.format, &context, &mut families, &mut batch);
        drop(families);
        (mind, batch, page.held, counts, outcome)
    };
    let done = if is_large { tokio::task::spawn_blocking(read).await } else { Ok(read()) };
    match done {
        Ok((mind, batch, held, counts, outcome)) => {
            memory.page = mind;
            report.counts = counts;
            report.error = outcome.err();
            (batch, Some(held))
        }
        Err(error) => {
            // A panic while reading is a bug of ours; the target's memory is gone with it.
            report.error = Some(format!("the page could not be read: {error}"));
            (MetricBatch::new(), None)
        }
    }
}

/// Adds the series that tell of the scrape and gives all to the writer.
fn hand_over(
    shared: &Arc<Shared>,
    memory: &mut Memory,
    round: &Round,
    mut batch: MetricBatch,
    held: Option<Reservation>,
    report: &mut Report,
) {
    let Work { job, target, .. } = &round.work;
    // The memory of the page becomes that of the batch. Where that does not fit, the scrape failed.
    let held = match fit(shared, held, batch.memory_bytes() + REPORT_BYTES) {
        Ok(held) => held,
        Err(error) => {
            report.error = Some(error.to_string());
            batch = MetricBatch::new();
            memory.page.end_all(round.time_ms, &mut batch);
            match shared.receive.reserve(batch.memory_bytes() + REPORT_BYTES) {
                Ok(held) => held,
                Err(error) => {
                    shared.counters.dropped_batches.with_label_values(&[WriteError::from(error).reason()]).inc();
                    return;
                }
            }
        }
    };
    report.write(&target.labels, &job.config, target.timeout, round.time_ms, &mut batch);
    memory.reported = true;
    shared.counters.samples.inc_by(batch.sample_count() as u64);
    let is_watched = target.interval.ms() <= WATCHED_MS;
    shared.write(batch, held, if is_watched { Urgency::SenderWaits } else { Urgency::Background });
}

fn fit(shared: &Shared, held: Option<Reservation>, bytes: usize) -> Result<Reservation, OverBudget> {
    match held {
        Some(mut held) => held.resize(bytes).map(|()| held),
        None => shared.receive.reserve(bytes),
    }
}

/// Ends all series of a target that is gone, those that tell of its scrapes too.
fn end(live: &LiveTarget, shared: &Shared, memory: &mut Memory) {
    let (work, time_ms) = (live.work(), shared.clock.wall_ms());
    let mut batch = MetricBatch::new();
    memory.page.end_all(time_ms, &mut batch);
    if memory.reported {
        report::end(&work.target.labels, &work.job.config, time_ms, &mut batch);
    }
    if batch.is_empty() {
        return;
    }
    match shared.receive.reserve(batch.memory_bytes()) {
        Ok(held) => shared.write(batch, held, Urgency::Background),
        Err(error) => shared.counters.dropped_batches.with_label_values(&[WriteError::from(error).reason()]).inc(),
    }
}

impl Memory {
    /// Notices that the job's rules or the target's labels are others than those that the series were made with.
    fn take_settings(&mut self, work: &Work) {
        let is_same = |made: &Work| {
            let (a, b) = (&made.job.config, &work.job.config);
            Arc::ptr_eq(a, b)
                || (a.metric_relabel == b.metric_relabel
                    && a.honor_labels == b.honor_labels
                    && a.limits == b.limits
                    && a.utf8_names == b.utf8_names)
        };
        if self.made_by.as_ref().is_some_and(|made| !is_same(made)) {
            self.page.settings_changed();
        }
        self.made_by = Some(work.clone());
    }

    /// Accounts for what the page memory takes.
    fn count(&mut self, shared: &Shared) {
        let now = self.page.memory_bytes() as i64;
        shared.counters.memory.add(now - self.counted_bytes);
        self.counted_bytes = now;
    }
}

/// The time of a round's samples: its place in the interval, if it began close to that.
fn sample_time(begin_ns: i64, place_ms: i64, interval_ms: i64) -> i64 {
    let begin_ms = begin_ns.div_euclid(1_000_000);
    let tolerance = (interval_ms / 100).min(TOLERANCE_MS_MAX);
    if (begin_ms - place_ms).abs() <= tolerance { place_ms } else { begin_ms }
}

/// The next place of a target within its interval, after `now_ms` and after the place before.
fn next_place(now_ms: i64, before_ms: i64, interval_ms: u64, hash: u64) -> i64 {
    let interval = i64::try_from(interval_ms).unwrap_or(i64::MAX / 4).max(1);
    let offset = (hash % interval as u64) as i64;
    // A clock that was put back must not make anybody wait until it is where it was.
    let after = if before_ms > now_ms.saturating_add(interval) { now_ms } else { now_ms.max(before_ms) };
    (after - offset).div_euclid(interval) * interval + offset + interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_one_interval_apart() {
        let first = next_place(1_000_123, i64::MIN, 15_000, 7);
        assert!((1_000_123..=1_015_123).contains(&first) && first.rem_euclid(15_000) == 7);
        assert_eq!(next_place(first - 1, first, 15_000, 7), first + 15_000, "a timer that is early");
        assert_eq!(next_place(first + 40_000, first, 15_000, 7), first + 45_000, "a round that was late");
        let back = first - 3_600_000;
        assert!(next_place(back, first, 15_000, 7) - back <= 15_000, "a clock that was put back");
    }

    #[test]
    fn times_close_to_their_place_are_put_on_it() {
        assert_eq!(sample_time(1_009_000_000, 1_000, 15_000), 1_000);
        assert_eq!(sample_time(1_011_000_000, 1_000, 15_000), 1_011);
        assert_eq!(sample_time(1_009_000_000, 1_000, 100), 1_009);
    }
}
