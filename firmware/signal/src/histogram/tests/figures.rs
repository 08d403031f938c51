use super::*;

#[track_caller]
fn add(a: &str, b: &str) -> NativeHistogram {
    let mut sum = histogram(a);
    sum.add(&histogram(b)).unwrap();
    sum
}

#[test]
fn resolutions_meet_at_the_lower() {
    // Schema 1's buckets 1 and 2 are (1,√2] and (√2,2]: schema 0's bucket 1. Bucket 3 is in (2,4].
    let fine = "{{schema:1 count:9 sum:7 offset:1 buckets:[2 3 4]}}";
    let coarse = "{{count:1 sum:1 offset:1 buckets:[1]}}";
    same(&add(fine, coarse), "{{count:10 sum:8 offset:1 buckets:[6 4]}}");
    same(&add(coarse, fine), "{{count:10 sum:8 offset:1 buckets:[6 4]}}");
    same(&histogram(fine).copy_to_schema(-1), "{{schema:-1 count:9 sum:7 offset:1 buckets:[9]}}");
    assert_eq!(histogram(fine).copy_to_schema(3), histogram(fine));
    // The same spans mean other buckets.
    let coarse = "{{count:3 offset:1 buckets:[1 2]}}";
    same(&add(coarse, "{{schema:1 count:7 offset:1 buckets:[3 4]}}"), "{{count:10 offset:1 buckets:[8 2]}}");
}

#[test]
fn zero_buckets_meet_at_the_wider_that_cuts_nothing() {
    // 0.6 lies in the populated (0.5,1]: the zero bucket grows to 1, on both sides.
    let wide = "{{count:5 sum:1 z_bucket:2 z_bucket_w:0.6 offset:1 buckets:[3]}}";
    let narrow = "{{count:15 sum:1 z_bucket:1 z_bucket_w:0.25 buckets:[4 5] n_offset:-1 n_buckets:[2 0 3]}}";
    let sum = "{{count:20 sum:2 z_bucket:9 z_bucket_w:1 offset:1 buckets:[8] n_offset:1 n_buckets:[3]}}";
    same(&add(wide, narrow), sum);
    same(&add(narrow, wide), sum);
    // An empty bucket does not hold it up.
    let narrow = "{{count:5 sum:1 z_bucket_w:0.25 buckets:[0 5]}}";
    same(&add(wide, narrow), "{{count:10 sum:2 z_bucket:2 z_bucket_w:0.6 offset:1 buckets:[8]}}");
    let mut difference = histogram(wide);
    difference.sub(&histogram("{{count:6 z_bucket:1 z_bucket_w:0.25 buckets:[4 1]}}")).unwrap();
    same(&difference, "{{count:-1 sum:1 z_bucket:-3 z_bucket_w:1 offset:1 buckets:[2]}}");
}

#[test]
fn a_swallowed_bucket_is_counted_once_when_resolution_falls_too() {
    // √2 is a bound of schema 1 but not of schema 0: (1,√2] goes into the zero bucket, only the rest into (1,2].
    let wide = format!("{{{{count:1 z_bucket:1 z_bucket_w:{}}}}}", exponential_bound(1, 1));
    let fine = "{{schema:1 count:5 offset:1 buckets:[2 3]}}";
    let sum = add(&wide, fine);
    assert_eq!((sum.zero_count, sum.positive_counts.as_slice()), (3.0, [3.0].as_slice()));
    assert_eq!(sum.count, 6.0);
}

#[test]
fn custom_bounds_meet_at_those_shared() {
    let mut a = histogram("{{schema:-53 sum:55 count:15 custom_values:[2 4 6] buckets:[1 2 5 7]}}");
    let b = histogram("{{schema:-53 sum:56 count:15 custom_values:[2 3 4 6] buckets:[1 0 1 5 8]}}");
    let notes = a.add(&b).unwrap();
    assert_eq!(notes, Notes { reset_hint_collision: false, bounds_reconciled: true });
    same(&a, "{{schema:-53 sum:111 count:30 custom_values:[2 4 6] buckets:[2 3 10 15]}}");
    let none = histogram("{{schema:-53 sum:1 count:1 custom_values:[7] buckets:[1]}}");
    a.sub(&none).unwrap();
    same(&a, "{{schema:-53 sum:110 count:29 custom_values:[] buckets:[29]}}");
    assert!(a.add(&NativeHistogram::default()) == Err(Incompatible));
    assert_eq!(a.clone().kahan_add(&NativeHistogram::default(), &mut None), Err(Incompatible));
}

