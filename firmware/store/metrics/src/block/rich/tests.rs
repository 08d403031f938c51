//! What is written into rich pages comes back, and strange bytes do no harm.

use super::exemplars::{decode_exemplars, encode_exemplars};
use super::histograms::{HistogramPage, HistogramPages};
use super::starts::{StartPages, StartsPage};
use crate::exemplars::Exemplars;
use bramble_signal::{BucketSpan, Exemplar, Labels, NativeHistogram, ResetHint};
use proptest::prelude::*;

fn count() -> impl Strategy<Value = f64> {
    prop_oneof![4 => (0u32..500).prop_map(f64::from), 1 => (0u32..500).prop_map(|n| f64::from(n) / 8.0), 1 => Just(-0.0), 1 => any::<u64>().prop_map(f64::from_bits)]
}

fn side() -> impl Strategy<Value = (Vec<BucketSpan>, Vec<f64>)> {
    let span = (0i32..4, proptest::collection::vec(count(), 0..6));
    (-20i32..20, proptest::collection::vec(span, 0..4)).prop_map(|(first, spans)| {
        let of = |(at, (gap, counts)): (usize, &(i32, Vec<f64>))| BucketSpan {
            offset: if at == 0 { first } else { *gap },
            length: counts.len() as u32,
        };
        (spans.iter().enumerate().map(of).collect(), spans.into_iter().flat_map(|(_, counts)| counts).collect())
    })
}

prop_compose! {
    fn histogram()(
        schema in prop_oneof![Just(3i8), Just(2i8), Just(-53i8)],
        hint in 0usize..4,
        zero_threshold in prop_oneof![Just(0.0), Just(1e-128), count()],
        (zero_count, extra, sum) in (count(), prop_oneof![Just(0.0), count()], count()),
        positive in side(),
        negative in side(),
        bounds in prop_oneof![Just(vec![]), Just(vec![0.5, 1.0]), proptest::collection::vec(count(), 0..3)],
    ) -> NativeHistogram {
        let hints = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];
        let total = positive.1.iter().chain(&negative.1).fold(zero_count, |sum, c| sum + c);
        NativeHistogram {
            schema,
            reset_hint: hints[hint],
            zero_threshold,
            zero_count,
            count: if extra == 0.0 { total } else { extra },
            sum,
            positive_spans: positive.0,
            positive_counts: positive.1,
            negative_spans: negative.0,
            negative_counts: negative.1,
            custom_bounds: bounds,
        }
    }
}

/// Exactly what it is, bit for bit.
fn bits(h: &NativeHistogram) -> impl PartialEq + std::fmt::Debug + use<> {
    let numbers = [h.zero_threshold, h.zero_count, h.count, h.sum].into_iter();
    let numbers = numbers.chain(h.positive_counts.iter().chain(&h.negative_counts).chain(&h.custom_bounds).copied());
    let spans = (h.positive_spans.clone(), h.negative_spans.clone());
    (h.schema, h.reset_hint, spans, numbers.map(f64::to_bits).collect::<Vec<_>>())
}

fn page_of(series: &[(u32, Vec<NativeHistogram>)]) -> Vec<u8> {
    let (mut pages, mut page) = (HistogramPages::default(), Vec::new());
    for (number, own) in series {
        let all: Vec<_> = own.iter().collect();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            rest = pages.push(*number, rest);
        }
    }
    assert_eq!(pages.finish(&mut page).unwrap().is_some(), series.iter().any(|(_, own)| !own.is_empty()));
    page
}

fn read(page: &[u8], series: u32, wanted: std::ops::Range<usize>) -> Option<Vec<NativeHistogram>> {
    let (mut out, mut passed) = (Vec::new(), 0);
    HistogramPage::open(page)?.read(page, series, &wanted, &mut passed, &mut out)?;
    Some(out)
}

