// Compiled models as files (.bdx): the model's text, the switches it was compiled with, its parameters, and
// the machine code of its control program and kernels for this kind of processor, so that loading compiles
// nothing.
//
//   save_executable(exe, parameters, "model.bdx");
//   Container c = load_executable("model.bdx");
//   Session session(c.exe, c.parameters);
//
// File: "BDX1\n", u64 header length, header as JSON {version, cpu, file, text, passes, parameters: [{name,
// numbers}], objects: [{name, bytes}], types}, then the parameters as f32 and the objects in that order, then
// u64 XXH3-64 of all before it. Little-endian.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ballast/base/temporary_folder.h"
#include "ballast/dynamic/compiler/compile.h"
#include "ballast/dynamic/language/reference.h"

namespace ballast::dynamic {

struct Container {
  Executable exe;
  Parameters parameters;
};

/// Compiles every kernel of the model once more into the file. Throws Unavailable when it cannot be written.
void save_executable(const Executable& exe, const Parameters& parameters, const std::string& path);
/// Throws InvalidInput for a file that is damaged, of another version, or for another processor (with the
/// hint to compile it again).
Container load_executable(const std::string& path);

/// A container's parts as bytes, checked: what the reader does before anything is compiled.
struct ContainerParts {
  Json header;
  std::string_view parameters, objects;  ///< views into the bytes
};
ContainerParts parse_container(std::string_view bytes, const std::string& where);

/// Parameters from .safetensors, or .json as `train --save` writes them. Throws InvalidInput for another
/// form; whether they fit a model is checked by the Session.
Parameters read_parameters(const std::string& path);
void write_parameters(const Module& module, const Parameters& parameters, const std::string& path);

}  // namespace ballast::dynamic
