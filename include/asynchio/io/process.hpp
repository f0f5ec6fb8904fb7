// SPDX-License-Identifier: BSL-1.0
#pragma once

// Subprocesses: other programs, with streams to them.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/counted_ptr.hpp>
#include <asynchio/core/detail/range.hpp>
#include <asynchio/io/byte_view.hpp>
#include <asynchio/io/detail/process_state.hpp>
#include <asynchio/io/process_options.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/detail/child_tasks.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/task.hpp>

#include <concepts>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// The result of process::communicate(): what the subprocess has written.
///
/// Threads: a plain value.
struct process_output {
    /// What it wrote to its standard output; empty if that is not a pipe.
    std::string out;
    /// What it wrote to its standard error; empty if that is not a pipe.
    std::string err;
};

/// A subprocess: a program that runs as a child of this one.
///
/// Behaviour: the loop notices its end through a descriptor of the process (Linux 5.3), or else through a thread that
/// waits for it. Other children of this program are not touched.
/// Cancellation: a cancelled wait() or communicate() stops waiting. The process lives on, and nothing that it wrote is
/// lost.
/// Threads: the thread of the loop that started it.
/// Lifetime: destroying this object while the process runs kills and reaps the process. When the loop has ended, no
/// process is left; the object can still be asked for pid and return code.
/// Differs from Python: signals to a process that has ended are ignored silently, as in Python 3.13.
/// Example: `aio::process_options o; o.out = aio::subprocess::pipe;
/// aio::process p = co_await aio::create_subprocess("date", o); aio::process_output all = co_await p.communicate();`
/// See also: create_subprocess, process_options.
class process {
public:
    process(process&&) noexcept = default;
    process& operator=(process&&) noexcept = default;
    ~process() = default;

    /// Returns the number of the process. The system may reuse it once the process was reaped.
    int pid() const { return state().pid(); }
    /// Returns how the process has ended, without waiting.
    /// @return nothing while it runs; then its exit status, or minus the number of the signal that killed it; 255 if
    /// that is unknown because other code has reaped the process, or because SIGCHLD is ignored.
    std::optional<int> returncode() const { return state().returncode(); }

    /// Returns the stream that writes to its standard input.
    /// @throws std::logic_error if process_options::in was not subprocess::pipe.
    stream& in() const { return pipe(state().in(), "in"); }
    /// Returns the stream that reads from its standard output.
    /// @throws std::logic_error if process_options::out was not subprocess::pipe.
    stream& out() const { return pipe(state().out(), "out"); }
    /// Returns the stream that reads from its standard error.
    /// @throws std::logic_error if process_options::err was not subprocess::pipe.
    stream& err() const { return pipe(state().err(), "err"); }

    /// Waits until the process has ended. Any number of tasks may wait, and a later call returns at once. A process
    /// that writes into a pipe which nobody reads never ends: see communicate().
    /// @return the return code, as returncode() has it.
    /// Cancellation: the process lives on.
    template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
    task<int> wait() {
        return ended(held::to(state()));
    }

    /// Writes `input` to the process and closes its standard input, reads everything that the process writes, and waits
    /// for its end, all at once. An error of writing that means that the process does not read is ignored.
    /// @param input what is written; only the first call may have one.
    /// @return what the process wrote to its pipes.
    /// @throws std::logic_error if there is input and `in` is closed or not a pipe; std::invalid_argument for input in
    /// a further call; limit_overrun_error if it writes more than process_options::communicate_limit: what was read
    /// stays to be read, and the process runs on.
    /// Cancellation: what was read stays to be read. A further call, without input, goes on with the rest of it.
    template<class = void>
    task<process_output> communicate(std::string input = {}) {
        return communicating(held::to(state()), std::move(input));
    }

