//! Puts the libtorch that torch-sys found on the run path of our binaries, tests and benches, so that they start
//! without an `LD_LIBRARY_PATH`; one that is set still wins.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
