#include "ballast/kv/server.h"

#include <fmt/format.h>

#include <boost/asio.hpp>
#include <csignal>
#include <deque>
#include <thread>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/kv/batcher.h"

namespace ballast::kv {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// One client. All of it runs on the network thread; machines only post the commands that are done.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::uint64_t id, const ServerOptions& options, Batcher& batcher,
             std::size_t& clients)
      : socket_(std::move(socket)), id_(id), options_(options), batcher_(batcher), clients_(clients) {
    ++clients_;
    session_.password = options.password;
    session_.info = [this] { return info(); };
  }
  ~Connection() { --clients_; }

  void start() { read(); }
  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void read() {
    if (reading_ || closing_) return;
    reading_ = true;
    socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](auto error, std::size_t count) {
      self->reading_ = false;
      if (error && error != asio::error::eof) return self->drop();
      // A client that has said all may still wait for answers.
      if (error) self->closing_ = true;
      self->parser_.feed({self->chunk_.data(), count});
      self->handle();
    });
  }

  // Takes requests until too many wait for their answers; sends what is answered.
  void handle() {
    if (gone_) return;
    for (bool took = true; took && waiting_.size() < options_.most_waiting;) {
      took = false;
      while (!closing_ && waiting_.size() < options_.most_waiting) {
        auto request = parser_.next();
        if (!request) break;
        take(understand(*request, session_));
        took = true;
      }
      if (!closing_ && !parser_.error().empty()) {
        Command last{.shape = Command::Shape::close};
        resp_error(last.reply, parser_.error());
        take(std::move(last));
      }
      flush();
      if (gone_) return;
    }
    flush();
    if (!gone_ && waiting_.size() < options_.most_waiting) read();
  }

  // The client is gone: answers that come later find nobody.
  void drop() {
    gone_ = true;
    waiting_.clear();
    close();
  }

  void take(Command command) {
    auto waiting = std::make_shared<Waiting>();
    waiting->command = std::move(command);
    waiting->connection = id_;
    if (waiting->command.shape == Command::Shape::close) closing_ = true;
    waiting_.push_back(waiting);
    if (waiting->command.operations.empty()) return;
    waiting->missing = 1;  // until submit sets it
    waiting->done = [self = shared_from_this(), executor = socket_.get_executor()] {
      asio::post(executor, [self] { self->handle(); });
    };
    batcher_.submit(std::move(waiting));
  }

  // Sends the replies of all commands from the front that have their answers.
  void flush() {
    while (!waiting_.empty() && is_whole(*waiting_.front())) {
      out_ += reply_of(waiting_.front()->command, waiting_.front()->answers);
      waiting_.pop_front();
    }
    if (out_.size() > options_.most_unsent_bytes) return drop();
    if (writing_ || out_.empty()) {
      if (closing_ && waiting_.empty() && !writing_) drop();
      return;
    }
    writing_ = true;
    sending_.swap(out_);
    asio::async_write(socket_, asio::buffer(sending_), [self = shared_from_this()](auto error, std::size_t) {
      self->writing_ = false;
      self->sending_.clear();
      if (error) return self->drop();
      self->flush();
    });
  }

  // Machines count down under the batcher's lock and post afterwards; what is seen here was posted.
  bool is_whole(const Waiting& waiting) const {
    return waiting.command.operations.empty() || batcher_.is_whole(waiting);
  }

  std::string info() const {
    const auto counts = batcher_.counts();
    return fmt::format(
        "# Server\r\nredis_version:7.0.0-ballast\r\nredis_mode:standalone\r\n# "
        "Clients\r\nconnected_clients:{}\r\n# Stats\r\n"
        "batches:{}\r\noperations:{}\r\nserial_operations:{}\r\nresidence_p50_us:{}\r\nresidence_p99_us:{}"
        "\r\n",
        clients_, counts.batches, counts.operations, counts.serial, counts.p50_us, counts.p99_us);
  }

  tcp::socket socket_;
  const std::uint64_t id_;
  const ServerOptions& options_;
  Batcher& batcher_;
  std::size_t& clients_;
  Session session_;
  RespParser parser_;
  std::array<char, 64 << 10> chunk_;
  std::deque<std::shared_ptr<Waiting>> waiting_;
  std::string out_, sending_;
  bool reading_ = false, writing_ = false;
  bool closing_ = false;  ///< nothing more is read; closed once all is sent
  bool gone_ = false;
};

}  // namespace

