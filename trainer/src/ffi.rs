//! The C++ beside torch-sys (`shim/attune.cpp`) and memory maps: all of the crate's `unsafe`.

use anyhow::{Result, bail};
use memmap2::Mmap;
use std::{
    ffi::{CStr, c_char},
    fs::File,
    io,
    path::Path,
};
use tch::Tensor;
use torch_sys::C_tensor;

unsafe extern "C" {
    fn attune_free_message(message: *mut c_char);
    fn attune_libtorch_version() -> *const c_char;
    fn attune_loaded_libtorch_version() -> u64;
    fn attune_keep_freed_memory();
    fn attune_release_freed_memory();
    fn attune_open_cuda() -> bool;
    fn attune_use_deterministic_algorithms(only_warn: bool) -> *mut c_char;
    fn attune_is_grad_enabled() -> bool;
    fn attune_set_gradient(tensor: *const C_tensor, gradient: *const C_tensor) -> *mut c_char;
    fn attune_clear_gradient(tensor: *const C_tensor) -> *mut c_char;
    fn attune_fused_adamw(
        n: usize,
        parameters: *const *const C_tensor,
        gradients: *const *const C_tensor,
        means: *const *const C_tensor,
        squares: *const *const C_tensor,
        steps: *const *const C_tensor,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
    ) -> *mut c_char;
}

/// Maps a file of weights. Whoever changes the file meanwhile changes the weights that are read.
pub(crate) fn map_file(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the map is only read, and only while the weights are copied out of it; a model file
    // that is overwritten at that moment gives wrong numbers, not wrong memory.
    unsafe { Mmap::map(&file) }
}

/// The version of libtorch that the shim was built against.
pub(crate) fn libtorch_version() -> &'static str {
    // SAFETY: a string literal in the shim.
    let version = unsafe { CStr::from_ptr(attune_libtorch_version()) };
    version.to_str().unwrap_or("unknown")
}

/// The version of libtorch that is loaded: "2.11.0".
pub(crate) fn loaded_libtorch_version() -> String {
    // SAFETY: returns a constant of the library.
    let [major, minor, patch, ..] = unsafe { attune_loaded_libtorch_version() }.to_be_bytes();
    format!("{major}.{minor}.{patch}")
}

/// Lets the allocator keep what is freed, for the next step to use again.
pub(crate) fn keep_freed_memory() {
    // SAFETY: sets three parameters of malloc.
    unsafe { attune_keep_freed_memory() }
}

/// Gives the pages of what is freed back to the kernel.
pub(crate) fn release_freed_memory() {
    // SAFETY: touches what malloc holds and nobody uses.
    unsafe { attune_release_freed_memory() }
}

/// Opens libtorch's CUDA part where it lies beside the CPU part; false where it does not.
pub(crate) fn open_cuda() -> bool {
    // SAFETY: runs the static initialisers of a library of the same libtorch.
    unsafe { attune_open_cuda() }
}

/// Same numbers in every run on the same machine; `only_warn` where an operator has no such kernel.
pub(crate) fn use_deterministic_algorithms(only_warn: bool) -> Result<()> {
    // SAFETY: sets global flags.
    check(unsafe { attune_use_deterministic_algorithms(only_warn) })
}

/// Whether what is computed now is to have a gradient.
pub(crate) fn is_grad_enabled() -> bool {
    // SAFETY: reads a thread's own flag.
    unsafe { attune_is_grad_enabled() }
}

/// Makes `gradient` the gradient of the leaf `tensor`; both share memory from then on.
pub(crate) fn set_gradient(tensor: &Tensor, gradient: &Tensor) -> Result<()> {
    // SAFETY: both handles are live; the shim takes a reference of its own.
    check(unsafe { attune_set_gradient(tensor.as_ptr(), gradient.as_ptr()) })
}

/// Frees the gradient of a leaf.
pub(crate) fn clear_gradient(tensor: &Tensor) -> Result<()> {
    // SAFETY: the handle is live.
    check(unsafe { attune_clear_gradient(tensor.as_ptr()) })
}

/// What one AdamW step changes and reads, parameter by parameter.
#[derive(Default)]
pub(crate) struct AdamWTensors<'a> {
    pub(crate) parameters: Vec<&'a Tensor>,
    pub(crate) gradients: Vec<Tensor>,
    pub(crate) means: Vec<&'a Tensor>,
    pub(crate) squares: Vec<&'a Tensor>,
    /// Scalars, f32: the number of this step, from 1.
    pub(crate) steps: Vec<&'a Tensor>,
}

#[derive(Clone, Copy)]
pub(crate) struct AdamWSettings {
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) epsilon: f64,
}

/// `at::_fused_adamw_`: one pass over each parameter.
pub(crate) fn fused_adamw(tensors: &AdamWTensors, settings: AdamWSettings) -> Result<()> {
    let handles = |tensors: &[&Tensor]| tensors.iter().map(|t| t.as_ptr()).collect::<Vec<_>>();
    let n = tensors.parameters.len();
    let gradients: Vec<_> = tensors.gradients.iter().map(Tensor::as_ptr).collect();
    let [parameters, means, squares, steps] =
        [&tensors.parameters, &tensors.means, &tensors.squares, &tensors.steps].map(|t| handles(t));
    assert!([gradients.len(), means.len(), squares.len(), steps.len()] == [n; 4]);
    // SAFETY: five arrays of `n` live handles.
    check(unsafe {
        attune_fused_adamw(
            n,
            parameters.as_ptr(),
            gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            steps.as_ptr(),
            settings.learning_rate,
            settings.beta1,
            settings.beta2,
            settings.weight_decay,
            settings.epsilon,
        )
    })
}

fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns null or a C string that is ours to free, once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        attune_free_message(message);
        text
    };
    bail!("libtorch: {text}")
}
