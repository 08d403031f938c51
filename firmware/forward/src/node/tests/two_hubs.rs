//! A node with two hubs: each gets everything, whatever happens to the other.

use super::*;

struct Pair {
    directory: tempfile::TempDir,
    worlds: [World; 2],
    addresses: [SocketAddr; 2],
    serving: [AbortHandle; 2],
    hubs: watch::Sender<Vec<String>>,
}

fn urls(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(|address| format!("http://{address}")).collect()
}

impl Pair {
    async fn start() -> Pair {
        let worlds = [World::default(), World::default()];
        let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (first, serving_first) = serve(&worlds[0], anywhere).await;
        let (second, serving_second) = serve(&worlds[1], anywhere).await;
        let hubs = watch::Sender::new(urls(&[first, second]));
        let directory = tempfile::tempdir().unwrap();
        Pair { directory, worlds, addresses: [first, second], serving: [serving_first, serving_second], hubs }
    }

    fn node(&self) -> Arc<NodeWriter> {
        node(self.directory.path(), &self.hubs)
    }

    fn goes(&self, hub: usize) {
        self.serving[hub].abort();
    }

    async fn comes_back(&mut self, hub: usize) {
        (_, self.serving[hub]) = serve(&self.worlds[hub], self.addresses[hub]).await;
    }

    /// Numbers of the lines that a hub has, in the order in which they came.
    fn numbers(&self, hub: usize) -> Vec<u64> {
        self.worlds[hub].lock().lines.iter().map(|line| line.parse().unwrap()).collect()
    }

    async fn has(&self, hub: usize, count: u64) {
        let waiting = async {
            while (self.numbers(hub).len() as u64) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), waiting).await.is_err() {
            panic!("hub {hub} has not {count}: {:?} and {:?}", self.numbers(0), self.numbers(1));
        }
    }
}

fn each_once(mut numbers: Vec<u64>, through: u64) {
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=through).collect::<Vec<_>>());
}

fn queued(writer: &NodeWriter, hub: usize) -> u64 {
    writer.status()[hub].items
}

