#include "ballast/loop/jit.h"

#include <fmt/format.h>
#include <llvm/Config/llvm-config.h>
#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::loop {
namespace {

namespace orc = llvm::orc;
constexpr std::string_view kMagic = "ballast-jit-1\n";

void must(llvm::Error error, const char* what) {
  if (error) throw Unavailable(std::string("LLVM, ") + what + ": " + llvm::toString(std::move(error)));
}
template <typename T>
T must(llvm::Expected<T> value, const char* what) {
  if (!value) must(value.takeError(), what);
  return std::move(*value);
}

std::string cache_path(const std::string& wish) {
  if (wish != "default") return wish;
  if (const char* directory = std::getenv("BALLAST_JIT_CACHE")) return directory;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg) return std::string(xdg) + "/ballast/jit";
  if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + "/.cache/ballast/jit";
  return "";
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

HostTarget detect() {
  HostTarget host;
  host.cpu = llvm::sys::getHostCPUName().str();
  const auto features = llvm::sys::getHostCPUFeatures();
  std::map<std::string, bool> sorted;
  for (const auto& feature : features) sorted[feature.getKey().str()] = feature.getValue();
  for (const auto& [name, on] : sorted)
    host.features += (host.features.empty() ? "" : ",") + std::string(on ? "+" : "-") + name;
  const auto has = [&](const char* name) {
    const auto found = sorted.find(name);
    return found != sorted.end() && found->second;
  };
  if (has("avx512f") && has("avx512vl") && has("avx512dq") && has("avx512bw")) {
    host.vector_bytes = 64;
    host.registers = 32;
  } else if (has("avx2") && has("fma")) {
    host.vector_bytes = 32;
  } else if (has("neon")) {
    host.registers = 32;
  }
  return host;
}

}  // namespace

struct Jit::State {
  HostTarget host;
  std::string directory;
  std::unique_ptr<orc::LLJIT> lljit;
  mutable std::mutex mutex;
  JitCounters counters;
  std::map<std::uint64_t, std::vector<std::string>> linked;  ///< modules already in the process

  std::unique_ptr<llvm::TargetMachine> machine() const {
    orc::JITTargetMachineBuilder builder(llvm::Triple(llvm::sys::getProcessTriple()));
    builder.setCPU(host.cpu);
    builder.addFeatures(split(host.features));
    builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
    builder.setRelocationModel(llvm::Reloc::PIC_);
    return must(builder.createTargetMachine(), "target machine");
  }

  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      parts.push_back(text.substr(at, comma - at));
      at = comma + 1;
    }
    return parts;
  }

  struct Built {
    std::unique_ptr<llvm::LLVMContext> context;
    std::unique_ptr<llvm::Module> module;
    std::vector<std::string> names;  ///< with the suffix
    std::uint64_t hash = 0;
  };

  Built build(const Fill& fill, const llvm::TargetMachine& target) const {
    Built built;
    built.context = std::make_unique<llvm::LLVMContext>();
    built.module = std::make_unique<llvm::Module>("kernel", *built.context);
    built.module->setTargetTriple(target.getTargetTriple().str());
    built.module->setDataLayout(target.createDataLayout());
    const std::vector<std::string> names = fill(*built.module);
    for (llvm::Function& f : *built.module) {
      if (f.isDeclaration()) continue;
      f.addFnAttr("prefer-vector-width", std::to_string(host.vector_bytes * 8));
      f.addFnAttr("target-cpu", host.cpu);
      f.addFnAttr("target-features", host.features);
      f.addFnAttr(llvm::Attribute::NoUnwind);
    }
    std::string text;
    llvm::raw_string_ostream stream(text);
    built.module->print(stream, nullptr);
    stream.flush();
    built.hash = checksum64(text + host.cpu + host.features + LLVM_VERSION_STRING);
    const std::string suffix = fmt::format("_{:016x}", built.hash);
    for (const std::string& name : names) {
      built.module->getFunction(name)->setName(name + suffix);
      built.names.push_back(name + suffix);
    }
    std::string problem;
    llvm::raw_string_ostream problems(problem);
    BALLAST_CHECK(!llvm::verifyModule(*built.module, &problems), problems.str() + "\n" + text);
    return built;
  }

  static void optimise(llvm::Module& module, llvm::TargetMachine& target) {
    llvm::PipelineTuningOptions tuning;
    tuning.LoopVectorization = true;
    tuning.SLPVectorization = false;  // the IR is written with the vectors it wants
    llvm::PassBuilder builder(&target, tuning);
    llvm::LoopAnalysisManager loops;
    llvm::FunctionAnalysisManager functions;
    llvm::CGSCCAnalysisManager graph;
    llvm::ModuleAnalysisManager modules;
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(graph);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, graph, modules);
    builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
  }

  std::string entry_path(std::uint64_t hash) const { return fmt::format("{}/{:016x}.o", directory, hash); }

  /// The object of this hash from disk, or null. A damaged entry is removed.
  std::unique_ptr<llvm::MemoryBuffer> from_disk(std::uint64_t hash) {
    if (directory.empty()) return nullptr;
    const std::string path = entry_path(hash);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return nullptr;
    std::string content;
    try {
      content = read_file(path);
    } catch (const std::exception&) {
      return nullptr;
    }
    const std::size_t head = kMagic.size() + 8;
    if (content.size() > head && std::string_view(content).starts_with(kMagic)) {
      std::uint64_t sum = 0;
      std::memcpy(&sum, content.data() + kMagic.size(), 8);
      const std::string_view object = std::string_view(content).substr(head);
      if (sum == checksum64(object))
        return llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(object), "cached");
    }
    std::filesystem::remove(path, ignored);
    ++counters.damaged;
    return nullptr;
  }

  void to_disk(std::uint64_t hash, llvm::StringRef object) {
    if (directory.empty()) return;
    std::error_code failed;
    std::filesystem::create_directories(directory, failed);
    if (failed) return;
    const std::uint64_t sum = checksum64(std::string_view(object.data(), object.size()));
    try {
      AtomicFile file(entry_path(hash));
      file.write(kMagic);
      file.write(std::string_view(reinterpret_cast<const char*>(&sum), 8));
      file.write(std::string_view(object.data(), object.size()));
      file.commit();
    } catch (const Unavailable&) {
      // A cache that cannot be written costs time only.
    }
  }
};

