//! Which processor computes, and how it shares the machine.
//!
//! One binary serves CPU and GPU: linking drops `libtorch_cuda` even where it is installed, so it is opened at run
//! time, before libtorch is used for anything else.
//!
//! Waiting threads of OpenMP spin by default. That gains a third on an idle machine and costs a factor of three on a
//! busy one (ResNet-50 on two cores: 51 ms idle but 520 ms under load, against 75 ms and 150 ms when they sleep). A
//! robot's computer is busy, so the programs let them sleep: [`sleep_while_waiting`].

use std::ffi::{CStr, c_char};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A wish for a processor: `auto`, `cpu` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The first GPU if there is one that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("auto", _) => Ok(Device::Auto),
            ("cpu", _) => Ok(Device::Cpu),
            ("cuda", _) => Ok(Device::Cuda(0)),
            (_, Some(Ok(number))) => Ok(Device::Cuda(number)),
            _ => Err(Error::config("device", "auto, cpu or cuda:N", format!("{text:?}"))),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => write!(formatter, "auto"),
            Device::Cpu => write!(formatter, "cpu"),
            Device::Cuda(number) => write!(formatter, "cuda:{number}"),
        }
    }
}

impl Device {
    /// libtorch's device.
    ///
    /// # Errors
    /// [`Error::Config`] for a GPU that is not there, with the reason; `auto` takes the CPU then.
    pub fn resolve(self) -> Result<tch::Device> {
        let number = match self {
            Device::Cpu => return Ok(tch::Device::Cpu),
            Device::Auto => 0,
            Device::Cuda(number) => number,
        };
        let missing = load_cuda().as_ref().err().cloned();
        let count = if missing.is_none() { tch::Cuda::device_count().max(0) as usize } else { 0 };
        match self {
            _ if number < count => Ok(tch::Device::Cuda(number)),
            Device::Auto => Ok(tch::Device::Cpu),
            _ => {
                let reason = missing.unwrap_or_else(|| "the driver's answer".to_owned());
                Err(Error::config("device", format!("one of {count} GPUs, or cpu"), format!("{self} ({reason})")))
            }
        }
    }
}

/// Opens libtorch's CUDA part once; the reason when it is not there, which is no error on a machine without a GPU.
fn load_cuda() -> &'static Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(|| {
        // SAFETY: the name is a C string; libtorch_cuda's initializers only register its kernels.
        let handle = unsafe { libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if !handle.is_null() {
            return Ok(());
        }
        // SAFETY: dlerror returns null or a C string that stays until the next call on this thread.
        let reason = unsafe {
            let text: *const c_char = libc::dlerror();
            if text.is_null() { "unknown".to_owned() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        Err(reason)
    })
}

/// A device by name, for reports: `cpu: AMD EPYC 7B13`, `cuda:0`.
pub fn describe(device: tch::Device) -> String {
    match device {
        tch::Device::Cuda(number) => format!("cuda:{number}"),
        _ => {
            let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let name = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
            name.map_or_else(|| "cpu".to_owned(), |(_, name)| format!("cpu: {}", name.trim()))
        }
    }
}

/// Limits libtorch to `threads` threads per operation; 1 never waits for another.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(threads.clamp(1, 1024) as i32);
}

/// Makes OpenMP's threads sleep while they wait, unless the user's environment says otherwise: to be the first call of
/// a program. The OpenMP library reads `OMP_WAIT_POLICY` when it is loaded, before `main`, so the program is started
/// once more in place of itself (same process, same arguments).
///
/// # Errors
/// [`Error::Compute`] when the system does not start it again; the program may go on and will compete for cores.
pub fn sleep_while_waiting() -> Result<()> {
    use std::os::unix::process::CommandExt;
    const VARIABLE: &str = "OMP_WAIT_POLICY";
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "vloc".into());
    let error = std::process::Command::new("/proc/self/exe").arg0(name).args(arguments).env(VARIABLE, "passive").exec();
    Err(Error::compute(format!("restart with {VARIABLE}=passive"), error))
}

/// Runs tensor operations, whose bindings panic when libtorch fails (out of memory, a lost GPU), and returns their
/// panic as an error.
///
/// # Errors
/// [`Error::Compute`] with libtorch's message.
pub(crate) fn guarded<T>(what: &str, operations: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(operations)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Error::compute(what, text.unwrap_or("unknown failure of libtorch"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        for name in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
        for wrong in ["gpu", "cuda:", "cuda:-1", "CPU", ""] {
            let error = wrong.parse::<Device>().unwrap_err().to_string();
            assert_eq!(error, format!("parameter device: expected auto, cpu or cuda:N, found {wrong:?}"));
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error_and_auto_finds_something() {
        let error = Device::Cuda(99).resolve().unwrap_err().to_string();
        assert!(error.starts_with("parameter device: expected one of "), "{error}");
        assert!(Device::Auto.resolve().is_ok());
    }

    #[test]
    fn a_failure_of_libtorch_becomes_an_error() {
        let wrong = || tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu)).view([7]);
        let error = guarded("reshaping", wrong).unwrap_err().to_string();
        assert!(error.starts_with("reshaping: ") && error.contains("invalid for input of size 6"), "{error}");
    }
}
