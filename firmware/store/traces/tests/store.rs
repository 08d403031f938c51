//! The trace store as its users see it: the contract in every phase of a span's life, exact round trips, agreement
//! with the naive store, and damage.

#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use bramble_signal::{SpanBatch, SpanId, SpanKind, StatusCode, TraceId};
use bramble_storage::contract::{self, BASE_MS};
use bramble_storage::memory::MemoryTraces;
use bramble_storage::{
    AttributeScope, BlockStore, QueryContext, RejectReason, SpanPredicate, SpanScan, SpanSink, TraceSource, ValueTest,
};
use common::{Bench, arbitrary_batch, canonical, fields, predicates, scan_all, single_spans};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn the_contract_holds_in_the_head() {
    contract::traces(&Bench::new().store, &mut |_| {});
}

#[test]
fn the_contract_holds_while_frozen() {
    contract::traces(&Bench::new().store, &mut |store| _ = store.freeze(9));
}

#[test]
fn the_contract_holds_over_blocks() {
    let bench = Bench::new();
    contract::traces(&bench.store, &mut |store| bench.flush_of(store));
}

#[test]
fn the_contract_holds_over_merged_blocks() {
    let bench = Bench::new();
    contract::traces(&bench.store, &mut |store| {
        bench.flush_of(store);
        bench.merge_of(store);
    });
}

#[test]
fn blocks_are_there_after_a_restart() {
    let mut bench = Bench::new();
    bench.put(contract::spans_of(1, "beorn", 20, StatusCode::Unset));
    bench.put(contract::spans_of(2, "arda", 20, StatusCode::Error));
    bench.flush();
    let metas = bench.blocks();
    assert_eq!(metas.len(), 2, "an error makes its trace warm, the other is hot");
    assert!(metas.iter().all(|m| m.items == 20 && m.journal_from == 1 && m.journal_to == 2), "{metas:?}");
    bench.reopen();
    let context = QueryContext::unlimited();
    assert_eq!(bench.store.trace(TraceId([1; 16]), &context).unwrap().spans.len(), 20);
    assert_eq!(bench.store.services(0, u64::MAX, &context).unwrap(), ["arda", "beorn"]);
    assert_eq!(bench.store.services(0, 5, &context).unwrap(), Vec::<String>::new());
    assert!(context.warnings().is_empty());
}

#[test]
fn spans_of_two_days_are_in_two_blocks() {
    let bench = Bench::new();
    let mut batch = contract::spans_of(1, "beorn", 3, StatusCode::Unset);
    batch.spans[2].start_ns -= 86_400_000_000_000;
    bench.put(batch.clone());
    bench.flush();
    let mut days: Vec<i32> = bench.blocks().iter().map(|m| m.day).collect();
    days.sort_unstable();
    assert_eq!(days.len(), 2);
    assert_eq!(days[0] + 1, days[1]);
    let back = bench.store.trace(TraceId([1; 16]), &QueryContext::unlimited()).unwrap();
    assert_eq!(canonical(&back), canonical(&batch), "the trace is put together again");
}

#[test]
fn bad_spans_are_refused_one_by_one() {
    let bench = Bench::new();
    let mut batch = contract::spans_of(1, "beorn", 6, StatusCode::Unset);
    batch.spans[0].trace_id = TraceId([0; 16]);
    batch.spans[1].span_id = SpanId([0; 8]);
    batch.spans[2].start_ns = 5;
    batch.spans[3].start_ns += 86_400_000_000_000;
    let large = vec![b'x'; 5 << 20];
    batch.spans[4].name = batch.put(&large);
    let prepared = bench.store.prepare(batch, BASE_MS * 1_000_000).unwrap();
    assert_eq!(prepared.accepted, 1);
    let reasons: Vec<(RejectReason, u64)> = prepared.rejections.by_reason().to_vec();
    assert_eq!(
        reasons,
        [
            (RejectReason::InvalidId, 2),
            (RejectReason::TooOld, 1),
            (RejectReason::TooFarInFuture, 1),
            (RejectReason::TooLarge, 1)
        ]
    );
    bench.store.apply(prepared, 1);
    assert_eq!(bench.store.head().items, 1);
}

