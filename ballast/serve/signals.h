// SIGTERM and SIGINT drain; a second one ends the process at once.
//
//   DrainSignals signals;                       // before any thread is made: they inherit the mask
//   signals.watch([&] { server.drain(); });
//   server.run();
#pragma once

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include "ballast/base/errors.h"

namespace ballast::serve {

class DrainSignals {
 public:
  DrainSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  ~DrainSignals() { end(); }
  DrainSignals(const DrainSignals&) = delete;

  void watch(std::function<void()> drain) {
    waiter_ = std::thread([this, drain = std::move(drain)] {
      for (int caught = 0; caught < 2;) {
        const timespec pause{0, 100'000'000};
        const int signal = sigtimedwait(&set_, nullptr, &pause);
        if (over_) return;
        if (signal < 0) continue;
        if (++caught == 1)
          drain();
        else
          std::_Exit(static_cast<int>(ExitCode::interrupted));
      }
    });
  }
  void end() {
    over_ = true;
    if (waiter_.joinable()) waiter_.join();
  }

 private:
  sigset_t set_;
  std::thread waiter_;
  std::atomic<bool> over_ = false;
};

}  // namespace ballast::serve
