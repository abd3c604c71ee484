//! Finds libtorch for the run-time linker: an rpath reaches only the crate that sets it.

fn main() {
    let lib =
        std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names the folder of libtorch");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
}
