// What tch lacks. Every function returns null, or a message that the caller frees with
// attune_free_message: no C++ exception crosses into Rust.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/version.h>

#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace {

using Handle = at::Tensor *; // what torch-sys calls `tensor`

std::vector<at::Tensor> borrow(Handle const *handles, size_t n) {
    std::vector<at::Tensor> tensors;
    tensors.reserve(n);
    for (size_t i = 0; i < n; ++i) tensors.push_back(*handles[i]);
    return tensors;
}

template <typename Body> char *guarded(Body body) {
    try {
        body();
        return nullptr;
    } catch (const std::exception &error) {
        return strdup(error.what());
    } catch (...) {
        return strdup("an unknown C++ exception");
    }
}

} // namespace

extern "C" {

void attune_free_message(char *message) { free(message); }

const char *attune_libtorch_version() { return TORCH_VERSION; }

// Of the library that is loaded: major, minor and patch in the three highest bytes.
uint64_t attune_loaded_libtorch_version() { return aoti_torch_abi_version(); }

// The allocator returns large buffers to the kernel at once by default, and every step pays for
// mapping and zeroing them again: what is freed below 16 MB is kept. Larger ones do go back: they
// seldom fit the holes that texts of other lengths have left, and beside them memory grew for hundreds
// of steps. One arena for all threads, because the backward pass could not fill the holes of another.
void attune_keep_freed_memory() {
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

// Gives the pages of what is freed back to the kernel.
void attune_release_freed_memory() { malloc_trim(0); }

// True if a CUDA libtorch lies beside the CPU one; it registers its kernels when it is opened.
bool attune_open_cuda() { return dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr; }

// Operators without a deterministic kernel warn instead of failing where `only_warn`.
char *attune_use_deterministic_algorithms(bool only_warn) {
    return guarded([=] {
        at::globalContext().setDeterministicAlgorithms(true, only_warn);
        // Would write every new buffer once more, to show reads of memory that nobody wrote.
        at::globalContext().setDeterministicFillUninitializedMemory(false);
    });
}

bool attune_is_grad_enabled() { return at::GradMode::is_enabled(); }

char *attune_set_gradient(Handle tensor, Handle gradient) {
    return guarded([=] { tensor->mutable_grad() = *gradient; });
}

char *attune_clear_gradient(Handle tensor) {
    return guarded([=] { tensor->mutable_grad().reset(); });
}

char *attune_fused_adamw(size_t n, Handle const *parameters, Handle const *gradients,
                         Handle const *means, Handle const *squares, Handle const *steps,
                         double learning_rate, double beta1, double beta2, double weight_decay,
                         double epsilon) {
    return guarded([=] {
        at::_fused_adamw_(borrow(parameters, n), borrow(gradients, n), borrow(means, n),
                          borrow(squares, n), {}, borrow(steps, n), learning_rate, beta1, beta2,
                          weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
    });
}
}