async fn connected(writer: &NodeWriter) {
    until("both answer", || {
        let hubs = writer.hubs().borrow().clone();
        hubs.len() == 2 && hubs.iter().all(|hub| hub.connected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gets_everything_once_and_in_order() {
    let pair = Pair::start().await;
    pair.worlds[0].lock().loses = 0.2;
    pair.worlds[1].lock().loses = 0.1;
    let writer = pair.node();
    connected(&writer).await;
    read_on(&writer, 400).await;
    for hub in 0..2 {
        pair.has(hub, 400).await;
        assert_eq!(pair.numbers(hub), (1..=400).collect::<Vec<_>>(), "hub {hub}");
        assert!(pair.worlds[hub].lock().repeated > 0, "answers of hub {hub} were lost");
    }
    writer.finish(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_away_keeps_nothing_from_the_other() {
    let mut pair = Pair::start().await;
    let writer = pair.node();
    connected(&writer).await;
    read_on(&writer, 50).await;
    pair.goes(1);
    until("the second is missed", || !writer.hubs().borrow()[1].connected).await;
    let mut slowest = Duration::ZERO;
    for batch in 1..=10 {
        let (through, began) = (50 + batch * 7, std::time::Instant::now());
        let reading = {
            let writer = writer.clone();
            tokio::spawn(async move { read_on(&writer, through).await })
        };
        pair.has(0, through).await;
        slowest = slowest.max(began.elapsed());
        reading.await.unwrap();
    }
    // A commit for the one that is away is what there is to wait for, not the time in which it is given up.
    assert!(slowest < PATIENCE, "{slowest:?}");
    assert_eq!((queued(&writer, 0), queued(&writer, 1) > 0), (0, true));
    assert_eq!(pair.numbers(0), (1..=120).collect::<Vec<_>>());
    assert_eq!(pair.numbers(1).len(), 50);
    // Its queue survives a start, and is drained while the other gets live data.
    writer.finish(Duration::from_millis(100)).await;
    let writer = pair.node();
    read_on(&writer, 150).await;
    pair.comes_back(1).await;
    read_on(&writer, 200).await;
    pair.has(1, 200).await;
    until("the queue empties", || queued(&writer, 1) == 0).await;
    for hub in 0..2 {
        each_once(pair.numbers(hub), 200);
    }
    let late = pair.worlds[1].lock().lines.clone();
    let at = |line: &str| late.iter().position(|l| l == line).unwrap();
    assert!(at("51") < at("100") && at("100") < at("120"), "oldest first: {late:?}");
    writer.finish(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_may_be_away_and_the_node_start_anew() {
    let mut pair = Pair::start().await;
    let writer = pair.node();
    connected(&writer).await;
    read_on(&writer, 30).await;
    pair.goes(0);
    pair.goes(1);
    until("both are missed", || writer.hubs().borrow().iter().all(|hub| !hub.connected)).await;
    read_on(&writer, 60).await;
    writer.finish(Duration::from_millis(100)).await;
    let writer = pair.node();
    read_on(&writer, 90).await;
    pair.comes_back(1).await;
    pair.has(1, 90).await;
    assert_eq!(pair.numbers(0).len(), 30);
    pair.comes_back(0).await;
    read_on(&writer, 120).await;
    for hub in 0..2 {
        pair.has(hub, 120).await;
        each_once(pair.numbers(hub), 120);
    }
    writer.finish(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_may_move_and_a_second_one_come_and_go() {
    let mut pair = Pair::start().await;
    pair.hubs.send_replace(urls(&pair.addresses[..1]));
    let writer = pair.node();
    read_on(&writer, 30).await;
    assert_eq!(writer.status().len(), 1);
    // The second one gets what comes from now on.
    pair.hubs.send_replace(urls(&pair.addresses));
    connected(&writer).await;
    read_on(&writer, 60).await;
    pair.has(1, 30).await;
    // The first one moves; told in the other order each keeps its queue.
    pair.goes(0);
    let (moved, serving) = serve(&pair.worlds[0], "127.0.0.1:0".parse().unwrap()).await;
    (pair.addresses[0], pair.serving[0]) = (moved, serving);
    read_on(&writer, 90).await;
    pair.hubs.send_replace(urls(&[pair.addresses[1], moved]));
    pair.has(0, 90).await;
    read_on(&writer, 120).await;
    pair.has(0, 120).await;
    pair.has(1, 90).await;
    each_once(pair.numbers(0), 120);
    assert_eq!(pair.numbers(1), (31..=120).collect::<Vec<_>>());
    writer.finish(Duration::from_secs(1)).await;
}

/// The power goes when one hub has what the other has not: the file is read on where nothing is missing on either, and what
/// is there twice is what the other had not taken.
#[test]
fn after_a_power_cut_nothing_is_missing_on_either() {
    let serving = tokio::runtime::Runtime::new().unwrap();
    let pair = serving.block_on(Pair::start());
    let crashing = tokio::runtime::Runtime::new().unwrap();
    crashing.block_on(async {
        let writer = pair.node();
        connected(&writer).await;
        read_on(&writer, 70).await;
        // The first takes nothing, the second everything, and the first is not yet given up.
        pair.worlds[0].lock().loses = 2.0;
        let reading = writer.clone();
        tokio::spawn(async move { read_on(&reading, 100).await });
        pair.has(1, 71).await;
    });
    crashing.shutdown_timeout(Duration::from_secs(10));
    pair.worlds[0].lock().loses = 0.0;
    let ahead = pair.numbers(1).len();
    assert_eq!(pair.numbers(0).len(), 70);
    serving.block_on(async {
        let writer = pair.node();
        read_on(&writer, 200).await;
        pair.has(0, 200).await;
        pair.has(1, 200).await;
        writer.finish(Duration::from_secs(1)).await;
    });
    each_once(pair.numbers(0), 200);
    let mut second = pair.numbers(1);
    let repeated = second.len() - 200;
    assert!(repeated <= ahead - 70, "{repeated} of {ahead}");
    second.sort_unstable();
    second.dedup();
    each_once(second, 200);
}

/// The same, and the hub that has less is away when the node starts again: as the node has not yet written down how far it
/// was, it begins anew, under sequences that neither hub has.
#[test]
fn a_hub_that_is_away_after_a_power_cut_misses_nothing() {
    let serving = tokio::runtime::Runtime::new().unwrap();
    let mut pair = serving.block_on(Pair::start());
    let crashing = tokio::runtime::Runtime::new().unwrap();
    crashing.block_on(async {
        let writer = pair.node();
        connected(&writer).await;
        read_on(&writer, 70).await;
        pair.worlds[0].lock().loses = 2.0;
        let reading = writer.clone();
        tokio::spawn(async move { read_on(&reading, 100).await });
        pair.has(1, 71).await;
    });
    pair.goes(0);
    crashing.shutdown_timeout(Duration::from_secs(10));
    pair.worlds[0].lock().loses = 0.0;
    serving.block_on(async {
        let writer = pair.node();
        read_on(&writer, 120).await;
        pair.comes_back(0).await;
        read_on(&writer, 200).await;
        until("the queue empties", || queued(&writer, 0) == 0).await;
        writer.finish(Duration::from_secs(1)).await;
    });
    for hub in 0..2 {
        let mut numbers = pair.numbers(hub);
        numbers.sort_unstable();
        numbers.dedup();
        each_once(numbers, 200);
    }
}
