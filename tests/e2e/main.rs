//! End to end, over the real parts: workerd with R2, KV and Durable Objects, the origin, the queue, the consumer, and
//! the ClickHouse engine. Each test has a stack of its own.

mod batches;
mod bindings;
mod configuration;
mod dead_letters;
mod dedup_window;
mod doctor;
mod doors;
mod edge;
mod engine;
mod exporter;
mod fault_proxies;
mod faults;
mod first_version;
mod hostile;
mod insert;
mod journey;
mod keys;
mod large_refusals;
mod meter;
mod objects;
mod odd_values;
mod origin;
mod outages;
mod postgres;
mod queue_pull;
mod rebuild;
mod refusals;
mod replay;
mod resends;
mod routes;
mod suspicion;
mod table;
mod wire;
