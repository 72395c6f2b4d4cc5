// serve, client, token and status: a federation of real processes.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/net/client.h"
#include "ballast/federate/net/server.h"
#include "ballast/federate/net/wire.h"
#include "ballast/federate/user_data.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

std::string first_line(const std::string& path) {
  const std::string text = read_file(path, 1 << 16);
  return text.substr(0, text.find_first_of(" \r\n"));
}

void serve(ServerOptions options, const std::string& preset_name, const cli::Common& common) {
  RunConfig& given = options.config;
  const RunConfig base = preset(preset_name, "");
  if (given.rounds == 0) given.rounds = base.rounds;
  if (given.local_steps == 0) given.local_steps = base.local_steps;
  given.seed = common.seed;
  given.reset_optimizer = given.fraction < 1;
  options.strategy.seed = common.seed;
  FederationServer server(options);
  if (common.for_people()) {
    fmt::print("listening on port {}; status page: {}/status.html\n", server.port(), options.state);
    std::fflush(stdout);
  }
  write_file(options.state + "/port", std::to_string(server.port()) + "\n");
  std::jthread watcher([&](std::stop_token token) {
    while (!token.stop_requested()) {
      if (cli::interrupted()) server.stop();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  const RunLog log = server.run();
  watcher.request_stop();
  Table table("Accuracy on each next step's data (measured by the clients)",
              {"step", "accuracy %", "models"});
  for (std::size_t step = 0; step < log.prequential.size(); ++step) {
    ScoreStat all;
    for (const auto& stat : log.prequential[step]) all += stat;
    table.row({std::to_string(step), all.n == 0 ? "-" : fmt::format("{:.2f}", 100 * (1 - all.error())),
               std::to_string(log.models[step])});
  }
  if (common.for_people()) table.print(stdout);
  if (server.drained() && common.for_people())
    fmt::print("drained by the operator; the same command goes on\n");
  common.write_json(server.status());
}

}  // namespace

void add_serve(cli::Program& program) {
  auto options = std::make_shared<ServerOptions>();
  auto preset_name = std::make_shared<std::string>("fast");
  auto aggregate = std::make_shared<std::string>("mean"), compress = std::make_shared<std::string>("none"),
       model = std::make_shared<std::string>("mlp"), late = std::make_shared<std::string>("drop");
  options->config.rounds = options->config.local_steps = 0;
  options->strategy.drift.max_models = 16;
  auto verb = program.verb("serve", "the server of a federation of real sites (gRPC over TLS)",
                           {"ballast federate serve --tokens clients.txt --state run --cert server.pem --key "
                            "server.key --listen 0.0.0.0:7443 "
                            "--steps 12 --min-clients 3",
                            "ballast federate serve --tokens clients.txt --state run --insecure --steps 4   "
                            "# a try on one machine"});
  verb->add_option("--listen", options->listen, "address and port; port 0: a free one")
      ->capture_default_str();
  verb->add_option("--cert", options->certificate, "certificate chain (PEM) with the name that clients use");
  verb->add_option("--key", options->key, "its private key (PEM)");
  verb->add_option("--client-ca", options->client_ca, "clients must show a certificate of this authority");
  verb->add_flag("--insecure", options->insecure, "no TLS; this machine only");
  verb->add_option("--tokens", options->tokens, "clients and hashes of their tokens (see `token`)")
      ->required();
  verb->add_option("--state", options->state, "folder of the run; started again on it, it goes on")
      ->required();
  verb->add_option("--steps", options->steps, "time steps to train")
      ->required()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--strategy", options->strategy.name,
                   "feddrift, feddrift_eager, feddrift_c, oblivious, ifca, ...")
      ->capture_default_str();
  verb->add_option("--delta", options->strategy.drift.delta, "drift threshold on the error")
      ->capture_default_str();
  verb->add_flag("--auto-delta", options->strategy.drift.auto_delta, "threshold from the standard errors");
  verb->add_option("--max-models", options->strategy.drift.max_models, "size of the pool")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--models", options->strategy.models, "models of ifca, softcluster, gmm")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--preset", *preset_name, "smoke, fast or paper")->capture_default_str();
  verb->add_option("--model", *model, "what clients train: mlp (fused), torch_mlp, lr or cnn (libtorch)")
      ->capture_default_str();
  verb->add_flag("--secure", options->config.secure,
                 "secure aggregation: the server sees sums of updates only");
  verb->add_option("--local-noise", options->config.privacy.local_noise,
                   "local differential privacy: each client's own noise over clipping norm");
  verb->add_option("--over-select", options->config.over_select,
                   "ask so many times more clients and close a round with the first that answer")
      ->capture_default_str();
  verb->add_option("--late", *late,
                   "updates after the deadline: drop, or next_round with weight 1/sqrt(1 + age)")
      ->capture_default_str();
  verb->add_option("--rounds", options->config.rounds, "rounds a step (default: the preset's)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--local-steps", options->config.local_steps,
                   "optimizer steps a round (default: the preset's)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--batch", options->config.batch, "samples of an optimizer step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--hidden", options->config.hidden, "hidden units (default: twice the features)")
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--learning-rate", options->config.optimizer.learning_rate, "Adam's")
      ->capture_default_str();
  verb->add_option("--fraction", options->config.fraction, "chance of a client to be in a round")
      ->capture_default_str();
  verb->add_option("--aggregate", *aggregate, "mean, median, trimmed:0.1, krum:F, multi_krum:F, clipped")
      ->capture_default_str();
  verb->add_option("--compress", *compress, "none, fp16, int8, topk:FRACTION")->capture_default_str();
  verb->add_option("--clip", options->config.privacy.clip, "largest L2 norm of an update");
  verb->add_option("--noise", options->config.privacy.noise,
                   "differential privacy: noise over clipping norm");
  verb->add_option("--epsilon-budget", options->config.privacy.epsilon_budget,
                   "training stops before it is passed");
  verb->add_option("--min-clients", options->desk.min_clients, "that must be there before step 0")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--min-reports", options->min_reports, "a round with fewer results is repeated")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_option("--open-deadline", options->desk.open_deadline_s, "seconds to wait for a step's data")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1e9));
  verb->add_option("--round-deadline", options->desk.round_deadline_s, "seconds to wait for results")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1e9));
  verb->add_flag("--accept-config-change", options->accept_config_change, "go on though settings differ");
  verb.run([=](const cli::Common& common) {
    cli::require_one_of("--late", *late, {"drop", "next_round"});
    options->desk.late_next_round = *late == "next_round";
    options->config.model = model_kind_from_string(*model);
    options->config.aggregator = Aggregator::from_string(*aggregate);
    options->config.compression = Compression::from_string(*compress);
    serve(*options, *preset_name, common);
  });
}