#[test]
fn hints_meet() {
    use ResetHint::{Gauge, NotReset, Reset, Unknown};
    for (a, b, sum, collide) in [
        (Reset, Reset, Reset, false),
        (Reset, Gauge, Gauge, false),
        (Gauge, Unknown, Gauge, false),
        (Unknown, NotReset, Unknown, false),
        (Reset, NotReset, Unknown, true),
        (NotReset, Reset, Unknown, true),
    ] {
        let mut one = NativeHistogram { reset_hint: a, ..NativeHistogram::default() };
        let notes = one.add(&NativeHistogram { reset_hint: b, ..NativeHistogram::default() }).unwrap();
        assert_eq!((one.reset_hint, notes.reset_hint_collision), (sum, collide), "{a:?} + {b:?}");
    }
}

#[test]
fn compensation_keeps_what_rounding_loses() {
    let terms = [5.3, 1e100, 1.0, -1e100, 2.0, 1e50, -1e50];
    let (mut sum, mut lost) = (NativeHistogram::default(), None);
    for (step, term) in terms.into_iter().enumerate() {
        // Resolution falls on the way, the zero bucket grows. Schema 1's buckets 1 and 2 are schema 0's bucket 1.
        let buckets = if step < 3 { format!("[{term} {term}]") } else { format!("[{}]", 2.0 * term) };
        let schema = u8::from(step < 3);
        let literal = format!(
            "{{{{schema:{schema} count:1 sum:{term} z_bucket:{term} offset:1 buckets:{buckets} n_buckets:[{term}]}}}}"
        );
        let mut term = histogram(&literal);
        term.zero_threshold = if step > 4 { 0.001 } else { 0.0 };
        sum.kahan_add(&term, &mut lost).unwrap();
        let lost = lost.as_ref().unwrap();
        assert_eq!((lost.schema, &lost.positive_spans), (sum.schema, &sum.positive_spans));
        assert_eq!(lost.positive_counts.len(), sum.positive_counts.len());
    }
    sum.add(&lost.unwrap()).unwrap();
    assert_eq!((sum.sum, sum.zero_count, sum.count), (8.3, 8.3, 7.0));
    assert_eq!(sum.negative_counts, [8.3]);
    assert_eq!(sum.positive_counts.len(), 1);
    assert!((sum.positive_counts[0] - 2.0 * 8.3).abs() < 1e-12, "{sum:?}");
}

#[test]
fn compensation_moves_into_the_zero_bucket_with_its_bucket() {
    let (mut sum, mut lost) = (histogram("{{z_bucket_w:0.1 buckets:[1e100 0 7]}}"), None);
    for term in [1.5, -1e100] {
        let term = histogram(&format!("{{{{z_bucket_w:0.1 buckets:[{term}]}}}}"));
        sum.kahan_add(&term, &mut lost).unwrap();
    }
    sum.kahan_add(&histogram("{{z_bucket:1 z_bucket_w:1}}"), &mut lost).unwrap();
    sum.add(&lost.unwrap()).unwrap();
    same(&sum, "{{z_bucket:2.5 z_bucket_w:1 offset:2 buckets:[7]}}");
}

#[test]
fn scaling() {
    let mut one = histogram("{{count:6 sum:3 z_bucket:1 z_bucket_w:0.1 buckets:[2 3]}}");
    one.mul(2.0);
    same(&one, "{{count:12 sum:6 z_bucket:2 z_bucket_w:0.1 buckets:[4 6]}}");
    one.div(-4.0);
    same(&one, "{{count:-3 sum:-1.5 z_bucket:-0.5 z_bucket_w:0.1 buckets:[-1 -1.5] counter_reset_hint:gauge}}");
    one.negate();
    assert!(!one.has_overflow());
    one.div(0.0);
    same(&one, "{{count:Inf sum:Inf z_bucket:Inf z_bucket_w:0.1 counter_reset_hint:gauge}}");
    assert!(one.has_overflow());
}

