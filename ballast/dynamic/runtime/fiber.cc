#include "ballast/dynamic/runtime/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <utility>

#include "ballast/base/errors.h"

namespace ballast::dynamic {

namespace context = boost::context::detail;

struct FiberDoor {
  static void enter(context::transfer_t from) {
    auto* self = static_cast<Fiber*>(from.data);
    self->outside_ = from.fctx;
    try {
      if (!self->cancelled_) self->body_();
    } catch (...) {
      self->error_ = std::current_exception();
    }
    self->ended_ = true;
    context::jump_fcontext(self->outside_, nullptr);
  }
};

Fiber::Fiber(std::size_t stack_bytes) : bytes_(stack_bytes) {
  void* memory =
      ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw Unavailable::from_errno("a fiber's stack", "cannot be reserved (--stack-kib makes it smaller)");
  memory_ = static_cast<char*>(memory);
  ::mprotect(memory_, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), PROT_NONE);
}

Fiber::~Fiber() {
  cancel();
  ::munmap(memory_, bytes_);
}

void Fiber::start(std::function<void()> body) {
  body_ = std::move(body);
  error_ = nullptr;
  ended_ = cancelled_ = false;
  inside_ = context::make_fcontext(memory_ + bytes_, bytes_, &FiberDoor::enter);
}

bool Fiber::resume() {
  const context::transfer_t back = context::jump_fcontext(inside_, this);
  inside_ = back.fctx;
  if (ended_ && error_) std::rethrow_exception(std::exchange(error_, nullptr));
  return ended_;
}

void Fiber::suspend() {
  const context::transfer_t again = context::jump_fcontext(outside_, nullptr);
  outside_ = again.fctx;
  if (cancelled_) throw Cancelled();
}

void Fiber::cancel() {
  if (ended_) return;
  cancelled_ = true;
  const context::transfer_t back = context::jump_fcontext(inside_, this);
  inside_ = back.fctx;
  error_ = nullptr;
  ended_ = true;
}

void Fiber::leave(std::exception_ptr error) {
  error_ = std::move(error);
  ended_ = true;
  context::jump_fcontext(outside_, nullptr);
  std::terminate();
}

}  // namespace ballast::dynamic
