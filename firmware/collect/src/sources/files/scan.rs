//! Names: which files there are, which of them are known under another name, and which are gone.

use super::config::{FileStart, Target};
use super::position::{HEAD_BYTES_MAX, Position, TAIL_BYTES_MAX, is_related};
use super::probe::{Probe, read_at};
use super::tail::{Fate, Tail};
use super::tailer::{Orphan, Tailer};
use bramble_signal::hash::xxhash64;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long the position of a file is kept that is gone: a copy of it may turn up.
const ORPHAN_NS: u64 = 24 * 3600 * 1_000_000_000;
/// Positions of files that are gone, at most; the oldest go first.
const ORPHANS_MAX: usize = 4096;
/// Names looked at in a directory for one that is gone.
const SEARCHED_MAX: usize = 4096;
/// Scans that look for a file that vanished while it was not held open, or was truncated.
const SEARCHES: u8 = 3;

/// A compressed file that changed so few seconds ago is still being written, if it is not whole.
const WRITING_S: i64 = 5;

/// A file that matches.
struct Found {
    path: PathBuf,
    target: Arc<Target>,
    inode: (u64, u64),
    mtime_s: i64,
}

impl Tailer {
    /// Looks what there is.
    pub(super) fn scan(&mut self, now_ns: u64) {
        let (targets, initial) = {
            let shared = self.shared.targets.lock();
            self.generation = shared.generation;
            let targets: Vec<Arc<Target>> = shared.by_owner.values().flatten().cloned().collect();
            (targets, shared.initial.clone())
        };
        self.desk.fit(targets.iter().map(|target| target.rules.config.line_bytes_max).max().unwrap_or(1024));
        let mut directories = HashSet::new();
        let found = self.find(&targets, &mut directories);
        let mut known: HashMap<(u64, u64), u64> =
            self.tails.iter().map(|(&id, tail)| ((tail.dev, tail.ino), id)).collect();
        self.tails.values_mut().for_each(|tail| tail.is_seen = false);
        let mut fresh = Vec::new();
        for file in found {
            match known.get(&file.inode) {
                Some(&id) if self.meet(id, &file) => {}
                Some(&id) => {
                    // Its inode serves another file now.
                    self.give_up(id, false, now_ns);
                    known.remove(&file.inode);
                    fresh.push(file);
                }
                None => fresh.push(file),
            }
        }
        self.part(&targets, now_ns);
        self.unreadable.clear();
        self.copies.clear();
        let fresh = fresh.into_iter().filter_map(|file| self.probe(file)).collect::<Vec<_>>();
        // Files that have kept their inode first: their copies must find them.
        let (same, other): (Vec<_>, Vec<_>) =
            fresh.into_iter().partition(|(_, probe)| self.orphan_by_inode(probe).is_some());
        for (file, probe) in same {
            if let Some(at) = self.orphan_by_inode(&probe) {
                self.resume(at, &file.path, probe, &file.target);
            }
        }
        for (file, probe) in other {
            self.adopt(&file, probe, &initial);
        }
        self.search(&targets, false);
        self.search(&targets, true);
        for target in targets {
            if self.marks.insert(target.key.clone()) {
                self.changed.push((target.key.clone(), "1".to_owned()));
            }
        }
        self.prune(now_ns);
        directories.extend(self.tails.values().filter_map(|tail| tail.real.parent().map(Path::to_owned)));
        self.watch.set(&directories);
    }

    fn find(&mut self, targets: &[Arc<Target>], directories: &mut HashSet<PathBuf>) -> Vec<Found> {
        let (mut found, mut inodes) = (Vec::new(), HashSet::new());
        let mut omitted = 0;
        for target in targets {
            let mut mine = Vec::new();
            for pattern in &target.rules.patterns {
                let each = &mut |path: PathBuf| {
                    if target.rules.excludes(&path) {
                        return;
                    }
                    let Ok(metadata) = std::fs::metadata(&path) else { return };
                    let inode = (metadata.dev(), metadata.ino());
                    if metadata.is_file() && inodes.insert(inode) {
                        mine.push(Found { path, target: Arc::clone(target), inode, mtime_s: metadata.mtime() });
                    }
                };
                pattern.walk(each, &mut |directory| {
                    directories.insert(directory.to_owned());
                });
            }
            let max = target.rules.config.files_max;
            mine.sort_by_key(|file| std::cmp::Reverse(file.mtime_s));
            omitted += mine.len().saturating_sub(max);
            mine.truncate(max);
            found.append(&mut mine);
        }
        omitted += found.len().saturating_sub(self.options.files_max);
        found.truncate(self.options.files_max);
        self.counters.omitted.set(omitted as i64);
        found
    }