#[test]
fn resets() {
    let reset = |now: &str, before: &str| histogram(now).detect_reset(&histogram(before));
    let before = "{{count:10 sum:9 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 3 0 4]}}";
    assert!(!reset(before, before));
    assert!(reset(before, "{{count:11 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 3 0 4]}}"));
    assert!(reset("{{count:12 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 2 0 4]}}", before));
    assert!(reset("{{count:12 z_bucket:0 z_bucket_w:0.5 offset:1 buckets:[2 3 0 4]}}", before));
    assert!(reset("{{count:12 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 3]}}", before), "a bucket is gone");
    assert!(!reset("{{count:12 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 3 9 4 1]}}", before));
    assert!(reset("{{schema:1 count:12 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 2 3 0 0 4]}}", before));
    // (1,4] and (4,16], and a zero bucket up to 2.
    assert!(!reset("{{schema:-1 count:12 z_bucket:3 z_bucket_w:2 offset:1 buckets:[3 5]}}", before));
    assert!(reset("{{schema:-1 count:12 z_bucket:2 z_bucket_w:2 offset:1 buckets:[3 5]}}", before));
    assert!(reset("{{count:12 z_bucket:9 z_bucket_w:1.5 offset:1 buckets:[2 3 0 4]}}", before), "cuts (1,2]");
    assert!(reset("{{count:12 z_bucket:1 z_bucket_w:0.25 offset:1 buckets:[2 3 0 4]}}", before), "narrower");
    assert!(!reset("{{count:12 counter_reset_hint:not_reset}}", before));
    assert!(reset(
        "{{count:10 z_bucket:1 z_bucket_w:0.5 offset:1 buckets:[2 3 0 4] counter_reset_hint:reset}}",
        before
    ));
}

#[test]
fn resets_of_custom_bounds() {
    let reset = |now: &str, before: &str| histogram(now).detect_reset(&histogram(before));
    let before = "{{schema:-53 count:6 custom_values:[2 4 6] buckets:[1 2 0 3]}}";
    assert!(reset("{{count:7 buckets:[7]}}", before));
    assert!(reset(before, "{{count:6 buckets:[6]}}"));
    assert!(!reset(before, before));
    assert!(reset("{{schema:-53 count:6 custom_values:[2 4 6] buckets:[1 1 1 3]}}", before));
    assert!(!reset("{{schema:-53 count:7 custom_values:[4 6] buckets:[3 1 3]}}", before));
    assert!(reset("{{schema:-53 count:7 custom_values:[4 6] buckets:[2 2 3]}}", before));
    assert!(!reset("{{schema:-53 count:6 custom_values:[3 5] buckets:[0 0 6]}}", before), "none shared but +Inf");
    assert!(!reset("{{schema:-53 count:6 custom_values:[6] buckets:[3 3]}}", before));
}

#[test]
fn equality_is_of_data() {
    let one = histogram("{{count:6 sum:3 z_bucket:1 z_bucket_w:0.1 buckets:[2 3]}}");
    let mut other = one.clone();
    other.reset_hint = ResetHint::Gauge;
    other.positive_spans = vec![
        BucketSpan { offset: -3, length: 0 },
        BucketSpan { offset: 3, length: 1 },
        BucketSpan { offset: 0, length: 1 },
    ];
    assert!(one.equals(&other));
    other.positive_spans = vec![BucketSpan { offset: 0, length: 1 }, BucketSpan { offset: 1, length: 1 }];
    assert!(!one.equals(&other));
    let nan = NativeHistogram { sum: f64::NAN, ..one.clone() };
    assert!(nan.equals(&nan.clone()) && !nan.equals(&one));
    assert!(!one.equals(&NativeHistogram { zero_count: -1.0, ..one.clone() }));
    assert!(!NativeHistogram::default().equals(&NativeHistogram { sum: -0.0, ..NativeHistogram::default() }));
}

#[test]
fn compaction() {
    let sparse = histogram("{{offset:-2 buckets:[0 0 1 0 0 2 0 0 0 3 0]}}");
    let spans = |max_empty| {
        let mut compact = sparse.clone();
        compact.compact(max_empty);
        (compact.positive_spans.iter().map(|s| (s.offset, s.length)).collect::<Vec<_>>(), compact.positive_counts)
    };
    assert_eq!(spans(0), (vec![(0, 1), (2, 1), (3, 1)], vec![1.0, 2.0, 3.0]));
    assert_eq!(spans(2), (vec![(0, 4), (3, 1)], vec![1.0, 0.0, 0.0, 2.0, 3.0]));
    assert_eq!(spans(usize::MAX), (vec![(0, 8)], vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0]));
    let mut empty = histogram("{{buckets:[0 0 0]}}");
    empty.compact(0);
    assert_eq!(empty, NativeHistogram::default());
}

