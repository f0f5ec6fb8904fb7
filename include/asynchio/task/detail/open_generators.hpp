// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of asynchronous generators, and the generators that a loop must close: those that were destroyed at a
// co_yield, and those that exist at the loop's end.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/generator_exit.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/task.hpp>

#include <coroutine>
#include <exception>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class open_generators;

enum class generator_stage : unsigned char {
    unstarted,
    yielded, // the body stands at a co_yield
    running, // a request is under way: the body runs, or awaits something
    finished,
};

/// The state of a generator, without the type of its items. The generator object and the task that closes it for the
/// loop count; when the last of them is gone during a request, the asking task frees the state afterwards. It is linked
/// in the loop's open_generators from the first request on.
struct generator_state : frame {
    void* item = nullptr; // the item that was yielded
    open_generators* registry = nullptr;
    generator_stage stage = generator_stage::unstarted;
    bool closing = false; // generator_exit is thrown when the body goes on
    bool refused = false; // the body yielded while it was closed: the loop does not try again

    generator_state() noexcept {
        references = 1;
        set(flag_generator);
    }

    /// Transfers to the body on behalf of `asking`.
    template<class Promise>
    [[gnu::always_inline]] std::coroutine_handle<> enter(std::coroutine_handle<Promise> asking,
                                                         std::source_location line) {
        static_assert(std::is_base_of_v<promise_base, Promise>,
                      "an async_generator can be asked only in a coroutine of this library, such as one that returns "
                      "task<>");
        if (registry == nullptr) [[unlikely]]
            enlist();
        static_cast<frame&>(asking.promise().state()).enter(*this, line);
        stage = generator_stage::running;
        return transfer(handle());
    }
    /// Goes back to the asking coroutine.
    std::coroutine_handle<> leave(generator_stage now) noexcept {
        stage = now;
        return transfer(frame::leave().handle());
    }
    /// Throws the exception that ended the body, once.
    void rethrow_error() {
        if (error_) std::rethrow_exception(detail::exchange(error_, nullptr));
    }
    /// Keeps the current exception; called in a catch block.
    void failed_with_current() noexcept {
        if (!closing) return fail(std::current_exception(), outcome_state::error);
        try {
            throw;
        } catch (const generator_exit&) {
        } catch (...) {
            fail(std::current_exception(), outcome_state::error);
        }
    }
    bool busy() const noexcept { return stage == generator_stage::running && !done(); }
    bool can_go_on() const noexcept { return stage <= generator_stage::yielded; }
    /// @throws std::logic_error with the name of the `request` while another one is under way.
    void require_idle(const char* request) const {
        if (busy()) throw std::logic_error(std::string(request) + ": " + description() + " is already running");
    }
    std::string description() const {
        const std::source_location line = where();
        return std::string("the asynchronous generator at ") + line.file_name() + ":" + std::to_string(line.line());
    }

    template<class = void>
    void enlist();
    void delist() noexcept;
};

/// Throws generator_exit at the co_yield and waits until the body has ended.
class [[nodiscard("aclose() does nothing until it is awaited")]] close_awaiter {
public:
    explicit close_awaiter(generator_state* body) noexcept : body_(body) {}
    close_awaiter(close_awaiter&& other) noexcept : body_(other.body_) {} // before it is awaited
    close_awaiter& operator=(close_awaiter&&) = delete;
    ~close_awaiter();

    /// Misuse is reported by await_resume, whose exceptions nothrow() catches.
    bool await_ready() const noexcept {
        if (body_ == nullptr) return true;
        if (body_->stage == generator_stage::unstarted) body_->stage = generator_stage::finished;
        return !body_->can_go_on();
    }
    template<class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> asking,
                                          std::source_location line = std::source_location::current()) {
        const std::coroutine_handle<> next = body_->enter(asking, line);
        body_->closing = true;
        entered_ = true;
        return next;
    }
    void await_resume() {
        if (!entered_) {
            if (body_ != nullptr) body_->require_idle("aclose");
            return;
        }
        body_->closing = false;
        if (body_->stage == generator_stage::finished) return body_->rethrow_error();
        body_->refused = true;
        throw std::logic_error("aclose: " + body_->description() +
                               " ignored generator_exit: it yielded while being closed");
    }

private:
    generator_state* body_;
    bool entered_ = false;
};

/// The generators of a loop that have begun.
class open_generators final : public service {
    class job;

public:
    /// It is a template, of which only the address is known here, so that a file without generators does not compile
    /// it.
    using closer = task<> (*)(job, loop_core&);

    open_generators(loop_core& loop, closer closes) noexcept : loop_(loop), closes_(closes) {}
    open_generators(const open_generators&) = delete;
    open_generators& operator=(const open_generators&) = delete;
    inline ~open_generators() override;

