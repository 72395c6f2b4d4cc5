// `ballast tune plan`: what fits and how fast it will be; no training.

#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/llama/weights.h"
#include "ballast/tune/gguf_model.h"
#include "ballast/tune/plan.h"
#include "ballast/tune/verbs.h"

namespace ballast::tune {
namespace {

struct PlanFlags {
  std::string model, shape, budget;
  double link_gb = 0, tflops = 0, host_mparams = 0;
  std::string machine = "laptop-gpu";
  bool bf16 = false;
  PlanOptions options;
};

// Machines of the kind that the paper uses; sustained, not peak, and all modelled.
struct Machine {
  const char* name;
  const char* what;
  double flops, memory_bandwidth, link, host_rate;
};
constexpr Machine kMachines[] = {
    {"laptop-gpu", "a laptop GPU of 4 to 8 GB (A1000 class), PCIe 4 x8, 8 cores", 8e12, 200e9, 10e9, 0.5e9},
    {"workstation", "RTX 4090 and a workstation CPU, PCIe 4 x16", 80e12, 900e9, 20e9, 2e9},
    {"this-cpu", "the emulated device of this toolkit: one core", 90e9, 20e9, 2e9, 0.4e9},
};

void run(PlanFlags flags, const cli::Common& common) {
  if (flags.model.empty() == flags.shape.empty()) {
    throw InvalidInput("give either --model FILE.gguf (or smollm2) or --shape NAME");
  }
  Shape shape;
  if (!flags.shape.empty()) {
    shape = shape_from_string(flags.shape);
  } else {
    const std::string path = flags.model == "smollm2" ? llama::shipped_model() : flags.model;
    shape = shape_of(GgufModel(path).config());
    shape.name = path;
  }
  std::vector<std::string> names;
  const Machine* machine = nullptr;
  for (const Machine& candidate : kMachines) {
    names.push_back(candidate.name);
    if (flags.machine == candidate.name) machine = &candidate;
  }
  cli::require_one_of("--machine", flags.machine, names);
  PlanOptions& options = flags.options;
  options.flops = flags.tflops > 0 ? flags.tflops * 1e12 : machine->flops;
  options.memory_bandwidth = machine->memory_bandwidth;
  options.link = flags.link_gb > 0 ? flags.link_gb * 1e9 : machine->link;
  options.host_rate = flags.host_mparams > 0 ? flags.host_mparams * 1e6 : machine->host_rate;
  if (flags.bf16) options.weight_bytes = options.wire_bytes = 2;
  if (!flags.budget.empty()) options.budget = Bytes::parse(flags.budget);

  const std::vector<PlanRow> rows = plan(shape, options);
  Table table(fmt::format("{}: {} parameters, {} in trained matrices (modelled, {})", shape.name,
                          format_count(static_cast<double>(shape.parameters())),
                          format_count(static_cast<double>(shape.trained_parameters())), flags.machine),
              {"method", "device", "host", "link each way", "step", "x compute", "verdict"});
  Json list = Json::array();
  const PlanRow* smallest = &rows.front();
  for (const PlanRow& row : rows) {
    const auto bytes = [](std::int64_t count) { return to_string(Bytes{static_cast<std::uint64_t>(count)}); };
    table.row({row.method, bytes(row.device_bytes), bytes(row.host_bytes), bytes(row.link_bytes),
               format_seconds(row.step_seconds), fmt::format("{:.2f}", row.slowdown),
               options.budget.count == 0 ? ""
               : row.fits                ? "fits"
                                         : "does not fit"});
    Json parts = Json::object();
    for (const auto& [name, size] : row.parts) parts[name] = size;
    list.push_back({{"method", row.method},
                    {"device_bytes", row.device_bytes},
                    {"device_parts", parts},
                    {"host_bytes", row.host_bytes},
                    {"link_bytes", row.link_bytes},
                    {"step_seconds", row.step_seconds},
                    {"slowdown", row.slowdown},
                    {"fits", row.fits}});
    if (row.device_bytes < smallest->device_bytes) smallest = &row;
  }
  common.write_json({{"shape", shape.name},
                     {"parameters", shape.parameters()},
                     {"trained_parameters", shape.trained_parameters()},
                     {"basis", "modelled"},
                     {"machine", flags.machine},
                     {"rows", list}});
  Report report("Plan for " + shape.name);
  report.section("Plan").table(table).command(common.command_line);
  common.write_report(report);
  if (common.for_people()) {
    table.print(stdout);
    fmt::print("machine: {}\n", machine->what);
  }
  if (!smallest->fits) {
    throw Unavailable(fmt::format(
        "nothing fits in {}: {} needs {}; smaller --batch, --seq or --d-fraction, or --checkpointing",
        to_string(options.budget), smallest->method,
        to_string(Bytes{static_cast<std::uint64_t>(smallest->device_bytes)})));
  }
}

}  // namespace

void add_plan(cli::Program& program) {
  auto verb = program.verb("plan", "memory and time of every method, before any training (modelled)",
                           {"ballast tune plan --shape llama-7b --budget 24GiB --machine workstation --bf16",
                            "ballast tune plan --model smollm2 --batch 2 --seq 128"});
  const auto flags = std::make_shared<PlanFlags>();
  verb->add_option("--model", flags->model, "a .gguf file, or smollm2");
  verb->add_option("--shape", flags->shape, "a known architecture, such as llama-7b");
  verb->add_option("--budget", flags->budget, "device memory, such as 24GiB");
  verb->add_option("--machine", flags->machine, "laptop-gpu, workstation or this-cpu");
  verb->add_option("--tflops", flags->tflops, "sustained compute of the device, in place of the machine's");
  verb->add_option("--link", flags->link_gb, "GB/s each way, in place of the machine's");
  verb->add_option("--host-rate", flags->host_mparams, "million parameters/s of the host's Adam");
  verb->add_option("--batch", flags->options.rows, "sequences of a batch")->check(CLI::PositiveNumber);
  verb->add_option("--seq", flags->options.window, "tokens of a sequence")->check(CLI::PositiveNumber);
  verb->add_option("--d-fraction", flags->options.fraction, "subspace size as a share of min(m, n)")
      ->check(CLI::Range(0.001, 1.0));
  verb->add_option("--r", flags->options.r, "nonzeros in a row of a projector");
  verb->add_option("--rank", flags->options.rank, "rank of lora");
  verb->add_flag("--checkpointing", flags->options.checkpointing, "recompute blocks in the backward pass");
  verb->add_flag("--bf16", flags->bf16, "weights and link in bf16");
  verb.run([flags](const cli::Common& common) { run(*flags, common); });
}

}  // namespace ballast::tune