#[test]
fn a_full_head_refuses_and_a_flush_makes_room() {
    let bench = Bench::with_head(300_000);
    let mut sequence = 0;
    let refused = loop {
        sequence += 1;
        let batch = contract::spans_of((sequence % 250) as u8 + 1, &format!("s{sequence}"), 100, StatusCode::Unset);
        match bench.store.prepare(batch, BASE_MS * 1_000_000) {
            Ok(prepared) => bench.store.apply(prepared, sequence),
            Err(refused) => break refused,
        }
        assert!(sequence < 1000, "it never refused");
    };
    assert_eq!(refused.limit_bytes, 300_000);
    let head = bench.store.head();
    assert!(head.flushable_bytes > 100_000 && head.total_bytes == bench.head.used_bytes(), "{head:?}");
    bench.flush();
    let head = bench.store.head();
    assert_eq!((head.total_bytes, head.items, head.frozen), (0, 0, false));
    assert_eq!(bench.head.used_bytes(), 0);
}

#[test]
fn a_scan_is_one_snapshot() {
    let bench = Bench::new();
    for trace in 1..60 {
        bench.put(contract::spans_of(trace, "beorn", 2, StatusCode::Unset));
        if trace == 30 {
            bench.flush();
        }
    }
    let context = QueryContext::unlimited();
    let mut cursor = bench.store.scan(&SpanScan::whole(0, u64::MAX, &[]), &context).unwrap();
    let (mut batch, mut spans) = (SpanBatch::new(), 0);
    assert!(cursor.next(&mut batch).unwrap());
    spans += batch.spans.len();
    // Everything changes under the running scan.
    bench.flush();
    bench.merge();
    bench.put(contract::spans_of(99, "late", 2, StatusCode::Unset));
    while cursor.next(&mut batch).unwrap() {
        spans += batch.spans.len();
        assert!(batch.spans.iter().all(|s| s.trace_id != TraceId([99; 16])));
    }
    assert_eq!(spans, 118);
}

#[test]
fn a_query_over_its_budget_ends_with_its_reason() {
    use bramble_runtime::{Budget, BudgetName, Cancel};
    let bench = Bench::new();
    for trace in 1..200 {
        bench.put(contract::spans_of(trace, "beorn", 20, StatusCode::Unset));
    }
    bench.flush();
    let budget = Budget::standalone(BudgetName::Query, 20_000);
    let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
    let mut cursor = bench.store.scan(&SpanScan::whole(0, u64::MAX, &[]), &context).unwrap();
    let mut batch = SpanBatch::new();
    assert!(matches!(cursor.next(&mut batch), Err(bramble_storage::ReadError::OverBudget(_))));
}

#[test]
fn scans_give_back_their_memory() {
    use bramble_runtime::{Budget, BudgetName, Cancel};
    let bench = Bench::new();
    for trace in 1..200 {
        bench.put(contract::spans_of(trace, "beorn", 20, StatusCode::Unset));
        if trace % 60 == 0 {
            bench.flush();
        }
    }
    let budget = Budget::standalone(BudgetName::Query, 8 << 20);
    let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
    for whole_traces in [true, false] {
        for stop in [true, false] {
            let scan = SpanScan { whole_traces, ..SpanScan::whole(0, u64::MAX, &[]) };
            let mut cursor = bench.store.scan(&scan, &context).unwrap();
            let (mut batch, mut spans) = (SpanBatch::new(), 0);
            while cursor.next(&mut batch).unwrap() {
                spans += batch.spans.len();
                assert!(context.free_bytes() < 8 << 20, "a batch is counted while its asker has it");
                if stop {
                    break;
                }
            }
            assert!(stop || spans == 199 * 20, "{spans}");
            drop(cursor);
            assert_eq!(context.free_bytes(), 8 << 20);
        }
    }
}

