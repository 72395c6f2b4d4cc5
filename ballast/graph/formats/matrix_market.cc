// Matrix Market coordinate files: `%%MatrixMarket matrix coordinate pattern|integer|real general|symmetric`,
// comments, `rows columns entries`, then `i j [value]` from 1. Entry (i, j) is the edge i -> j; symmetric
// means undirected.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/graph/formats/format.h"

namespace ballast::graph {

EdgeList read_matrix_market(std::unique_ptr<ByteSource> source) {
  TextReader in(std::move(source));
  if (!in.next_raw_line() || in.word() != "%%MatrixMarket")
    in.fail("wrong first line", "%%MatrixMarket matrix coordinate ...");
  auto one_of = [&](const char* what, std::initializer_list<std::string_view> accepted) {
    std::string given(in.word()), list;
    std::transform(given.begin(), given.end(), given.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    for (auto word : accepted) {
      if (word == given) return given;
      list += (list.empty() ? "" : ", ") + std::string(word);
    }
    in.fail(fmt::format("{} '{}'", what, given.substr(0, 40)), list);
  };
  one_of("object", {"matrix"});
  one_of("format", {"coordinate"});
  const bool weighted = one_of("field", {"pattern", "integer", "real"}) != "pattern";
  EdgeList list;
  list.directed = one_of("symmetry", {"general", "symmetric"}) == "general";
  if (!in.next_line("%")) in.fail("no size line", "rows columns entries");
  list.vertices = in.integer("number of rows", 0, kMaxVertices);
  const std::uint64_t columns = in.integer("number of columns");
  const std::uint64_t entries = in.integer("number of entries");
  in.end_of_line();
  if (columns != list.vertices)
    in.fail(fmt::format("a matrix of {} x {}", list.vertices, columns), "square matrices");
  while (in.next_line("%")) {
    if (list.edges.size() == entries) in.fail(fmt::format("more entries than the {} of the header", entries));
    const auto row = in.integer("row", 1, list.vertices), column = in.integer("column", 1, list.vertices);
    list.edges.push_back({static_cast<VertexId>(row - 1), static_cast<VertexId>(column - 1)});
    if (weighted) list.weights.push_back(in.real("value"));
    in.end_of_line();
  }
  if (list.edges.size() != entries)
    in.fail(fmt::format("the file ends after {} of {} entries", list.edges.size(), entries));
  return list;
}

void write_matrix_market(const EdgeList& list, const std::string& path) {
  AtomicFile out(path);
  out.write(fmt::format("%%MatrixMarket matrix coordinate {} {}\n{} {} {}\n",
                        list.weighted() ? "real" : "pattern", list.directed ? "general" : "symmetric",
                        list.vertices, list.vertices, list.edges.size()));
  for (std::size_t i = 0; i < list.edges.size(); ++i) {
    auto [row, column] = list.edges[i];
    if (!list.directed && row < column) std::swap(row, column);  // symmetric files hold the lower triangle
    out.write(list.weighted() ? fmt::format("{} {} {}\n", row + 1, column + 1, list.weights[i])
                              : fmt::format("{} {}\n", row + 1, column + 1));
  }
  out.commit();
}

}  // namespace ballast::graph
