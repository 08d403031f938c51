//! Pages by number, where numbers grow for ever and old ones fall out of use.

const SLOTS: usize = 512;

type Table<T> = [Option<Box<T>>; SLOTS];

/// A map from page numbers to pages in two steps: a stretch of numbers that nobody uses costs eight bytes for 512 pages.
pub(super) struct Directory<T> {
    tables: Vec<Option<Box<Table<T>>>>,
    used_tables: usize,
    used_pages: usize,
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Directory { tables: Vec::new(), used_tables: 0, used_pages: 0 }
    }
}

impl<T> Directory<T> {
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.tables.get(at / SLOTS)?.as_ref()?.get(at % SLOTS)?.as_deref()
    }

    /// The page `at`, made by `make` if it is not there.
    pub(super) fn get_or_insert(&mut self, at: usize, make: impl FnOnce() -> T) -> &mut T {
        let table = at / SLOTS;
        if self.tables.len() <= table {
            self.tables.resize_with(table + 1, || None);
        }
        let used_tables = &mut self.used_tables;
        let table = self.tables[table].get_or_insert_with(|| {
            *used_tables += 1;
            Box::new(std::array::from_fn(|_| None))
        });
        let used_pages = &mut self.used_pages;
        table[at % SLOTS].get_or_insert_with(|| {
            *used_pages += 1;
            Box::new(make())
        })
    }

    /// Pages that are there, with their numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let tables = self.tables.iter().enumerate().filter_map(|(at, table)| Some((at, table.as_ref()?)));
        tables.flat_map(|(table, pages)| {
            let there = pages.iter().enumerate();
            there.filter_map(move |(at, page)| Some((table * SLOTS + at, page.as_deref()?)))
        })
    }

    /// Memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.tables.capacity() * 8 + self.used_tables * size_of::<Table<T>>() + self.used_pages * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_numbers_cost_next_to_nothing() {
        let mut pages = Directory::default();
        assert!(pages.get(5).is_none() && pages.iter().next().is_none());
        for at in [1_000_000, 3, 1_000_001, 3] {
            pages.get_or_insert(at, || at as u64);
        }
        assert_eq!(pages.iter().collect::<Vec<_>>(), [(3, &3), (1_000_000, &1_000_000), (1_000_001, &1_000_001)]);
        assert_eq!((pages.get(3), pages.get(4), pages.get(900_000)), (Some(&3), None, None));
        assert!(pages.bytes() < 32 << 10, "{}", pages.bytes());
    }
}
