//! A card in memory whose power can be cut.
//!
//! Fault model: a sector (512 bytes) is written whole or not at all. What was not synced is lost in any part: any subset
//! of the sectors and directory changes may be there after a cut, in the order they were made. What is not modelled: a
//! card that loses what it said was synced, or damages sectors that were not written.

use super::Medium;
use crate::slot::Slot;
use std::collections::BTreeMap;
use std::io::{self, Read};

pub(crate) const SECTOR: usize = 512;

#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    files: BTreeMap<String, Vec<u8>>,
    roots: [Vec<u8>; 2],
}

#[derive(Clone, Debug)]
enum Change {
    Create(String),
    Remove(String),
    File(String, usize, Vec<u8>),
    Root(Slot, usize, Vec<u8>),
}

impl Content {
    fn apply(&mut self, change: &Change) {
        let put = |into: &mut [u8], at: usize, bytes: &[u8]| {
            into.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
        };
        match change {
            Change::Create(name) => drop(self.files.insert(name.clone(), Vec::new())),
            Change::Remove(name) => drop(self.files.remove(name)),
            Change::File(name, at, bytes) => {
                if let Some(file) = self.files.get_mut(name) {
                    file.resize(file.len().max(at + bytes.len()), 0);
                    put(file, *at, bytes);
                }
            }
            Change::Root(slot, at, bytes) => put(&mut self.roots[*slot as usize], *at, bytes),
        }
    }
}

/// The card; a clone is a copy of all of it.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    /// As the running system sees it.
    now: Content,
    durable: Content,
    pending: Vec<Change>,
    /// Changes and syncs until the power goes; `None` for never.
    pub(crate) left: Option<usize>,
    pub(crate) root_bytes_max: u64,
    pub(crate) free_bytes: u64,
    /// Changes and syncs so far.
    pub(crate) done: usize,
    is_dead: bool,
}

fn dead() -> io::Error {
    io::Error::other("the power was cut")
}

impl Simulated {
    pub(crate) fn new(files: &[(&str, &[u8])], root_a: &[u8], root_bytes: usize) -> Simulated {
        let mut content = Content { roots: [vec![0; root_bytes], vec![0; root_bytes]], ..Content::default() };
        content.roots[0][..root_a.len()].copy_from_slice(root_a);
        content.files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        Simulated {
            now: content.clone(),
            durable: content,
            pending: Vec::new(),
            left: None,
            root_bytes_max: root_bytes as u64,
            free_bytes: 1 << 20,
            done: 0,
            is_dead: false,
        }
    }

    fn spend(&mut self) -> io::Result<()> {
        self.done += 1;
        match &mut self.left {
            None => Ok(()),
            Some(0) => {
                self.is_dead = true;
                Err(dead())
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        if self.is_dead {
            return Err(dead());
        }
        // What is being written when the power goes may arrive or not.
        self.now.apply(&change);
        self.pending.push(change);
        self.spend()
    }

    fn sync(&mut self, which: impl Fn(&Change) -> bool) -> io::Result<()> {
        self.spend()?;
        let (synced, pending) = std::mem::take(&mut self.pending).into_iter().partition(which);
        self.pending = pending;
        let synced: Vec<Change> = synced;
        synced.iter().for_each(|change| self.durable.apply(change));
        Ok(())
    }

    /// The machine comes up again after the power was cut: of what was not synced, what `keeps` says of its index.
    pub(crate) fn restart(&mut self, keeps: impl Fn(usize) -> bool) {
        let pending = std::mem::take(&mut self.pending);
        let kept = pending.iter().enumerate().filter(|(index, _)| keeps(*index));
        kept.for_each(|(_, change)| self.durable.apply(change));
        self.now = self.durable.clone();
        self.left = None;
        self.is_dead = false;
    }

    pub(crate) fn unsynced(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        self.now.files.get(name).map(Vec::as_slice)
    }

    pub(crate) fn root(&self, slot: Slot) -> &[u8] {
        &self.now.roots[slot as usize]
    }

    /// Everything that belongs to a slot.
    pub(crate) fn slot_content(&self, slot: Slot) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let of_slot = self.now.files.iter().filter(|(name, _)| name.starts_with(&format!("{slot}/")));
        (self.root(slot).to_vec(), of_slot.map(|(name, bytes)| (name.clone(), bytes.clone())).collect())
    }
}

impl Medium for Simulated {
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let file = self.now.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(file.as_slice()))
    }

    fn overwrite(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = at as usize;
        let file = self.now.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        assert!(at / SECTOR == (at + bytes.len() - 1) / SECTOR, "more than a sector in place");
        if file.len() < at + bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.change(Change::File(name.to_owned(), at, bytes.to_vec()))?;
        self.sync(|change| matches!(change, Change::File(of, ..) if of == name))
    }

    fn write(&mut self, name: &str, content: &mut dyn Read) -> io::Result<u64> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.change(Change::Create(name.to_owned()))?;
        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
            self.change(Change::File(name.to_owned(), index * SECTOR, sector.to_vec()))?;
        }
        Ok(bytes.len() as u64)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.now.files.contains_key(name) { self.change(Change::Remove(name.to_owned())) } else { Ok(()) }
    }

    fn clear(&mut self, slot: Slot) -> io::Result<()> {
        let names: Vec<String> = self.slot_content(slot).1.into_iter().map(|(name, _)| name).collect();
        names.into_iter().try_for_each(|name| self.change(Change::Remove(name)))
    }

    fn sync_files(&mut self) -> io::Result<()> {
        self.sync(|change| !matches!(change, Change::Root(..)))
    }

    fn free_bytes(&mut self) -> io::Result<u64> {
        Ok(self.free_bytes)
    }

    fn slot_bytes(&mut self, slot: Slot) -> io::Result<u64> {
        Ok(self.slot_content(slot).1.iter().map(|(_, bytes)| bytes.len() as u64).sum())
    }

    fn root_bytes(&mut self, _: Slot) -> io::Result<u64> {
        Ok(self.root_bytes_max)
    }

    fn write_root(&mut self, slot: Slot, at: u64, bytes: &[u8]) -> io::Result<()> {
        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
            self.change(Change::Root(slot, at as usize + index * SECTOR, sector.to_vec()))?;
        }
        Ok(())
    }

    fn sync_root(&mut self, slot: Slot) -> io::Result<()> {
        self.sync(|change| matches!(change, Change::Root(of, ..) if *of == slot))
    }

    fn read_root(&mut self, slot: Slot, at: u64, into: &mut [u8]) -> io::Result<()> {
        let root = self.root(slot);
        let from = root.get(at as usize..at as usize + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(from);
        Ok(())
    }
}
