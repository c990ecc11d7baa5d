// What torch_calls.rs calls. A function that fails writes what torch says into `message` and returns false.

#include <ATen/Context.h>
#include <ATen/ops/_fused_adamw.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>
#include <exception>
#include <vector>

template <typename Call>
static bool guarded(char *message, size_t length, Call call) {
  try {
    call();
    return true;
  } catch (const std::exception &error) {
    std::snprintf(message, length, "%s", error.what());
    return false;
  }
}

extern "C" {

bool maclip_torch_gradients(const at::Tensor *result, const at::Tensor *gradient, const at::Tensor *const *inputs,
                            size_t count, at::Tensor **found, char *message, size_t length) {
  return guarded(message, length, [&] {
    std::vector<at::Tensor> leaves;
    for (size_t i = 0; i < count; i++) leaves.push_back(*inputs[i]);
    auto all = torch::autograd::grad({*result}, leaves, {*gradient});
    for (size_t i = 0; i < count; i++) found[i] = new at::Tensor(all[i]);
  });
}

bool maclip_torch_adamw(at::Tensor *weight, const at::Tensor *gradient, at::Tensor *first, at::Tensor *second,
                        const at::Tensor *time, double rate, double beta_1, double beta_2, double weight_decay,
                        double epsilon, char *message, size_t length) {
  return guarded(message, length, [&] {
    at::AutoDispatchBelowADInplaceOrView no_graph;
    at::_fused_adamw_({*weight}, {*gradient}, {*first}, {*second}, {}, {*time}, rate, beta_1, beta_2, weight_decay,
                      epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

void maclip_torch_allow_tf32(bool allow) { at::globalContext().setAllowTF32CuBLAS(allow); }
}
