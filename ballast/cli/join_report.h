// `ballast report FILE.json...`: results of several runs, of one machine or many, joined to one page.
#pragma once

#include <string>
#include <vector>

namespace ballast::cli {
/// Words are those behind `report`: files of schema `ballast.bench/1` (from `bench --json FILE`) or sections
/// (from `tour --json FILE`), and --out FILE.html.
int join_report(const std::vector<std::string>& words);
}  // namespace ballast::cli
