//! Batches between prepare and commit.

use crate::options::IngestOptions;
use crate::record::Body;
use bramble_runtime::{Budget, Reservation};
use bramble_storage::{Delivery, Done, Urgency, Written};
use std::collections::VecDeque;

/// A prepared batch that waits for a commit.
pub(crate) struct Pending {
    pub(crate) body: Body,
    /// Where it comes from, if that is to be durable with it.
    pub(crate) delivery: Option<Delivery>,
    pub(crate) written: Written,
    pub(crate) done: Done,
    pub(crate) held: Reservation,
    pub(crate) memory_bytes: usize,
    pub(crate) urgency: Urgency,
    /// Monotonic time of arrival.
    pub(crate) arrived_ns: u64,
}

/// The queue. Its memory is bounded by the budget `receive`, whose reservations its batches hold.
#[derive(Default)]
pub(crate) struct Queue {
    batches: VecDeque<Pending>,
    bytes: usize,
    held_bytes: usize,
    own_bytes: usize,
    first_sender_ns: Option<u64>,
    first_background_ns: Option<u64>,
}

/// When the next commit is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// At once.
    Now,
    /// At this monotonic time, unless something else comes first.
    At(u64),
    /// Nothing waits that may cause a commit.
    Idle,
}

impl Queue {
    pub(crate) fn push(&mut self, pending: Pending) {
        self.bytes += pending.memory_bytes;
        self.held_bytes += pending.held.bytes();
        match pending.urgency {
            Urgency::SenderWaits => self.first_sender_ns = self.first_sender_ns.or(Some(pending.arrived_ns)),
            Urgency::Background => self.first_background_ns = self.first_background_ns.or(Some(pending.arrived_ns)),
            Urgency::OwnTelemetry => self.own_bytes += pending.memory_bytes,
        }
        self.batches.push_back(pending);
    }

    /// Whether more own telemetry may wait.
    pub(crate) fn takes_own(&self, memory_bytes: usize, options: &IngestOptions) -> bool {
        self.own_bytes + memory_bytes <= options.own_telemetry_bytes
    }

    /// What nobody waited for is waited for now.
    pub(crate) fn hurry(&mut self) {
        self.first_sender_ns = self.first_sender_ns.or(self.first_background_ns);
    }

    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Memory of the batches that wait.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The commit rule of design §3.4. `receive` is the budget that open requests reserve from: when all of it is
    /// held by waiting batches, every open request already waits and there is nothing to wait for.
    pub(crate) fn due(&self, now_ns: u64, receive: &Budget, options: &IngestOptions) -> Due {
        if self.bytes >= options.commit_bytes + self.own_bytes {
            return Due::Now;
        }
        // All open requests wait already; but a sender that was just answered sends again within moments, and two
        // small batches in one 4 KiB frame are half the wear.
        let everyone_waits = receive.used_bytes() <= self.held_bytes;
        let patience_ns = if everyone_waits { options.gather_ns } else { options.sender_wait_ns };
        let sender = self.first_sender_ns.map(|t| t + patience_ns);
        if sender.is_some_and(|at| now_ns >= at) {
            return Due::Now;
        }
        let background = self.first_background_ns.map(|t| t + options.background_wait_ns);
        match [sender, background].into_iter().flatten().min() {
            Some(at) => Due::At(at),
            None => Due::Idle,
        }
    }

    /// Takes everything.
    pub(crate) fn take(&mut self) -> Vec<Pending> {
        let batches = std::mem::take(&mut self.batches);
        *self = Queue::default();
        batches.into()
    }
}
