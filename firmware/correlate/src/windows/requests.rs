//! Request ids: which traces name them, and the entries that name them and no trace.

use super::slab::{Linked, NIL, Slab};
use super::texts::{Text, Texts};
use bramble_runtime::Reservation;

/// Traces that are remembered of a request at most.
pub(crate) const TRACES_MAX: usize = 8;
/// Entries without a trace that are held of one request.
const HELD_OF_ONE_MAX: u32 = 256;

/// An entry that names a request and no trace.
#[derive(Clone, Copy, Default)]
struct Held {
    time_ns: i64,
    identity: u64,
    /// When it came, seconds on the monotonic clock.
    came_s: u32,
    /// Low bits of the journal sequence with which it came.
    sequence: u32,
    next: u32,
}

#[derive(Clone, Copy, Default)]
struct Request {
    id: Text,
    next: u32,
    traces: [u32; TRACES_MAX],
    traces_len: u8,
    /// More traces name it than may.
    ambiguous: bool,
    is_used: bool,
    joined: bool,
    held: u32,
    held_len: u32,
    /// Traces that have it among theirs.
    users: u32,
}

/// A request of a trace, in the trace's list.
#[derive(Clone, Copy, Default)]
struct Named {
    request: u32,
    next: u32,
}

macro_rules! linked {
    ($($record:ty),*) => {$(
        impl Linked for $record {
            fn next(&self) -> u32 {
                self.next
            }

            fn set_next(&mut self, next: u32) {
                self.next = next;
            }
        }
    )*};
}
linked!(Held, Request, Named);

/// What became of an entry without a trace.
pub(crate) enum Hold {
    /// It is held; these traces name its request.
    Held([u32; TRACES_MAX], usize),
    /// There was no room for it.
    Refused,
}

fn seconds(ns: u64) -> u32 {
    (ns / 1_000_000_000) as u32
}

/// Requests by the text of their id.
pub(crate) struct Requests {
    requests: Slab<Request>,
    held: Slab<Held>,
    named: Slab<Named>,
    traces_max: usize,
    scratch: Vec<(i64, u64)>,
}

/// Requests of one trace that are told apart: as many as a correlation tells.
const NAMED_MAX: usize = 16;

impl Requests {
    /// What one of so many requests, entries and names costs, bytes.
    pub(crate) const BYTES: usize = size_of::<Request>() + size_of::<Held>() + size_of::<Named>();

    pub(crate) fn new(most: usize, traces_max: usize, space: [Reservation; 3]) -> Self {
        let [requests, held, named] = space;
        Requests {
            requests: Slab::new(most, requests),
            held: Slab::new(most, held),
            named: Slab::new(most, named),
            traces_max,
            scratch: Vec::new(),
        }
    }

    fn of(&mut self, id: Text, texts: &mut Texts) -> Option<u32> {
        let known = texts.request(id);
        if known != NIL {
            return Some(known);
        }
        let request = Request { id, is_used: true, held: NIL, next: NIL, ..Request::default() };
        let at = self.requests.add(request)?;
        texts.keep(id);
        texts.set_request(id, at);
        Some(at)
    }

    /// A trace names a request. `list` is the trace's. When that makes the request ambiguous, the traces that it was
    /// thought to be of.
    pub(crate) fn name(
        &mut self,
        id: Text,
        trace: u32,
        list: &mut u32,
        texts: &mut Texts,
    ) -> Option<[u32; TRACES_MAX]> {
        if id == Text::NONE {
            return None;
        }
        let at = self.of(id, texts)?;
        let request = self.requests[at];
        if request.traces[..usize::from(request.traces_len)].contains(&trace) {
            return None;
        }
        let (mut named, mut count) = (*list, 0);
        while named != NIL {
            if self.named[named].request == at {
                return None;
            }
            (named, count) = (self.named[named].next, count + 1);
        }
        let link = Named { request: at, next: *list };
        let added = if count < NAMED_MAX { self.named.add(link) } else { None };
        let Some(link) = added else {
            self.forget_unused(at, texts);
            return None;
        };
        *list = link;
        let request = &mut self.requests[at];
        request.users += 1;
        let len = usize::from(request.traces_len);
        if len < self.traces_max {
            request.traces[len] = trace;
            request.traces_len += 1;
            return None;
        }
        let was = std::mem::replace(&mut request.ambiguous, true);
        let mut traces = [NIL; TRACES_MAX];
        traces[..len].copy_from_slice(&request.traces[..len]);
        (!was).then_some(traces)
    }

