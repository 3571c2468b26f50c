//! End-to-end tests: the real binary between real sockets.
//!
//! Written from the contract with users, not from the code. Each module is one
//! promise; `harness` is what they stand on. A test starts what it needs in a
//! folder of its own, on loopback, and stops it.

#[cfg(test)]
mod approvals;
#[cfg(test)]
mod audit_log;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod bundles;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod continuity;
#[cfg(test)]
mod denials;
#[cfg(test)]
mod eras;
#[cfg(test)]
mod fail_closed;
#[cfg(test)]
mod first_readme;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http_edge;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod learn;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod lockdown;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod obligations;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod policy_commands;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod restless;
#[cfg(test)]
mod resumption;
#[cfg(test)]
mod rogue;
#[cfg(test)]
mod rule_modes;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod start_errors;
#[cfg(test)]
mod stdio_child;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod walk;
#[cfg(test)]
mod wrap;
