// SPDX-License-Identifier: BSL-1.0
// Other threads, in lock step: the loop waits wherever the order would be left to chance.
#include "threads.hpp"

#include "statements.hpp"

#include <future>
#include <memory>
#include <thread>

namespace oracle {

namespace {

void thread(world& w, const node& s) {
    std::thread one([&] {
        try {
            run_plain(w, s.argument(0));
        } catch (...) {
            w.tell(s, "thread fails");
        }
    });
    one.join();
}

void post(world& w, const node& s) { w.loop.call_soon_threadsafe(plain_call{&w, &s, &s.argument(0)}); }

void submit(world& w, const node& s) {
    w.submitted[s.argument(0).place()] =
        aio::run_coroutine_threadsafe(run_named(w, s.argument(1).number, {}), w.loop.ref());
    w.tell(s, "submitted");
}

std::string state_of(const aio::concurrent_future<int>& one) {
    if (!one.done()) return "pending";
    if (one.cancelled()) return "cancelled";
    try {
        return "result " + std::to_string(one.get());
    } catch (...) {
        return "failed " + describe_current();
    }
}
void submitted_state(world& w, const node& s) {
    const aio::concurrent_future<int> one = w.submitted[s.argument(0).place()];
    w.tell(s, one ? state_of(one) : "empty");
}
void submitted_cancel(world& w, const node& s) {
    const aio::concurrent_future<int> one = w.submitted[s.argument(0).place()];
    if (!one) return w.tell(s, "empty");
    w.tell(s, std::string("cancel ") + truth(one.cancel()));
}

aio::task<> await_submitted(world& w, const node& s) {
    const aio::concurrent_future<int> one = w.submitted[s.argument(0).place()];
    if (!one) co_return w.tell(s, "empty");
    const int value = co_await aio::wrap_future(one);
    w.tell(s, "ok " + std::to_string(value));
}

/// Lets the job go on after so many iterations, and holds the loop up until its end has been posted.
void lock_step(world& w, int patience) {
    if (patience > 0) {
        w.loop.call_soon([&w, patience] { lock_step(w, patience - 1); });
        return;
    }
    std::exchange(w.job, nullptr)->open();
    std::promise<void> free; // the one thread is free: it has posted
    aio::run_in_executor([&free] { free.set_value(); });
    free.get_future().wait();
}

/// What a job does: it begins at once and waits for its turn.
struct gated_job {
    std::shared_ptr<gate> turn;
    world* w;
    const node* statement;

    int operator()() const {
        turn->begin();
        run_plain(*w, statement->argument(1));
        return statement->at(1).number;
    }
};

/// @return nothing while there is a job already, and when main has ended.
std::optional<gated_job> make_job(world& w, const node& s) {
    if (w.job || w.ending) {
        w.tell(s, w.ending ? "ending" : "busy");
        return std::nullopt;
    }
    if (aio::detail::core_of(w.loop).services().find<aio::detail::default_pool>() == nullptr) aio::set_default_pool(1);
    w.job = std::make_shared<gate>();
    const int patience = s.argument(0).number;
    w.loop.call_soon([&w, patience] { lock_step(w, patience); });
    return gated_job{w.job, &w, &s};
}

aio::task<> to_thread(world& w, const node& s) {
    // A request that is pending would meet a job that may have begun or not.
    if (aio::current_task().cancelling() > 0) co_return w.tell(s, "cancelling");
    const std::optional<gated_job> job = make_job(w, s);
    if (!job) co_return;
    const std::shared_ptr<gate> turn = job->turn;
    const int value = co_await begun(aio::to_thread(*job), *turn);
    w.tell(s, "ok " + std::to_string(value));
}
aio::task<> in_executor(world& w, const node& s) {
    const std::optional<gated_job> job = make_job(w, s);
    if (!job) co_return;
    const std::shared_ptr<gate> turn = job->turn;
    const int_future result = aio::run_in_executor(*job);
    turn->wait_for_begin();
    const int value = co_await result;
    w.tell(s, "ok " + std::to_string(value));
}

/// Holds the loop up when its pool is closed, until the threads have ended and have posted that.
class pool_joiner final : public aio::detail::service {
public:
    explicit pool_joiner(aio::event_loop& loop) : loop_(loop) {}
    void close() noexcept override {
        if (auto* pool = aio::detail::core_of(loop_).services().find<aio::detail::default_pool>()) pool->core()->join();
    }
    bool closed() const noexcept override { return true; }

private:
    aio::event_loop& loop_;
};

} // namespace

void hold_up_end_of_pool(aio::event_loop& loop) {
    aio::detail::core_of(loop).services().get<pool_joiner>(loop); // older than the pool, which is closed before
}

const plain_statements& thread_calls() {
    static const plain_statements all{
        {"thread", thread},
        {"post", post},
        {"submit", submit},
        {"submitted_state", submitted_state},
        {"submitted_cancel", submitted_cancel},
    };
    return all;
}
const waiting_statements& thread_waits() {
    static const waiting_statements all{
        {"to_thread", to_thread}, {"in_executor", in_executor}, {"await_submitted", await_submitted}};
    return all;
}

} // namespace oracle
