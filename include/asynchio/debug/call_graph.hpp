// SPDX-License-Identifier: BSL-1.0
#pragma once

// The call graph: the coroutines in which a task stands, and the tasks that wait for it, as values and printed.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/pointer_set.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/debug/detail/task_state.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/task/current_task.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <ostream>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// A coroutine in the stack of a task, and the line at which it stands. It is a value.
///
/// Threads: any, as for values.
struct call_frame {
    /// The readable name of the function, such as "fetch".
    std::string function;
    /// The file as the compiler was given it.
    std::string file;
    /// The line of the `co_await`; that of the function while it has not begun.
    unsigned line = 0;
};

/// A task or future, and all that wait for it, as they were at one moment. It is a value, which may be moved.
/// `call_graph` is the one in use; it is made of a template so that files without it do not compile it.
///
/// Threads: any, as for values.
/// See also: capture_call_graph, print_call_graph.
template<class Frame>
struct basic_call_graph {
    /// The name of the task, or "a future".
    std::string name;
    /// What it does: "running", "ready", "not started", "waiting for sleep", "waiting for task Task-3", "pending" for a
    /// future, and "done", "failed" or "cancelled". In debug mode also who holds a lock, and how long the task has waited:
    /// "waiting for mutex held by Task-3 since server.cpp:41, for 2.013 seconds".
    std::string state;
    /// When the task began to wait, in debug mode, by asynchio::clock; nothing otherwise.
    std::optional<time_point> since;
    /// The coroutines in which the task stands, the innermost first; that of a running task has gone on behind its line.
    /// It is empty when the task is done, and for a future.
    std::vector<Frame> frames;
    /// How many outer coroutines were left out by a limit.
    std::size_t frames_left_out = 0;
    /// The tasks that wait for it, in order of creation.
    std::vector<basic_call_graph> awaited_by;
    /// Whether it stands in the graph already, so that `frames` and `awaited_by` are given there only. So a graph is no
    /// larger than the number of waits, and a circle of tasks that wait for each other ends.
    bool repeated = false;

    basic_call_graph() = default;
    basic_call_graph(basic_call_graph&&) noexcept = default;
    basic_call_graph& operator=(basic_call_graph&&) noexcept = default;
    /// Destroys what hangs below it one by one, since the chain may be longer than the stack is deep.
    ~basic_call_graph() {
        std::vector<basic_call_graph> rest = std::move(awaited_by);
        while (!rest.empty()) {
            basic_call_graph last = std::move(rest.back());
            rest.pop_back();
            try {
                for (basic_call_graph& each : last.awaited_by) rest.push_back(std::move(each));
            } catch (const std::bad_alloc&) { // a call for each level then
            }
        }
    }
};

/// The graph that capture_call_graph() returns.
using call_graph = basic_call_graph<call_frame>;

/// A limit that shows all coroutines of a stack.
inline constexpr std::size_t all_frames = ~std::size_t(0);

namespace debug::detail {

/// The waits of one loop: which tasks wait for what.
template<class = void> // a template, so that a file that does not use it does not compile it
class wait_edges {
public:
    explicit wait_edges(asynchio::detail::loop_core& loop) {
        auto& tasks = loop.tasks();
        for (const frame* each = tasks.front(); each != nullptr; each = tasks.after(*each)) {
            const frame* const owner_waits = each->get_owner() != nullptr ? each->get_owner()->awaiting() : nullptr;
            if (!each->has(flag_branch)) add(*each, owner_waits);
            suspension* const hook = asynchio::detail::hook_of(*each);
            if (hook == nullptr) continue;
            const frame* const waits = asynchio::detail::identity_of(const_cast<frame*>(each));
            for (std::uintptr_t place = 0;
                 const shared_state* target = asynchio::detail::access::next_awaited(*hook, place);)
                if (!target->done() && !target->has(flag_branch)) add(*target, waits);
        }
        if (!edges_.empty()) std::qsort(edges_.data(), edges_.size(), sizeof(edge), &in_order);
    }