#[test]
fn a_trace_of_a_hundred_thousand_spans_comes_whole_or_says_why_not() {
    use bramble_runtime::{Budget, BudgetName, Cancel};
    let bench = Bench::new();
    let template = contract::spans_of(7, "beorn", 200, StatusCode::Unset);
    for round in 0..500u64 {
        let mut batch = template.clone();
        for (at, span) in batch.spans.iter_mut().enumerate() {
            span.span_id = SpanId((round * 200 + at as u64 + 1).to_be_bytes());
            span.start_ns += round;
        }
        bench.put(batch.clone());
        if round % 200 == 199 {
            bench.flush();
            // What comes again is not there twice.
            bench.put(batch);
        }
    }
    let id = TraceId([7; 16]);
    let context = QueryContext::unlimited();
    let trace = bench.store.trace(id, &context).unwrap();
    assert_eq!(trace.spans.len(), 100_000);
    assert!(trace.spans.is_sorted_by_key(|s| s.start_ns));
    let scan = SpanScan { whole_traces: false, ..SpanScan::whole(0, u64::MAX, &[]) };
    let mut cursor = bench.store.scan(&scan, &context).unwrap();
    let (mut batch, mut spans) = (SpanBatch::new(), 0);
    while cursor.next(&mut batch).unwrap() {
        spans += batch.spans.len();
    }
    assert_eq!(spans, 100_000);
    let budget = Budget::standalone(BudgetName::Query, 10 << 20);
    let context = QueryContext::new(&budget, None, Cancel::new()).unwrap();
    let refused = bench.store.trace(id, &context);
    assert!(matches!(refused, Err(bramble_storage::ReadError::OverBudget(_))), "{refused:?}");
}

#[test]
fn many_operations_are_found_without_a_list() {
    let bench = Bench::new();
    for round in 0..90u32 {
        let mut batch = contract::spans_of(1 + (round % 200) as u8, "beorn", 100, StatusCode::Unset);
        for at in 0..100 {
            batch.spans[at].span_id = SpanId((u64::from(round) * 1000 + at as u64 + 1).to_le_bytes());
            batch.spans[at].name = batch.put(format!("op {round} {at}").as_bytes());
        }
        bench.put(batch);
    }
    bench.flush();
    let operations = bench.store.operations("beorn", 0, u64::MAX, &QueryContext::unlimited()).unwrap();
    assert_eq!(operations.len(), 9000);
    assert!(operations.is_sorted_by_key(|(name, _)| name.clone()));
    assert_eq!(bench.store.services(0, u64::MAX, &QueryContext::unlimited()).unwrap(), ["beorn"]);
}

#[test]
fn merging_replaces_and_splits() {
    let bench = Bench::new();
    for trace in 1..=120u8 {
        bench.put(contract::spans_of(trace, "beorn", 200, StatusCode::Unset));
        if trace % 30 == 0 {
            bench.flush();
        }
    }
    let inputs: Vec<_> = bench.blocks().iter().map(|m| m.id).collect();
    assert_eq!(inputs.len(), 4);
    let stopped = bench.store.merge(&inputs, 1 << 20, &mut || bench.next_id(), &|| false);
    assert_eq!(stopped, Err(bramble_storage::StoreError::Stopped));
    let outputs = bench.store.merge(&inputs, 20_000, &mut || bench.next_id(), &|| true).unwrap();
    assert!(outputs.len() > 1, "{outputs:?}");
    assert_eq!(outputs.iter().map(|m| m.items).sum::<u64>(), 24_000);
    assert!(outputs.iter().all(|m| m.replaces == inputs && (m.journal_from, m.journal_to) == (0, 0)));
    bench.store.swap(&outputs, &inputs, false).unwrap();
    let context = QueryContext::unlimited();
    for trace in 1..=120u8 {
        assert_eq!(bench.store.trace(TraceId([trace; 16]), &context).unwrap().spans.len(), 200);
    }
    assert!(bench.store.merge(&inputs, 1 << 20, &mut || bench.next_id(), &|| true).is_err(), "they are gone");
}

