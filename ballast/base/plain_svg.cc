#include "ballast/base/plain_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace ballast {
namespace {

constexpr std::array<std::string_view, 8> kForbidden = {
    "script", "foreignobject", "iframe", "object", "embed", "a", "set", "base"};

std::string lower(std::string_view text) {
  std::string result;
  for (const char c : text) result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool inside(std::string_view reference) {
  while (!reference.empty() && (blank(reference[0]) || reference[0] == '"' || reference[0] == '\''))
    reference.remove_prefix(1);
  return reference.starts_with('#') || reference.starts_with("data:image/");
}

// Of an attribute's value or a style sheet, in lower case.
std::string what_is_wrong_with_style(std::string_view text) {
  if (text.find("@import") != text.npos) return "a style sheet from outside";
  for (auto at = text.find("url("); at != text.npos; at = text.find("url(", at + 4))
    if (!inside(text.substr(at + 4))) return "a reference to something outside of it";
  return "";
}

// The attributes of one tag: name, blanks, =, blanks, value in quotes or up to a blank.
std::string what_is_wrong_with_attributes(std::string_view rest) {
  while (!rest.empty()) {
    if (blank(rest[0]) || rest[0] == '/' || rest[0] == '=') {
      rest.remove_prefix(1);
      continue;
    }
    const auto name_end = std::min(rest.find_first_of(" \t\r\n\f/="), rest.size());
    const std::string name = lower(rest.substr(0, name_end));
    rest.remove_prefix(name_end);
    while (!rest.empty() && blank(rest[0])) rest.remove_prefix(1);
    std::string value;
    if (rest.starts_with('=')) {
      rest.remove_prefix(1);
      while (!rest.empty() && blank(rest[0])) rest.remove_prefix(1);
      const bool quoted = rest.starts_with('"') || rest.starts_with('\'');
      const char quote = quoted ? rest[0] : ' ';
      if (quoted) rest.remove_prefix(1);
      const auto end = std::min(quoted ? rest.find(quote) : rest.find_first_of(" \t\r\n\f"), rest.size());
      value = lower(rest.substr(0, end));
      rest.remove_prefix(std::min(end + (quoted ? 1 : 0), rest.size()));
    }
    if (name.starts_with("on")) return fmt::format("an event handler, '{}'", name);
    if ((name == "href" || name.ends_with(":href") || name == "src") && !inside(value))
      return "a reference to something outside of it";
    if (name == "attributename" && (value.starts_with("on") || value.find("href") != value.npos))
      return "an animation of a reference";
    if (value.find("javascript:") != value.npos) return "a script in an attribute";
    if (auto wrong = what_is_wrong_with_style(value); !wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace

std::string what_is_wrong_with_svg(std::string_view svg) {
  while (!svg.empty() && blank(svg.back())) svg.remove_suffix(1);
  if (!svg.starts_with("<svg") || !svg.ends_with("</svg>")) return "its text is not one <svg> element";
  int depth = 0;
  for (std::size_t at = 0; at < svg.size();) {
    const auto open = svg.find('<', at);
    if (open == svg.npos) break;
    if (depth == 0 && at != 0) return "its text is more than one element";
    if (svg.substr(open).starts_with("<!--")) {
      const auto end = svg.find("-->", open);
      // A browser ends a comment at once that begins with '>', where XML goes on.
      if (end == svg.npos || end < open + 4 || svg.substr(open + 4).starts_with('>') ||
          svg.substr(open + 4).starts_with("->"))
        return "a comment that does not end";
      at = end + 3;
      continue;
    }
    if (svg.substr(open).starts_with("<!") || svg.substr(open).starts_with("<?"))
      return "a declaration or instruction inside it";
    // The tag's end is the first '>' outside of quotes.
    std::size_t end = open + 1;
    for (char quote = 0; end < svg.size() && (quote != 0 || svg[end] != '>'); ++end) {
      if (quote != 0 ? svg[end] == quote : svg[end] == '"' || svg[end] == '\'')
        quote = quote != 0 ? 0 : svg[end];
    }
    if (end == svg.size()) return "a tag that does not end";
    std::string_view tag = svg.substr(open + 1, end - open - 1);
    const bool closing = tag.starts_with('/'), single = tag.ends_with('/');
    if (closing) tag.remove_prefix(1);
    const auto name_end = std::min(tag.find_first_of(" \t\r\n\f/"), tag.size());
    const std::string full_name = lower(tag.substr(0, name_end));
    const std::string name = full_name.substr(full_name.find(':') + 1);
    if (std::find(kForbidden.begin(), kForbidden.end(), name) != kForbidden.end())
      return fmt::format("an element <{}>", name);
    if (auto wrong = what_is_wrong_with_attributes(tag.substr(name_end)); !wrong.empty()) return wrong;
    if (name == "style" && !closing) {
      const std::string sheet = lower(svg.substr(end, std::min(svg.find("</", end), svg.size()) - end));
      if (auto wrong = what_is_wrong_with_style(sheet); !wrong.empty()) return wrong;
    }
    depth += closing ? -1 : single ? 0 : 1;
    at = end + 1;
  }
  return depth == 0 ? "" : "an element that does not end";
}

}  // namespace ballast
