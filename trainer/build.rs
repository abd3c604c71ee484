//! Finds libtorch for the run-time linker and builds the C++ beside torch-sys.

fn main() {
    // Set by torch-sys, and only for crates that depend on it directly.
    let lib =
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names the folder of libtorch");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
}
