//! What is known of the server's health: the last evidence wins.

use std::sync::Mutex;

use domain::Health;

use crate::ledger::lock;

/// The last evidence, of a message or of a check.
pub(crate) struct LastSeen(Mutex<Health>);

impl LastSeen {
    /// Nothing is known yet, which is not ready.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Health::Down("the server was not checked yet".to_owned())))
    }

    /// The server answered, whatever it said.
    pub(crate) fn up(&self) {
        let mut health = lock(&self.0);
        if *health != Health::Up {
            *health = Health::Up;
        }
    }

    /// The server cannot be reached, or broke off.
    pub(crate) fn down(&self, why: &str) {
        *lock(&self.0) = Health::Down(why.to_owned());
    }

    /// The state now.
    pub(crate) fn get(&self) -> Health {
        lock(&self.0).clone()
    }
}
