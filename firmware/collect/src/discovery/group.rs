//! Target groups, and the board where the mechanisms of one configuration post theirs.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Targets that were found together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TargetGroup {
    /// What the group is found by: a file and a position, a pod, a DNS name. Unique within one mechanism.
    pub source: String,
    /// Labels of all its targets; a target's own labels go before them.
    pub labels: Vec<(String, String)>,
    /// Labels of each target, `__address__` among them. Any number, none too.
    pub targets: Vec<Vec<(String, String)>>,
}

/// All groups that are known now.
pub(crate) type Groups = Arc<Vec<Arc<TargetGroup>>>;

/// Groups of several mechanisms, each with a slot of its own.
#[derive(Debug)]
pub(crate) struct Board {
    slots: Mutex<Vec<BTreeMap<String, Arc<TargetGroup>>>>,
    published: watch::Sender<Groups>,
}

impl Board {
    pub(crate) fn new(slot_count: usize) -> Self {
        Board {
            slots: Mutex::new(vec![BTreeMap::new(); slot_count]),
            published: watch::Sender::new(Arc::new(Vec::new())),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Groups> {
        self.published.subscribe()
    }

    /// Makes these all the groups of a slot. Tells listeners only if something changed, or if it is the first time;
    /// returns the number of targets.
    pub(crate) fn replace(&self, slot: usize, groups: Vec<TargetGroup>) -> usize {
        let mut slots = self.slots.lock();
        let Some(current) = slots.get_mut(slot) else { return 0 };
        let mut changed = false;
        let mut next = BTreeMap::new();
        let mut targets = 0;
        for group in groups {
            targets += group.targets.len();
            let kept = match current.get(&group.source) {
                Some(known) if **known == group => Arc::clone(known),
                _ => {
                    changed = true;
                    Arc::new(group)
                }
            };
            next.insert(kept.source.clone(), kept);
        }
        changed |= next.len() != current.len();
        *current = next;
        if changed {
            let all = slots.iter().flat_map(|slot| slot.values().cloned()).collect();
            self.published.send_replace(Arc::new(all));
        }
        targets
    }
}

/// Adds a label unless its value is empty.
pub(crate) fn add(labels: &mut Vec<(String, String)>, name: &str, value: impl Into<String>) {
    let value = value.into();
    if !value.is_empty() {
        labels.push((name.to_owned(), value));
    }
}

/// A label name made of any text: what no label name may contain becomes `_`.
pub(crate) fn sanitize(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// `host:port`, with brackets around an IPv6 address.
pub(crate) fn host_port(host: &str, port: impl std::fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(source: &str, address: &str) -> TargetGroup {
        let targets = vec![vec![("__address__".to_owned(), address.to_owned())]];
        TargetGroup { source: source.to_owned(), labels: Vec::new(), targets }
    }

    #[test]
    fn only_changes_are_published_and_slots_are_apart() {
        let board = Board::new(2);
        let mut groups = board.subscribe();
        groups.borrow_and_update();
        assert_eq!(board.replace(0, vec![group("a", "x:1"), group("b", "y:1")]), 2);
        assert!(groups.has_changed().unwrap());
        let first = groups.borrow_and_update().clone();
        board.replace(0, vec![group("a", "x:1"), group("b", "y:1")]);
        assert!(!groups.has_changed().unwrap());
        board.replace(1, vec![group("a", "z:1")]);
        let second = groups.borrow_and_update().clone();
        assert_eq!(second.len(), 3);
        assert!(Arc::ptr_eq(&first[0], &second[0]), "an unchanged group is the same object");
        board.replace(0, Vec::new());
        assert_eq!(groups.borrow_and_update().len(), 1);
    }
}
