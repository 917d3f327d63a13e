//! Memory of large tensors, kept between steps.
//!
//! libtorch asks the C library for the memory of each tensor. glibc gives large blocks back to the system as soon as they
//! are freed, and the system hands them out again page by page, each zeroed first: of a training of ResNet-50 on two cores
//! that was a quarter of the time, and about a third of what SqueezeNet takes for a frame of 640x480. The next step or frame
//! needs the same memory, so it is kept.

/// Keeps all freed memory in the process from now on: for a program that trains. Elsewhere than on glibc it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use libc::{M_MMAP_MAX, M_TOP_PAD, M_TRIM_THRESHOLD};
        /// Bytes by which the heap grows at least.
        const GROWTH: libc::c_int = 64 << 20;
        set(&[(M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, GROWTH)]);
    }
}

/// Keeps what a frame needs, from now on: blocks of up to 32 MiB, and up to 128 MiB of freed memory at the end of the heap; for
/// a program that shares the robot's memory. Elsewhere than on glibc it does nothing.
pub fn keep_working_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD};
        // glibc knows no larger threshold.
        set(&[(M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 128 << 20)]);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set(parameters: &[(libc::c_int, libc::c_int)]) {
    for &(parameter, value) in parameters {
        // SAFETY: mallopt takes any two numbers, at any time, and answers 0 for a pair it does not know.
        unsafe { libc::mallopt(parameter, value) };
    }
}
