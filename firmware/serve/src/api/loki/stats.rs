//! What a query read, in the form of Loki's `stats`: `logcli --stats` prints it, Grafana shows its sums.

use bramble_query_logql::Answer;
use bramble_storage::QueryContext;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// When a query was asked.
#[derive(Clone, Copy)]
pub(super) struct Timer(Instant);

/// When a query ran.
#[derive(Clone, Copy)]
pub(super) struct Timings {
    queue: Duration,
    began: Instant,
    exec: Duration,
}

impl Timer {
    /// Begins when the request was read.
    pub(super) fn start() -> Self {
        Timer(Instant::now())
    }

    /// Called when it is the query's turn.
    pub(super) fn turn(self) -> Timings {
        Timings { queue: self.0.elapsed(), began: Instant::now(), exec: Duration::ZERO }
    }
}

/// Lines or samples of an answer.
fn entries(answer: &Answer) -> usize {
    match answer {
        Answer::Streams(streams) => streams.iter().map(|s| s.entries.len()).sum(),
        Answer::Vector(series) => series.len(),
        Answer::Matrix(series) => series.iter().map(|s| s.points.len()).sum(),
        Answer::Scalar { .. } => 1,
    }
}

impl Timings {
    /// Called when it was evaluated.
    pub(super) fn evaluated(mut self) -> Self {
        self.exec = self.began.elapsed();
        self
    }

    /// As Loki prints it. Everything is read by one querier, whose store is blocks and heads alike; a chunk is a page.
    pub(super) fn json(&self, answer: &Answer, context: &QueryContext) -> Value {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &context.stats;
        let (bytes, lines, pages, exec_s) =
            (of(&stats.bytes), of(&stats.items), of(&stats.pages), self.exec.as_secs_f64());
        let per_second = |n: u64| if exec_s > 0.0 { (n as f64 / exec_s) as u64 } else { 0 };
        let returned = entries(answer);
        let passed = if let Answer::Streams(_) = answer { returned as u64 } else { lines };
        let chunk = |bytes: u64, lines: u64, passed: u64| {
            json!({
                "headChunkBytes": 0, "headChunkLines": 0, "decompressedBytes": bytes, "decompressedLines": lines,
                "compressedBytes": 0, "totalDuplicates": 0, "postFilterLines": passed,
                "headChunkStructuredMetadataBytes": 0, "decompressedStructuredMetadataBytes": 0,
            })
        };
        let store = |pages: u64, chunk: Value| {
            json!({
                "totalChunksRef": pages, "totalChunksDownloaded": pages, "chunksDownloadTime": 0,
                "queryReferencedStructuredMetadata": false, "chunk": chunk, "chunkRefsFetchTime": 0,
                "congestionControlLatency": 0, "pipelineWrapperFilteredLines": 0,
            })
        };
        json!({
            "summary": {
                "bytesProcessedPerSecond": per_second(bytes), "linesProcessedPerSecond": per_second(lines),
                "totalBytesProcessed": bytes, "totalLinesProcessed": lines, "execTime": exec_s,
                "queueTime": self.queue.as_secs_f64(), "subqueries": 0, "totalEntriesReturned": returned,
                "splits": 1, "shards": 1, "totalPostFilterLines": passed, "totalStructuredMetadataBytesProcessed": 0,
            },
            "querier": {"store": store(pages, chunk(bytes, lines, passed))},
            "ingester": {
                "totalReached": 0, "totalChunksMatched": 0, "totalBatches": 0, "totalLinesSent": 0,
                "store": store(0, chunk(0, 0, 0)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_query_logql::{Entry, LabelSet, Stream};
    use bramble_storage::QueryStats;

    #[test]
    fn sums() {
        let context = QueryContext::unlimited();
        QueryStats::add(&context.stats.bytes, 1000);
        QueryStats::add(&context.stats.items, 10);
        let entry =
            Entry { timestamp_ns: 1, line: b"x".to_vec(), metadata: LabelSet::default(), parsed: LabelSet::default() };
        let answer = Answer::Streams(vec![Stream { labels: LabelSet::default(), entries: vec![entry; 3] }]);
        let stats = Timer::start().turn().evaluated().json(&answer, &context);
        assert_eq!(stats["summary"]["totalBytesProcessed"], 1000);
        assert_eq!(stats["summary"]["totalEntriesReturned"], 3);
        assert_eq!(stats["querier"]["store"]["chunk"]["decompressedLines"], 10);
    }
}