class RespServer::Network {
 public:
  explicit Network(const ServerOptions& options)
      : options_(options),
        batcher(options.machines, options.batch, std::chrono::microseconds(options.max_delay_us)),
        acceptor_(context_),
        signals_(context_, SIGINT, SIGTERM) {
    boost::system::error_code error;
    const auto address = asio::ip::make_address(options.host, error);
    if (error) throw InvalidInput("--host", options.host, "a numeric address such as 127.0.0.1");
    if (!address.is_loopback() && options.password.empty())
      throw InvalidInput("--host " + options.host +
                         " is reached from other machines; give a --password as well");
    const tcp::endpoint endpoint(address, options.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      throw Unavailable(
          fmt::format("{}:{}: cannot be served ({})", options.host, options.port, error.message()));
    signals_.async_wait([this](auto failure, int) {
      if (!failure) batcher.stop();
    });
    accept();
  }

  ~Network() { batcher.abandon(); }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void run() { context_.run(); }
  void stop() { context_.stop(); }

 private:
  void accept() {
    acceptor_.async_accept([this](auto error, tcp::socket socket) {
      if (!error) {
        boost::system::error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        if (clients_ >= options_.most_clients) {
          asio::write(socket, asio::buffer(std::string("-ERR max number of clients reached\r\n")), ignored);
        } else {
          std::make_shared<Connection>(std::move(socket), next_id_++, options_, batcher, clients_)->start();
        }
      }
      accept();
    });
  }

  const ServerOptions& options_;
  std::size_t clients_ = 0;
  std::uint64_t next_id_ = 0;

 public:
  Batcher batcher;

 private:
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::signal_set signals_;  // Ctrl-C ends a server well: the batch is finished, the checkpoint written
};

RespServer::RespServer(ServerOptions options) : options_(std::move(options)) {
  if (options_.batch < 1) throw InvalidInput("--batch", "0", "at least 1");
  network_ = std::make_unique<Network>(options_);
}

RespServer::~RespServer() = default;

std::uint16_t RespServer::port() const {
  return network_->port();
}

void RespServer::stop() {
  network_->batcher.stop();
}

namespace {

// The life of a machine: batch after batch, first what is serial, then the reads.
void serve_batches(cluster::Machine& me, Batcher& batcher, Store& store, const orch::Options& how) {
  for (;;) {
    const int state = me.broadcast(me.is_first() ? batcher.close_batch() : 0, 0);
    if (state & Batcher::kStop) return;
    if (state == Batcher::kIdle) continue;
    const auto share = batcher.take_share(me.id());
    if (state & Batcher::kSerial) {
      orch::SerialBatch<Serial> batch;
      for (const auto& place : share.serial) batch.add(place.key(), place.operation());
      orch::run_serial(me, store, batch);
      std::vector<Answer> answers;
      for (std::size_t i = 0; i < batch.size(); ++i) answers.push_back(batch.reply(i));
      batcher.answer(share.serial, std::move(answers));
    }
    if (state & Batcher::kReads) {
      orch::Batch<Access> batch;
      for (const auto& place : share.reads) batch.add(place.key(), place.operation());
      orch::run(me, store, batch, how);
      std::vector<Answer> answers;
      for (std::size_t i = 0; i < batch.size(); ++i) answers.push_back(batch.reply(i));
      batcher.answer(share.reads, std::move(answers));
    }
    me.account() = {};  // a server does not remember every superstep
  }
}

}  // namespace

void RespServer::run(cluster::Cluster& cluster, const orch::Options& how) {
  if (cluster.machines() != options_.machines)
    throw InvalidInput("--machines", std::to_string(cluster.machines()), std::to_string(options_.machines));
  std::thread network([this] { network_->run(); });
  try {
    cluster.run([&](cluster::Machine& me) {
      Store store(me);
      const cluster::Checkpoint checkpoint(options_.checkpoint);
      if (!options_.checkpoint.empty()) {
        if (const auto saved = checkpoint.load(me)) store.from_bytes(saved->state);
      }
      serve_batches(me, network_->batcher, store, how);
      if (!options_.checkpoint.empty()) {
        const std::string state = store.to_bytes();
        checkpoint.save(me, 1, std::as_bytes(std::span(state.data(), state.size())));
      }
    });
  } catch (...) {
    network_->stop();
    network.join();
    throw;
  }
  network_->stop();
  network.join();
}

}  // namespace ballast::kv
