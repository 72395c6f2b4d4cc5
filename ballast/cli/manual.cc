#include "ballast/cli/manual.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::cli {
namespace {

// Text as roff takes it literally: its escape character doubled, hyphens that stay hyphens, and no line that
// begins with a control character.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string head(const std::string& name, const std::string& summary) {
  std::string title = name;
  for (char& c : title) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(".TH {} 1 \"\" \"Ballast {}\" \"Ballast\"\n.SH NAME\n{} \\- {}\n", plain(title),
                     BALLAST_VERSION, plain(name), plain(summary));
}

std::string flag_entry(const FlagDescription& flag) {
  std::string names;
  for (const auto& name : flag.names) names += (names.empty() ? "\\fB" : ", \\fB") + plain(name) + "\\fR";
  if (!flag.value.empty()) names += " \\fI" + plain(flag.value) + "\\fR";
  std::string text = plain(flag.text);
  if (!flag.default_value.empty()) text += plain(fmt::format(" (default: {})", flag.default_value));
  if (flag.required) text += " (required)";
  return fmt::format(".TP\n{}\n{}\n", names, text.empty() ? "\\&" : text);
}

constexpr const char* kExitCodes =
    ".SH EXIT STATUS\n0 well; 1 a check found differences; 2 a mistake in what was given; 3 something that "
    "is not here or "
    "does not work; 130 interrupted.\n";

std::string front_page(const std::vector<ProgramDescription>& programs) {
  std::string page =
      head("ballast", "keeps uneven work level") +
      ".SH SYNOPSIS\n\\fBballast\\fR \\fICOMPONENT VERB\\fR [\\fIflags\\fR]\n.br\n\\fBballast tour\\fR "
      "[\\fICOMPONENT\\fR...]\n.br\n\\fBballast report\\fR \\fIFILE.json\\fR...\n.br\n\\fBballast "
      "doctor\\fR\n.br\n\\fBballast completion\\fR bash|zsh|fish\n.br\n\\fBballast man\\fR "
      "\\fIFOLDER\\fR\n.SH COMPONENTS\n";
  std::string also;
  for (const auto& program : programs) {
    page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", plain(program.component), plain(program.summary));
    also += fmt::format("{}\\fBballast\\-{}\\fR(1)", also.empty() ? "" : ", ", plain(program.component));
  }
  return page + kExitCodes + ".SH SEE ALSO\n" + also + "\n";
}

}  // namespace

std::string manual_page(const ProgramDescription& program) {
  std::string page = head("ballast-" + program.component, program.summary) + ".SH SYNOPSIS\n";
  for (std::size_t i = 0; i < program.verbs.size(); ++i) {
    page += fmt::format("{}\\fBballast {} {}\\fR [\\fIflags\\fR]", i == 0 ? "" : "\n.br\n",
                        plain(program.component), plain(program.verbs[i].name));
    for (const auto& flag : program.verbs[i].flags)
      if (flag.positional) page += fmt::format(" \\fI{}\\fR", plain(flag.names[0]));
  }
  page += "\n";
  for (const auto& verb : program.verbs) {
    page += fmt::format(".SH {}\n{}\n", plain(verb.name), plain(verb.summary));
    for (const auto& flag : verb.flags)
      if (flag.names != std::vector<std::string>{"-h", "--help"}) page += flag_entry(flag);
    if (verb.examples.empty()) continue;
    page += ".PP\nExamples:\n.PP\n.nf\n.RS\n";
    for (const auto& example : verb.examples) page += plain(example) + "\n";
    page += ".RE\n.fi\n";
  }
  return page + kExitCodes + ".SH SEE ALSO\n\\fBballast\\fR(1)\n";
}

int manual(const std::vector<std::string>& words) {
  if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
    fmt::print(
        "usage: ballast man FOLDER\n\nWrites the man pages of all built programs into the folder.\n\n"
        "Examples:\n  ballast man ~/.local/share/man/man1 && man ballast-graph\n  ballast man /tmp/pages\n");
    return 0;
  }
  if (words.size() != 1 || words[0].starts_with("-"))
    throw InvalidInput("the folder of the pages is missing; accepted: ballast man FOLDER");
  const std::filesystem::path folder = words[0];
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Unavailable(fmt::format("{} cannot be created: {}", folder.string(), error.message()));
  const auto programs = describe_programs();
  write_file(folder / "ballast.1", front_page(programs));
  for (const auto& program : programs)
    write_file(folder / fmt::format("ballast-{}.1", program.component), manual_page(program));
  fmt::print("{} pages in {}\n", programs.size() + 1, folder.string());
  return 0;
}

}  // namespace ballast::cli