    template<class = void>
    static open_generators& of(loop_core& loop) {
        return loop.services().get<open_generators>(loop, &close_one<>);
    }

    void add(generator_state& body) noexcept {
        body.registry = this;
        open_.push_back(body);
        if (deferred_) [[unlikely]]
            retry();
    }
    void remove(generator_state& body) noexcept {
        body.registry = nullptr;
        open_.remove(body);
    }

    /// Closes a `body` that is no longer referred to, in a task of the loop; without memory for one, later. Its tasks
    /// may still run, so it is not destroyed while the loop exists. @return false if the loop is closed, or gives the
    /// body up.
    bool adopt(generator_state& body) noexcept {
        if (loop_.closing() || body.refused) return false;
        body.references = 2; // one more, so that dropping the task's count does not lead here again
        const bool closing = start_closing(body);
        body.references = closing ? 1 : 0;
        deferred_ = deferred_ || !closing;
        return true;
    }

    // The end of run() calls these.
    bool runs_code() const noexcept override { return true; }
    void close() noexcept override {
        retry();
        for (generator_state* each = open_.front(); each != nullptr; each = open_.after(*each)) {
            if (each->stage != generator_stage::yielded || each->references == 0) continue;
            ++each->references;
            start_closing(*each);
        }
    }
    bool closed() const noexcept override { return closing_ == 0; }

private:
    /// A generator that is being closed; takes over a count. The job also ends when its task is cancelled before it
    /// begins.
    class job {
    public:
        job(open_generators& registry, generator_state& closed) noexcept : body(&closed), registry_(registry) {
            ++registry_.closing_;
        }
        job(job&& other) noexcept : body(detail::exchange(other.body, nullptr)), registry_(other.registry_) {
            ++registry_.closing_;
        }
        job& operator=(job&&) = delete;
        ~job();

        generator_state* body;

    private:
        open_generators& registry_;
    };

    /// Passes the count that `body` has for it to a task. @return false without memory for one; the count is dropped
    /// then.
    bool start_closing(generator_state& body) noexcept {
        job counted(*this, body);
        const std::source_location created = body.where();
        try {
            loop_of(loop_).create_task(closes_(std::move(counted), loop_), created);
            return true;
        } catch (...) {
            return false;
        }
    }
    void retry() noexcept {
        deferred_ = false;
        for (generator_state* each = open_.front(); each != nullptr; each = open_.after(*each))
            if (each->references == 0 && each->stage == generator_stage::yielded) adopt(*each);
    }

    template<class = void>
    static task<> close_one(job closed, loop_core& loop) {
        try {
            const generator_stage now = closed.body->stage;
            if (now == generator_stage::yielded) co_await close_awaiter(closed.body);
        } catch (const cancelled_error&) {
            throw;
        } catch (...) {
            exception_context context;
            context.message = "an error occurred during closing of an asynchronous generator";
            context.exception = std::current_exception();
            context.source = closed.body->description();
            loop_of(loop).call_exception_handler(context);
        }
    }

    loop_core& loop_;
    closer closes_;
    intrusive_list<generator_state> open_;
    std::size_t closing_ = 0;
    bool deferred_ = false; // whether some could not be closed when they were dropped
};

template<class>
void generator_state::enlist() {
    open_generators::of(running_core()).add(*this);
}
inline void generator_state::delist() noexcept {
    if (registry != nullptr) registry->remove(*this);
}

/// Frees a generator that is no longer referred to.
inline void free_generator(generator_state& body) noexcept {
    body.delist();
    if (!body.has(flag_done)) return discard_frame(body);
    void* block = body.handle().address(); // the loop was closed while a request was under way
    const std::size_t size = body.block_size;
    body.~generator_state();
    frame_pool::deallocate(block, size);
}

inline open_generators::~open_generators() {
    while (generator_state* each = open_.pop_front()) {
        each->registry = nullptr;
        if (each->references == 0) free_generator(*each);
    }
}

/// Ends a generator that is no longer counted, while no request is under way: closes it, or destroys it where it stands
/// if there is no loop to close it.
[[gnu::noinline]] inline void end_generator(generator_state& body) noexcept {
    const bool open = !body.has(flag_done) && body.stage == generator_stage::yielded;
    if (!open || body.registry == nullptr || !body.registry->adopt(body)) free_generator(body);
}

/// Drops one count.
inline void release_generator(generator_state& body) noexcept {
    if (--body.references == 0 && !body.busy()) end_generator(body);
}

/// Called when a request is over.
inline void leave_generator(generator_state& body) noexcept {
    if (body.references == 0) [[unlikely]]
        end_generator(body);
}

inline close_awaiter::~close_awaiter() {
    if (entered_) leave_generator(*body_);
}

inline open_generators::job::~job() {
    --registry_.closing_;
    if (body != nullptr) release_generator(*body);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
