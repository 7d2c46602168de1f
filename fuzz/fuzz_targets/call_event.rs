#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::call_event(bytes));