    /// Holds an entry without a trace.
    pub(crate) fn hold(
        &mut self,
        id: Text,
        (time_ns, identity): (i64, u64),
        (sequence, now_ns): (u64, u64),
        texts: &mut Texts,
    ) -> Hold {
        let Some(at) = self.of(id, texts) else { return Hold::Refused };
        let request = self.requests[at];
        if request.held_len >= HELD_OF_ONE_MAX || request.ambiguous {
            return Hold::Refused;
        }
        let Some(held) = self.held.add(Held {
            time_ns,
            identity,
            came_s: seconds(now_ns),
            sequence: sequence as u32,
            next: request.held,
        }) else {
            self.forget_unused(at, texts);
            return Hold::Refused;
        };
        let request = &mut self.requests[at];
        (request.held, request.held_len) = (held, request.held_len + 1);
        Hold::Held(request.traces, usize::from(request.traces_len))
    }

    /// How many distinct entries of `from_ns..until_ns` are held of the requests of a trace's list that `is_of` takes, and
    /// whether any such request is ambiguous.
    pub(crate) fn joined(
        &mut self,
        list: u32,
        (from_ns, until_ns): (i64, i64),
        texts: &Texts,
        mut is_of: impl FnMut(&[u8]) -> bool,
    ) -> (u64, bool) {
        let mut is_ambiguous = false;
        self.scratch.clear();
        let mut named = list;
        while named != NIL {
            let Named { request, next } = self.named[named];
            named = next;
            let request = &mut self.requests[request];
            if !is_of(texts.get(request.id)) {
                continue;
            }
            if request.ambiguous {
                is_ambiguous = true;
                continue;
            }
            request.joined = true;
            let mut held = request.held;
            while held != NIL {
                let entry = self.held[held];
                if (from_ns..until_ns).contains(&entry.time_ns) {
                    self.scratch.push((entry.time_ns, entry.identity));
                }
                held = entry.next;
            }
        }
        self.scratch.sort_unstable();
        self.scratch.dedup();
        (self.scratch.len() as u64, is_ambiguous)
    }

    /// A trace with this list is no longer held.
    pub(crate) fn leave(&mut self, trace: u32, mut list: u32, texts: &mut Texts) {
        while list != NIL {
            let Named { request: at, next } = self.named[list];
            self.named.remove(list);
            list = next;
            let request = &mut self.requests[at];
            request.users -= 1;
            let len = usize::from(request.traces_len);
            if let Some(found) = request.traces[..len].iter().position(|&other| other == trace) {
                request.traces.copy_within(found + 1..len, found);
                request.traces_len -= 1;
            }
            self.forget_unused(at, texts);
        }
    }

    fn forget_unused(&mut self, at: u32, texts: &mut Texts) {
        let request = self.requests[at];
        if request.users == 0 && request.held == NIL {
            texts.set_request(request.id, NIL);
            texts.release(request.id);
            self.requests.remove(at);
        }
    }

    /// Lets go of entries that were held for longer than `wait_ns`, or twice that while a trace names their request; how
    /// many of them were joined with nothing. With how far before `observed` those that are still held came.
    pub(crate) fn expire(&mut self, now_ns: u64, wait_ns: u64, observed: u64, texts: &mut Texts) -> (u64, Option<u64>) {
        let (mut unmatched, mut before) = (0, None);
        for at in 0..self.requests.end() {
            let request = self.requests[at];
            if !request.is_used || request.held == NIL {
                continue;
            }
            let wait_s = seconds(if request.users == 0 { wait_ns } else { wait_ns.saturating_mul(2) });
            let is_kept = |held: &Held| !request.ambiguous && seconds(now_ns).saturating_sub(held.came_s) <= wait_s;
            // The newest come first.
            let (mut last, mut held, mut kept) = (NIL, request.held, 0);
            while held != NIL && is_kept(&self.held[held]) {
                before = before.max(Some(u64::from((observed as u32).wrapping_sub(self.held[held].sequence))));
                (last, held, kept) = (held, self.held[held].next, kept + 1);
            }
            if held == NIL {
                continue;
            }
            unmatched += if request.joined && !request.ambiguous { 0 } else { u64::from(request.held_len - kept) };
            while held != NIL {
                let next = self.held[held].next;
                self.held.remove(held);
                held = next;
            }
            self.requests[at].held_len = kept;
            match last {
                NIL => self.requests[at].held = NIL,
                last => self.held[last].next = NIL,
            }
            self.forget_unused(at, texts);
        }
        (unmatched, before)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.requests.len() + self.held.len() + self.named.len()
    }
}
