// SPDX-License-Identifier: BSL-1.0
#pragma once

// The state of a child process, from its start until it is reaped.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/late_value.hpp>
#include <asynchio/io/detail/spawn.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/detail/intrusive_list.hpp>
#include <asynchio/loop/detail/native_thread.hpp>
#include <asynchio/loop/detail/ready_queue.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/detail/user_line.hpp>
#include <asynchio/task/detail/wait_queue.hpp>

#include <cerrno>
#include <csignal>
#include <optional>
#include <source_location>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

class process_state;

/// The children of a loop. When the loop ends, no child is left, not even as a zombie.
class child_processes final : public service {
public:
    explicit child_processes(loop_core& loop) noexcept : loop_(loop) {}
    child_processes(const child_processes&) = delete;
    child_processes& operator=(const child_processes&) = delete;
    inline ~child_processes() override;

    inline void close() noexcept override;
    bool closed() const noexcept override { return running_ == 0; }

    static child_processes& of(loop_core& loop) { return loop.services().get<child_processes>(loop); }
    loop_core& loop() const noexcept { return loop_; }

private:
    friend process_state;
    loop_core& loop_;
    intrusive_list<process_state> all_;
    std::size_t running_ = 0;
};

/// Lives while it is referred to or the child runs. It reaps its own child and no other, and sends signals to no other,
/// also if other code reaps all children, or the system does because SIGCHLD is ignored; how the child ended is unknown
/// then.
class process_state final : public list_link {
public:
    process_state(child_processes& children, spawned child, const std::string& name)
        : list_link(), children_(&children) {
        pid_ = child.pid;
        exit_.state = this;
        try {
            keep(in_, std::move(child.in), "standard input of '" + name + "'");
            keep(out_, std::move(child.out), "standard output of '" + name + "'");
            keep(err_, std::move(child.err), "standard error of '" + name + "'");
            watch();
        } catch (...) {
            end_now();
            throw;
        }
        if (returncode_) return;
        children.all_.push_back(*this);
        ++children.running_;
    }
    process_state(const process_state&) = delete;
    process_state& operator=(const process_state&) = delete;

    pid_t pid() const noexcept { return pid_; }
    std::optional<int> returncode() const noexcept { return returncode_; }
    late_value<stream>& in() noexcept { return in_; }
    late_value<stream>& out() noexcept { return out_; }
    late_value<stream>& err() noexcept { return err_; }

    /// Sends a signal; does nothing once the child has ended.
    void send_signal(int number) const {
        if (returncode_) return;
        const int error = signal(number);
        if (error != 0 && error != ESRCH)
            fail(error, "send signal " + std::to_string(number) + " to process " + std::to_string(pid_));
    }
    /// The input of communicate(), from its first call on, and how many bytes of it the child's pipe has taken.
    std::optional<std::string> input;
    std::size_t fed = 0;
    /// The maximum number of bytes that communicate() reads from each of the child's pipes.
    std::size_t communicate_limit = std::string::npos;

    line_awaiter end() noexcept { return line_awaiter(line_, "process"); }

    void retain() noexcept { ++holders_; }
    /// Drops a reference. The last one to be dropped kills the child.
    void release() noexcept {
        if (--holders_ == 0) kill_unneeded();
    }

private:
    friend child_processes;
    static constexpr int unknown = 255; // other code has reaped the child
    ~process_state() = default;

    struct exit_watch : edge_watch {
        exit_watch() noexcept {
            ready = [](fd_watch& self, unsigned char) noexcept {
                static_cast<exit_watch&>(static_cast<edge_watch&>(self)).state->reap();
            };
        }
        process_state* state = nullptr;
        descriptor pidfd;
    };

    struct exit_note : ready_item {
        explicit exit_note(process_state& s) noexcept : ready_item(&run), state(s) {}
        static void run(ready_item& item) noexcept {
            process_state& self = static_cast<exit_note&>(item).state;
            if (!self.children_->loop().closing()) self.reap();
        }
        process_state& state;
    };

    static void keep(late_value<stream>& place, descriptor fd, std::string name) {
        if (fd) place.emplace(access::make<stream>(make_channel<pipe_channel>(std::move(fd), std::move(name), true)));
    }