Jit::Jit(const std::string& cache_directory) : state_(std::make_unique<State>()) {
  static const bool initialised = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialised;
  state_->host = detect();
  state_->directory = cache_path(cache_directory);
  orc::JITTargetMachineBuilder builder(llvm::Triple(llvm::sys::getProcessTriple()));
  builder.setCPU(state_->host.cpu);
  state_->lljit = must(orc::LLJITBuilder().setJITTargetMachineBuilder(std::move(builder)).create(), "LLJIT");
  auto& library = state_->lljit->getMainJITDylib();
  library.addGenerator(must(orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
                                state_->lljit->getDataLayout().getGlobalPrefix()),
                            "process symbols"));
}

Jit::~Jit() = default;

const HostTarget& Jit::host() const {
  return state_->host;
}

void Jit::define(const std::string& name, void* address) {
  orc::SymbolMap symbols;
  symbols[state_->lljit->mangleAndIntern(name)] = {orc::ExecutorAddr::fromPtr(address),
                                                   llvm::JITSymbolFlags::Exported};
  must(state_->lljit->getMainJITDylib().define(orc::absoluteSymbols(std::move(symbols))), "symbols");
}

std::vector<void*> Jit::add(const Fill& fill) {
  const auto start = std::chrono::steady_clock::now();
  const std::lock_guard lock(state_->mutex);
  const auto target = state_->machine();
  State::Built built = state_->build(fill, *target);
  state_->counters.emit_seconds += seconds_since(start);
  if (!state_->linked.contains(built.hash)) {
    auto object = state_->from_disk(built.hash);
    if (object) {
      ++state_->counters.from_disk;
    } else {
      const auto compile_start = std::chrono::steady_clock::now();
      State::optimise(*built.module, *target);
      object = must(orc::SimpleCompiler(*target)(*built.module), "code generation");
      state_->to_disk(built.hash, object->getBuffer());
      ++state_->counters.compiled;
      state_->counters.compile_seconds += seconds_since(compile_start);
    }
    must(state_->lljit->addObjectFile(std::move(object)), "linking");
    state_->linked[built.hash] = built.names;
  }
  std::vector<void*> addresses;
  for (const std::string& name : built.names)
    addresses.push_back(must(state_->lljit->lookup(name), "lookup").toPtr<void*>());
  return addresses;
}

std::string Jit::emit(const Fill& fill, const std::string& form) const {
  const auto target = state_->machine();
  State::Built built = state_->build(fill, *target);
  State::optimise(*built.module, *target);
  if (form == "llvm") {
    std::string text;
    llvm::raw_string_ostream stream(text);
    built.module->print(stream, nullptr);
    return stream.str();
  }
  if (form != "asm") throw InvalidInput("form of emitted code", form, "llvm or asm");
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (target->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    throw Unavailable("LLVM cannot write assembly for this host");
  passes.run(*built.module);
  return std::string(bytes.begin(), bytes.end());
}

JitCounters Jit::counters() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counters;
}

}  // namespace ballast::loop
