// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the statements of one program work on, and its trace. The twin of reference/world.py.

#include "program.hpp"

#include <asynchio/combine.hpp>
#include <asynchio/sync.hpp>
#include <asynchio/task.hpp>
#include <asynchio/testing/stream_pair.hpp>
#include <asynchio/thread.hpp>

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace oracle {

namespace aio = asynchio;

using handle = aio::task_handle<int>;
using handles = std::vector<handle>;
using int_future = aio::future<int>;
using futures = std::vector<int_future>;

/// What programs throw.
struct boom : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class any_queue;
class gate;

inline const aio::context_var<int> variables[2] = {{"v0", 0}, {"v1", 0}};

const char* truth(bool value);
std::string describe(const std::exception_ptr& error);
/// In a catch block.
std::string describe_current();

/// How a task or future stands.
template<class Handle>
std::string state(const Handle& one) {
    if (!one.done()) return "pending";
    if (one.cancelled()) return "cancelled";
    const std::exception_ptr error = one.exception();
    return error ? "failed " + describe(error) : "result " + std::to_string(one.result());
}

class world {
public:
    static constexpr int most_tasks = 30;
    static constexpr int most_steps = 600;

    world(const node& program, aio::event_loop& loop);
    world(const world&) = delete;
    world& operator=(const world&) = delete;
    ~world();

    // The trace

    void log(const std::string& id, const std::string& text);
    void tell(const node& statement, const std::string& text) { log(statement.id(), text); }
    /// The name of the task that runs, "loop" or "thread".
    std::string who() const;
    static std::string name(const aio::any_task_handle& task);

    // What runs

    const node& body(int index) const { return program.at(3).at(static_cast<std::size_t>(index) + 1); }
    const node& generator(int index) const { return program.at(2).at(static_cast<std::size_t>(index) + 1); }
    /// Whether this step is too many; counts it.
    bool over_limit(const node& statement);
    /// A name for one more task; empty when there are enough.
    std::string next_name();
    /// Whether awaiting these makes tasks await each other in a circle.
    bool closes_circle(const std::vector<std::string>& names) const;

    handles tasks_of(const node& names) const;
    futures futures_of(const node& names) const;
    /// Calls f with the task or future of that name, unless its place is empty.
    template<class F>
    void with_handle(const node& statement, const node& name, F f) {
        if (!name.is_task()) return f(futures_[name.slot()]);
        const handle found = tasks[name.slot()];
        if (!found) return tell(statement, "empty");
        f(found);
    }
    const int_future& future(const node& name) const { return futures_[name.slot()]; }
    const futures& all_futures() const { return futures_; }

    const node& program;
    aio::event_loop& loop;
    std::vector<std::string> trace;
    bool silent = false;
    bool ending = false; // main has ended
    int made = 0;
    int steps = 0;

    handle tasks[8];
    aio::mutex locks[2];
    aio::semaphore semaphore_0{1}, semaphore_1{2};
    aio::bounded_semaphore semaphore_2{1};
    aio::semaphore semaphore_3{0};
    aio::semaphore* semaphores[4] = {&semaphore_0, &semaphore_1, &semaphore_2, &semaphore_3};
    aio::event events[2];
    aio::condition condition_0, condition_1{locks[1]};
    aio::condition* conditions[2] = {&condition_0, &condition_1};
    aio::barrier barriers[2] = {aio::barrier(2), aio::barrier(3)};
    std::vector<std::unique_ptr<any_queue>> queues;
    std::shared_ptr<aio::timeout> timeouts[2];
    std::shared_ptr<aio::task_group> groups[2];
    aio::callback_handle calls[3];
    struct added_callback {
        handle task;
        std::optional<int_future> future;
        std::uint64_t id = 0;
    };
    std::optional<added_callback> callbacks[3];
    std::shared_ptr<aio::async_generator<int>> open[2];
    int shared_variables[2] = {};

    std::optional<std::pair<std::size_t, aio::context_var<int>::token>> tokens[3];
    std::optional<aio::context> contexts[3];
    int inside_context = 0;
    std::map<std::string, bool> guests; // tasks that run in one of these contexts

    aio::concurrent_future<int> submitted[3];
    std::shared_ptr<gate> job;

    struct stream_ends {
        std::pair<aio::stream, aio::stream> both = aio::testing::stream_pair();
        aio::stream& writer() { return both.first; }
        aio::stream& reader() { return both.second; }
        bool reading = false;
    };
    stream_ends streams[2];

    /// By a task: the tasks that a request to cancel it goes on to.
    std::map<std::string, std::vector<std::string>> awaited;

private:
    futures futures_;
    std::thread::id thread_ = std::this_thread::get_id();
    aio::time_point begin_;
};

/// While a task awaits what a request to cancel it goes on to.
class edges {
public:
    edges(world& w, std::vector<std::string> names);
    edges(const edges&) = delete;
    edges& operator=(const edges&) = delete;
    ~edges();

private:
    world& world_;
    std::string me_;
};

std::vector<std::string> names_of(const handles& tasks);
inline std::vector<std::string> names_of(const futures&) { return {}; }
inline std::vector<std::string> names_of(const handle& task) { return {world::name(task)}; }
inline std::vector<std::string> names_of(const int_future&) { return {}; }
std::vector<std::string> operator+(std::vector<std::string> one, const std::vector<std::string>& more);

} // namespace oracle
