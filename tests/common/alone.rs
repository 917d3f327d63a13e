//! One training at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One thread of libtorch, and one test at a time: its generator of random numbers is one for the whole program.
pub fn alone() -> MutexGuard<'static, ()> {
    static LIBTORCH: Mutex<()> = Mutex::new(());
    let guard = LIBTORCH.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    guard
}
