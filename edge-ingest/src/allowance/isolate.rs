//! The allowances of an isolate: of each tenant that sends through it.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;
use spillway_proto::TenantId;
use spillway_proto::key_record::{KeyRecord, RateLimits, Shards};
use spillway_proto::usage::Usage;

use super::tenant::Tenant;
use super::{Amounts, Ask, Settlement, Shard};
use crate::body_budget::BodyBudget;
use crate::config::AllowanceConfig;
use crate::mesh::link::Link;
use crate::ports::{AllowanceStore, PortError, Runtime, random};

/// Tenants that an isolate remembers; the least used one is forgotten, and begins anew with an ask.
const MAX_TENANTS: NonZeroUsize = const { NonZeroUsize::new(10_000).unwrap() };

/// What the isolate knows of a tenant, in the hands of each request of it.
pub type SharedTenant = Rc<Known>;

/// What the isolate knows of a tenant.
pub struct Known {
    /// Its leases and counts.
    pub tenant: RefCell<Tenant>,
    /// Names it to the tenant's objects. One that was forgotten and begins anew has another name, and its settlements count.
    name: String,
    /// The bodies that its requests have in hand.
    pub bodies: BodyBudget,
    /// How the tenant's object fares: one that is overloaded must not stand for those of others.
    link: Link,
}

/// The allowances of an isolate.
pub struct Allowances {
    tenants: RefCell<LruCache<TenantId, SharedTenant>>,
    /// Those that have stored something that is not settled, with the limits of the key that it came with.
    unsettled: RefCell<Vec<(Rc<KeyRecord>, SharedTenant)>>,
    isolate: RefCell<String>,
}

impl Default for Allowances {
    fn default() -> Self {
        Self {
            tenants: RefCell::new(LruCache::new(MAX_TENANTS)),
            unsettled: RefCell::default(),
            isolate: RefCell::default(),
        }
    }
}

impl Allowances {
    /// What is known of the key's tenant, after asking its object where that is needed. The second value says whether the
    /// object could be asked.
    pub async fn of(
        &self,
        key: &KeyRecord,
        config: &AllowanceConfig,
        store: &impl AllowanceStore,
        runtime: &impl Runtime,
    ) -> (SharedTenant, Result<(), PortError>) {
        let tenant = self.known(&key.tenant, runtime);
        let now = runtime.now();
        let needs_lease = tenant.tenant.borrow().needs_lease(&key.limits, &now.month(), now);
        let asked = match needs_lease {
            true => self.ask(key, &tenant, None, config, store, runtime).await,
            false => Ok(()),
        };
        (tenant, asked)
    }

    /// Fetches the next lease before the last one is spent: for the background.
    pub async fn renew(
        &self,
        key: &KeyRecord,
        config: &AllowanceConfig,
        store: &impl AllowanceStore,
        runtime: &impl Runtime,
    ) -> Result<(), PortError> {
        let tenant = self.known(&key.tenant, runtime);
        self.ask(key, &tenant, None, config, store, runtime).await
    }

    /// Counts what was stored for the key's tenant; [`Self::settle`] tells the object.
    pub fn stored(&self, key: &Rc<KeyRecord>, tenant: &SharedTenant, month: &str, usage: Usage) {
        tenant.tenant.borrow_mut().stored(month, usage);
        let mut unsettled = self.unsettled.borrow_mut();
        if !unsettled.iter().any(|(_, waiting)| Rc::ptr_eq(waiting, tenant)) {
            unsettled.push((Rc::clone(key), Rc::clone(tenant)));
        }
    }

    /// Whether anything waits to be settled.
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.borrow().is_empty()
    }

    /// Settles what was stored: for the background. What the objects do not take stays for the next time.
    pub async fn settle(
        &self,
        config: &AllowanceConfig,
        store: &impl AllowanceStore,
        runtime: &impl Runtime,
    ) -> Vec<PortError> {
        // They stay in the list until they are settled: a round can be cancelled with its request.
        let waiting = self.unsettled.borrow().clone();
        let mut faults = Vec::new();
        for (key, tenant) in waiting {
            while let Some(settlement) = { tenant.tenant.borrow_mut().settlement() } {
                if let Err(fault) = self.ask(&key, &tenant, Some(settlement), config, store, runtime).await {
                    faults.push(fault);
                    break;
                }
            }
            if !tenant.tenant.borrow().is_unsettled() {
                self.unsettled.borrow_mut().retain(|(_, waiting)| !Rc::ptr_eq(waiting, &tenant));
            }
        }
        faults
    }

    async fn ask(
        &self,
        key: &KeyRecord,
        known: &Known,
        settlement: Option<Settlement>,
        config: &AllowanceConfig,
        store: &impl AllowanceStore,
        runtime: &impl Runtime,
    ) -> Result<(), PortError> {
        let month = runtime.now().month();
        let for_lease = settlement.is_none();
        // A settlement takes no lease along: one that is not needed would only be missing to others.
        let want = match for_lease {
            true => known.tenant.borrow().want(&key.limits),
            false => Amounts::default(),
        };
        let owed = known.tenant.borrow_mut().owed();
        let ask = Ask {
            limits: key.limits,
            shard: self.shard(key, runtime),
            want,
            owed,
            month: month.clone(),
            isolate: known.name.clone(),
            settlement,
        };
        let answer = known.link.call(&config.link, runtime, async || store.ask(&ask).await).await;
        let mut tenant = known.tenant.borrow_mut();
        match (&answer, for_lease) {
            (Ok(grant), true) => tenant.granted(&key.limits, &want, grant, &month, runtime.now()),
            (Ok(grant), false) => tenant.told(&month, grant),
            (Err(_), _) => tenant.unanswered(&owed),
        }
        answer.map(drop)
    }

    fn known(&self, tenant: &TenantId, runtime: &impl Runtime) -> SharedTenant {
        let known = || {
            let (isolate, nonce) = (self.isolate(runtime), u32::from_le_bytes(random(runtime)));
            let name = format!("{isolate}-{nonce:08x}");
            Rc::new(Known {
                tenant: RefCell::default(),
                bodies: BodyBudget::default(),
                name,
                link: Link::new("allowance"),
            })
        };
        Rc::clone(self.tenants.borrow_mut().get_or_insert(tenant.clone(), known))
    }

    /// An isolate asks one of the tenant's objects, always the same.
    fn shard(&self, key: &KeyRecord, runtime: &impl Runtime) -> Shard {
        let index =
            self.isolate(runtime).bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        Shard { tenant: key.tenant.clone(), index: index % key.limits.shards.count() }
    }

    /// The isolate's name: made at its first request, since a Worker has no randomness before.
    fn isolate(&self, runtime: &impl Runtime) -> String {
        let mut isolate = self.isolate.borrow_mut();
        if isolate.is_empty() {
            *isolate = format!("{:016x}", u64::from_le_bytes(random(runtime)));
        }
        isolate.clone()
    }
}

/// What a tenant has used in `month`, by its objects.
pub async fn usage_of(
    tenant: &TenantId,
    shards: Shards,
    month: &str,
    store: &impl AllowanceStore,
) -> Result<Usage, PortError> {
    let ask = Ask {
        limits: RateLimits { shards, ..RateLimits::default() },
        // Each object answers with the counts of all of them.
        shard: Shard { tenant: tenant.clone(), index: 0 },
        want: Amounts::default(),
        owed: Amounts::default(),
        month: month.to_owned(),
        isolate: String::new(),
        settlement: None,
    };
    store.ask(&ask).await.map(|grant| grant.usage)
}
