// The bytes grid: busiest-machine bytes of each method over skew and item size, against a model of them.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/bench.h"
#include "ballast/base/cli.h"

namespace ballast::orch {

/// What a bytes-only model gives for one cell, in units of 1000 bytes: sigma 32, rho 16.
struct ModelCell {
  double theta;
  std::uint32_t item_bytes;
  int machines;
  std::uint64_t tasks;
  struct Figure {
    std::string method;
    double kb;
  };
  std::vector<Figure> figures;
};
const std::vector<ModelCell>& model_cells();

/// `orch bench --suite grid`: counted against modelled, and td-orch against the best baseline of each cell.
void grid_suite(const cli::Common& common);
/// `orch bench --suite shaped`: times on an emulated slow network.
void shaped_suite(const cli::Common& common);
/// `orch bench --suite ablation`: td-orch with one technique off at a time; its rows, for other suites.
void ablation_suite(const cli::Common& common);
void ablation_rows(const cli::Common& common, Bench& bench);
/// Time of td-orch against push where there is no skew to win and no network.
void uniform_rows(const cli::Common& common, Bench& bench);

}  // namespace ballast::orch
