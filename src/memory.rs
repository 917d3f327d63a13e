//! How much memory this process holds, as the system counts it: `/proc/self/status` of Linux, proc_pid_status(5). Elsewhere
//! it is not known.

/// Of a line of `/proc/self/status`: what the system calls kB are 1024 bytes.
const UNIT: u64 = 1024;

/// Bytes that are in memory now (`VmRSS`); `None` where the system does not say.
pub fn resident() -> Option<u64> {
    of_this_process("VmRSS:")
}

/// The most bytes that were in memory at the same time since the start (`VmHWM`); `None` where the system does not say.
pub fn peak() -> Option<u64> {
    of_this_process("VmHWM:")
}

/// Bytes as MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn of_this_process(key: &str) -> Option<u64> {
    read(&std::fs::read_to_string("/proc/self/status").ok()?, key)
}

fn read(status: &str, key: &str) -> Option<u64> {
    let mut words = status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    (words.next() == Some("kB")).then(|| number * UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_system_are_read() {
        let status = "Name:\tvloc\nVmPeak:\t 4000 kB\nVmHWM:\t  3072 kB\nVmRSS:\t    2048 kB\nThreads:\t2\n";
        assert_eq!((read(status, "VmHWM:"), read(status, "VmRSS:")), (Some(3 << 20), Some(2 << 20)));
        assert_eq!((read(status, "Threads:"), read(status, "VmSwap:"), read("", "VmRSS:")), (None, None, None));
        assert_eq!(mebibytes(3 << 19), 1.5);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_filled_is_counted() {
        let before = resident().unwrap_or_default();
        let filled = std::hint::black_box(vec![1u8; 256 << 20]);
        let after = resident().unwrap_or_default();
        // Other tests free memory meanwhile, but not as much.
        assert!(before > 0 && after > before + (128 << 20), "{before}, then {after}");
        drop(filled);
        assert!(peak().unwrap_or_default() >= before + (128 << 20), "the most stays");
    }
}
