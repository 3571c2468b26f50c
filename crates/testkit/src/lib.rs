//! Fakes for tests: scripted upstreams and clients, a clock that is set by hand.

pub mod clock;
pub mod ports;
pub mod upstream;
