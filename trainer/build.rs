//! Finds libtorch for the run-time linker and builds the C++ beside torch-sys.

use std::path::Path;

fn main() {
    // Set by torch-sys, and only for crates that depend on it directly.
    let lib =
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names the folder of libtorch");
    // First where a release has it beside the program (docs/deploy/release).
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib:{lib}");

    let include = Path::new(&lib).parent().expect("lib/ lies beside include/").join("include");
    println!("cargo:rerun-if-changed=shim/attune.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // libtorch's own headers are not free of warnings.
        .warnings(false)
        .opt_level(2)
        .file("shim/attune.cpp")
        .compile("attune_shim");
}
