// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include "queues.hpp"

#include <set>
#include <system_error>

namespace oracle {

const char* truth(bool value) { return value ? "True" : "False"; }

std::string describe(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const aio::cancelled_error& e) {
        return e.message().empty() ? "Cancelled" : "Cancelled:" + std::string(e.message());
    } catch (const boom& e) {
        return std::string("Boom:") + e.what();
    } catch (const aio::exception_group& e) {
        std::string all;
        for (const std::exception_ptr& each : e.exceptions()) all += (all.empty() ? "" : ",") + describe(each);
        return "Group[" + all + "]";
    } catch (const aio::timeout_error&) {
        return "Timeout";
    } catch (const aio::invalid_state_error&) {
        return "InvalidState";
    } catch (const aio::queue_empty&) {
        return "QueueEmpty";
    } catch (const aio::queue_full&) {
        return "QueueFull";
    } catch (const aio::queue_shut_down&) {
        return "QueueShutDown";
    } catch (const aio::broken_barrier_error&) {
        return "Broken";
    } catch (const aio::incomplete_read_error&) {
        return "Incomplete";
    } catch (const aio::limit_overrun_error&) {
        return "Overrun";
    } catch (const std::system_error&) {
        return "System";
    } catch (const std::logic_error&) {
        return "Misuse";
    } catch (const std::exception& e) {
        return std::string("other:") + e.what();
    } catch (...) {
        return "unknown";
    }
}
std::string describe_current() { return describe(std::current_exception()); }

world::world(const node& of, aio::event_loop& l) : program(of), loop(l), begin_(l.time()) {
    for (std::size_t i = 1; i < of.at(1).parts.size(); ++i) {
        const node& queue = of.at(1).at(i);
        queues.push_back(make_queue(queue.at(0).word, queue.at(1).place()));
    }
    for (int i = 0; i < 3; ++i) futures_.push_back(loop.create_future<int>());
}
world::~world() = default;

void world::log(const std::string& id, const std::string& text) {
    if (silent) return;
    std::string when = "-";
    if (loop.is_running())
        when = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(loop.time() - begin_).count());
    trace.push_back(when + ' ' + who() + ' ' + id + ' ' + text);
}

std::string world::who() const {
    if (std::this_thread::get_id() != thread_) return "thread";
    if (!loop.is_running()) return "loop";
    const aio::any_task_handle running = aio::current_task();
    return running ? name(running) : "loop";
}
std::string world::name(const aio::any_task_handle& task) {
    const std::string given = task.name();
    return given[0] == 't' ? given : "?";
}

bool world::over_limit(const node& statement) {
    if (++steps <= most_steps) return false;
    tell(statement, "steps");
    return true;
}
std::string world::next_name() {
    if (made >= most_tasks) return {};
    return std::string("t").append(std::to_string(++made));
}

bool world::closes_circle(const std::vector<std::string>& names) const {
    const std::string me = who();
    std::set<std::string> seen;
    std::vector<std::string> left = names;
    while (!left.empty()) {
        const std::string each = left.back();
        left.pop_back();
        if (each == me) return true;
        if (!seen.insert(each).second) continue;
        if (const auto found = awaited.find(each); found != awaited.end())
            left.insert(left.end(), found->second.begin(), found->second.end());
    }
    return false;
}

handles world::tasks_of(const node& names) const {
    handles found;
    for (const node& each : names.parts)
        if (tasks[each.slot()]) found.push_back(tasks[each.slot()]);
    return found;
}
futures world::futures_of(const node& names) const {
    futures found;
    for (const node& each : names.parts) found.push_back(future(each));
    return found;
}

edges::edges(world& w, std::vector<std::string> names) : world_(w), me_(w.who()) { w.awaited[me_] = std::move(names); }
edges::~edges() {
    if (!world_.silent) world_.awaited[me_].clear();
}

std::vector<std::string> names_of(const handles& tasks) {
    std::vector<std::string> names;
    for (const handle& each : tasks) names.push_back(world::name(each));
    return names;
}
std::vector<std::string> operator+(std::vector<std::string> one, const std::vector<std::string>& more) {
    one.insert(one.end(), more.begin(), more.end());
    return one;
}

} // namespace oracle
