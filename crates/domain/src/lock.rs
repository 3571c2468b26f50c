//! Mutexes whose holders leave the value whole.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a mutex whose holder may have panicked: for values that every holder leaves whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
