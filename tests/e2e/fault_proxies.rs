//! The faults that other tests rely on do what they say.

mod s3;
mod tcp;