    /// Sends a signal to the process; does nothing once it has ended.
    /// @param number of the signal, such as SIGTERM. @throws std::system_error for a number that is not a signal's.
    void send_signal(int number) const { state().send_signal(number); }
    /// Asks the process to end: sends SIGTERM.
    void terminate() const { send_signal(SIGTERM); }
    /// Kills the process: sends SIGKILL, which it cannot ignore.
    void kill() const { send_signal(SIGKILL); }

private:
    friend struct detail::access;
    using held = detail::counted_ptr<detail::process_state>;
    explicit process(detail::process_state& state) noexcept : state_(held::to(state)) {}

    /// The tasks that read and write; the first error cancels the others.
    class conversation final : public detail::child_tasks {
    public:
        using child_tasks::make_room;
        using child_tasks::reservation;
        void add(task<> part, reservation room) {
            if (!part) return;
            const auto started = detail::make_task(detail::running_core(), std::move(part), {}, false, {});
            adopt(*detail::access::state(started), std::move(room));
        }
        template<class = void>
        task<> end() {
            std::exception_ptr cancellation;
            while (running() != 0) {
                std::exception_ptr request = co_await detail::cancellation_of(all_ended(*this, "process", false));
                if (!request) continue;
                cancellation = std::move(request);
                cancel_all();
            }
            if (error_) std::rethrow_exception(error_);
            if (cancellation) std::rethrow_exception(cancellation);
        }

    private:
        void child_ended(detail::frame& child) noexcept override {
            if (!child.failed()) return;
            child.note_retrieved();
            if (error_) return;
            error_ = child.error();
            cancel_all();
        }
        std::exception_ptr error_;
    };

    template<class = void>
    static task<int> ended(held state) {
        while (!state->returncode()) co_await state->end();
        co_return *state->returncode();
    }
    /// Writes what is left of the input. The position is kept with the process, so that a further call goes on behind
    /// it.
    template<class = void>
    static task<> feed(held state) {
        stream& in = *state->in();
        {
            const struct progress {
                explicit progress(held& s) noexcept : state(s), before(s->in()->bytes_written()) {}
                progress(const progress&) = delete;
                progress& operator=(const progress&) = delete;
                ~progress() {
                    if (*state->in()) state->fed += state->in()->bytes_written() - before;
                }
                held& state;
                std::uint64_t before;
            } keeps(state);
            try {
                co_await in.write(std::string_view(*state->input).substr(state->fed));
            } catch (const std::system_error& e) {
                if (e.code() != std::errc::broken_pipe && e.code() != std::errc::connection_reset) throw;
            }
        }
        co_await in.aclose();
        std::string().swap(*state->input);
    }
    /// Reads everything, and leaves it in the stream's buffer: whatever ends the conversation, it stays to be read.
    template<class = void>
    static task<> collect(stream& from, std::size_t limit) {
        co_await detail::read_operation(detail::channel_of(from), detail::until_end(limit));
    }
    /// Whether there is a stream that was not moved away.
    static bool usable(const detail::late_value<stream>& s) { return s && *s; }

    static void require_input(const held& state, const std::string& input) {
        if (input.empty()) return;
        if (state->input)
            throw std::invalid_argument(
                "communicate: its input was given already; called again without one, it goes on with that");
        if (!state->in()) throw std::logic_error("communicate: the process's in is no pipe");
        if (!usable(state->in()) || state->in()->native_handle() < 0)
            throw std::logic_error("communicate: there is input, but the process's in is closed already");
    }
    template<class = void>
    static task<process_output> communicating(held state, std::string input) {
        require_input(state, input);
        if (!state->input) state->input.emplace(std::move(input));
        conversation parts;
        task<> all_ended = parts.end(); // without memory for this and all of them, none begins
        task<> in, out, err;
        if (usable(state->in()) && state->in()->native_handle() >= 0) in = feed(state);
        if (usable(state->out())) out = collect(*state->out(), state->communicate_limit);
        if (usable(state->err())) err = collect(*state->err(), state->communicate_limit);
        auto for_in = parts.make_room();
        auto for_out = parts.make_room();
        auto for_err = parts.make_room();
        parts.add(std::move(in), std::move(for_in)); // nothing of this can fail
        parts.add(std::move(out), std::move(for_out));
        parts.add(std::move(err), std::move(for_err));
        co_await std::move(all_ended);
        co_await ended(state);
        process_output all;
        if (usable(state->out())) all.out = detail::channel_of(*state->out()).buffer().view();
        if (usable(state->err())) all.err = detail::channel_of(*state->err()).buffer().view();
        if (usable(state->out())) detail::channel_of(*state->out()).buffer().consume(all.out.size());
        if (usable(state->err())) detail::channel_of(*state->err()).buffer().consume(all.err.size());
        co_return all;
    }