    /// A file that is known is there; `false` when it is not the one that is known.
    fn meet(&mut self, id: u64, file: &Found) -> bool {
        let Some(tail) = self.tails.get_mut(&id) else { return false };
        if tail.path != file.path {
            // An inode is not given to another file while this one is held open.
            let position = tail.position();
            let is_same = tail.is_open()
                || !position.is_start()
                    && Probe::new(&file.path, tail.is_compressed()).is_ok_and(|probe| probe.is_of(&position));
            if !is_same {
                return false;
            }
            tail.path = file.path.clone();
            tail.real = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
        }
        tail.is_seen = true;
        tail.fate = Fate::Live;
        if !Arc::ptr_eq(&tail.target, &file.target) {
            // Configured anew: what is held back goes the old way, what comes the new one.
            tail.finish(&mut self.desk, false);
            let position = tail.position();
            if let Ok(probe) = Probe::new(&file.path, tail.is_compressed()) {
                *tail = Tail::new(tail.key.clone(), &file.path, probe, &position, &file.target, &self.options.host);
            }
        }
        true
    }

    /// What becomes of files that were not found.
    fn part(&mut self, targets: &[Arc<Target>], now_ns: u64) {
        let unseen: Vec<u64> = self.tails.iter().filter(|(_, tail)| !tail.is_seen).map(|(&id, _)| id).collect();
        for id in unseen {
            let Some(tail) = self.tails.get_mut(&id) else { continue };
            let is_wanted = targets.iter().any(|target| target.rules.covers(&tail.first_path));
            if !is_wanted {
                self.give_up(id, false, now_ns);
                continue;
            }
            if tail.fate == Fate::Live {
                tail.fate = Fate::Rotated;
                tail.active_ns = now_ns;
                self.counters.rotated.inc();
            }
            if !tail.is_open() && !tail.is_done {
                let searches = SEARCHES;
                self.give_up(id, false, now_ns);
                if let Some(orphan) = self.orphans.last_mut() {
                    orphan.searches = searches;
                }
            }
        }
    }

    /// Reads a file no longer; its position stays for a while. `with_last`: the last line will get no end.
    pub(super) fn give_up(&mut self, id: u64, with_last: bool, now_ns: u64) {
        let Some(mut tail) = self.tails.remove(&id) else { return };
        tail.finish(&mut self.desk, with_last);
        let position = tail.position();
        self.orphans.push(Orphan { key: tail.key, position, since_ns: now_ns, searches: 0, is_dirty: true });
    }

    /// The file was truncated: what was read of it may be in a copy, and it begins anew, perhaps as a copy of another.
    pub(super) fn begin_anew(&mut self, id: u64) {
        let Some(mut tail) = self.tails.remove(&id) else { return };
        self.counters.truncated.inc();
        tail.finish(&mut self.desk, false);
        let (position, since_ns) = (tail.position(), self.clock.monotonic_ns());
        let (inode, held) = ((tail.dev, tail.ino), tail.take_file());
        self.orphans.push(Orphan { key: tail.key, position, since_ns, searches: SEARCHES, is_dirty: true });
        // What its path leads to now may be another file, which a scan finds, or has found.
        let probe = match held {
            Some(held) => held.metadata().and_then(|metadata| Probe::of_open(held, &metadata, false)),
            None => Probe::new(&tail.path, false),
        };
        let file = Found { path: tail.path, target: tail.target, inode, mtime_s: 0 };
        if let Some(probe) = probe.ok().filter(|probe| (probe.dev, probe.ino) == inode) {
            self.adopt(&file, probe, &HashMap::new());
        }
    }

    fn new_key(&mut self, probe: &Probe) -> String {
        self.next_id += 1;
        let chance = format!("{} {} {} {}", probe.dev, probe.ino, self.clock.wall_ns(), self.next_id);
        format!("{:016x}", xxhash64(chance.as_bytes(), 0))
    }

