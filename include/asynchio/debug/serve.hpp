// SPDX-License-Identifier: BSL-1.0
#pragma once

// A Unix socket at which a running program says what its loop does, for places where nobody may look from outside.

#include <asynchio/core/detail/exchange.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/call_graph.hpp>
#include <asynchio/debug/dump_tasks.hpp>
#include <asynchio/debug/metrics.hpp>
#include <asynchio/debug/profiler.hpp>
#include <asynchio/debug/trace.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/current_task.hpp>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug {

namespace detail {

/// The socket of a loop, and those who have connected to it.
class inspector final : public asynchio::detail::service {
public:
    explicit inspector(asynchio::detail::loop_core& loop) noexcept : loop_(asynchio::detail::loop_of(loop)) {}
    ~inspector() override { close(); }

    bool open() const noexcept { return listener_ >= 0; }

    /// @throws std::invalid_argument, std::system_error, std::runtime_error, with the path.
    void listen(const std::string& path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path.empty() || path.size() >= sizeof address.sun_path)
            throw std::invalid_argument(asynchio::detail::formatted(
                "serve: the path %s is empty or longer than %zu bytes", path.c_str(), sizeof address.sun_path - 1));
        std::memcpy(address.sun_path, path.c_str(), path.size());
        remove_stale(path, address);
        const int made = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (made < 0) asynchio::detail::system_refuses(errno, "serve: socket");
        ::fchmod(made, 0600); // what bind makes has this mode on Linux
        if (::bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            ::chmod(path.c_str(), 0600) != 0 || ::listen(made, most_clients) != 0) {
            const int error = errno;
            ::close(made);
            asynchio::detail::system_refuses(error, "serve: %s", path.c_str());
        }
        listener_ = made;
        path_ = path;
        loop_.add_reader(listener_, [this] { take_clients(); });
        ++core().silent_descriptors;
    }

    void close() noexcept override {
        for (auto& each : clients_) each.reset();
        if (listener_ < 0) return;
        loop_.remove_reader(listener_);
        --core().silent_descriptors;
        ::close(asynchio::detail::exchange(listener_, -1));
        ::unlink(path_.c_str());
    }
    bool closed() const noexcept override { return true; }

private:
    static constexpr std::size_t most_clients = 4;
    static constexpr std::size_t longest_question = 100;
    static constexpr std::uint64_t largest_trace = std::uint64_t(1) << 26; // bytes

    asynchio::detail::selector& core() noexcept { return asynchio::detail::core_of(loop_).outside(); }

    /// Somebody who has connected: asks one question, gets the answer, and is let go.
    class client {
    public:
        client(inspector& all, int socket) : all_(all), socket_(socket) {
            all_.loop_.add_reader(socket_, [this] { read(); });
            ++all_.core().silent_descriptors;
        }
        client(const client&) = delete;
        client& operator=(const client&) = delete;
        ~client() { hang_up(); }
        /// Ends the connection; a second call does nothing.
        void hang_up() noexcept {
            if (socket_ < 0) return;
            if (later_) later_->cancel();
            profiler_.reset();
            trace_.reset();
            if (file_ >= 0) ::close(asynchio::detail::exchange(file_, -1));
            all_.loop_.remove_reader(socket_);
            all_.loop_.remove_writer(socket_);
            --all_.core().silent_descriptors;
            ::close(asynchio::detail::exchange(socket_, -1));
        }
        void answer(std::string text) {
            answer_ = std::move(text);
            all_.loop_.remove_reader(socket_);
            all_.loop_.add_writer(socket_, [this] { write(); });
        }
        void answer_by_profile(std::chrono::seconds time) {
            profiler_.emplace().start();
            later_ = all_.loop_.call_later(time, [this] {
                profiler_->stop();
                std::ostringstream folded;
                profiler_->write_folded(folded);
                answer(folded.str());
            });
        }
        /// The trace goes to a file that has no name, and that a trace opens by the link to its descriptor.
        void answer_by_trace(std::chrono::seconds time) {
            file_ = ::memfd_create("asynchio-trace", MFD_CLOEXEC);
            if (file_ < 0) asynchio::detail::system_refuses(errno, "trace: memfd_create");
            trace_.emplace("/proc/self/fd/" + std::to_string(file_), largest_trace);
            later_ = all_.loop_.call_later(time, [this] {
                trace_.reset();
                std::string text;
                char part[4096];
                for (off_t at = 0;;) {
                    const auto count = ::pread(file_, part, sizeof part, at);
                    if (count <= 0) break;
                    text.append(part, static_cast<std::size_t>(count));
                    at += count;
                }
                answer(std::move(text));
            });
        }

    private:
        void read() {
            char bytes[longest_question];
            const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
            if (count <= 0) return all_.let_go(*this);
            if (asked_) return;
            question_.append(bytes, static_cast<std::size_t>(count));
            const auto end = question_.find('\n');
            if (end == std::string::npos && question_.size() < longest_question) return;
            asked_ = true;
            all_.answer(*this, std::string_view(question_).substr(0, end));
        }
        void write() {
            const auto count =
                ::send(socket_, answer_.data() + written_, answer_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
            if (count > 0) written_ += static_cast<std::size_t>(count);
            if (count < 0 || written_ == answer_.size()) all_.let_go(*this);
        }

        inspector& all_;
        int socket_;
        std::string question_;
        bool asked_ = false;
        std::string answer_;
        std::size_t written_ = 0;
        std::optional<profiler> profiler_;
        std::optional<trace> trace_;
        int file_ = -1; // of the trace
        std::optional<timer_handle> later_;
    };

