// SPDX-License-Identifier: BSL-1.0
#include "support/limit_kept.hpp"
#include "gather/limit_rounds.hpp"

namespace {

/// Children whose results are taken when all have ended; the first exception cancels the others.
struct joined {
    std::size_t running = 0;
    limit::item* waiting = nullptr;
    limit::kept::task_base* failed = nullptr;

    struct child {
        struct promise_type : limit::kept::promise_of<promise_type> {
            joined* all = nullptr;
            int value = 0;
            child get_return_object(std::source_location function = std::source_location::current()) noexcept {
                keep_line(function);
                return child{this};
            }
            void return_value(int v) noexcept {
                value = v;
                now = limit::kept::state::value;
            }
            int result() const noexcept { return value; }
            void ended() noexcept { all->child_done(*this); }
        };
        promise_type* promise;

        int take() const {
            const limit::kept::handle<promise_type> last(*promise);
            return last.result();
        }
    };
    static child make(int x);

    void start(const child& each, const std::source_location& created = std::source_location::current()) {
        ++running;
        each.promise->all = this;
        each.promise->created = created;
        each.promise->references = 1;
        limit::kept::the_loop.add(*each.promise);
        limit::ready.push(*each.promise);
    }
    void child_done(limit::kept::task_base& ended) noexcept {
        if (ended.error && failed == nullptr) [[unlikely]]
            cancel_others(ended);
        if (--running == 0) limit::ready.push(*waiting);
    }
    [[gnu::noinline]] void cancel_others(limit::kept::task_base& first) noexcept {
        failed = &first;
        for (auto* each = limit::kept::the_loop.first; each != nullptr; each = each->after) // all are children
            if (static_cast<child::promise_type*>(each)->all == this) each->cancel_requested = true;
    }
    bool await_ready() const noexcept { return running == 0; }
    void await_suspend(std::coroutine_handle<limit::detached::promise_type> self) noexcept {
        waiting = &self.promise();
    }
    void await_resume() const {
        if (failed != nullptr) [[unlikely]]
            std::rethrow_exception(failed->error);
    }
};

joined::child joined::make(int x) { co_return x; }

} // namespace

static void gather_10_limit_kept(benchmark::State& state) { gather_problem::measure_ten<joined>(state); }
BENCHMARK(gather_10_limit_kept);

static void gather_range_limit_kept(benchmark::State& state) { gather_problem::measure_range<joined>(state); }
BENCHMARK(gather_range_limit_kept)->Arg(1000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000);
