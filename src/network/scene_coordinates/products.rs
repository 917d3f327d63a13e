//! The precision of products. Many processors multiply `bfloat16` in hardware, which takes a quarter of the time of single
//! precision; its eight bits are enough for features, which a perceptron reads that learned from such ones. Sums are single.

use tch::{Device, Kind};

/// The precision in which products are fast enough on a device: `bfloat16` where the processor multiplies it. A GPU stays with
/// single precision.
pub fn fast_products(device: Device) -> Kind {
    match device {
        Device::Cpu if has_bfloat16() => Kind::BFloat16,
        _ => Kind::Float,
    }
}

fn has_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