proptest! {
    #[test]
    fn histograms_come_back(
        series in proptest::collection::btree_map(0u32..50, proptest::collection::vec((histogram(), 1usize..5), 1..6), 1..5),
        from in 0usize..8,
        many in 0usize..8,
    ) {
        // Repeated with other sums: as a series' histograms mostly are.
        let grown = |(h, times): (NativeHistogram, usize)| (0..times).map(move |n| NativeHistogram { sum: n as f64, ..h.clone() });
        let series: Vec<(u32, Vec<_>)> =
            series.into_iter().map(|(number, own)| (number, own.into_iter().flat_map(grown).collect())).collect();
        let page = page_of(&series);
        for (number, own) in &series {
            let wanted = from.min(own.len())..(from + many).min(own.len());
            let found = read(&page, *number, wanted.clone()).unwrap();
            prop_assert_eq!(found.iter().map(bits).collect::<Vec<_>>(), own[wanted].iter().map(bits).collect::<Vec<_>>());
        }
        prop_assert_eq!(read(&page, 99, 0..9), Some(Vec::new()));
    }

    #[test]
    fn damaged_histogram_pages_do_no_harm(one in histogram(), at in any::<prop::sample::Index>(), byte in any::<u8>(), noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut page = page_of(&[(3, vec![one.clone(), one])]);
        let place = at.index(page.len());
        page[place] = byte;
        let _ = read(&page, 3, 0..2);
        let _ = read(&noise, 3, 0..2);
        // Behind the compression, where a checksum does not help.
        let mut head = Vec::new();
        crate::bytes::put_varint(&mut head, noise.len() as u64);
        crate::bytes::put_bytes(&mut head, &zstd::bulk::compress(&noise, 3).unwrap());
        let from = page.len() - 20.min(page.len());
        head.extend_from_slice(&page[from..]);
        let _ = read(&head, 3, 0..2);
    }

    #[test]
    fn starts_come_back(series in proptest::collection::btree_map(0u32..50, proptest::collection::btree_map(0u32..100, any::<i64>(), 0..5), 0..9), cut in 0u32..100, noise in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (mut pages, mut page) = (StartPages::default(), Vec::new());
        for (number, runs) in &series {
            let runs: Vec<(u32, i64)> = runs.iter().map(|(at, start)| (*at, *start)).collect();
            pages.push(*number, &runs, cut as usize..100);
        }
        if let Some((first, _)) = pages.finish(&mut page) {
            let open = StartsPage::open(&page, first).unwrap();
            for (number, runs) in &series {
                let mut own = crate::samples::StartRuns::new(open.runs(*number));
                for at in cut..100 {
                    let wanted = runs.range(..=at).next_back().map_or(0, |(_, start)| *start);
                    prop_assert_eq!(own.at(at - cut), wanted);
                }
            }
        }
        let _ = StartsPage::open(&noise, 0);
        let _ = decode_exemplars(&noise, &mut |_, _| {});
    }
}

#[test]
fn exemplars_come_back() {
    let mut all = Exemplars::new(1 << 20);
    for series in 0..2000i64 {
        let labels = Labels::from_pairs([("__name__", "h"), ("n", series.to_string().as_str())]);
        for at in 0..3 {
            let id = format!("{series:016x}{at:016x}");
            let exemplar = Exemplar {
                labels: Labels::from_pairs([("trace_id", id.as_str())]),
                value: 0.5,
                timestamp_ms: series - at,
            };
            all.push(&labels.as_bytes().to_vec(), &exemplar);
        }
    }
    let (pages, mut read) = (encode_exemplars(&all), Exemplars::new(1 << 20));
    assert!(pages.len() > 1);
    for (page, min_ms, max_ms) in &pages {
        decode_exemplars(page, &mut |labels, exemplar| {
            assert!((*min_ms..=*max_ms).contains(&exemplar.timestamp_ms));
            read.push(&labels.as_bytes().to_vec(), &exemplar);
        })
        .unwrap();
    }
    assert!(all.iter().eq(read.iter()));
}

#[test]
fn a_page_of_growing_histograms_is_small_and_keeps_series_apart() {
    // A latency histogram: 40 buckets, of which a few grow between scrapes.
    let of = |series: u32| -> Vec<NativeHistogram> {
        let mut counts = vec![0u32; 40];
        let mut random = u64::from(series) + 1;
        let mut next = |counts: &mut Vec<u32>| {
            for _ in 0..20 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let sum = (0..4).map(|i| (random >> (20 + 10 * i)) & 1023).sum::<u64>() as usize;
                counts[sum * 40 / 4096] += 1;
            }
            let positive_counts: Vec<f64> = counts.iter().map(|c| f64::from(*c)).collect();
            NativeHistogram {
                schema: 3,
                count: positive_counts.iter().sum(),
                sum: f64::from(counts.iter().sum::<u32>()) * 0.125,
                positive_spans: vec![BucketSpan { offset: -20, length: 40 }],
                positive_counts,
                ..NativeHistogram::default()
            }
        };
        (0..240).map(|_| next(&mut counts)).collect()
    };
    let series: Vec<(u32, Vec<_>)> = (0..4).map(|n| (n, of(n))).collect();
    let page = page_of(&series);
    assert!(page.len() / (4 * 240) < 20, "{} bytes for each of 40 buckets", page.len() / (4 * 240));
    assert_eq!(read(&page, 2, 100..103).unwrap(), series[2].1[100..103]);
}
