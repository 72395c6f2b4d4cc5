// export, verify and doctor: from a trained supernet to a file that other runtimes run, and their verdict on
// it.
#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/codesign/genotype_source.h"
#include "ballast/codesign/model_source.h"
#include "ballast/codesign/onnx_export.h"
#include "ballast/codesign/runtimes.h"
#include "ballast/codesign/trainer.h"
#include "ballast/codesign/verbs.h"
#include "ballast/model/threads.h"

namespace ballast::codesign {
namespace {

struct Flags {
  std::string checkpoint, genotype = "largest", out = "network.onnx", model;
  std::vector<std::string> input_shapes;
  ExportOptions how;
  std::int64_t images = 0;
  bool allow_skip = false;
};

/// A network cut out of a supernet with its statistics.
struct Ready {
  ImageData data;
  Genotype genotype;
  Plan plan;
  Supernet net;
  Statistics stats;
};

Ready prepare(const Flags& flags, std::uint64_t seed) {
  model::use_threads(1);
  Checkpoint head;
  const Supernet all = load_supernet(flags.checkpoint, &head);
  ImageData data = load_images(head.data_name);
  const Genotype g = genotype_from_word(all.space(), flags.genotype, seed);
  Ready ready{std::move(data), g, plan_network(all.space(), g), all.extract(g), {}};
  const std::int64_t count = std::min<std::int64_t>(5000, ready.data.train.size());
  top1(ready.net, ready.plan, ready.data.train.floats(0, count), ready.data.held.floats(0, 1),
       ready.data.held.labels, {}, &ready.stats);
  if (flags.how.int8) {
    torch::NoGradGuard no_grad;
    ready.stats.observe = true;
    const std::int64_t calibration = std::min<std::int64_t>(512, ready.data.train.size());
    ready.net.forward(ready.plan, ready.data.train.floats(0, calibration), Mode::evaluate, &ready.stats);
    ready.stats.observe = false;
  }
  return ready;
}

RawTensor raw(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous(at::MemoryFormat::Contiguous).to(at::kFloat);
  RawTensor out{{plain.sizes().begin(), plain.sizes().end()}, {}};
  out.values.assign(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  return out;
}

void export_network(const Flags& flags, const cli::Common& common) {
  const Ready ready = prepare(flags, common.seed);
  write_file(flags.out, export_onnx(ready.net, ready.plan, ready.stats, flags.how));
  if (common.for_people())
    fmt::print(
        "{}: {:.2f} MMAC (counted), opset {}{}; check it with: ballast codesign verify {} --ckpt {} "
        "--genotype {}\n",
        flags.out, static_cast<double>(plan_macs(ready.plan)) / 1e6, flags.how.opset,
        flags.how.int8 ? ", 8-bit" : "", flags.out, flags.checkpoint, flags.genotype);
  common.write_json({{"schema", "ballast.codesign.export/1"},
                     {"file", flags.out},
                     {"macs", plan_macs(ready.plan)},
                     {"genotype", to_json(ready.net.space(), ready.genotype)}});
}

// Both runtimes on test images against libtorch, or, without a checkpoint, on a random input against each
// other.
void verify(const Flags& flags, const cli::Common& common) {
  RawTensor input, reference;
  std::string reference_name;
  if (!flags.checkpoint.empty()) {
    Ready ready = prepare(flags, common.seed);
    const std::int64_t count =
        flags.images > 0 ? std::min(flags.images, ready.data.test.size()) : ready.data.test.size();
    torch::NoGradGuard no_grad;
    std::vector<at::Tensor> logits;
    for (std::int64_t at = 0; at < count; at += 250)
      logits.push_back(ready.net.forward(ready.plan,
                                         ready.data.test.floats(at, std::min<std::int64_t>(250, count - at)),
                                         Mode::evaluate, &ready.stats));
    input = raw(ready.data.test.floats(0, count));
    reference = raw(at::cat(logits));
    reference_name = "libtorch";
  } else {
    const LoadedNet net = load_net(flags.model, flags.input_shapes, false);
    input.shape = net.graph.tensors[static_cast<std::size_t>(net.graph.inputs.at(0))].shape;
    Random random(common.seed);
    for (std::int64_t i = 0;
         i < net.graph.tensors[static_cast<std::size_t>(net.graph.inputs.at(0))].elements(); ++i)
      input.values.push_back(static_cast<float>(random.uniform(-1, 1)));
  }
  const RuntimeAnswer verdict = run_onnxruntime(flags.model, "", input),
                      second = run_opencv(flags.model, input);
  if (reference.values.empty()) {
    reference = verdict.output;
    reference_name = "onnxruntime";
  }
  Table table(fmt::format("{} against {} (measured)", flags.model, reference_name),
              {"runtime", "version", "rows", "same top-1 %", "largest difference", "note"});
  Json rows = Json::array();
  bool agree = true;
  const auto add = [&](const std::string& name, const RuntimeAnswer& answer, bool decides) {
    Json row = {{"runtime", name},
                {"version", answer.version},
                {"installed", answer.installed},
                {"problem", answer.problem}};
    if (!answer.installed || !answer.problem.empty()) {
      table.row({name, answer.version, "-", "-", "-",
                 answer.installed ? answer.problem : "not installed: skipped"});
      agree = agree && (!decides || !answer.installed);
    } else {
      const Agreement a = agreement(reference, answer.output);
      const double share =
          100.0 * static_cast<double>(a.same_top1) / static_cast<double>(std::max<std::int64_t>(1, a.rows));
      table.row({name, answer.version, std::to_string(a.rows), fmt::format("{:.2f}", share),
                 fmt::format("{:.2e}", a.largest_difference), ""});
      row["rows"] = a.rows;
      row["same_top1"] = a.same_top1;
      row["largest_difference"] = a.largest_difference;
      // An 8-bit file differs from the float network by design: its accuracy is the figure, not its logits.
      if (decides && !flags.how.int8) agree = agree && a.same_top1 == a.rows;
    }
    rows.push_back(row);
  };
  add("onnxruntime", verdict, true);
  add("opencv", second, false);
  if (common.for_people()) table.print(stdout);
  common.write_json({{"schema", "ballast.codesign.verify/1"},
                     {"model", flags.model},
                     {"basis", "measured"},
                     {"reference", reference_name},
                     {"runtimes", rows}});
  if (!verdict.installed && !flags.allow_skip) {
    fmt::print(stderr,
               "ballast codesign: onnxruntime is not installed, verification skipped; run setup/setup.sh, or "
               "pass --allow-skip\n");
    throw cli::Exit{4};
  }
  if (!agree) throw cli::Exit{1};
}

void doctor(const cli::Common& common) {
  const TemporaryFolder folder;
  Table table("What codesign finds on this machine (counted)", {"part", "for", "state"});
  // A model that is no model: an installed runtime refuses it, a missing one is missing.
  write_file(folder.file("no.onnx"), "no model");
  const RawTensor one{{1, 1}, {0}};
  const auto state = [](const RuntimeAnswer& a) {
    return a.installed ? "installed" : "not installed: setup/setup.sh";
  };
  const std::string ort = state(run_onnxruntime(folder.file("no.onnx"), "", one));
  const std::string cv = state(run_opencv(folder.file("no.onnx"), one));
  const std::string ocr = try_ocr_model("ppocr-rec").empty() ? "not installed: setup/setup.sh" : "installed";
  std::string fashion = "installed";
  try {
    load_images("fashion-mnist", 1);
  } catch (const Unavailable& error) {
    fashion = error.what();
  }
  table.row({"onnxruntime", "verify: the verdict", ort});
  table.row({"OpenCV dnn", "verify: a second opinion", cv});
  table.row({"PP-OCR models", "ppocr-rec, -det, -cls", ocr});
  table.row({"Fashion-MNIST", "train", fashion});
  if (common.for_people()) table.print(stdout);
  common.write_json(table.to_json());
}

void add_checkpoint_flags(cli::Verb& verb, const std::shared_ptr<Flags>& f) {
  verb->add_option("--ckpt", f->checkpoint, "what train wrote");
  verb->add_option("--genotype", f->genotype,
                   "largest, largest-conv, smallest, random, a genotype or a front (.json)")
      ->capture_default_str();
  verb->add_flag("--int8", f->how.int8, "8-bit weights and activations (QDQ)");
}

}  // namespace

void add_deploy(cli::Program& program) {
  auto f = std::make_shared<Flags>();
  auto out =
      program.verb("export", "write a network of a trained supernet as ONNX, with its weights",
                   {"ballast codesign export --ckpt net.pt --genotype front.json -o found.onnx",
                    "ballast codesign export --ckpt net.pt --genotype smallest --int8 -o small8.onnx"});
  add_checkpoint_flags(out, f);
  out->get_option("--ckpt")->required();
  out->add_option("-o,--out", f->out, "the file")->capture_default_str();
  out->add_option("--batch", f->how.batch, "images a run; 0: any (OpenCV 4.6 needs a fixed one)")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  out->add_option("--opset", f->how.opset, "13 to 17; from 17 on with LayerNormalization")
      ->capture_default_str();
  out.run([f](const cli::Common& common) { export_network(*f, common); });

  auto g = std::make_shared<Flags>();
  auto check = program.verb("verify", "run a model in onnxruntime and OpenCV and compare the answers",
                            {"ballast codesign verify found.onnx --ckpt net.pt --genotype front.json",
                             "ballast codesign verify model.onnx --input-shape x:1x3x224x224"});
  check->add_option("model", g->model, "the .onnx file")->required();
  add_checkpoint_flags(check, g);
  check->add_option("--images", g->images, "of the test set; 0: all");
  check->add_option("--input-shape", g->input_shapes,
                    "NAME:1x3x224x224, where the file leaves dimensions open");
  check->add_flag("--allow-skip", g->allow_skip, "end well where onnxruntime is not installed");
  check.run([g](const cli::Common& common) { verify(*g, common); });

  auto doc = program.verb("doctor", "which runtimes, models and data sets are here",
                          {"ballast codesign doctor", "ballast codesign doctor --json"});
  doc.run([](const cli::Common& common) { doctor(common); });
}

}  // namespace ballast::codesign