    /// Calls `f(task)` for each task that waits for `what`, the youngest first.
    template<class F>
    void each_awaiting(const shared_state& what, F f) const {
        std::size_t end = 0; // of those that stand in front of, or are, the edges to `what`
        for (std::size_t rest = edges_.size(); rest != 0;) {
            const std::size_t half = rest / 2;
            const bool beyond = address(*edges_[end + half].target) > address(what);
            if (!beyond) end += half + 1;
            rest = beyond ? half : rest - half - 1;
        }
        for (const frame* last = nullptr; end != 0 && edges_[end - 1].target == &what; --end)
            if (const frame* const awaiting = edges_[end - 1].awaiting; awaiting != last) {
                last = awaiting;
                f(*awaiting);
            }
    }
    std::size_t size() const noexcept { return edges_.size(); }

private:
    struct edge {
        const shared_state* target;
        const frame* awaiting;
    };
    static std::uintptr_t address(const shared_state& target) noexcept {
        return reinterpret_cast<std::uintptr_t>(&target);
    }
    /// Puts the edges to one target together, in order of the awaiting tasks' creation.
    static int in_order(const void* a, const void* b) noexcept {
        const edge& left = *static_cast<const edge*>(a);
        const edge& right = *static_cast<const edge*>(b);
        if (left.target != right.target) return address(*left.target) < address(*right.target) ? -1 : 1;
        return left.awaiting->id == right.awaiting->id ? 0 : left.awaiting->id < right.awaiting->id ? -1 : 1;
    }
    void add(const shared_state& target, const frame* awaiting) {
        if (awaiting != nullptr) edges_.push_back({&target, awaiting});
    }

    asynchio::detail::trivial_vector<edge> edges_;
};

template<class Frame>
void describe(shared_state& what, std::size_t limit, basic_call_graph<Frame>& into) {
    into.name = what.has(flag_future) ? "a future" : asynchio::detail::task_name(static_cast<const frame&>(what));
    into.state = state_of(what);
    if (auto* const notes = notes_of(what); notes != nullptr && !what.has(flag_future) && !what.done())
        if (const auto since = notes->since(static_cast<const frame&>(what)); since != asynchio::detail::unknown_time)
            into.since = time_point(duration(since));
    if (into.repeated || what.has(flag_future) || what.done()) return;
    each_frame(static_cast<frame&>(what), [&](const std::source_location& where) {
        if (into.frames.size() < limit)
            into.frames.push_back({function_name(where), where.file_name(), where.line()});
        else
            ++into.frames_left_out;
    });
}

/// Returns the graph of `what`. It walks from awaited to awaiting tasks with a list of its own, since chains may be
/// longer than the stack is deep.
template<class Frame>
basic_call_graph<Frame> graph_of(shared_state& what, std::size_t limit) {
    struct visit {
        shared_state* what;
        std::size_t awaited; // the index of the node for which it waits
    };
    struct node {
        basic_call_graph<Frame> graph;
        std::size_t awaited;
    };
    basic_call_graph<Frame> only;
    if (what.loop == nullptr || what.done()) {
        describe(what, limit, only);
        return only;
    }
    const wait_edges<> edges(static_cast<asynchio::detail::loop_core&>(*what.loop));
    asynchio::detail::pointer_set seen(edges.size() + 1);
    asynchio::detail::trivial_vector<visit> to_visit;
    std::vector<node> nodes; // each one behind the one for which it waits
    to_visit.push_back({&what, 0});
    while (!to_visit.empty()) {
        const visit next = to_visit.back();
        to_visit.pop_back();
        const std::size_t index = nodes.size();
        nodes.push_back({{}, next.awaited});
        nodes.back().graph.repeated = !seen.insert(next.what);
        describe(*next.what, limit, nodes.back().graph);
        if (nodes.back().graph.repeated) continue;
        edges.each_awaiting(*next.what,
                            [&](const frame& task) { to_visit.push_back({const_cast<frame*>(&task), index}); });
    }
    for (std::size_t i = nodes.size(); i-- > 0;) {
        std::vector<basic_call_graph<Frame>>& all = nodes[i].graph.awaited_by; // the last one comes first here
        for (std::size_t low = 0, high = all.size(); low + 1 < high; ++low) std::swap(all[low], all[--high]);
        if (i != 0) nodes[nodes[i].awaited].graph.awaited_by.push_back(std::move(nodes[i].graph));
    }
    return std::move(nodes[0].graph);
}

} // namespace debug::detail

