//! Tests of the crate as a whole, and what tests share.

mod differential;
mod faults;
pub(crate) mod fixture;
mod reading;
