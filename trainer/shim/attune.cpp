// What tch lacks. Every function returns null, or a message that the caller frees with
// attune_free_message: no C++ exception crosses into Rust.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/version.h>

#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
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

// What Rust computes of a tensor that it is given to keep: a new handle, or null and a message that is
// freed here.
using Compute = Handle (*)(void *closure, Handle input, char **message);

// A node whose own graph is made when the backward pass comes to it, from its input, and goes with that.
// Gradients of parameters gather at these (torch.utils.checkpoint, use_reentrant=True).
struct ComputedOnceMore : torch::autograd::Node {
    at::Tensor input;
    void *closure;
    Compute compute;
    void (*drop)(void *);

    ComputedOnceMore(const at::Tensor &input, void *closure, Compute compute, void (*drop)(void *))
        : Node(torch::autograd::collect_next_edges(input)), input(input.detach()),
          closure(closure), compute(compute), drop(drop) {}

    ~ComputedOnceMore() override { release_variables(); }

    torch::autograd::variable_list apply(torch::autograd::variable_list &&gradients) override {
        TORCH_CHECK(closure, "a second backward pass through a graph that is freed");
        at::Tensor leaf = input.detach();
        leaf.set_requires_grad(task_should_compute_output(0));
        std::unique_ptr<at::Tensor> output;
        {
            at::AutoGradMode with_graph(true);
            char *message = nullptr;
            output.reset(compute(closure, new at::Tensor(leaf), &message));
            if (!output) {
                std::string text = message ? message : "no reason given";
                free(message);
                throw std::runtime_error(text);
            }
        }
        torch::autograd::backward({*output}, {gradients[0]});
        return {leaf.grad()};
    }

    void release_variables() override {
        input.reset();
        if (closure) drop(closure);
        closure = nullptr;
    }
};

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

// A text that attune_free_message frees.
char *attune_copy_message(const char *text, size_t length) { return strndup(text, length); }

// `output` as what `compute` makes of `input`, and makes once more when a backward pass comes to it. Takes
// `closure`.
char *attune_computed_once_more(Handle input, Handle output, void *closure, Compute compute,
                                void (*drop)(void *), Handle *result) {
    return guarded([=] {
        std::shared_ptr<torch::autograd::Node> node(
            new ComputedOnceMore(*input, closure, compute, drop), torch::autograd::deleteNode);
        at::Tensor made = output->detach();
        torch::autograd::create_gradient_edge(made, node);
        *result = new at::Tensor(made);
    });
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
