use super::*;

/// The histogram cut below and above: literals, compared to six digits.
#[track_caller]
fn cut(literal: &str, at: f64, below: &str, above: &str) {
    for (keep, expected) in [(Keep::Below, below), (Keep::Above, above)] {
        let mut found = histogram(literal);
        found.trim(keep, at);
        let mut expected = histogram(expected);
        expected.compact(0);
        assert_eq!(found.positive_spans, expected.positive_spans, "{keep:?} {at}: {found}");
        assert_eq!(found.negative_spans, expected.negative_spans, "{keep:?} {at}: {found}");
        let numbers = |h: &NativeHistogram| {
            let mut all = vec![h.count, h.sum, h.zero_count, h.zero_threshold];
            all.extend(h.positive_counts.iter().chain(&h.negative_counts));
            all
        };
        for (a, b) in numbers(&found).into_iter().zip(numbers(&expected)) {
            assert!((a - b).abs() <= 1e-6 * b.abs(), "{keep:?} {at}: {found}, expected {expected}");
        }
    }
}

#[test]
fn exponential() {
    let all = "{{sum:123.75 count:34 z_bucket:1 z_bucket_w:0.001 buckets:[2 4 8 16] n_buckets:[1 2]}}";
    let nothing = "{{z_bucket_w:0.001}}";
    cut(all, f64::INFINITY, all, nothing);
    cut(all, f64::NEG_INFINITY, nothing, all);
    // Half of the zero bucket.
    let below = "{{sum:-3.53578390593273768 count:3.5 z_bucket:0.5 z_bucket_w:0.001 n_buckets:[1 2]}}";
    let above = "{{sum:120.20840280171308 count:30.5 z_bucket:0.5 z_bucket_w:0.001 buckets:[2 4 8 16]}}";
    cut(all, 0.0, below, above);
    // √2 is the middle of (1,2].
    let below = "{{count:8 sum:0.2570938865989847 z_bucket:1 z_bucket_w:0.001 buckets:[2 2] n_buckets:[1 2]}}";
    let above = "{{count:26 sum:116.50067065070982 z_bucket_w:0.001 buckets:[0 2 8 16]}}";
    cut(all, std::f64::consts::SQRT_2, below, above);
    let below = "{{count:2 sum:-2.8284271247461903 z_bucket_w:0.001 n_offset:1 n_buckets:[2]}}";
    let above = "{{count:32 sum:119.50104602052653 z_bucket:1 z_bucket_w:0.001 buckets:[2 4 8 16] n_buckets:[1]}}";
    cut(all, -1.0, below, above);
    let fine =
        "{{schema:2 sum:12.8286080906 count:28 z_bucket:1 z_bucket_w:0.001 buckets:[1 2 4 7 3] n_buckets:[1 5 3 1]}}";
    let below = "{{schema:2 count:2.45786052095524 sum:-3.5189307983595066 z_bucket_w:0.001 n_offset:2 n_buckets:[1.45786052095524 1]}}";
    let above = "{{schema:2 count:25.54213947904476 sum:16.29588491217537 z_bucket:1 z_bucket_w:0.001 buckets:[1 2 4 7 3] n_buckets:[1 5 1.54213947904476]}}";
    cut(fine, -1.3, below, above);
}

#[test]
fn zero_bucket() {
    let right = "{{sum:8.0210678118654755 count:12 z_bucket:2 z_bucket_w:0.5 buckets:[10]}}";
    let below = "{{count:0.4 sum:0.02 z_bucket:0.4 z_bucket_w:0.5}}";
    let above = "{{count:11.6 sum:7.551067811865476 z_bucket:1.6 z_bucket_w:0.5 buckets:[10]}}";
    cut(right, 0.1, below, above);
    cut(right, 0.0, "{{z_bucket_w:0.5}}", right);
    let only = "{{count:5 z_bucket:5 z_bucket_w:0.1}}";
    let below = "{{count:1.25 sum:-0.09375 z_bucket:1.25 z_bucket_w:0.1}}";
    let above = "{{count:3.75 sum:0.09375 z_bucket:3.75 z_bucket_w:0.1}}";
    cut(only, -0.05, below, above);
    cut(only, 0.1, only, "{{z_bucket_w:0.1}}");
    cut(only, -0.1, "{{z_bucket_w:0.1}}", only);
    let mut undefined = histogram(only);
    undefined.trim(Keep::Below, f64::NAN);
}

#[test]
fn custom_bounds() {
    let all = "{{schema:-53 sum:172.5 count:15 custom_values:[5 10 15 20] buckets:[1 6 4 3 1]}}";
    let nothing = "{{schema:-53 custom_values:[5 10 15 20]}}";
    let below = "{{schema:-53 count:9.4 sum:75.1 custom_values:[5 10 15 20] buckets:[1 6 2.4]}}";
    let above = "{{schema:-53 count:5.6 sum:94.9 custom_values:[5 10 15 20] offset:2 buckets:[1.6 3 1]}}";
    cut(all, 13.0, below, above);
    cut(all, 0.0, nothing, all);
    cut(all, f64::INFINITY, all, nothing);
    cut(all, f64::NEG_INFINITY, nothing, all);
    // The last bucket has no end: of a cut through it, all counts as above.
    let below = "{{schema:-53 count:14 sum:150 custom_values:[5 10 15 20] buckets:[1 6 4 3]}}";
    let above = "{{schema:-53 count:1 sum:50 custom_values:[5 10 15 20] offset:4 buckets:[1]}}";
    cut(all, 50.0, below, above);
    let negative = "{{schema:-53 count:3 sum:9 custom_values:[-10 5] buckets:[2 1]}}";
    let below = "{{schema:-53 count:2 sum:-30 custom_values:[-10 5] buckets:[2]}}";
    let above = "{{schema:-53 count:1 sum:-2.5 custom_values:[-10 5] offset:1 buckets:[1]}}";
    cut(negative, -15.0, below, above);
    let two = "{{schema:-53 sum:33 count:101 custom_values:[5] buckets:[1 100]}}";
    let below = "{{schema:-53 sum:0.4 count:0.4 custom_values:[5] buckets:[0.4]}}";
    let above = "{{schema:-53 sum:502.1 count:100.6 custom_values:[5] buckets:[0.6 100]}}";
    cut(two, 2.0, below, above);
    let one = "{{schema:-53 sum:100 count:100 custom_values:[] buckets:[100]}}";
    cut(one, 10.0, "{{schema:-53}}", "{{schema:-53}}");
}
