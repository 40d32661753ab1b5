//! Exporters, and what they were promised.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use local_stack::keys::Key;
use serde::Serialize;
use spillway_tests::export::Export;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::plan::Plan;

/// Exporters that send side by side.
const EXPORTERS: u32 = 4;
/// As exporters have it by default.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
const DAY_NANOS: u64 = 86_400_000_000_000;

/// An export that was answered 200.
#[derive(Debug, Clone, Serialize)]
pub struct Promise {
    /// Whose.
    pub tenant: String,
    /// In hex.
    pub trace_id: String,
    /// How many.
    pub spans: u64,
}

/// What the exporters were answered.
pub struct Manifest {
    promises: Mutex<(Vec<Promise>, File)>,
    refused: Mutex<BTreeMap<u16, u64>>,
    unanswered: AtomicU64,
    resent: AtomicU64,
}

impl Manifest {
    fn create(file: &Path) -> Result<Self> {
        let file = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self {
            promises: Mutex::new((Vec::new(), file)),
            refused: Mutex::default(),
            unanswered: AtomicU64::new(0),
            resent: AtomicU64::new(0),
        })
    }

    fn promise(&self, promise: Promise) -> Result<()> {
        let mut promises = locked(&self.promises);
        let line = serde_json::to_string(&promise)?;
        writeln!(promises.1, "{line}")?;
        promises.0.push(promise);
        Ok(())
    }

    /// What was answered 200.
    pub fn promises(&self) -> Vec<Promise> {
        locked(&self.promises).0.clone()
    }

    /// How many exports were, and how many spans they held.
    pub fn totals(&self) -> (u64, u64) {
        let promises = locked(&self.promises);
        (promises.0.len() as u64, promises.0.iter().map(|promise| promise.spans).sum())
    }

    /// By status.
    pub fn refused(&self) -> BTreeMap<u16, u64> {
        locked(&self.refused).clone()
    }

    /// Exports of which nobody knows.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Exports that were sent once more.
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }
}

/// Exporters at work.
pub struct Load {
    /// What they were answered.
    pub manifest: Arc<Manifest>,
    stop: CancellationToken,
    exporters: JoinSet<Result<()>>,
}

impl Load {
    /// Begins to export to the edge at `url`.
    pub fn start(url: &str, keys: &[Key], plan: &Plan, folder: &Path) -> Result<Self> {
        let manifest = Arc::new(Manifest::create(&folder.join("manifest.jsonl"))?);
        let (stop, mut exporters) = (CancellationToken::new(), JoinSet::new());
        for number in 0..EXPORTERS {
            let exporter = Exporter {
                url: format!("{url}/v1/traces"),
                keys: keys.to_vec(),
                plan: plan.clone(),
                http: local_stack::http::client(),
                chance: plan.chance(100 + u64::from(number)),
                manifest: Arc::clone(&manifest),
            };
            exporters.spawn(exporter.run(stop.clone()));
        }
        Ok(Self { manifest, stop, exporters })
    }

    /// Ends it, when what is under way was answered.
    pub async fn stop(mut self) -> Result<Arc<Manifest>> {
        self.stop.cancel();
        while let Some(ended) = self.exporters.join_next().await {
            ended??;
        }
        Ok(self.manifest)
    }
}

struct Exporter {
    url: String,
    keys: Vec<Key>,
    plan: Plan,
    http: reqwest::Client,
    chance: fastrand::Rng,
    manifest: Arc<Manifest>,
}

impl Exporter {
    async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let pause = Duration::from_secs(1) * EXPORTERS / self.plan.rate;
        while !stop.is_cancelled() {
            self.export().await?;
            tokio::time::sleep(pause.mul_f64(self.chance.f64() * 2.0)).await;
        }
        Ok(())
    }

    async fn export(&mut self) -> Result<()> {
        let spans = self.chance.u32(1..=self.plan.spans);
        let export = self.spread_over_days(Export::new(spans as usize));
        let key = self.keys[self.chance.usize(..self.keys.len())].clone();
        let body = export.body()?;
        match self.send(&key, body.clone()).await {
            Ok(200) => {
                let tenant = key.record.tenant.as_str().to_owned();
                self.manifest.promise(Promise { tenant, trace_id: export.trace_id, spans: spans.into() })?;
                // As if that answer had been lost.
                if self.chance.u32(..100) < self.plan.resend {
                    self.manifest.resent.fetch_add(1, Ordering::Relaxed);
                    let _ = self.send(&key, body).await;
                }
            }
            Ok(status) => *locked(&self.manifest.refused).entry(status).or_default() += 1,
            Err(_) => {
                self.manifest.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    async fn send(&self, key: &Key, body: Vec<u8>) -> reqwest::Result<u16> {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/x-protobuf")
            .header("x-api-key", key.secret.expose())
            .timeout(EXPORT_TIMEOUT)
            .body(body);
        Ok(request.send().await?.status().as_u16())
    }

    fn spread_over_days(&mut self, mut export: Export) -> Export {
        let spans = export.request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut();
        for span in spans.into_iter().flatten() {
            let back = u64::from(self.chance.u32(..self.plan.days)) * DAY_NANOS;
            for time in ["startTimeUnixNano", "endTimeUnixNano"] {
                let nanos = span[time].as_str().and_then(|nanos| nanos.parse::<u64>().ok());
                span[time] = nanos.unwrap_or_default().saturating_sub(back).to_string().into();
            }
        }
        export
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