#[test]
fn damage_costs_a_warning_and_never_an_answer_or_a_panic() {
    let mut bench = Bench::new();
    for trace in 1..=80u8 {
        bench.put(contract::spans_of(trace, if trace % 2 == 0 { "arda" } else { "beorn" }, 5, StatusCode::Unset));
    }
    bench.flush();
    bench.put(contract::spans_of(200, "intact", 5, StatusCode::Unset));
    bench.flush();
    let metas = bench.blocks();
    let path = bench.directory.path().join(metas[0].file_name());
    let good = std::fs::read(&path).unwrap();
    let (mut warned, mut unopened) = (0, 0);
    for at in (0..good.len()).step_by(29) {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        std::fs::write(&path, &bad).unwrap();
        let failed = bench.reopen_with(&metas);
        unopened += failed.len();
        let context = QueryContext::unlimited();
        let mut spans = 0;
        for trace in [1, 2, 40, 80] {
            spans += bench.store.trace(TraceId([trace; 16]), &context).unwrap().spans.len();
        }
        for predicates in [
            vec![],
            vec![SpanPredicate::Service(ValueTest::is("arda"))],
            vec![SpanPredicate::Attribute {
                scope: AttributeScope::Any,
                key: "n".into(),
                test: ValueTest::Is("3".into()),
            }],
            vec![SpanPredicate::DurationAtLeast(3_000_000)],
        ] {
            let found = scan_all(&bench.store, &predicates, 0, u64::MAX, &context);
            let intact = found.iter().any(|(id, _)| *id == TraceId([200; 16]));
            assert!(intact || !predicates.is_empty(), "what is not damaged is served");
            spans += found.len();
        }
        let event = SpanPredicate::EventName(ValueTest::Present);
        for predicates in [vec![], vec![SpanPredicate::DurationAtLeast(3_000_000)], vec![event]] {
            let fields = bramble_storage::SpanFields::ALL;
            single_spans(&bench.store, &predicates, (0, u64::MAX), &fields, true, &context);
        }
        for scope in [AttributeScope::Any, AttributeScope::Event] {
            bench.store.attribute_names(scope, (0, u64::MAX), 100, &context).unwrap();
            bench.store.attribute_values(scope, "n", (0, u64::MAX), 100, &context).unwrap();
        }
        if failed.is_empty() && spans != 20 + 405 + 200 + 81 + 3 * 81 {
            assert!(!context.warnings().is_empty(), "byte {at}: something is missing without a word");
        }
        warned += usize::from(!context.warnings().is_empty());
        let inputs: Vec<_> = bench.store_blocks();
        _ = bench.store.merge(&inputs, 1 << 20, &mut || bench.next_id(), &|| true);
    }
    assert!(warned > 10 && unopened > 0, "{warned} warnings, {unopened} not opened");
}

