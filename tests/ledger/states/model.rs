//! The ledger in a few maps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use origin_consumer::queue::{Adopted, Batch, Claim, ClaimLimits, Enqueued, Fault, Finding, Setback};
use rusqlite::Connection;
use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};

use super::steps::{Step, TRIES, WINDOW, Work};

/// As the ledger has it: found short so often, an object is dead.
const SHORTS: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Batched,
    Stored,
    Audited,
    Expired,
    Held,
    Duplicate,
    Dead,
    Discarded,
}

impl State {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    state: State,
    /// The ids that its request is held under.
    ids: [String; 2],
    is_of_previous_version: bool,
    is_complete: bool,
    resend_of: Option<String>,
    place: Option<u64>,
    batch: Option<String>,
    failures: u32,
    not_before: u64,
    enqueued_at: u64,
    look_first: bool,
    replayed: bool,
    ended_at: u64,
    shorts: u32,
}

/// How an object stands to those of its request.
enum Stands {
    First,
    /// Behind one that holds all of the request.
    Duplicate(String),
    /// Behind those that began with this one.
    Held(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Manifest {
    replayed: bool,
    leased_until: u64,
    given_back: bool,
    look_first: bool,
    inserts: u32,
    failures: u32,
    abandoned: u32,
    /// The claim that has it, by its place among all.
    holder: Option<u64>,
}

/// A batch as the file has it, with its objects.
pub struct Found {
    id: String,
    keys: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    objects: BTreeMap<String, Object>,
    open: BTreeMap<String, Manifest>,
    requests: BTreeMap<String, (String, u64)>,
    claims: u64,
    /// Each lease by its debug text: the fence itself is nobody's business.
    leases: BTreeMap<String, u64>,
}

impl Model {
    pub fn enqueue(&mut self, object: &Notification, replayed: bool, now: UnixMillis) -> Enqueued {
        self.enqueue_all(&[object], replayed, now)[0]
    }

    /// Those that came at once.
    pub fn enqueue_all(
        &mut self,
        objects: &[&Notification],
        replayed: bool,
        now: UnixMillis,
    ) -> Vec<Enqueued> {
        // The first one received is the first one of its request.
        let mut order: Vec<_> = objects.iter().enumerate().collect();
        order.sort_by_key(|(_, object)| (object.object_key.received_at(), object.object_key.to_string()));
        let taken: BTreeMap<_, _> =
            order.into_iter().map(|(place, object)| (place, self.take_in(object, replayed, now))).collect();
        let enqueued = taken.into_values().collect();
        for object in objects {
            if let Some(root) = self.of(&object.object_key.to_string()).resend_of.clone() {
                self.release(&root);
            }
        }
        enqueued
    }

    fn take_in(&mut self, object: &Notification, replayed: bool, now: UnixMillis) -> Enqueued {
        let key = object.object_key.to_string();
        if self.objects.contains_key(&key) {
            return Enqueued::Known;
        }
        let received = object.object_key.received_at().0;
        let id = object.object_key.object_id();
        let ids = [id.to_string(), format!("~{}", object.previous_id.unwrap_or(id))];
        let new = Object {
            state: State::Pending,
            ids,
            is_of_previous_version: object.previous_id.is_none(),
            is_complete: object.rejected_spans == Some(0),
            resend_of: None,
            place: None,
            batch: None,
            failures: 0,
            not_before: 0,
            enqueued_at: now.0,
            look_first: replayed,
            replayed,
            ended_at: 0,
            shorts: 0,
        };
        let (state, resend_of) = match self.stands(&key, &new, received, WINDOW) {
            Stands::First => (State::Pending, None),
            Stands::Duplicate(holder) => (State::Duplicate, Some(holder)),
            Stands::Held(root) => (State::Held, Some(root)),
        };
        self.objects.insert(key, Object { state, resend_of, ..new });
        if state == State::Pending { Enqueued::New } else { Enqueued::Resend }
    }

    /// It holds its request from here on where nobody did within the window before it.
    fn stands(&mut self, key: &str, object: &Object, received: u64, window: Duration) -> Stands {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let [by_id, by_previous] = object.ids.clone().map(|id| {
            let held = self.requests.entry(id).or_insert_with(|| (key.to_owned(), received));
            if held.1.saturating_add(window) < received {
                *held = (key.to_owned(), received);
            }
            Some(held.0.clone()).filter(|holder| holder != key)
        });
        let root = |holder: String| self.of(&holder).resend_of.clone().unwrap_or(holder);
        match (by_id, by_previous) {
            (Some(holder), _) if self.of(&holder).is_complete => Stands::Duplicate(holder),
            (Some(holder), _) => Stands::Held(root(holder)),
            // Otherwise it is the same body, of another project.
            (None, Some(holder))
                if object.is_of_previous_version || self.of(&holder).is_of_previous_version =>
            {
                Stands::Held(root(holder))
            }
            (None, _) => Stands::First,
        }
    }

    fn of(&self, key: &str) -> &Object {
        self.objects.get(key).expect("requests are held by objects that are known")
    }

    /// The first one of those that are held, where none is under way.
    fn release(&mut self, root: &str) {
        let under_way = |(key, object): (&String, &Object)| {
            (key == root || object.resend_of.as_deref() == Some(root))
                && matches!(object.state, State::Pending | State::Batched)
        };
        if self.objects.iter().any(under_way) {
            return;
        }
        let place = Some(self.next_place(root));
        let held = self
            .objects
            .values_mut()
            .find(|object| object.state == State::Held && object.resend_of.as_deref() == Some(root));
        if let Some(object) = held {
            (object.state, object.place) = (State::Pending, place);
        }
    }

    fn next_place(&self, root: &str) -> u64 {
        let of_root = self.objects.values().filter(|object| object.resend_of.as_deref() == Some(root));
        of_root.filter_map(|object| object.place).max().unwrap_or_default() + 1
    }

    /// Those before it that may hold spans of its request.
    fn predecessors(&self, key: &str) -> Vec<String> {
        let (Some(root), Some(place)) = (&self.of(key).resend_of, self.of(key).place) else {
            return Vec::new();
        };
        let is_before = |(key, object): &(&String, &Object)| {
            let is_resend = object.resend_of.as_ref() == Some(root);
            let holds_nothing =
                matches!(object.state, State::Held | State::Duplicate | State::Dead | State::Discarded);
            (*key == root || is_resend && object.place.is_some_and(|other| other < place)) && !holds_nothing
        };
        self.objects.iter().filter(is_before).map(|(key, _)| key.clone()).collect()
    }

    /// Whether the claim was right, and what has become of it.
    pub fn claim(&mut self, claim: &Claim, limits: ClaimLimits, now: UnixMillis) -> Result<()> {
        let batch = match claim {
            Claim::Batch(batch) => Some(batch),
            Claim::Unripe(_) | Claim::Nothing => None,
        };
        let mut due = None;
        for replayed in [false, true] {
            let free = self
                .open
                .iter()
                .filter(|(_, batch)| batch.replayed == replayed && batch.leased_until <= now.0);
            if let Some(first) = free.map(|(_, batch)| batch.leased_until).min() {
                return self.reclaim(batch.context("a batch is free")?, first, limits.lease, now);
            }
            let waiting: Vec<_> = self.waiting(replayed, now);
            let enqueued_at = |key: &String| self.objects.get(key).map(|object| object.enqueued_at);
            if let Some(oldest) = waiting.iter().filter_map(enqueued_at).min() {
                let ripe_at = oldest + limits.delay.as_millis() as u64;
                if waiting.len() < limits.objects as usize && now.0 < ripe_at {
                    due = Some(due.map_or(ripe_at, |due: u64| due.min(ripe_at)));
                    continue;
                }
                let batch = batch.context("objects wait")?;
                let keys = keys_of(batch);
                ensure!(keys.len() == waiting.len().min(limits.objects as usize), "{} objects", keys.len());
                ensure!(keys.iter().all(|key| waiting.contains(key)), "an object does not wait");
                return self.hand_out(batch, replayed, limits.lease, now);
            }
        }
        match claim {
            Claim::Batch(_) => anyhow::bail!("there is nothing to claim"),
            Claim::Unripe(at) => ensure!(due == Some(at.0), "due at {at:?}, not {due:?}"),
            Claim::Nothing => ensure!(due.is_none(), "objects wait until {due:?}"),
        }
        Ok(())
    }

    fn waiting(&self, replayed: bool, now: UnixMillis) -> Vec<String> {
        let waits = |object: &Object| {
            object.state == State::Pending && object.replayed == replayed && object.not_before <= now.0
        };
        self.objects.iter().filter(|(_, object)| waits(object)).map(|(key, _)| key.clone()).collect()
    }

    fn ensure_predecessors(&self, batch: &Batch) -> Result<()> {
        for object in &batch.objects {
            let key = object.notification.object_key.to_string();
            let told: Vec<_> = object.predecessors.iter().map(ToString::to_string).collect();
            let expected = self.predecessors(&key);
            ensure!(told == expected, "before {key} came {told:?}, not {expected:?}");
        }
        Ok(())
    }

    fn reclaim(&mut self, batch: &Batch, first: u64, lease: Duration, now: UnixMillis) -> Result<()> {
        let id = batch.id.to_string();
        let keys: Vec<_> = self.of_batch(&id);
        let holder = self.lease(batch);
        let known = self.open.get_mut(&id).context("no such batch is open")?;
        ensure!(known.leased_until == first, "another was free before");
        known.abandoned += u32::from(!known.given_back);
        // Under suspicion its deaths count from `begin_alone` on.
        known.given_back = known.abandoned > 0;
        known.leased_until = now.0 + lease.as_millis() as u64;
        known.holder = Some(holder);
        ensure!(keys_of(batch) == keys, "the manifest is another");
        let told = (batch.look_first, batch.inserts, batch.failures, batch.abandoned);
        let expected = (known.look_first, known.inserts, known.failures, known.abandoned);
        ensure!(told == expected, "{told:?}, not {expected:?}");
        self.ensure_predecessors(batch)
    }

    fn hand_out(&mut self, batch: &Batch, replayed: bool, lease: Duration, now: UnixMillis) -> Result<()> {
        let id = batch.id.to_string();
        let mut look_first = false;
        for key in keys_of(batch) {
            let object = self.objects.get_mut(&key).context("an unknown object")?;
            look_first |= object.look_first;
            (object.state, object.batch) = (State::Batched, Some(id.clone()));
        }
        ensure!(batch.look_first == look_first, "look first: {}", batch.look_first);
        let holder = Some(self.lease(batch));
        let leased_until = now.0 + lease.as_millis() as u64;
        self.open.insert(id, Manifest { leased_until, holder, ..Manifest::new(replayed, look_first, 0) });
        self.ensure_predecessors(batch)
    }

    fn lease(&mut self, batch: &Batch) -> u64 {
        self.claims += 1;
        self.leases.insert(lease_of(batch), self.claims);
        self.claims
    }

    fn of_batch(&self, id: &str) -> Vec<String> {
        let of = |object: &Object| object.state == State::Batched && object.batch.as_deref() == Some(id);
        self.objects.iter().filter(|(_, object)| of(object)).map(|(key, _)| key.clone()).collect()
    }

    /// Whether this claim is the one that may write.
    pub fn holds(&self, batch: &Batch) -> bool {
        let known = self.open.get(&batch.id.to_string());
        known.is_some_and(|known| {
            known.holder.is_some() && known.holder == self.leases.get(&lease_of(batch)).copied()
        })
    }

    pub fn work(
        &mut self,
        batch: &Batch,
        work: &Work,
        setbacks: &[Setback],
        found: &[Found],
        now: UnixMillis,
    ) -> Result<()> {
        let id = batch.id.to_string();
        let known = self.open.get_mut(&id).context("no such batch is open")?;
        match work {
            Work::BeginInsert => {
                known.inserts += 1;
                known.leased_until = now.0 + 20_000;
            }
            Work::BeginAlone => known.given_back = false,
            Work::Renew => known.leased_until = now.0 + 20_000,
            Work::Release(millis) => {
                known.failures += 1;
                known.abandoned = 0;
                known.give_back(now.0 + u64::from(*millis));
            }
            Work::Ack => self.acknowledge(batch, now)?,
            Work::SetBack(_) => {
                known.give_back(now.0);
                self.set_back(&id, setbacks, now)?;
            }
            Work::Split => self.split(&id, found, now)?,
        }
        Ok(())
    }

    fn acknowledge(&mut self, batch: &Batch, now: UnixMillis) -> Result<()> {
        let id = batch.id.to_string();
        self.open.remove(&id);
        let keys = self.of_batch(&id);
        for key in &keys {
            let object = self.objects.get_mut(key).context("an unknown object")?;
            (object.state, object.failures, object.ended_at) = (State::Stored, 0, now.0);
        }
        for claimed in &batch.objects {
            let is_dead =
                |key: &ObjectKey| matches!(self.of(&key.to_string()).state, State::Dead | State::Discarded);
            // What was left to it, nobody holds.
            if claimed.predecessors.iter().any(is_dead) {
                let key = claimed.notification.object_key.to_string();
                let object = self.objects.get_mut(&key).context("an unknown object")?;
                (object.state, object.batch, object.look_first) = (State::Pending, None, true);
            }
        }
        for key in keys {
            let root = self.of(&key).resend_of.clone().unwrap_or(key);
            self.release(&root);
        }
        Ok(())
    }

    fn set_back(&mut self, id: &str, setbacks: &[Setback], now: UnixMillis) -> Result<()> {
        let batch = self.open.get(id).context("no such batch is open")?.clone();
        let may_be_there = batch.look_first || batch.inserts > 0;
        for setback in setbacks {
            let key = setback.object_key.to_string();
            if !self.of_batch(id).contains(&key) {
                continue;
            }
            let object = self.objects.get_mut(&key).context("an unknown object")?;
            object.failures += u32::from(setback.fault != Fault::Passing);
            let is_dead = match setback.fault {
                Fault::Fatal => true,
                Fault::Poison => object.failures >= TRIES,
                Fault::Passing | Fault::Resend { .. } => false,
            };
            object.batch = None;
            object.look_first |= may_be_there && !is_dead;
            if is_dead {
                object.state = State::Dead;
                self.bury(&key);
            } else {
                object.state = State::Pending;
                object.not_before = now.0 + (500u64 << object.failures).min(30_000);
            }
        }
        if batch.inserts == 0 {
            for key in self.of_batch(id) {
                let object = self.objects.get_mut(&key).context("an unknown object")?;
                (object.state, object.batch) = (State::Pending, None);
                object.look_first |= may_be_there;
            }
        }
        if self.of_batch(id).is_empty() {
            self.open.remove(id);
        }
        Ok(())
    }

    /// Resends take over what a dead object held.
    fn bury(&mut self, key: &str) {
        let held: Vec<_> = self
            .requests
            .iter()
            .filter(|(_, held)| held.0 == key)
            .map(|(id, held)| (id.clone(), held.1))
            .collect();
        self.requests.retain(|_, held| held.0 != key);
        let is_gone =
            |state| matches!(state, State::Dead | State::Discarded | State::Audited | State::Expired);
        let resends = self
            .objects
            .iter()
            .filter(|(_, object)| object.resend_of.as_deref() == Some(key) && !is_gone(object.state));
        let mut resends: Vec<_> = resends.map(|(key, _)| key.clone()).collect();
        let mut is_complete = false;
        let root = match self.of(key).resend_of.clone() {
            Some(root) => root,
            None => {
                resends.sort_by_key(|key| match self.of(key).state {
                    State::Pending | State::Batched => 0,
                    State::Stored => 1,
                    _ => 2 + u8::from(!self.of(key).is_complete),
                });
                if resends.is_empty() {
                    return;
                }
                let heir = resends.remove(0);
                let object = self.objects.get_mut(&heir).expect("it is known");
                (object.resend_of, object.place) = (None, None);
                if !matches!(object.state, State::Pending | State::Batched) {
                    object.look_first |= object.state == State::Stored;
                    (object.state, object.batch) = (State::Pending, None);
                }
                is_complete = object.is_complete;
                heir
            }
        };
        for resend in resends {
            self.objects.get_mut(&resend).expect("it is known").resend_of = Some(root.clone());
        }
        for object in self.objects.values_mut().filter(|object| object.resend_of.as_ref() == Some(&root)) {
            if object.state == State::Stored || object.state == State::Duplicate && !is_complete {
                (object.state, object.batch, object.place) = (State::Held, None, None);
                object.look_first = true;
            }
            if object.state == State::Held && is_complete {
                object.state = State::Duplicate;
            }
        }
        for (id, received) in held {
            self.requests.entry(id).or_insert_with(|| (root.clone(), received));
        }
        self.release(&root);
    }

    fn split(&mut self, id: &str, found: &[Found], now: UnixMillis) -> Result<()> {
        let keys = self.of_batch(id);
        let whole = self.open.remove(id).context("no such batch is open")?;
        let look_first = whole.look_first || whole.inserts > 0;
        let (first, second) = keys.split_at(keys.len() / 2);
        for half in [first, second].into_iter().filter(|half| !half.is_empty()) {
            let new = found.iter().find(|found| found.keys == half).context("a half is not there")?;
            ensure!(!self.open.contains_key(&new.id) && new.id != id, "it is no new batch");
            for key in half {
                let object = self.objects.get_mut(key).context("an unknown object")?;
                object.batch = Some(new.id.clone());
            }
            let abandoned = whole.abandoned.saturating_sub(1);
            let mut half = Manifest::new(whole.replayed, look_first, abandoned);
            half.give_back(now.0);
            self.open.insert(new.id.clone(), half);
        }
        Ok(())
    }

    pub fn adopt(
        &mut self,
        asked: &[Notification],
        adopted: &Adopted,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<()> {
        let mut by_key: Vec<_> = asked.iter().collect();
        by_key.sort_by_key(|object| object.object_key.to_string());
        by_key.dedup_by_key(|object| object.object_key.to_string());
        self.enqueue_all(&by_key, true, now);
        let (mut keys, mut in_hand, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
        for object in by_key {
            let key = object.object_key.to_string();
            let state = self.objects.get(&key).context("an unknown object")?.state;
            if matches!(state, State::Dead | State::Discarded | State::Expired) {
                let root = match self.stands_again(object) {
                    Stands::First => None,
                    Stands::Held(root) => Some(root),
                    Stands::Duplicate(_) => {
                        duplicates.push(object.object_key.clone());
                        continue;
                    }
                };
                let place = root.as_ref().map(|root| self.next_place(root));
                let known = self.objects.get_mut(&key).context("an unknown object")?;
                (known.resend_of, known.place) = (root, place);
            }
            match state {
                State::Batched | State::Held => in_hand.push(object.object_key.clone()),
                State::Duplicate => duplicates.push(object.object_key.clone()),
                _ => {
                    let object = self.objects.get_mut(&key).context("an unknown object")?;
                    (object.failures, object.look_first) = (0, true);
                    (object.state, object.batch) = (State::Batched, None);
                    keys.push(key);
                }
            }
        }
        ensure!((&adopted.in_hand, &adopted.duplicates) == (&in_hand, &duplicates), "{adopted:?}");
        let Some(batch) = &adopted.batch else {
            ensure!(keys.is_empty(), "it has no batch");
            return Ok(());
        };
        ensure!(keys_of(batch) == keys && batch.look_first, "its batch is another");
        let holder = Some(self.lease(batch));
        for key in keys {
            self.objects.get_mut(&key).context("an unknown object")?.batch = Some(batch.id.to_string());
        }
        let leased_until = now.0 + lease.as_millis() as u64;
        self.open
            .insert(batch.id.to_string(), Manifest { leased_until, holder, ..Manifest::new(true, true, 0) });
        self.ensure_predecessors(batch)
    }

    fn stands_again(&mut self, object: &Notification) -> Stands {
        let key = object.object_key.to_string();
        let known = self.of(&key).clone();
        self.stands(&key, &known, object.object_key.received_at().0, Duration::MAX)
    }

    pub fn retry_dead(&mut self, object: &Notification, now: UnixMillis) -> bool {
        let key = object.object_key.to_string();
        let is_dead = |object: &Object| matches!(object.state, State::Dead | State::Discarded);
        if !self.objects.get(&key).is_some_and(is_dead) {
            return false;
        }
        let (state, root) = match self.stands_again(object) {
            Stands::First => (State::Pending, None),
            Stands::Held(root) => (State::Held, Some(root)),
            Stands::Duplicate(_) => return false,
        };
        self.objects.entry(key).and_modify(|object| {
            (object.state, object.failures, object.not_before) = (state, 0, now.0);
            (object.replayed, object.look_first) = (true, true);
            (object.resend_of, object.place) = (root.clone(), None);
        });
        if let Some(root) = root {
            self.release(&root);
        }
        true
    }

    pub fn discard(&mut self, key: &ObjectKey) -> bool {
        let Some(object) = self.objects.get_mut(&key.to_string()) else { return false };
        let is_dead = object.state == State::Dead;
        if is_dead {
            object.state = State::Discarded;
        }
        is_dead
    }

    pub fn audit(&mut self, key: &ObjectKey, finding: Finding, now: UnixMillis, again: Duration) {
        let Some(object) = self.objects.get_mut(&key.to_string()) else { return };
        if object.state != State::Stored || object.ended_at > now.0 {
            return;
        }
        match finding {
            Finding::Whole => object.state = State::Audited,
            Finding::Short => {
                (object.state, object.batch) = (State::Pending, None);
                (object.not_before, object.look_first) = (now.0, true);
                object.shorts += 1;
                if object.shorts >= SHORTS {
                    object.state = State::Dead;
                    object.failures += 1;
                    self.bury(&key.to_string());
                }
            }
            Finding::Doubled => object.ended_at = now.0 + again.as_millis() as u64,
        }
    }

    pub fn expire(&mut self, key: &ObjectKey) {
        if let Some(object) = self.objects.get_mut(&key.to_string())
            && matches!(object.state, State::Audited | State::Duplicate)
        {
            object.state = State::Expired;
        }
    }

    /// Whether the file holds the same.
    pub fn agrees_with(&self, file: &Connection) -> Result<()> {
        let sql = "SELECT object_key, state, batch_id, failures, not_before_ms, look_first, priority,
                   resend_of, resend_no FROM objects";
        let mut statement = file.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            found += 1;
            let key: String = row.get(0)?;
            let object = self.objects.get(&key).with_context(|| format!("{key} is not in the model"))?;
            let is_open = matches!(object.state, State::Batched);
            let told: (String, u32, u64, bool, u64) =
                (row.get(1)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?);
            let expected = (
                object.state.name(),
                // Each death counts as one, however many tries came before.
                if object.state == State::Dead || object.state == State::Discarded {
                    told.1
                } else {
                    object.failures
                },
                object.not_before,
                object.look_first,
                u64::from(object.replayed),
            );
            ensure!(told == expected, "{key} is {told:?}, not {expected:?}");
            let told: (Option<String>, Option<u64>) = (row.get(7)?, row.get(8)?);
            let expected = (object.resend_of.clone(), object.place);
            ensure!(told == expected, "{key} is behind {told:?}, not {expected:?}");
            let batch: Option<String> = row.get(2)?;
            ensure!(!is_open || batch == object.batch, "{key} is in {batch:?}, not in {:?}", object.batch);
        }
        ensure!(found == self.objects.len(), "{found} objects, not {}", self.objects.len());
        let sql =
            "SELECT batch_id, priority, leased_until_ms, given_back, look_first, inserts, failures, abandoned
                   FROM batches WHERE state = 'open'";
        let mut statement = file.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            found += 1;
            let id: String = row.get(0)?;
            let batch = self.open.get(&id).with_context(|| format!("{id} is not in the model"))?;
            let told: (bool, u64, bool, bool, u32, u32, u32) =
                (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?);
            let Manifest {
                replayed, leased_until, given_back, look_first, inserts, failures, abandoned, ..
            } = *batch;
            let expected = (replayed, leased_until, given_back, look_first, inserts, failures, abandoned);
            ensure!(told == expected, "{id} is {told:?}, not {expected:?}");
        }
        ensure!(found == self.open.len(), "{found} open batches, not {}", self.open.len());
        Ok(())
    }

    /// What holds of every step, whatever it was.
    pub fn follows(&self, before: &Self, step: &Step) -> Result<()> {
        for (key, object) in &self.objects {
            let is_open = object.batch.as_ref().is_some_and(|batch| self.open.contains_key(batch));
            ensure!(
                is_open == (object.state == State::Batched),
                "{key} is {:?}, open: {is_open}",
                object.state
            );
        }
        for id in self.open.keys() {
            ensure!(!self.of_batch(id).is_empty(), "{id} is empty");
        }
        for (key, was) in &before.objects {
            let object = self.objects.get(key).with_context(|| format!("{key} has disappeared"))?;
            let was_acknowledged = matches!(was.state, State::Stored | State::Audited | State::Expired);
            let by_the_audit = matches!(step, Step::Audit(_, Finding::Short));
            // One before it has died, and may have left spans to it.
            let by_a_death = was.resend_of.is_some() && matches!(step, Step::Work(_, Work::SetBack(_)));
            ensure!(
                object.state != State::Pending || !was_acknowledged || by_the_audit || by_a_death,
                "{key} was acknowledged, and waits"
            );
        }
        Ok(())
    }
}

impl Manifest {
    fn new(replayed: bool, look_first: bool, abandoned: u32) -> Self {
        Self {
            replayed,
            leased_until: 0,
            given_back: false,
            look_first,
            inserts: 0,
            failures: 0,
            abandoned,
            holder: None,
        }
    }

    fn give_back(&mut self, until: u64) {
        (self.given_back, self.leased_until, self.holder) = (true, until, None);
    }
}

fn keys_of(batch: &Batch) -> Vec<String> {
    batch.objects.iter().map(|object| object.notification.object_key.to_string()).collect()
}

/// The lease is private; its text is as good.
fn lease_of(batch: &Batch) -> String {
    let text = format!("{batch:?}");
    let lease = text.split("lease_id: ").nth(1).unwrap_or_default();
    lease.split(',').next().unwrap_or_default().to_owned()
}

/// The open batches of the file, with their objects in order.
pub fn batches_in(file: &Connection) -> Result<Vec<Found>> {
    let sql =
        "SELECT batch_id, object_key FROM objects WHERE state = 'batched' ORDER BY batch_id, object_key";
    let mut statement = file.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut batches: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        batches.entry(row.get(0)?).or_default().push(row.get(1)?);
    }
    Ok(batches.into_iter().map(|(id, keys)| Found { id, keys }).collect())
}