    /// Removes a socket at which nobody listens any more. @throws std::runtime_error if the path is in use.
    static void remove_stale(const std::string& path, const sockaddr_un& address) {
        struct stat known{};
        if (::lstat(path.c_str(), &known) != 0) return;
        if (!S_ISSOCK(known.st_mode))
            throw std::runtime_error("serve: " + path + " exists and is no socket; give another path");
        const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (probe < 0) asynchio::detail::system_refuses(errno, "serve: socket");
        const bool listens = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
                             errno == EAGAIN || errno == EINPROGRESS;
        ::close(probe);
        if (listens) throw std::runtime_error("serve: another program serves " + path + "; give another path");
        ::unlink(path.c_str());
    }

    void take_clients() {
        const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) return;
        ucred peer{};
        socklen_t size = sizeof peer;
        const bool known = ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
        if (!known || (peer.uid != ::geteuid() && peer.uid != 0)) {
            ::close(socket);
            return;
        }
        for (auto& each : clients_)
            if (!each) {
                each = std::make_unique<client>(*this, socket);
                return;
            }
        constexpr std::string_view busy = "busy: four others ask already\n";
        static_cast<void>(::send(socket, busy.data(), busy.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
        ::close(socket);
    }
    /// Ends a connection from one of its own calls, so that the object lives on until the next one ends.
    void let_go(const client& which) noexcept {
        for (auto& each : clients_) {
            if (each.get() != &which) continue;
            each->hang_up();
            ended_ = std::move(each);
            return;
        }
    }

    void answer(client& who, std::string_view question) {
        while (!question.empty() && (question.back() == '\r' || question.back() == ' ')) question.remove_suffix(1);
        std::ostringstream text;
        if (question == "tasks") {
            dump_tasks(text, loop_);
        } else if (question == "tree") {
            print_tree(text);
        } else if (question == "metrics") {
            text << metrics_text(loop_);
        } else if (question.starts_with("profile ") || question.starts_with("trace ")) {
            const std::size_t space = question.find(' ');
            if (const auto seconds = seconds_of(question.substr(space + 1))) {
                try {
                    return question.front() == 'p' ? who.answer_by_profile(*seconds) : who.answer_by_trace(*seconds);
                } catch (const std::exception& e) {
                    text << "error: " << e.what() << '\n';
                }
            } else {
                text << "error: " << question.substr(0, space) << " takes a number of seconds, 1 to 600\n";
            }
        } else {
            text << "error: this answers tasks, tree, metrics, profile SECONDS, and trace SECONDS\n";
        }
        who.answer(text.str());
    }

    static std::optional<std::chrono::seconds> seconds_of(std::string_view number) noexcept {
        unsigned seconds = 0;
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seconds);
        if (error != std::errc() || end != number.data() + number.size() || seconds < 1 || seconds > 600) return {};
        return std::chrono::seconds(seconds);
    }

    /// Prints the call graph of each task that waits for no other one.
    void print_tree(std::ostream& out) {
        for (const any_task_handle& each : all_tasks(loop_)) {
            suspension* const hook =
                asynchio::detail::hook_of(static_cast<const frame&>(*asynchio::detail::access::state(each)));
            std::uintptr_t place = 0;
            if (hook == nullptr || asynchio::detail::access::next_awaited(*hook, place) == nullptr)
                print_call_graph(out, each);
        }
    }

    event_loop& loop_;
    int listener_ = -1;
    std::string path_;
    std::unique_ptr<client> clients_[most_clients];
    std::unique_ptr<client> ended_;
};

} // namespace detail

/// Makes a Unix socket at which the running loop answers questions: a client sends a line, and gets the answer up to the
/// end of the connection. `tasks` is answered by what dump_tasks() prints, `tree` by the call graph of each task that waits
/// for no other one, `metrics` by metrics_text(), `profile 5` by the folded stacks of the next five seconds, and `trace 5`
/// by the trace of them, of at most 64 MB.
///
/// Behaviour: only the user of the program, and root, may connect (mode 0600, and the peer is asked for); at most four at
/// a time. The socket goes away with the loop. A socket that a program has left behind when it was killed is replaced.
/// @param path that of the socket.
/// @throws std::logic_error without a running loop, or if it serves already; std::invalid_argument for a path that is too
/// long; std::runtime_error if the path is in use; std::system_error if the socket cannot be made.
/// Threads: the thread of the loop.
/// Cost: a watched descriptor. An answer is made in one call of the loop: it takes about a millisecond for a thousand
/// tasks.
/// Example: `aio::debug::serve("/run/my_program.sock");`, and then `asynchio_ps.py tasks --socket /run/my_program.sock`
/// See also: dump_on_signal, tools.hpp.
inline void serve(const std::string& path) {
    asynchio::detail::loop_core& loop = asynchio::detail::running_core();
    auto& its = loop.services().get<detail::inspector>(loop);
    if (its.open()) throw std::logic_error("serve: this loop serves a socket already");
    its.listen(path);
}

} // namespace asynchio::debug

#pragma GCC visibility pop
