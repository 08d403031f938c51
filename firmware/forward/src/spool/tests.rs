use super::*;
use crate::item::decode_batch;
use crate::item::tests::item;
use bramble_disk::{SimulatedDisk, SimulatedOptions, ThreadsDisk};
use bramble_runtime::Rng;
use bramble_storage::Batch;

const OPTIONS: SpoolOptions = SpoolOptions { bytes_max: 1 << 20, age_max_ms: 1_000_000 };

fn numbers(spool: &mut Spool, now_ms: i64, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < count
        && let Some(waiting) = spool.next(now_ms).unwrap()
    {
        let number = waiting.item.origin.as_ref().unwrap().sequence;
        if number.is_multiple_of(2) {
            let Ok(Batch::Logs(batch)) = decode_batch(waiting.item.signal, &waiting.item.payload) else {
                panic!("{number}")
            };
            let begin = format!("item {number} part 2 ");
            assert!(batch.entry(2).line.starts_with(begin.as_bytes()), "{number}");
        }
        seen.push(number);
        spool.settle(&waiting);
    }
    seen
}

/// A bit flips in the middle of an extent: what follows in it is lost, and counted, and nothing else.
#[test]
fn damage_takes_the_rest_of_its_extent_and_no_more() {
    for (extent, at) in [(1, 1000), (2, 60 * 4096 + 700), (2, 300), (3, 4096 + 100)] {
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
        let options = SpoolOptions { bytes_max: 4 << 20, ..OPTIONS };
        let mut spool = Spool::open(disk.clone(), options, 0).unwrap();
        for number in 1..=600 {
            spool.append(&[Arc::new(item(number, 2000))], 0).unwrap();
        }
        drop(spool);
        let mut files: Vec<_> =
            std::fs::read_dir(directory.path().join("journal")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 4, "{files:?}");
        let mut bytes = std::fs::read(&files[extent - 1]).unwrap();
        bytes[at] ^= 16;
        std::fs::write(&files[extent - 1], bytes).unwrap();
        let mut spool = Spool::open(disk, options, 0).unwrap();
        let waiting = spool.items().iter().sum::<u64>() / 3;
        let seen = numbers(&mut spool, 0, usize::MAX);
        assert!(seen.is_sorted() && seen.len() as u64 <= waiting, "{} of {waiting}", seen.len());
        let gaps: Vec<(u64, u64)> =
            seen.windows(2).map(|pair| (pair[0], pair[1])).filter(|(a, b)| a + 1 != *b).collect();
        assert!(gaps.len() <= 1 && seen.last() == Some(&600), "{gaps:?}");
        let missing = 600 - seen.len() as u64;
        assert!((1..=260).contains(&missing), "extent {extent} at {at}: {missing} missing");
        assert_eq!((spool.is_empty(), spool.take_dropped().damaged), (true, (waiting - seen.len() as u64) * 3));
    }
}

/// Random appends, deliveries, marks, restarts against a list: order is kept, nothing is lost but the oldest for want of room,
/// which is counted; after a restart at most what was not marked comes again.
#[test]
fn it_does_as_a_list_does() {
    for seed in 0..12 {
        let mut rng = Rng::new(seed);
        let directory = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
        let mut spool = Spool::open(disk.clone(), OPTIONS, 0).unwrap();
        let mut model: VecDeque<u64> = VecDeque::new();
        let mut delivered_after_mark: Vec<u64> = Vec::new();
        let mut number = 0;
        for _ in 0..250 {
            match rng.below(10) {
                0..4 => {
                    let largest = if rng.chance(0.1) { 300_000 } else { 3_000 };
                    let items: Vec<Arc<Item>> = (0..1 + rng.below(4))
                        .map(|_| {
                            number += 1;
                            Arc::new(item(number, rng.below(largest) as usize))
                        })
                        .collect();
                    spool.append(&items, 0).unwrap();
                    model.extend(items.iter().map(|item| item.origin.as_ref().unwrap().sequence));
                    let dropped = spool.take_dropped().full.iter().sum::<u64>() / 3;
                    model.drain(..dropped as usize);
                }
                4..7 => {
                    let got = numbers(&mut spool, 0, 1 + rng.below(5) as usize);
                    let expected: Vec<u64> = model.drain(..got.len()).collect();
                    assert_eq!(got, expected, "seed {seed}");
                    delivered_after_mark.extend(got);
                }
                7 => {
                    spool.mark(0, true).unwrap();
                    delivered_after_mark.clear();
                }
                8 => spool.rewind(),
                _ => {
                    drop(spool);
                    spool = Spool::open(disk.clone(), OPTIONS, 0).unwrap();
                    let dropped = spool.take_dropped();
                    assert_eq!(dropped, Dropped::default());
                    let again: Vec<u64> = numbers(&mut spool, 0, usize::MAX);
                    let repeated = again.iter().take_while(|number| model.front() != Some(number)).count();
                    assert_eq!(again[repeated..], model.make_contiguous()[..], "seed {seed}");
                    assert!(delivered_after_mark.ends_with(&again[..repeated]), "seed {seed}");
                    model.clear();
                    delivered_after_mark = again;
                }
            }
            assert_eq!(spool.items().iter().sum::<u64>(), model.len() as u64 * 3, "seed {seed}");
            assert_eq!(spool.is_empty(), model.is_empty());
            assert_eq!(spool.lanes().contains("files"), !model.is_empty());
            assert!(spool.bytes() <= OPTIONS.bytes_max);
        }
    }
}

