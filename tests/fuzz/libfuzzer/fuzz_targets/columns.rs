#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| spillway_fuzz::columns::check(input));