void add_client(cli::Program& program) {
  auto options = std::make_shared<ClientOptions>();
  auto data = std::make_shared<UserDataOptions>();
  auto token_file = std::make_shared<std::string>(), step = std::make_shared<std::string>("1d"),
       origin = std::make_shared<std::string>();
  auto verb = program.verb("client", "one site of a federation: trains on its own data, which stay there",
                           {"ballast federate client --server host:7443 --ca ca.pem --name north "
                            "--token-file north.token --data visits/ --state "
                            "north-state",
                            "ballast federate client --server host:7443 --ca ca.pem --name south "
                            "--token-file south.token --data log.csv "
                            "--time-column ts --step 1d --label y --state south-state"});
  verb->add_option("--server", options->server, "HOST:PORT")->required();
  verb->add_option("--name", options->name, "as in the server's list")->required();
  verb->add_option("--token-file", *token_file, "file with this client's token")->required();
  verb->add_option("--ca", options->ca, "certificate of the authority that signed the server's (PEM)");
  verb->add_option("--cert", options->certificate, "this client's certificate, where the server wants one");
  verb->add_option("--key", options->key, "its private key");
  verb->add_flag("--insecure", options->insecure, "no TLS; tries on one machine");
  verb->add_option(
          "--data", data->path,
          "folder with step_0.csv, step_1.csv, ..., or step_0/LABEL/*.png, or a CSV file with a time column")
      ->required();
  verb->add_option("--prefix", data->prefix, "of the folder's files, such as client_3_");
  verb->add_option("--label", data->label, "label column (default: the last)");
  verb->add_option("--classes", data->classes, "number of labels")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000'000));
  verb->add_flag("--colour", data->colour, "pictures: three planes in place of grey");
  verb->add_option("--time-column", data->time_column, "column of a CSV file that holds the time");
  verb->add_option("--step", *step, "length of a step: 90s, 15m, 6h, 1d")->capture_default_str();
  verb->add_option("--origin", *origin,
                   "when step 0 begins, the same at all sites (default: the first row's step)");
  verb->add_option("--state", options->state, "folder for what must survive a restart");
  verb->add_option("--patience", options->patience_s, "seconds that the server may be away")
      ->capture_default_str();
  verb.run([=](const cli::Common& common) {
    data->step_seconds = seconds_of(*step);
    if (!origin->empty()) {
      data->origin = time_of_cell(*origin);
      if (!data->origin)
        throw InvalidInput("--origin", *origin, "seconds since 1970 or a date such as 2026-11-24");
    }
    UserStore store(*data);
    options->features = store.features();
    options->classes = data->classes;
    options->token = first_line(*token_file);
    const ClientTraffic traffic = run_client(*options, store, [] { return cli::interrupted(); });
    if (common.for_people())
      fmt::print(
          "the run has ended: {} tasks, {} bytes of models received, {} bytes of results sent (counted)\n",
          traffic.tasks, traffic.down, traffic.up);
    common.write_json({{"schema", "ballast.federate.client/1"},
                       {"tasks", traffic.tasks},
                       {"bytes_down", traffic.down},
                       {"bytes_up", traffic.up},
                       {"refused", traffic.refused}});
  });
}