#[test]
fn text() {
    let one = histogram("{{count:9 sum:-0.00001 z_bucket:1 z_bucket_w:0.001 buckets:[1 0 2.5] n_buckets:[3 1.5]}}");
    let expected = "{count:9, sum:-1e-05, [-2,-1):1.5, [-1,-0.5):3, [-0.001,0.001]:1, (0.5,1]:1, (2,4]:2.5}";
    assert_eq!(one.to_string(), expected);
    let custom = histogram("{{schema:-53 count:1234567 sum:Inf custom_values:[5 10] buckets:[1 0 1234566]}}");
    assert_eq!(custom.to_string(), "{count:1.234567e+06, sum:+Inf, [-Inf,5]:1, (10,+Inf]:1.234566e+06}");
    let literal = "{{schema:-53 count:1.234567e+06 sum:+Inf custom_values:[5 10] buckets:[1 0 1.234566e+06]}}";
    assert_eq!(custom.literal(), literal);
    let mut far =
        histogram("{{schema:3 count:2 z_bucket_w:1e-128 counter_reset_hint:not_reset offset:-7 buckets:[1]}}");
    assert_eq!(
        far.literal(),
        "{{schema:3 count:2 z_bucket_w:1e-128 counter_reset_hint:not_reset offset:-7 buckets:[1]}}"
    );
    far.positive_spans.push(BucketSpan { offset: i32::MAX, length: 1 });
    far.positive_counts.push(1.0);
    assert_eq!(far.literal(), far.to_string(), "no literal of two thousand million buckets");
    assert_eq!(NativeHistogram::default().literal(), "{{}}");
}

#[test]
fn all_buckets_in_order() {
    let one = histogram("{{count:9 z_bucket:1 z_bucket_w:0.75 buckets:[1 2] n_buckets:[3 4]}}");
    let all: Vec<String> = one.buckets().map(|b| b.to_string()).collect();
    assert_eq!(all, ["[-2,-1):4", "[-1,-0.75):3", "[-0.75,0.75]:1", "(0.75,1]:1", "(1,2]:2"]);
    let mut descending: Vec<String> = one.buckets_descending().map(|b| b.to_string()).collect();
    descending.reverse();
    assert_eq!(descending, all);
    assert_eq!(one.buckets().map(|b| b.boundaries()).collect::<Vec<_>>(), [1, 1, 3, 0, 0]);
    let one_sided = |literal: &str| {
        let bucket = histogram(literal).zero_bucket_one_sided();
        (bucket.lower, bucket.upper)
    };
    assert_eq!(one_sided("{{z_bucket:1 z_bucket_w:2 buckets:[1]}}"), (0.0, 2.0));
    assert_eq!(one_sided("{{z_bucket:1 z_bucket_w:2 n_buckets:[1]}}"), (-2.0, 0.0));
    assert_eq!(one_sided("{{z_bucket:1 z_bucket_w:2}}"), (-2.0, 2.0));
}

#[test]
fn classic_buckets() {
    let convert = |buckets: &[(f64, f64)], count: Option<f64>| {
        let mut buckets: Vec<_> =
            buckets.iter().map(|(upper, count)| ClassicBucket { upper: *upper, cumulative_count: *count }).collect();
        convert_classic(&mut buckets, count, 3.0).map(|h| {
            h.validate().unwrap();
            h.literal()
        })
    };
    const INF: f64 = f64::INFINITY;
    let three = "{{schema:-53 count:12 sum:3 custom_values:[0.1 0.2 1] buckets:[5 2 4 1]}}";
    assert_eq!(convert(&[(INF, 12.0), (0.2, 7.0), (0.1, 5.0), (1.0, 11.0)], None).unwrap(), three);
    assert_eq!(convert(&[(0.1, 5.0), (0.2, 7.0), (0.2, 8.0), (1.0, 11.0)], Some(12.0)).unwrap(), three);
    let none = "{{schema:-53 sum:3 custom_values:[]}}";
    assert_eq!(convert(&[], None).unwrap(), none);
    assert_eq!(convert(&[(1.0, 4.0)], None).unwrap(), "{{schema:-53 count:4 sum:3 custom_values:[1] buckets:[4]}}");
    let mismatch = Err(ClassicError::CountMismatch { count: 5.0, highest: 4.0 });
    assert_eq!(convert(&[(INF, 4.0)], Some(5.0)), mismatch);
    let descending = Err(ClassicError::NotCumulative { upper: 2.0, count: 3.0, below: 4.0 });
    assert_eq!(convert(&[(2.0, 3.0), (1.0, 4.0)], None), descending);
    assert_eq!(convert(&[(1.0, -1.0)], None), Err(ClassicError::NegativeCount { upper: 1.0, count: -1.0 }));
    assert_eq!(convert(&[(f64::NAN, 1.0)], None), Err(ClassicError::Bound));
}
