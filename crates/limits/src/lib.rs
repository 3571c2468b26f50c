//! How often something may happen: sliding windows in bounded memory.
//!
//! A [`RateLimiter`] carries out the obligation `rate_limit`. Invariants:
//!
//! - **N means N.** In no window of the given length do more than N pass, wherever it begins. When nothing passed for
//!   that long, the next N do.
//! - **Bounded memory.** So many keys are counted by themselves, with so many times each. A key that nobody uses is
//!   forgotten when its window is over; while all places are in use, newcomers share counters, and so may be refused too
//!   early, never too late. Who has a place keeps its exact count.
//! - **Nobody chooses whom to share with.** Keys are hashed with a key of the process.
//! - **The wall clock does not matter.** Time is an [`Instant`](std::time::Instant), given by the caller.
//! - **No lock that all share.** The table is in parts.
//!
//! What this crate deliberately does not do: choosing what to count (policy does), waiting, and counting over several
//! processes.

mod config;
mod limiter;
mod table;
mod window;

pub use config::Config;
pub use limiter::{RateLimiter, RetryAfter};
