//! The records of an object.

use spillway_proto::record::{MAX_RECORDS, ObjectRecord, records_of};

/// Records that can be read can be written, and come back.
pub fn check(bytes: &[u8]) {
    let records = match records_of(bytes.to_vec().into()) {
        Ok(records) => records,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!((1..=MAX_RECORDS).contains(&records.len()));
    let object: Vec<u8> = records.iter().flat_map(ObjectRecord::to_object).collect();
    assert_eq!(records_of(object.into()).expect("they were written"), records);
}
