//! Memory of large tensors, kept between steps.
//!
//! libtorch asks the C library for the memory of each tensor. glibc gives large blocks back to the system as soon as they
//! are freed, and the system hands them out again page by page, each zeroed first: of a training of ResNet-50 on two cores
//! that was a quarter of the time. A training needs the same memory in the next step, so it keeps it.

/// Keeps freed memory in the process from now on, for all of it: for a program that trains, not for a node that shares
/// the robot's memory. Elsewhere than on glibc it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use libc::{M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD, mallopt};
        /// Bytes by which the heap grows at least.
        const GROWTH: libc::c_int = 64 << 20;
        for (parameter, value) in [(M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, GROWTH)] {
            // SAFETY: mallopt takes any two numbers, at any time, and answers 0 for a pair it does not know.
            unsafe { mallopt(parameter, value) };
        }
    }
}