    static stream& pipe(detail::late_value<stream>& which, const char* name) {
        if (!which) throw std::logic_error(std::string("process: its ") + name + " is no pipe; see process_options");
        return *which;
    }
    detail::process_state& state() const {
        if (!state_) [[unlikely]]
            throw std::logic_error("process: it was moved from");
        return *state_;
    }

    held state_;
};

namespace detail {

/// Starts the program. There is nothing to wait for; a task that is cancelled before it runs starts nothing.
template<class = void>
task<process> start_process(std::vector<std::string> command, process_options options) {
    child_processes& children = child_processes::of(running_core());
    require_valid(command, options);
    auto* state = new process_state(children, spawn(command, options), command[0]);
    state->communicate_limit = options.communicate_limit;
    co_return access::make<process>(*state);
}

/// Sorts the arguments of create_subprocess.
struct command_line {
    template<class... Args>
    explicit command_line(Args&&... args) {
        words.reserve(sizeof...(args));
        (add(std::forward<Args>(args)), ...);
    }
    std::vector<std::string> words;
    const process_options* options = nullptr;

private:
    void add(std::string_view word) { words.emplace_back(word); }
    void add(const process_options& o) noexcept { options = &o; }
    template<range_of<std::string_view> R>
        requires(!std::convertible_to<R, std::string_view>)
    void add(R&& all) {
        for (auto&& each : all) words.emplace_back(std::string_view(each));
    }
};

template<class A>
concept command_argument = std::convertible_to<A, std::string_view> ||
                           std::same_as<std::remove_cvref_t<A>, process_options> || range_of<A, std::string_view>;

} // namespace detail

/// Starts a program without a shell. A program whose name has no slash is looked up in the PATH of the environment that
/// it is given.
///
/// @param args the program and its arguments: texts or ranges of texts; process_options may stand at the end.
/// @return the running process.
/// @throws std::system_error with the program in its text when it cannot be run; std::invalid_argument if there is no
/// program, or for what a program cannot be given, such as an argument with a zero byte.
/// Cancellation: a task that is cancelled before it runs starts nothing; afterwards there is nothing to wait for.
/// Cost: blocks the loop until the program is loaded, some 0.5 ms.
/// Example: `create_subprocess("ls", "-l")`, `create_subprocess(words, options)`.
/// See also: process, create_subprocess_shell.
template<detail::command_argument... Args>
task<process> create_subprocess(Args&&... args) {
    detail::command_line all(std::forward<Args>(args)...);
    return detail::start_process(std::move(all.words), all.options != nullptr ? *all.options : process_options());
}

/// Starts `/bin/sh -c` with a command. A command with parts that come from outside of the program is dangerous: the
/// shell executes whatever stands in them.
///
/// @param command the line that the shell interprets. @param options as for create_subprocess().
/// @return the running shell.
/// @throws std::system_error when the shell cannot be run, std::invalid_argument for a command with a zero byte.
/// Cancellation: as that of create_subprocess().
/// See also: create_subprocess, which needs no shell.
template<class = void>
task<process> create_subprocess_shell(std::string command, process_options options = {}) {
    std::vector<std::string> words;
    for (const char* each : {"/bin/sh", "-c"}) words.emplace_back(each);
    words.push_back(std::move(command));
    return detail::start_process(std::move(words), std::move(options));
}

} // namespace asynchio

#pragma GCC visibility pop
