//! `origin-consumer doctor`

pub mod expression;
