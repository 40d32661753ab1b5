//! What is still read of a body after its request was answered, so that its client comes to read the answer.
//!
//! Most clients send all of a body before they read. The runtime reads a little more of it once the answer is at its end, and then
//! closes the connection: a client that is still sending sees a broken pipe, and sends the same again. So the answer is sent at once,
//! in full length, and is kept open while the body is read and thrown away. Nothing of it is held, and the bounds below are for the
//! connections and the time of the processor that somebody without a key could take.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use spillway_proto::UnixMillis;

/// How much is read of bodies that nobody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscardConfig {
    /// `MAX_DISCARDED_BYTES`: of one body. Default 100 MiB, which is the most that Cloudflare lets through on its smaller plans.
    pub max_bytes: usize,
    /// `DISCARD_TIMEOUT_MS`: for one body. Default 30000.
    pub timeout: Duration,
    /// `MAX_DISCARDS`: how many bodies an isolate reads so at a time. Default 64.
    pub at_once: usize,
}

/// The bodies that an isolate reads and throws away.
#[derive(Debug, Clone, Default)]
pub struct Discards(Rc<RefCell<Vec<UnixMillis>>>);

/// A place among them, given back when it is dropped.
#[derive(Debug)]
pub struct Discarding {
    of: Discards,
    until: UnixMillis,
}

impl Discards {
    /// A place for one more body; none where all are taken.
    ///
    /// The runtime may forget a request whose client has gone away, and with it who would give the place back: it is free again after
    /// the time that a body is given.
    pub fn begin(&self, config: &DiscardConfig, now: UnixMillis) -> Option<Discarding> {
        let mut places = self.0.borrow_mut();
        places.retain(|until| *until > now);
        let until = UnixMillis(now.0.saturating_add(config.timeout.as_millis() as u64));
        (places.len() < config.at_once).then(|| {
            places.push(until);
            Discarding { of: self.clone(), until }
        })
    }
}

impl Drop for Discarding {
    fn drop(&mut self) {
        let mut places = self.of.0.borrow_mut();
        if let Some(place) = places.iter().position(|until| *until == self.until) {
            places.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: DiscardConfig =
        DiscardConfig { max_bytes: 1_000, timeout: Duration::from_secs(30), at_once: 2 };

    #[test]
    fn no_more_bodies_are_read_at_a_time_than_there_are_places() {
        let (discards, now) = (Discards::default(), UnixMillis(1_000));
        let (one, _two) = (discards.begin(&CONFIG, now), discards.begin(&CONFIG, now));
        assert!(one.is_some() && discards.begin(&CONFIG, now).is_none());
        drop(one);
        let _three = discards.begin(&CONFIG, now).unwrap();
        assert!(discards.begin(&CONFIG, now).is_none());
    }

    #[test]
    fn a_place_that_nobody_gives_back_is_free_after_its_time() {
        let (discards, now) = (Discards::default(), UnixMillis(1_000));
        let [one, two] = [now, now].map(|now| discards.begin(&CONFIG, now).unwrap());
        std::mem::forget(one);
        assert!(discards.begin(&CONFIG, UnixMillis(30_999)).is_none());
        let later = UnixMillis(31_000);
        let _three = discards.begin(&CONFIG, later).unwrap();
        // Its place has been given to another one.
        drop(two);
        let _four = discards.begin(&CONFIG, later).unwrap();
        assert!(discards.begin(&CONFIG, later).is_none());
    }
}