#[test]
fn what_is_too_old_is_given_up_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(ThreadsDisk::new(directory.path()).unwrap());
    let options = SpoolOptions { age_max_ms: 100, ..OPTIONS };
    let mut spool = Spool::open(disk, options, 0).unwrap();
    // Item n was handed over at 10 n ms.
    let items: Vec<Arc<Item>> = (1..=20).map(|number| Arc::new(item(number, 100))).collect();
    spool.append(&items, 200).unwrap();
    assert_eq!(spool.oldest_ms(), Some(10));
    assert_eq!(numbers(&mut spool, 250, 2), [15, 16]);
    assert_eq!(spool.take_dropped().expired, [0, 14 * 3, 0]);
    spool.append(&[], 1000).unwrap();
    assert_eq!((spool.take_dropped().expired, spool.is_empty()), ([0, 4 * 3, 0], true));
}

/// Power is cut at any moment of a simulated disk: what `append` returned for is there afterwards, in order; what was
/// delivered comes again at most back to the last mark.
#[test]
fn no_power_cut_loses_what_was_appended() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let simulated = Arc::new(SimulatedDisk::new(seed, SimulatedOptions::default()));
        let mut appended: Vec<u64> = Vec::new();
        let (mut delivered, mut marked, mut number) = (0, 0, 0);
        for _life in 0..4 {
            let disk: Arc<dyn Disk> = simulated.clone();
            let mut spool = Spool::open(disk, OPTIONS, 0).unwrap();
            let left = numbers(&mut spool, 0, usize::MAX);
            // A commit that was cut may be there all the same.
            let known: Vec<u64> = left.iter().copied().filter(|number| appended.contains(number)).collect();
            let from = appended.iter().position(|number| Some(number) == known.first()).unwrap_or(appended.len());
            assert_eq!(known[..], appended[from..], "seed {seed}: in order, to the end");
            assert!(appended[..from].iter().all(|&number| number <= delivered), "seed {seed}: {appended:?} {left:?}");
            assert!(known.iter().all(|&number| number > marked), "seed {seed}");
            spool.rewind();
            delivered = left.last().copied().unwrap_or(delivered).max(delivered);
            appended.clear();
            number = number.max(delivered);
            simulated.cut_after_ops(1 + rng.below(60));
            loop {
                let result = match rng.below(4) {
                    0..2 => {
                        let items: Vec<Arc<Item>> =
                            (1..=1 + rng.below(3)).map(|n| Arc::new(item(number + n, 500))).collect();
                        number += items.len() as u64;
                        let result = spool.append(&items, 0);
                        if result.is_ok() {
                            appended.extend(items.iter().map(|item| item.origin.as_ref().unwrap().sequence));
                        }
                        result
                    }
                    2 => match spool.next(0) {
                        Ok(Some(waiting)) => {
                            delivered = waiting.item.origin.as_ref().unwrap().sequence;
                            spool.settle(&waiting);
                            Ok(())
                        }
                        Ok(None) => Ok(()),
                        Err(error) => Err(error),
                    },
                    _ => spool.mark(0, true).map(|()| marked = delivered),
                };
                if result.is_err() {
                    break;
                }
            }
            drop(spool);
            simulated.reboot();
        }
    }
}