    /// Watches for the child's end by a descriptor of the process (Linux 5.3), or else by a thread that waits for it.
    void watch() {
#if defined(__linux__)
        exit_.pidfd = descriptor(calls.pidfd_open(pid_, 0)); // close-on-exec by itself
        const int error = exit_.pidfd ? 0 : errno;
        if ((error == 0 || error == ESRCH) && !is_ours()) { // the child is gone, and its number may be another child's
            exit_.pidfd = descriptor();
            returncode_ = unknown;
            return;
        }
        if (exit_.pidfd) {
            exit_.fd = exit_.pidfd.get();
            children_->loop().outside().attach(exit_);
            exit_.wanted = fd_watch::readable;
            return;
        }
        if (error != ENOSYS && error != EPERM && error != ESRCH) fail(error, "watch process " + std::to_string(pid_));
#endif
        waiter_ = native_thread(&wait_for_exit, this);
    }
    static void* wait_for_exit(void* child) noexcept {
        auto& self = *static_cast<process_state*>(child);
        siginfo_t info{};
        uninterrupted([&] { return calls.waitid(P_PID, static_cast<id_t>(self.pid_), &info, WEXITED | WNOWAIT); });
        access::post(loop_of(self.children_->loop()).ref(), self.exit_note_); // a closed loop reaps its children itself
        return nullptr;
    }

    void reap() noexcept {
        if (returncode_) return;
        if (const auto code = exit_code(WNOHANG))
            ended(*code);
        else
            exit_.wanted = fd_watch::readable;
    }
    /// Calls waitid(2) for the child, by its descriptor if there is one: its number may be another child's.
    int wait(siginfo_t& info, int flags) const noexcept {
#if defined(__linux__)
        constexpr auto by_descriptor = static_cast<idtype_t>(3); // P_PIDFD, Linux 5.4
        if (exit_.pidfd) {
            const auto fd = static_cast<id_t>(exit_.pidfd.get());
            const int result = uninterrupted([&] { return calls.waitid(by_descriptor, fd, &info, flags); });
            if (result == 0 || errno != EINVAL) return result;
        }
#endif
        return uninterrupted([&] { return calls.waitid(P_PID, static_cast<id_t>(pid_), &info, flags); });
    }
    /// Whether the child runs or waits to be reaped.
    bool is_ours() const noexcept {
        siginfo_t info{};
        return wait(info, WEXITED | WNOHANG | WNOWAIT) == 0;
    }
    /// @return errno or 0.
    int signal(int number) const noexcept {
#if defined(__linux__)
        if (exit_.pidfd) {
            if (calls.pidfd_send_signal(exit_.pidfd.get(), number, nullptr, 0) == 0) return 0;
            if (errno != ENOSYS) return errno;
        }
#endif
        if (!is_ours()) return ESRCH;
        return calls.kill(pid_, number) == 0 ? 0 : errno;
    }
    /// Reaps the child. @return how it ended, or nothing while it runs.
    std::optional<int> exit_code(int flags) const noexcept {
        siginfo_t info{};
        if (wait(info, WEXITED | flags) != 0) return unknown;
        if (info.si_pid == 0) return std::nullopt;
        return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    }
    void ended(int code) noexcept {
        returncode_ = code;
        waiter_.join();
        children_->loop().outside().descriptors.detach(exit_);
        exit_.pidfd = descriptor();
        children_->all_.remove(*this);
        --children_->running_;
        line_.wake_all();
        if (holders_ == 0) delete this;
    }
    void kill_unneeded() noexcept {
        if (returncode_) return delete this;
        if (children_ != nullptr && reports_dropped(children_->loop())) [[unlikely]]
            report_dropped();
        signal(SIGKILL); // the child is reaped when it has ended
    }
    [[gnu::noinline, gnu::cold]] void report_dropped() const noexcept try {
        children_->loop().report(
            formatted("process %d was dropped while it ran, and is killed", static_cast<int>(pid_)), {}, made_at_);
    } catch (...) { // no memory for a report
    }
    /// Kills the child and waits for its end, which does not take long.
    void end_now() noexcept {
        signal(SIGKILL);
        waiter_.join(); // once the child is reaped, its number may be another child's
        returncode_ = exit_code(0);
        children_->loop().outside().descriptors.detach(exit_);
        exit_.pidfd = descriptor();
    }
    /// Detaches the state from its loop, which ends. It stays readable for remaining owners.
    void loop_ended() noexcept {
        end_now();
        children_->all_.remove(*this);
        if (holders_ == 0) delete this;
    }

    child_processes* children_;
    std::source_location made_at_ = user_line(); // in debug mode
    pid_t pid_;
    std::optional<int> returncode_;
    late_value<stream> in_;
    late_value<stream> out_;
    late_value<stream> err_;
    wait_queue line_;
    exit_watch exit_;
    unsigned holders_ = 0;
    exit_note exit_note_{*this};
    native_thread waiter_; // without a pidfd; it ends with the child
};

inline child_processes::~child_processes() {
    while (process_state* each = all_.front()) each->loop_ended();
}

inline void child_processes::close() noexcept {
    for (process_state* each = all_.front(); each != nullptr; each = all_.after(*each)) each->signal(SIGKILL);
}

} // namespace asynchio::detail

#pragma GCC visibility pop
