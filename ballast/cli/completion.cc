#include "ballast/cli/completion.h"

#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/cli/programs.h"

namespace ballast::cli {
namespace {

const std::vector<std::string> kShells{"bash", "zsh", "fish"};
// A word in single quotes, for any of the three shells.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string verbs_of(const ProgramDescription& program) {
  std::string words;
  for (const auto& verb : program.verbs) words += (words.empty() ? "" : " ") + verb.name;
  return words;
}

std::string flags_of(const VerbDescription& verb) {
  std::string words;
  for (const auto& flag : verb.flags) {
    if (flag.positional) continue;
    for (const auto& name : flag.names)
      if (name.starts_with("--")) words += (words.empty() ? "" : " ") + name;
  }
  return words;
}

// One table of words by place serves bash and, through its bash compatibility, zsh.
std::string bash_script(const std::vector<ProgramDescription>& programs) {
  std::string components;
  for (const auto& program : programs) components += " " + program.component;
  std::string script =
      "# Completion of ballast for bash.  Use: source <(ballast completion bash)\n_ballast() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} words=\n  local place=${COMP_WORDS[1]}:${COMP_WORDS[2]}\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words='";
  for (const auto& [word, text] : front_words()) script += std::string(word) + " ";
  script += components.substr(components.empty() ? 0 : 1) +
            " --help --version'\n  elif [ \"$COMP_CWORD\" -eq 2 ]; then\n    case ${COMP_WORDS[1]} in\n";
  for (const auto& program : programs)
    script +=
        fmt::format("      {}) words={} ;;\n", program.component, quoted(verbs_of(program) + " --help"));
  script += fmt::format("      tour) words={} ;;\n      completion) words='bash zsh fish' ;;\n    esac\n",
                        quoted(components.substr(components.empty() ? 0 : 1)));
  script += "  elif [ \"${word#-}\" != \"$word\" ]; then\n    case $place in\n";
  for (const auto& program : programs)
    for (const auto& verb : program.verbs)
      script +=
          fmt::format("      {}:{}) words={} ;;\n", program.component, verb.name, quoted(flags_of(verb)));
  script +=
      "    esac\n  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
      "complete -o filenames -F _ballast ballast\n";
  return script;
}

std::string fish_script(const std::vector<ProgramDescription>& programs) {
  std::string script =
      "# Completion of ballast for fish.  Use: ballast completion fish | source\n"
      "function __ballast_at\n  set -l words (commandline -opc)\n  test (count $words) -ge (math (count "
      "$argv) + 1); or "
      "return 1\n  for i in (seq (count $argv))\n    test $words[(math $i + 1)] = $argv[$i]; or return 1\n  "
      "end\nend\n"
      "function __ballast_first\n  test (count (commandline -opc)) -eq 1\nend\n";
  for (const auto& [word, text] : front_words())
    script += fmt::format("complete -c ballast -n __ballast_first -a {} -d {}\n", word, quoted(text));
  for (const auto& program : programs) {
    script += fmt::format("complete -c ballast -n __ballast_first -a {} -d {}\n", program.component,
                          quoted(program.summary));
    for (const auto& verb : program.verbs) {
      script += fmt::format(
          "complete -c ballast -n '__ballast_at {}; and test (count (commandline -opc)) -eq 2' -a {} -d {}\n",
          program.component, verb.name, quoted(verb.summary));
      for (const auto& flag : verb.flags) {
        if (flag.positional) continue;
        script += fmt::format("complete -c ballast -n '__ballast_at {} {}'", program.component, verb.name);
        for (const auto& name : flag.names)
          script += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
        script += fmt::format("{} -d {}\n", flag.value.empty() ? "" : " -r", quoted(flag.text));
      }
    }
  }
  return script;
}

}  // namespace

std::string completion_script(const std::string& shell, const std::vector<ProgramDescription>& programs) {
  if (shell == "fish") return fish_script(programs);
  const std::string bash = bash_script(programs);
  if (shell == "bash") return bash;
  return "#compdef ballast\n# Completion of ballast for zsh.  Use: source <(ballast completion zsh)\n"
         "autoload -U +X bashcompinit && bashcompinit\n" +
         bash.substr(bash.find('\n') + 1);
}

int completion(const std::vector<std::string>& words) {
  if (words.size() == 1 && (words[0] == "--help" || words[0] == "-h")) {
    fmt::print(
        "usage: ballast completion bash|zsh|fish\n\nPrints a script that completes components, verbs and "
        "flags.\n\n"
        "Examples:\n  source <(ballast completion bash)\n  ballast completion fish | source\n");
    return 0;
  }
  if (words.size() != 1)
    throw InvalidInput("the shell is missing; accepted: ballast completion bash|zsh|fish");
  require_one_of("shell", words[0], kShells);
  fmt::print("{}", completion_script(words[0], describe_programs()));
  return 0;
}

}  // namespace ballast::cli
