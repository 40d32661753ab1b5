//! The memory that batches in work take together.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::metrics::Metrics;

/// What is counted in: tokio counts in 32 bits.
const UNIT: u64 = 1 << 10;

/// Room for the payloads of batches, as they are when decompressed, and for what is made of them where that is more.
pub(super) struct Memory {
    units: u32,
    room: Semaphore,
    metrics: Arc<Metrics>,
}

/// The share of a batch. It is given back where this is dropped.
pub(super) struct Share<'m> {
    _permit: Option<SemaphorePermit<'m>>,
    /// What was added when the batch had been decoded.
    beyond: usize,
    bytes: u64,
    memory: &'m Memory,
}

impl Memory {
    pub(super) fn of(bytes: u64, metrics: Arc<Metrics>) -> Self {
        let units = units_of(bytes);
        Self { units, room: Semaphore::new(units as usize), metrics }
    }

    /// Returns once there is room, in the order of the calls. Whoever wants more than there is gets all of it, and is alone.
    pub(super) async fn take(&self, bytes: u64) -> Share<'_> {
        // It is never closed.
        let permit = self.room.acquire_many(units_of(bytes).min(self.units)).await.ok();
        self.metrics.payload_taken(bytes);
        Share { _permit: permit, beyond: 0, bytes, memory: self }
    }
}

impl Share<'_> {
    /// Takes as much of what is left as the batch needs when `bytes` have become of its payloads: the memory is taken already,
    /// and the batches that come later wait for it. What one that waits already has been promised is left to it.
    pub(super) fn has_become(&mut self, bytes: u64) {
        let has = units_of(self.bytes) as usize + self.beyond;
        let more = (units_of(bytes).min(self.memory.units) as usize).saturating_sub(has);
        self.beyond += self.memory.room.forget_permits(more);
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.memory.room.add_permits(self.beyond);
        self.memory.metrics.payload_given_back(self.bytes);
    }
}

fn units_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_batch_waits_for_room_and_none_overtakes_it() {
        let memory = Memory::of(10 * UNIT, Arc::default());
        let first = memory.take(6 * UNIT).now_or_never().unwrap();
        let mut second = pin!(memory.take(5 * UNIT));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = pin!(memory.take(1));
        assert!(third.as_mut().now_or_never().is_none(), "it came later");
        drop(first);
        let second = second.now_or_never().unwrap();
        let third = third.now_or_never().unwrap();
        assert!(memory.take(5 * UNIT).now_or_never().is_none());
        drop((second, third));
        assert!(memory.take(10 * UNIT).now_or_never().is_some());
    }

    #[test]
    fn a_batch_that_has_grown_keeps_others_waiting() {
        let memory = Memory::of(10 * UNIT, Arc::default());
        let mut grown = memory.take(2 * UNIT).now_or_never().unwrap();
        grown.has_become(UNIT);
        drop(memory.take(8 * UNIT).now_or_never().unwrap());
        grown.has_become(7 * UNIT);
        drop(memory.take(3 * UNIT).now_or_never().unwrap());
        assert!(memory.take(4 * UNIT).now_or_never().is_none());
        drop(grown);
        let mut huge = memory.take(UNIT).now_or_never().unwrap();
        huge.has_become(u64::MAX);
        assert!(memory.take(UNIT).now_or_never().is_none());
        drop(huge);
        assert!(memory.take(10 * UNIT).now_or_never().is_some());
    }

    #[test]
    fn a_batch_that_is_larger_than_all_is_alone() {
        let memory = Memory::of(10 * UNIT, Arc::default());
        let small = memory.take(1).now_or_never().unwrap();
        let mut large = pin!(memory.take(u64::MAX));
        assert!(large.as_mut().now_or_never().is_none());
        drop(small);
        let large = large.now_or_never().unwrap();
        assert!(memory.take(1).now_or_never().is_none());
        drop(large);
        assert!(memory.take(0).now_or_never().is_some());
    }
}
