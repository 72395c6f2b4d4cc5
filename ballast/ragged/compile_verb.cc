// `ballast ragged compile`: an operator in one line of text, or one of ours, to loops, LLVM IR, assembly,
// CUDA or PTX.
#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/loop/cuda.h"
#include "ballast/ragged/einsum.h"
#include "ballast/ragged/encoder_kernels.h"
#include "ballast/ragged/program.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

struct Options {
  std::string op, expression, dims, schedule, form = "loops", output, architecture = "compute_80";
};

loop::Function built_in(const std::string& op) {
  LinearSpec linear{.name = op};
  linear.k = 512;
  linear.n = 1536;
  cli::require_one_of("--op", op,
                      {"attention", "causal-attention", "qkv-projection", "output-projection",
                       "feed-forward-up", "feed-forward-down", "embedding", "mean-pool"});
  if (op == "attention") return attention_kernel({});
  if (op == "causal-attention")
    return attention_kernel({.causal = true, .mask = {}, .name = "causal_attention"});
  if (op == "embedding") return embedding_kernel(30522, 512, 512, 1e-12);
  if (op == "mean-pool") return mean_pool_kernel(512);
  if (op == "output-projection") {
    linear.n = 512;
    linear.norm = true;
  } else if (op == "feed-forward-up") {
    linear.n = 2048;
    linear.activation = Activation::relu;
  } else if (op == "feed-forward-down") {
    linear.k = 2048;
    linear.n = 512;
    linear.norm = true;
  }
  return linear_kernel(linear);
}

std::string emitted(loop::KernelRegistry& registry, const loop::Function& f, const Options& o) {
  if (o.form == "cuda") return loop::to_cuda(f);
  if (o.form == "ptx") return loop::compile_cuda(loop::to_cuda(f), o.architecture);
  return registry.emit(f, o.form);
}

}  // namespace

void add_compile(cli::Program& program) {
  const auto o = std::make_shared<Options>();
  auto verb = program.verb(
      "compile",
      "an operator over ragged tensors, one line of text, to loops, LLVM IR, assembly, CUDA or PTX",
      {"ballast ragged compile --expr 'S[b,i,j] = 0.125 * sum(k) Q[b,i,k] * K[b,j,k]' --dims 'b:B i(b):len "
       "j(b):len k:64' --emit loops",
       "ballast ragged compile --op causal-attention --emit cuda -o attention.cu"});
  verb->add_option("--expr", o->expression, "NAME[dims] = expression; one reduction such as sum(k)");
  verb->add_option("--dims", o->dims, "name:extent or name(outer):lengths, separated by spaces");
  verb->add_option("--schedule", o->schedule, "YAML file: a list of primitives (docs/ragged.md)");
  verb->add_option("--op", o->op,
                   "one of our operators instead: attention, causal-attention, qkv-projection, ...");
  verb->add_option("--emit", o->form, "loops, llvm, asm, cuda or ptx");
  verb->add_option("--arch", o->architecture, "of ptx");
  verb->add_option("-o", o->output, "file to write (default: standard output)");
  verb.run([o](const cli::Common&) {
    cli::require_one_of("--emit", o->form, {"loops", "llvm", "asm", "cuda", "ptx"});
    if (o->op.empty() == o->expression.empty()) throw InvalidInput("give either --expr with --dims, or --op");
    loop::KernelRegistry registry;
    std::string text;
    if (!o->op.empty()) {
      const loop::Function f = built_in(o->op);
      text = o->form == "loops" ? loop::to_text(f) : emitted(registry, f, *o);
    } else {
      const Einsum e = parse_einsum(o->expression, o->dims);
      const Schedule s = parse_schedule(e, o->schedule.empty() ? "" : read_file(o->schedule));
      const Program compiled(registry, {s});
      text = o->form == "loops" ? compiled.dump() : emitted(registry, compiled.kernels()[0].function, *o);
    }
    if (o->output.empty()) {
      std::fputs(text.c_str(), stdout);
    } else {
      write_file(o->output, text);
    }
  });
}

}  // namespace ballast::ragged