    fn probe(&mut self, file: Found) -> Option<(Found, Probe)> {
        let is_compressed = file.path.extension().is_some_and(|extension| extension == "gz");
        if is_compressed && !file.target.rules.config.compressed {
            return None;
        }
        match Probe::new(&file.path, is_compressed) {
            Ok(probe) => Some((file, probe)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It is being written.
            Err(_) if is_compressed && self.clock.wall_ns() / 1_000_000_000 < file.mtime_s + WRITING_S => None,
            Err(error) => {
                let text = error.to_string();
                let is_told = self
                    .shared
                    .status
                    .lock()
                    .iter()
                    .any(|told| told.path == file.path && told.last_error.as_ref() == Some(&text));
                if !is_told {
                    self.counters.errors.with_label_values(&[&error.kind().to_string()]).inc();
                    tracing::warn!(path = %file.path.display(), error = %text, "a file cannot be opened");
                }
                self.unreadable.insert(file.path, text);
                None
            }
        }
    }

    fn orphan_by_inode(&self, probe: &Probe) -> Option<usize> {
        // One of which nothing was taken is as good as new, and a copy may have got its inode.
        let is_same = |position: &Position| {
            !position.is_start()
                && probe.is_inode(position)
                && probe.is_compressed == position.is_compressed
                && probe.is_of(position)
        };
        self.orphans.iter().position(|orphan| is_same(&orphan.position))
    }

    /// A file that has taken the content of one that is gone.
    fn orphan_by_content(&self, path: &Path, probe: &Probe) -> Option<usize> {
        let path = path.to_string_lossy();
        let may_be = |position: &Position| {
            let is_full = position.head.bytes == HEAD_BYTES_MAX;
            // The same short beginning under the same name is a program that was started again.
            let is_copy = position.path != path && is_related(&position.path, &path);
            position.head.bytes > 0 && (is_full || is_copy) && !position.is_compressed && probe.is_of(position)
        };
        let fitting = self.orphans.iter().enumerate().filter(|(_, orphan)| may_be(&orphan.position));
        fitting.max_by_key(|(_, orphan)| orphan.position.offset).map(|(at, _)| at)
    }

    fn resume(&mut self, orphan: usize, path: &Path, probe: Probe, target: &Arc<Target>) -> u64 {
        let Orphan { key, position, .. } = self.orphans.swap_remove(orphan);
        self.insert(Tail::new(key, path, probe, &position, target, &self.options.host))
    }

    fn insert(&mut self, tail: Tail) -> u64 {
        self.next_id += 1;
        self.tails.insert(self.next_id, tail);
        self.next_id
    }

    /// Takes a file that no position has the inode of: a copy, or a new one.
    fn adopt(&mut self, file: &Found, probe: Probe, initial: &HashMap<PathBuf, u64>) {
        if self.is_copy_of_tailed(&file.path, &probe) {
            self.copies.push(file.path.clone());
            return;
        }
        if let Some(orphan) = self.orphan_by_content(&file.path, &probe) {
            self.resume(orphan, &file.path, probe, &file.target);
            return;
        }
        let was_here = |path: &str| Path::new(path) == file.path;
        let is_known_path = self.tails.values().any(|tail| tail.first_path == file.path)
            || self.orphans.iter().any(|orphan| was_here(&orphan.position.path));
        let at_end = file.target.rules.config.start == FileStart::End
            && !self.marks.contains(&file.target.key)
            && !is_known_path;
        let told = initial.get(&file.path).copied().filter(|&offset| offset <= probe.size && !probe.is_compressed);
        let mut start = Position { dev: probe.dev, ino: probe.ino, ..Position::default() };
        match told {
            Some(offset) => start.offset = offset,
            None if at_end && probe.is_compressed => start.is_done = true,
            None if at_end => start.offset = probe.start_of_last_line(),
            None => {}
        }
        let key = self.new_key(&probe);
        self.insert(Tail::new(key, &file.path, probe, &start, &file.target, &self.options.host));
    }

    /// Whether this is a copy of another file that is read, or becomes one, under a name that rotation gives. It waits until
    /// the other is truncated or gone: what was not read of that one is read here then.
    fn is_copy_of_tailed(&mut self, path: &Path, probe: &Probe) -> bool {
        let path = path.to_string_lossy();
        let is_copy = |tail: &Tail| {
            if tail.is_compressed() || tail.offset() == 0 {
                return false;
            }
            let position = tail.position();
            let may_be = position.head.bytes == HEAD_BYTES_MAX || is_related(&position.path, &path);
            may_be && position.head.bytes > 0 && (probe.is_of(&position) || is_beginning_of(probe, tail))
        };
        let originals: Vec<u64> = self.tails.iter().filter(|(_, tail)| is_copy(tail)).map(|(&id, _)| id).collect();
        for &id in &originals {
            // If it was truncated already, reading finds it out.
            self.want_read(id);
        }
        !originals.is_empty()
    }

    /// Looks for files that vanished under the names that rotation gives: those that are known by content, or those that are
    /// known by their inodes alone, once the others are found.
    fn search(&mut self, targets: &[Arc<Target>], by_inode: bool) {
        let tailed: HashSet<(u64, u64)> = self.tails.values().map(|tail| (tail.dev, tail.ino)).collect();
        let mut at = 0;
        while let Some(orphan) = self.orphans.get_mut(at) {
            at += 1;
            if orphan.searches == 0 || orphan.position.is_done || orphan.position.is_start() != by_inode {
                continue;
            }
            orphan.searches -= 1;
            let position = orphan.position.clone();
            let covering = targets.iter().find(|target| target.rules.covers(Path::new(&position.path)));
            let Some(target) = covering else { continue };
            let Some((path, probe)) = find_rotated(&position, &tailed, target.rules.config.compressed) else {
                continue;
            };
            if by_inode && self.is_copy_of_tailed(&path, &probe) {
                continue;
            }
            at -= 1;
            let id = self.resume(at, &path, probe, target);
            if let Some(tail) = self.tails.get_mut(&id) {
                tail.fate = Fate::Rotated;
            }
        }
    }

    fn prune(&mut self, now_ns: u64) {
        let excess = self.orphans.len().saturating_sub(ORPHANS_MAX);
        if excess > 0 {
            self.orphans.sort_by_key(|orphan| orphan.since_ns);
        }
        let mut at = 0;
        let changed = &mut self.changed;
        self.orphans.retain(|orphan| {
            at += 1;
            let is_known = orphan.searches > 0 || !orphan.position.is_start();
            let stays = at > excess && now_ns < orphan.since_ns + ORPHAN_NS && is_known;
            if !stays {
                changed.push((orphan.key.clone(), String::new()));
            }
            stays
        });
    }
}

/// Whether a copy is under way: so far it is what the other file begins with.
fn is_beginning_of(probe: &Probe, tail: &Tail) -> bool {
    if probe.is_compressed || probe.size >= tail.offset() {
        return false;
    }
    // Its path may lead to another file by now, even to this one.
    let original = Probe::new(&tail.path, false).ok();
    let Some(original) = original.filter(|original| (original.dev, original.ino) == (tail.dev, tail.ino)) else {
        return false;
    };
    let (mut mine, mut its) = ([0; TAIL_BYTES_MAX], [0; TAIL_BYTES_MAX]);
    let from = probe.size.saturating_sub(TAIL_BYTES_MAX as u64);
    let ends = (read_at(&probe.file, &mut mine, from), read_at(&original.file, &mut its, from));
    let (Ok(count), Ok(its_count)) = ends else { return false };
    original.head.starts_with(&probe.head)
        && count <= its_count
        && mine.get(..count).is_some_and(|mine| its.get(..count) == Some(mine))
}

/// A file beside where one was, which is it or a copy of it.
fn find_rotated(position: &Position, tailed: &HashSet<(u64, u64)>, compressed: bool) -> Option<(PathBuf, Probe)> {
    let old = Path::new(&position.path);
    for entry in std::fs::read_dir(old.parent()?).ok()?.flatten().take(SEARCHED_MAX) {
        let path = entry.path();
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        if !is_related(&position.path, &path.to_string_lossy()) || is_compressed && !compressed {
            continue;
        }
        let Ok(probe) = Probe::new(&path, is_compressed) else { continue };
        if tailed.contains(&(probe.dev, probe.ino)) || !probe.is_of(position) {
            continue;
        }
        if probe.is_inode(position) || position.head.bytes > 0 && path != old {
            return Some((path, probe));
        }
    }
    None
}