/// Returns the call graph of a task or future: its own stack, and all that wait for it, directly or not.
///
/// Behaviour: a task waits for another one if it awaits its handle, by itself or in gather, wait, as_completed, race,
/// shield or wait_for, if it has started it in one of them, or as a child of its task_group. A task of another loop that
/// waits for a future of this one is not shown.
/// @param what a handle of a task or future of the loop of this thread. @param limit how many coroutines of each stack
/// are given, from the innermost outward.
/// @throws std::logic_error for an empty handle.
/// Threads: the thread of the loop; between its iterations, or from a task.
/// Cost: linear in the number of tasks of the loop and what they wait for; nothing until it is called.
/// Differs from Python: `frames` starts with the innermost coroutine, as there; plain calls above a running task are not
/// shown.
/// Example: `const aio::call_graph graph = aio::capture_call_graph(handle);`
/// See also: print_call_graph, dump_tasks.
template<class Frame = call_frame>
basic_call_graph<Frame> capture_call_graph(const handle_base& what, std::size_t limit = all_frames) {
    if (!what) throw std::logic_error("capture_call_graph: the handle is empty");
    return debug::detail::graph_of<Frame>(*detail::access::state(what), limit);
}

/// Returns the call graph of the task that runs now; nothing outside of a task.
/// @throws std::logic_error without a running loop.
template<class Frame = call_frame>
std::optional<basic_call_graph<Frame>> capture_call_graph() {
    const any_task_handle self = current_task();
    if (!self) return std::nullopt;
    return capture_call_graph<Frame>(self);
}

/// Prints a call graph as asyncio does: the task, its stack, and indented below it the tasks that wait for it. The
/// indent ends at a depth of 32.
/// @param out where it prints. @param graph what it prints.
/// Threads: any.
/// Example: `aio::print_call_graph(std::cerr, aio::capture_call_graph(handle));`
template<class Frame>
void print_call_graph(std::ostream& out, const basic_call_graph<Frame>& graph) {
    constexpr std::size_t deepest = 32;
    struct entry {
        const basic_call_graph<Frame>* graph;
        std::size_t depth;
    };
    detail::trivial_vector<entry> to_print;
    to_print.push_back({&graph, 0});
    while (!to_print.empty()) {
        const auto [each, depth] = to_print.back();
        to_print.pop_back();
        const std::string indent((depth < deepest ? depth : deepest) * 4, ' ');
        out << indent << "* " << each->name << ": " << each->state << (each->repeated ? " (see above)" : "") << '\n';
        if (!each->frames.empty()) out << indent << "  + Call stack:\n";
        for (const Frame& frame : each->frames)
            out << indent << "  |   File '" << frame.file << "', line " << frame.line << ", in async " << frame.function
                << "()\n";
        if (each->frames_left_out != 0) out << indent << "  |   ... and " << each->frames_left_out << " more\n";
        if (!each->awaited_by.empty()) out << indent << "  + Awaited by:\n";
        for (std::size_t i = each->awaited_by.size(); i-- > 0;) to_print.push_back({&each->awaited_by[i], depth + 1});
    }
}

/// Prints the call graph of a task or future. @param out where it prints. @param what a handle, as for
/// capture_call_graph(). @param limit how many coroutines of each stack it prints. @throws std::logic_error for an empty
/// handle.
template<class Frame = call_frame>
void print_call_graph(std::ostream& out, const handle_base& what, std::size_t limit = all_frames) {
    print_call_graph(out, capture_call_graph<Frame>(what, limit));
}

/// Prints the call graph of the task that runs now; nothing outside of a task. @param out where it prints.
/// @throws std::logic_error without a running loop.
template<class Frame = call_frame>
void print_call_graph(std::ostream& out) {
    if (const any_task_handle self = current_task()) print_call_graph<Frame>(out, self);
}

} // namespace asynchio

#pragma GCC visibility pop