void add_token(cli::Program& program) {
  auto name = std::make_shared<std::string>(), list = std::make_shared<std::string>(),
       out = std::make_shared<std::string>();
  auto verb = program.verb("token", "make a client's token and enter its hash into the server's list",
                           {"ballast federate token north --tokens clients.txt --out north.token",
                            "ballast federate token south --tokens clients.txt --out south.token"});
  verb->add_option("name", *name, "the client's name: letters, digits, - _ .")->required();
  verb->add_option("--tokens", *list, "the server's list; made when it is not there")->required();
  verb->add_option("--out", *out, "file for the token, to be brought to the client safely")->required();
  verb.run([=](const cli::Common& common) {
    if (name->empty() ||
        name->find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") !=
            std::string::npos)
      throw InvalidInput("name", *name, "letters, digits, - _ .");
    const std::string token = new_token();
    std::string before;
    if (std::filesystem::exists(*list)) {
      before = read_file(*list);
      for (const auto& [known, hash] : Roster::read(*list).clients) {
        if (known == *name) throw InvalidInput("name", *name, "a name that the list does not have yet");
      }
    }
    write_file(*out, token + "\n");
    std::filesystem::permissions(*out,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    write_file(*list, before + *name + " " + to_hex(blake2b(token)) + "\n");
    if (common.for_people()) fmt::print("{}: token in {}, its hash in {}\n", *name, *out, *list);
    common.write_json(
        {{"schema", "ballast.federate.token/1"}, {"name", *name}, {"tokens", *list}, {"out", *out}});
  });
}

void add_status(cli::Program& program) {
  auto options = std::make_shared<ClientOptions>();
  auto token_file = std::make_shared<std::string>();
  options->patience_s = 5;
  auto verb = program.verb(
      "status", "what a running federation is doing: who is on which model, since when",
      {"ballast federate status --server host:7443 --ca ca.pem --name north --token-file north.token",
       "ballast federate status --server localhost:7443 --insecure --name north --token-file north.token "
       "--json"});
  verb->add_option("--server", options->server, "HOST:PORT")->required();
  verb->add_option("--name", options->name, "a client's name")->required();
  verb->add_option("--token-file", *token_file, "its token")->required();
  verb->add_option("--ca", options->ca, "certificate of the authority that signed the server's");
  verb->add_option("--cert", options->certificate, "this client's certificate, where the server wants one");
  verb->add_option("--key", options->key, "its private key");
  verb->add_flag("--insecure", options->insecure, "no TLS");
  verb.run([=](const cli::Common& common) {
    options->token = first_line(*token_file);
    const Json status = Json::parse(fetch_status(*options));
    common.write_json(status);
    if (!common.for_people()) return;
    fmt::print("{}\n", status.value("state", ""));
    Table table("Clients (measured)", {"client", "model", "since step", "last accuracy %"});
    for (const Json& client : status.value("clients", Json::array())) {
      const Json& accuracy = client.at("accuracy");
      table.row({client.at("name"), client.at("model").dump(), client.at("since_step").dump(),
                 accuracy.empty() || !accuracy.back().is_number()
                     ? "-"
                     : fmt::format("{:.1f}", 100 * accuracy.back().get<double>())});
    }
    table.print(stdout);
  });
}

}  // namespace ballast::federate