/// The batches with each span that an earlier batch had replaced by that one: senders repeat themselves, and do not
/// contradict themselves (which of two spans with one id came first is known within a partition only).
fn consistent(batches: &[(SpanBatch, bool, bool)]) -> Vec<(SpanBatch, bool, bool)> {
    let mut first: BTreeMap<(TraceId, SpanId, u8), (usize, usize)> = BTreeMap::new();
    let mut out = Vec::new();
    for (number, (batch, flush, merge)) in batches.iter().enumerate() {
        let mut kept = SpanBatch::new();
        for (at, span) in batch.spans.iter().enumerate() {
            let (from, at) = *first.entry((span.trace_id, span.span_id, span.kind as u8)).or_insert((number, at));
            kept.push_from(&batches[from].0, &batches[from].0.spans[at]);
        }
        out.push((kept, *flush, *merge));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any spans, in any split over flushes and merges, come back exactly, and are found as the naive store finds them.
    #[test]
    fn arbitrary_spans_round_trip(
        batches in prop::collection::vec((arbitrary_batch(), any::<bool>(), any::<bool>()), 1..5),
        queries in prop::collection::vec((predicates(), 0u64..40, 0u64..40, fields()), 12),
        again in any::<bool>(),
    ) {
        let bench = Bench::open_limits();
        let naive = MemoryTraces::new();
        for (batch, flush, merge) in &consistent(&batches) {
            bench.put(batch.clone());
            naive.apply(naive.prepare(batch.clone(), 0).unwrap(), 1);
            if *flush {
                bench.flush();
            }
            if *merge {
                bench.merge();
            }
        }
        if again {
            // The same once more, part of it in a frozen generation and part in the active one.
            for (number, (batch, ..)) in consistent(&batches).into_iter().enumerate() {
                bench.put(batch);
                if number == 0 {
                    bench.store.freeze(1 << 40);
                }
            }
        }
        let context = QueryContext::unlimited();
        for id in 1..=6u8 {
            let id = TraceId([id; 16]);
            let ours = bench.store.trace(id, &context).unwrap();
            let theirs = naive.trace(id, &context).unwrap();
            prop_assert_eq!(canonical(&ours), canonical(&theirs));
            prop_assert!(ours.spans.is_sorted_by_key(|s| s.start_ns));
        }
        for (predicates, from, length, fields) in &queries {
            let (start, end) = (common::BASE_NS + from * 3_600_000_000_000, common::BASE_NS + (from + length) * 3_600_000_000_000);
            let ours = scan_all(&bench.store, predicates, start, end, &context);
            let theirs = scan_all(&naive, predicates, start, end, &context);
            prop_assert_eq!(ours, theirs, "{:?}", predicates);
            let ours = single_spans(&bench.store, predicates, (start, end), fields, true, &context);
            let theirs = single_spans(&naive, predicates, (start, end), fields, false, &context);
            prop_assert_eq!(ours, theirs, "{:?} {:?}", predicates, fields);
        }
        prop_assert_eq!(
            bench.store.services(0, u64::MAX, &context).unwrap(),
            naive.services(0, u64::MAX, &context).unwrap()
        );
        use AttributeScope::*;
        let all = (0, u64::MAX);
        for scope in [Any, Span, Resource, Instrumentation, Event, Link] {
            for limit in [1000, 2] {
                let (ours, more) = bench.store.attribute_names(scope, all, limit, &context).unwrap();
                let (theirs, theirs_more) = naive.attribute_names(scope, all, limit, &context).unwrap();
                prop_assert_eq!((ours.len(), more), (theirs.len(), theirs_more));
                prop_assert!(limit == 2 || ours == theirs, "{:?} {:?} {:?}", scope, ours, theirs);
            }
        }
        for key in ["", "k", "l", "service.name"] {
            let values = |store: &dyn TraceSource, scope| store.attribute_values(scope, key, all, 10_000, &context);
            let mut any = std::collections::BTreeSet::new();
            for scope in [Span, Resource, Instrumentation, Event, Link] {
                let ours = values(&bench.store, scope).unwrap();
                prop_assert_eq!(&ours, &values(&naive, scope).unwrap(), "{:?} {}", scope, key);
                any.extend(if matches!(scope, Event | Link) { Vec::new() } else { ours.0 });
            }
            prop_assert_eq!(values(&bench.store, Any).unwrap().0, any.into_iter().collect::<Vec<_>>());
        }
        for service in ["a", "b", "unknown_service"] {
            let ours: Vec<(String, SpanKind)> = bench.store.operations(service, 0, u64::MAX, &context).unwrap();
            prop_assert_eq!(ours, naive.operations(service, 0, u64::MAX, &context).unwrap());
        }
        prop_assert!(context.warnings().is_empty());
    }
}
