// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/process.hpp>

// covers: io/process_options.hpp
#include <asynchio/io/process_options.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/threads.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Whether this process has no child, not even a zombie.
bool childless() {
    errno = 0;
    return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
}

/// Until the process has stopped itself, and what it wrote before has come.
aio::task<> until_stopped(int pid) {
    for (char state = '?'; state != 'T'; co_await aio::yield()) {
        std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
        status.ignore(1'000, ')');
        status >> state;
    }
    co_await settle();
}

/// On each poller, with a descriptor of the process and with a thread that waits for it.
template<class Make>
void each_way(Make make) {
    for (const bool has_pidfd : {true, false}) {
        INFO("pidfd: " << has_pidfd);
        const changed_calls changed;
        if (!has_pidfd)
            changed->pidfd_open = [](pid_t, unsigned) {
                errno = ENOSYS;
                return -1;
            };
        on_each_poller(make);
        CHECK(childless());
    }
}

aio::process_options pipes(bool in, bool out, bool err = false) {
    aio::process_options options;
    if (in) options.in = aio::subprocess::pipe;
    if (out) options.out = aio::subprocess::pipe;
    if (err) options.err = aio::subprocess::pipe;
    return options;
}

aio::task<std::string> output_of(std::string command, aio::process_options options = pipes(false, true)) {
    aio::process p = co_await aio::create_subprocess_shell(std::move(command), std::move(options));
    const aio::process_output all = co_await p.communicate();
    co_return all.out;
}

} // namespace

TEST_CASE("process: gives its exit status to all who wait, and again later", "[io][SUB-1][SUB-2]") {
    each_way([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess_shell("read line; exit 7", pipes(true, false));
        CHECK(p.pid() > 0);
        CHECK_FALSE(p.returncode());
        const auto first = aio::create_task(p.wait());
        const auto second = aio::create_task(p.wait());
        co_await aio::yield();
        CHECK_FALSE(first.done());
        co_await p.in().write("go\n");
        int code = co_await first;
        CHECK(code == 7);
        code = co_await second;
        CHECK(code == 7);
        CHECK(p.returncode() == 7);
        code = co_await p.wait();
        CHECK(code == 7);
    });
}

TEST_CASE("process: death by a signal is its negative number; later signals do nothing", "[io][SUB-3][SUB-15]") {
    each_way([]() -> aio::task<> {
        for (const int number : {SIGTERM, SIGKILL, SIGUSR1}) {
            aio::process p = co_await aio::create_subprocess("sleep", "60");
            if (number == SIGTERM)
                p.terminate();
            else if (number == SIGKILL)
                p.kill();
            else
                p.send_signal(number);
            const int code = co_await p.wait();
            CHECK(code == -number);
            p.kill();
            p.terminate();
        }
        aio::process p = co_await aio::create_subprocess("sleep", "60");
        CHECK(contains(message_of([&] { p.send_signal(1000); }), "send signal 1000 to process "));
    });
}

TEST_CASE("process: communicate writes, reads both outputs and waits, whatever the amounts", "[io][SUB-4][SUB-8]") {
    each_way([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess_shell("tee /dev/stderr", pipes(true, true, true));
        const std::string sent(2'000'000, 'x');
        const aio::process_output all = co_await p.communicate(sent);
        CHECK(all.out == sent);
        CHECK(all.err == sent);
        CHECK(p.returncode() == 0);
    });
}

TEST_CASE("process: communicate does not mind a process that does not read", "[io][SUB-5][SUB-6][SUB-7]") {
    each_way([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess_shell("exec <&-; echo done", pipes(true, true));
        const aio::process_output all = co_await p.communicate(std::string(1'000'000, 'x'));
        CHECK(all.out == "done\n");
        p = co_await aio::create_subprocess("cat", pipes(true, true)); // without input it is closed
        const aio::process_output nothing = co_await p.communicate();
        CHECK(nothing.out.empty());
        p = co_await aio::create_subprocess("true", pipes(true, false));
        co_await p.wait();
        const std::string error = co_await error_of([&] { return p.in().write("x"); });
        CHECK(error == "write to standard input of 'true': Broken pipe");
        p = co_await aio::create_subprocess("true");
        const std::string misuse = co_await error_of([&] { return p.communicate("x"); });
        CHECK(misuse == "communicate: the process's in is no pipe");
        CHECK(message_of([&] { p.out(); }) == "process: its out is no pipe; see process_options");
        co_await p.wait();
    });
}

TEST_CASE("process: its streams may be pipes, nothing, descriptors, and err may be out", "[io][SUB-9][SUB-10]") {
    each_way([]() -> aio::task<> {
        aio::process_options options = pipes(false, true);
        options.err = aio::subprocess::to_stdout;
        std::string text = co_await output_of("echo out; echo err >&2", options);
        CHECK(text == "out\nerr\n");
        options = pipes(false, true);
        options.in = aio::subprocess::devnull;
        options.err = aio::subprocess::devnull;
        text = co_await output_of("cat; echo gone >&2; echo end", options);
        CHECK(text == "end\n");
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        aio::process_options into;
        into.out = ends[1];
        aio::process p = co_await aio::create_subprocess("echo", "through a descriptor", into);
        ::close(ends[1]);
        co_await p.wait();
        aio::stream from = aio::stream::from_descriptor(ends[0]);
        text = co_await from.read_all();
        CHECK(text == "through a descriptor\n");
        p = co_await aio::create_subprocess_shell("echo late", pipes(false, true));
        co_await p.wait();
        text = co_await p.out().read_all(); // after its end
        CHECK(text == "late\n");
        aio::process_options wrong;
        wrong.out = aio::subprocess::to_stdout;
        std::string error = co_await error_of([&] { return aio::create_subprocess("true", wrong); });
        CHECK(error == "create_subprocess: to_stdout is for err only");
        wrong = aio::process_options();
        wrong.in = 12345;
        error = co_await error_of([&] { return aio::create_subprocess("true", wrong); });
        CHECK(error == "create_subprocess: descriptor 12345: Bad file descriptor");
    });
}

TEST_CASE("process: what cannot be started is named, and leaves nothing open", "[io][SUB-11]") {
    each_way([]() -> aio::task<> {
        std::string error =
            co_await error_of([] { return aio::create_subprocess("/nonexistent/program", pipes(true, true, true)); });
        CHECK(error == "start '/nonexistent/program': No such file or directory");
        aio::process_options options;
        options.cwd = "/nonexistent";
        error = co_await error_of([&] { return aio::create_subprocess("true", options); });
        CHECK(error == "start 'true' in '/nonexistent': No such file or directory");
        error = co_await error_of([] { return aio::create_subprocess(std::vector<std::string>()); });
        CHECK(error == "create_subprocess: there is no program");
        const std::string zero("a\0b", 3);
        error = co_await error_of([&] { return aio::create_subprocess("true", zero); });
        CHECK(error == "create_subprocess: an argument of 'true' has a zero byte");
        const changed_calls changed;
        changed->pipe2 = [](int*, int) {
            errno = EMFILE;
            return -1;
        };
        error = co_await error_of([] { return aio::create_subprocess("true", pipes(true, false)); });
        CHECK(error == "create_subprocess: pipe: Too many open files");
    });
}

TEST_CASE("process: arguments, directory, environment, session and signals are what was asked for", "[io][SUB-21]") {
    each_way([]() -> aio::task<> {
        std::vector<std::string> words;
        words.push_back("printf");
        words.push_back("%s|");
        words.push_back("a b");
        words.push_back("$HOME");
        aio::process p = co_await aio::create_subprocess(words, "last", pipes(false, true));
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out == "a b|$HOME|last|");
        aio::process_options options = pipes(false, true);
        options.cwd = "/";
        options.env.emplace();
        options.env->push_back("ONLY=this");
        std::string text = co_await output_of("pwd; env | grep -v -e PWD -e SHLVL -e ^_=", options);
        CHECK(text == "/\nONLY=this\n");
        options = pipes(false, true);
        options.new_session = true;
        text = co_await output_of("ps -o sid= -p $$ | tr -d ' '; echo $$", options);
        CHECK(text.substr(0, text.find('\n')) == text.substr(text.find('\n') + 1, text.find('\n')));
        text = co_await output_of("grep ^SigBlk /proc/self/status | cut -f2");
        CHECK(text == "0000000000000000\n");
        const auto before = std::signal(SIGPIPE, SIG_IGN);
        text = co_await output_of("kill -PIPE $$; echo ignored");
        CHECK(text.empty());
        std::signal(SIGPIPE, before);
        text = co_await output_of("ls /proc/self/fd | wc -l"); // 0, 1, 2 and that of the folder
        CHECK(text == "4\n");
    });
}

TEST_CASE("process: descriptors of others are closed in it", "[io]") {
    const int open = ::open("/dev/null", O_RDONLY); // without O_CLOEXEC
    REQUIRE(open > 2);
    each_way([]() -> aio::task<> {
        const std::string text = co_await output_of("ls /proc/self/fd | wc -l");
        CHECK(text == "4\n");
    });
    ::close(open);
}

TEST_CASE("process: a cancelled wait or communicate lets it live", "[io][SUB-12][SUB-14]") {
    each_way([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess("cat", pipes(true, true));
        const auto waiting = aio::create_task(p.wait());
        co_await aio::yield();
        waiting.cancel();
        auto ended = co_await aio::nothrow(waiting);
        CHECK(ended.cancelled());
        aio::process sleeping = co_await aio::create_subprocess("sleep", "60", pipes(false, true));
        const auto talking = aio::create_task(sleeping.communicate());
        for (int i = 0; i < 5; ++i) co_await aio::yield();
        talking.cancel();
        const auto talked = co_await aio::nothrow(talking);
        CHECK(talked.cancelled());
        CHECK_FALSE(sleeping.returncode());
        CHECK_FALSE(p.returncode());
        const aio::process_output all = co_await p.communicate("still here");
        CHECK(all.out == "still here");
    });
}

TEST_CASE("process: communicate, cancelled and called again, goes on with the rest of its input", "[io]") {
    each_way([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess_shell("kill -STOP $$; cat", pipes(true, true));
        std::string sent;
        for (int i = 0; i < 400'000; ++i) sent += static_cast<char>('a' + i % 26);
        const auto first = aio::create_task(p.communicate(sent));
        co_await until_stopped(p.pid());
        CHECK(p.in().bytes_written() > 0);
        first.cancel();
        const auto ended = co_await aio::nothrow(first);
        CHECK(ended.cancelled());
        CHECK(p.in().bytes_written() < sent.size());
        const std::string misuse = co_await error_of([&] { return p.communicate("more"); });
        CHECK(contains(misuse, "communicate: its input was given already"));
        p.send_signal(SIGCONT);
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out == sent);
        CHECK(p.returncode() == 0);
        const aio::process_output nothing = co_await p.communicate();
        CHECK(nothing.out.empty());
    });
}

TEST_CASE("process: communicate, cancelled, leaves what the process has written to be read", "[io]") {
    each_way([]() -> aio::task<> {
        constexpr const char* script = "echo one; exec >&-; echo two >&2; kill -STOP $$; echo three >&2";
        for (const bool again : {true, false}) {
            aio::process p = co_await aio::create_subprocess_shell(script, pipes(false, true, true));
            const auto first = aio::create_task(p.communicate());
            co_await until_stopped(p.pid());
            first.cancel();
            const auto ended = co_await aio::nothrow(first);
            CHECK(ended.cancelled());
            p.send_signal(SIGCONT);
            if (again) {
                const aio::process_output all = co_await p.communicate();
                CHECK(all.out == "one\n");
                CHECK(all.err == "two\nthree\n");
            } else {
                const std::string out = co_await p.out().read_all();
                CHECK(out == "one\n");
                const std::string err = co_await p.err().read_all();
                CHECK(err == "two\nthree\n");
                co_await p.wait();
            }
        }
    });
}

TEST_CASE("process: communicate after in was closed by hand reads on, and refuses input", "[io]") {
    each_way([]() -> aio::task<> {
        for (const bool eof : {true, false}) {
            aio::process p = co_await aio::create_subprocess("cat", pipes(true, true));
            co_await p.in().write("by hand");
            if (eof)
                co_await p.in().write_eof();
            else
                co_await p.in().aclose();
            const std::string misuse = co_await error_of([&] { return p.communicate("more"); });
            CHECK(misuse == "communicate: there is input, but the process's in is closed already");
            const aio::process_output all = co_await p.communicate();
            CHECK(all.out == "by hand");
        }
        aio::process p = co_await aio::create_subprocess("cat", pipes(true, true));
        co_await p.in().write("first ");
        const aio::process_output all = co_await p.communicate("second");
        CHECK(all.out == "first second");
    });
}

TEST_CASE("process: communicate does without a stream that was moved out of it", "[io]") {
    each_way([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess_shell("echo out; echo err >&2", pipes(true, true, true));
        aio::stream out = std::move(p.out());
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out.empty());
        CHECK(all.err == "err\n");
        const std::string text = co_await out.read_all();
        CHECK(text == "out\n");
    });
}

TEST_CASE("process: destroyed while it runs, it is killed and reaped", "[io][SUB-16]") {
    each_way([]() -> aio::task<> {
        pid_t pid = 0;
        {
            const aio::process p = co_await aio::create_subprocess("sleep", "60");
            pid = p.pid();
        }
        while (::kill(pid, 0) == 0) co_await aio::sleep(1ms);
        CHECK(childless());
        // And at the end of the loop at the latest.
        static std::optional<aio::process> left;
        left = co_await aio::create_subprocess("sleep", "60");
        left.reset();
        aio::create_task(output_of("exec sleep 60")); // a shell's own child would live on
        co_await aio::yield();
    });
}

TEST_CASE("process: may be asked when its loop is gone, which killed it", "[io]") {
    const audited afterwards;
    // On the heap: g++ 12 takes a local std::optional for uninitialized.
    auto left = std::make_unique<aio::process>(
        aio::run([]() -> aio::task<aio::process> { co_return co_await aio::create_subprocess("sleep", "60"); }));
    CHECK(left->returncode() == -SIGKILL);
    CHECK(childless());
    left->kill();
    left.reset();
}

TEST_CASE("process: is given this process's own streams, whichever it names", "[io][SUB-9]") {
    each_way([]() -> aio::task<> {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        const int before = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        REQUIRE(before > 2);
        ::dup2(ends[1], STDOUT_FILENO); // ours, as the child's `out` is a pipe of its own
        aio::process_options options = pipes(false, true);
        options.err = STDOUT_FILENO;
        aio::process p = co_await aio::create_subprocess_shell("echo out; echo err >&2", options);
        ::dup2(before, STDOUT_FILENO);
        ::close(before);
        ::close(ends[1]);
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out == "out\n");
        aio::stream ours = aio::stream::from_descriptor(ends[0]);
        const std::string text = co_await ours.read_all();
        CHECK(text == "err\n");
    });
}

TEST_CASE("process: variables are added to its environment, or replace those of the same name", "[io]") {
    each_way([]() -> aio::task<> {
        aio::process_options options = pipes(false, true);
        options.add_env.push_back("ADDED=one=1");
        options.add_env.push_back("ADDED=two=2");
        std::string text = co_await output_of("echo $ADDED; test -n \"$PATH\" && echo inherited", options);
        CHECK(text == "two=2\ninherited\n");
        options.env.emplace();
        options.env->push_back("KEPT=k");
        options.env->push_back("ADDED=old");
        aio::process p = co_await aio::create_subprocess("/usr/bin/env", options);
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out == "KEPT=k\nADDED=two=2\n");
        const std::string zero("A=\0", 3);
        for (const std::string& wrong : {std::string("NAME"), std::string("=x"), std::string()}) {
            aio::process_options bad;
            bad.add_env.push_back(wrong);
            std::string error = co_await error_of([&] { return aio::create_subprocess("true", bad); });
            CHECK(contains(error, "is no \"NAME=value\""));
            bad = aio::process_options();
            bad.env.emplace(1, wrong);
            error = co_await error_of([&] { return aio::create_subprocess("true", bad); });
            CHECK(contains(error, "is no \"NAME=value\""));
        }
        aio::process_options bad;
        bad.add_env.push_back(zero);
        std::string error = co_await error_of([&] { return aio::create_subprocess("true", bad); });
        CHECK(error == "create_subprocess: variable 'A' has a zero byte");
        bad = aio::process_options();
        bad.cwd = zero;
        error = co_await error_of([&] { return aio::create_subprocess("true", bad); });
        CHECK(error == "create_subprocess: cwd has a zero byte");
    });
}

TEST_CASE("process: may have a session and a group at once", "[io][SUB-21]") {
    each_way([]() -> aio::task<> {
        for (const bool session : {true, false}) {
            aio::process_options options = pipes(false, true);
            options.new_session = session;
            options.new_group = true;
            const std::string text = co_await output_of("ps -o pgid= -p $$ | tr -d ' '; echo $$", options);
            CHECK(text.substr(0, text.find('\n')) == text.substr(text.find('\n') + 1, text.find('\n')));
        }
    });
}

TEST_CASE("process: how it ended is known when the loop ends before it looked", "[io]") {
    std::optional<aio::process> left;
    aio::run([&]() -> aio::task<> {
        left.emplace(co_await aio::create_subprocess_shell("exit 3"));
        siginfo_t info{};
        REQUIRE(::waitid(P_PID, static_cast<id_t>(left->pid()), &info, WEXITED | WNOWAIT) == 0);
    });
    CHECK(left->returncode() == 3);
    CHECK(childless());
}

TEST_CASE("process: children of others are left alone", "[io][SUB-19]") {
    const pid_t foreign = ::fork();
    if (foreign == 0) ::_exit(9);
    on_each_poller([]() -> aio::task<> {
        const std::string text = co_await output_of("echo ours");
        CHECK(text == "ours\n");
    });
    int status = 0;
    CHECK(::waitpid(foreign, &status, 0) == foreign);
    CHECK(WEXITSTATUS(status) == 9);
}

TEST_CASE("process: cancelled at every point, it leaves no child and nothing open", "[io][SUB-13]") {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        // A process takes real time: the point to cancel at is a number of steps, until one too many.
        for (int steps = 0; steps < 24; ++steps) {
            aio::run_options options;
            options.poller = kind;
            const std::size_t before = open_descriptors();
            auto scenario = [steps]() -> aio::task<> {
                auto talk = [by_fork = steps % 2 == 1]() -> aio::task<> {
                    aio::process_options how = pipes(true, true);
                    if (by_fork) how.umask = 077U;
                    if (by_fork) how.communicate_limit = 4;
                    aio::process p = co_await aio::create_subprocess("cat", how);
                    const aio::process_output all = co_await p.communicate("text");
                    CHECK(all.out == "text");
                };
                const auto task = aio::create_task(talk);
                for (int i = 0; i < steps / 2; ++i) co_await aio::yield();
                task.cancel();
                co_await aio::nothrow(task);
            };
            virtual_run(scenario, options);
            CHECK(closed_down_to(before));
            CHECK(childless());
        }
    }
}

TEST_CASE("process: the thread that waits for it, where there is no other way, ends with it", "[io]") {
    static std::atomic<int> begun;
    static std::atomic<int> ended;
    begun = ended = 0;
    const changed_calls changed;
    changed->pidfd_open = [](pid_t, unsigned) {
        errno = ENOSYS;
        return -1;
    };
    changed->waitid = [](idtype_t type, id_t id, siginfo_t* info, int flags) {
        struct lingering {
            lingering() { ++begun; }
            ~lingering() {
                take_a_moment(100'000);
                ++ended;
            }
        };
        if ((flags & WNOWAIT) != 0 && (flags & WNOHANG) == 0) { // that thread, not the loop's
            static thread_local const lingering at_the_end;
            static_cast<void>(&at_the_end);
        }
        return ::waitid(type, id, info, flags);
    };
    virtual_run(
        []() -> aio::task<> {
            aio::process p = co_await aio::create_subprocess("cat", pipes(true, false));
            CHECK(ended == 0);
            co_await p.in().aclose();
            co_await p.wait();
            CHECK(begun == 1);
            CHECK(ended == 1);
            const aio::process killed_by_the_end = co_await aio::create_subprocess("sleep", "60");
        },
        aio::run_options());
    CHECK(begun == 2);
    CHECK(ended == 2);
    CHECK(childless());
}

TEST_CASE("process: where SIGCHLD is ignored it starts, writes and ends all the same", "[io]") {
    auto* const before = std::signal(SIGCHLD, SIG_IGN);
    each_way([]() -> aio::task<> {
        for (int i = 0; i < 50; ++i) {
            aio::process p = co_await aio::create_subprocess("true");
            const int status = co_await p.wait();
            CHECK((status == 0 || status == 255));
            p.kill();
        }
        aio::process p = co_await aio::create_subprocess("cat", pipes(true, true));
        const aio::process_output all = co_await p.communicate("text");
        CHECK(all.out == "text");
        CHECK(p.returncode() == 255);
        const aio::process killed_by_the_end = co_await aio::create_subprocess("sleep", "60");
    });
    std::signal(SIGCHLD, before);
}

TEST_CASE("process: where somebody else reaps all children it starts, writes and ends all the same", "[io]") {
    each_way([]() -> aio::task<> {
        std::atomic<bool> over = false;
        std::thread reaper([&over] {
            while (!over) ::waitpid(-1, nullptr, WNOHANG);
        });
        const struct end {
            ~end() {
                over = true;
                reaper.join();
            }
            std::atomic<bool>& over;
            std::thread& reaper;
        } at_the_end{over, reaper};
        for (int i = 0; i < 50; ++i) {
            aio::process p = co_await aio::create_subprocess("echo", "text", pipes(false, true));
            const aio::process_output all = co_await p.communicate();
            CHECK(all.out == "text\n");
            CHECK((p.returncode() == 0 || p.returncode() == 255));
            p.kill();
        }
    });
}

TEST_CASE("process: reaped by somebody else before it can be watched, it has ended, with 255", "[io]") {
    const changed_calls changed;
    changed->pidfd_open = [](pid_t pid, unsigned) {
        ::waitpid(pid, nullptr, 0);
        errno = ESRCH;
        return -1;
    };
    static int kills;
    kills = 0;
    changed->kill = [](pid_t, int) { return ++kills, 0; };
    on_each_poller([]() -> aio::task<> {
        aio::process p = co_await aio::create_subprocess("echo", "text", pipes(false, true));
        CHECK(p.returncode() == 255);
        p.kill();
        const int status = co_await p.wait();
        CHECK(status == 255);
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out == "text\n");
        const aio::process dropped = co_await aio::create_subprocess("true");
    });
    CHECK(kills == 0); // whoever has that number now
}

TEST_CASE("process: signals go to it alone, whoever has its number", "[io]") {
    static int kills;
    kills = 0;
    each_way([]() -> aio::task<> {
        asynchio::detail::calls.kill = [](pid_t pid, int number) { return ++kills, ::kill(pid, number); };
        aio::process p = co_await aio::create_subprocess("sleep", "60");
        p.terminate();
        const int status = co_await p.wait();
        CHECK(status == -SIGTERM);
        aio::process reaped = co_await aio::create_subprocess("sleep", "60");
        ::kill(reaped.pid(), SIGKILL);
        CHECK(::waitpid(reaped.pid(), nullptr, 0) == reaped.pid());
        const int before = kills;
        reaped.kill();
        CHECK(kills == before);
        const int unknown = co_await reaped.wait();
        CHECK(unknown == 255);
    });
    CHECK(kills == 2); // only where there are no descriptors of processes
}

TEST_CASE("process: the program is looked up in the PATH that it gets", "[io]") {
    char base[] = "/tmp/asynchio-path-XXXXXX";
    REQUIRE(::mkdtemp(base) != nullptr);
    const std::string folder = base;
    const auto write = [&](const std::string& name, const char* text, mode_t mode) {
        std::ofstream(folder + name) << "#!/bin/sh\necho " << text << "\n";
        ::chmod((folder + name).c_str(), mode);
    };
    for (const char* each : {"/one", "/two", "/denied", "/one/folder"}) ::mkdir((folder + each).c_str(), 0755);
    write("/one/only-one", "one", 0755);
    write("/two/only-two", "two", 0755);
    write("/one/both", "one", 0755);
    write("/two/both", "two", 0755);
    write("/denied/both", "denied", 0644);
    write("/denied/only-denied", "denied", 0644);
    write("/two/folder", "two", 0755); // behind a folder of that name
    each_way([&]() -> aio::task<> {
        const auto run = [](const std::string& program, const std::string& path, std::string cwd,
                            bool whole) -> aio::task<std::string> {
            aio::process_options options = pipes(false, true);
            if (whole)
                options.env.emplace(1, "PATH=" + path);
            else
                options.add_env.push_back("PATH=" + path);
            options.cwd = std::move(cwd);
            std::string failed;
            try {
                aio::process p = co_await aio::create_subprocess(program, options);
                const aio::process_output all = co_await p.communicate();
                co_return all.out;
            } catch (const std::system_error& e) {
                failed = e.what();
            }
            co_return failed;
        };
        const std::string one = folder + "/one", two = folder + "/two", denied = folder + "/denied";
        for (const bool whole : {false, true}) {
            INFO("whole: " << whole);
            const auto check = [&](std::string program, std::string path, std::string expected,
                                   std::string cwd = {}) -> aio::task<> {
                INFO(program << " in " << path);
                const std::string out = co_await run(program, path, cwd, whole);
                CHECK(out == expected);
            };
            co_await check("only-two", one + ":" + two, "two\n");
            co_await check("both", one + ":" + two, "one\n");
            co_await check("both", two + ":" + one, "two\n");
            co_await check("both", denied + ":/no/such/folder:" + one, "one\n");
            co_await check("folder", one + ":" + two, "two\n");
            co_await check("only-one", "one:two", "one\n", folder); // as seen by the program
            co_await check("only-one", "", "one\n", one);
            co_await check("only-one", "/bin:", "one\n", one);
            co_await check("only-two", one, "start 'only-two': No such file or directory");
            co_await check("only-denied", denied + ":" + one, "start 'only-denied': Permission denied");
            co_await check(one + "/only-one", two, "one\n");
        }
        aio::process_options bare = pipes(false, true);
        bare.env.emplace(1, "X=y"); // without PATH
        aio::process p = co_await aio::create_subprocess("echo", "found", bare);
        const aio::process_output all = co_await p.communicate();
        CHECK(all.out == "found\n");
    });
    for (const char* each : {"/one/only-one", "/two/only-two", "/one/both", "/two/both", "/denied/both",
                             "/denied/only-denied", "/two/folder"})
        ::unlink((folder + each).c_str());
    for (const char* each : {"/one/folder", "/one", "/two", "/denied", ""}) ::rmdir((folder + each).c_str());
}

TEST_CASE("process: descriptors that are passed have the same numbers in it, and the others are closed", "[io]") {
    each_way([]() -> aio::task<> {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        const int other = ::open("/dev/null", O_RDONLY); // without O_CLOEXEC
        const int high = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 100);
        aio::process_options options = pipes(false, true);
        options.pass_descriptors.push_back(high);
        options.pass_descriptors.push_back(ends[1]);
        options.pass_descriptors.push_back(high); // twice is once
        const std::string command = "printf through >&" + std::to_string(ends[1]) + "; ls /proc/self/fd | wc -l";
        std::string text = co_await output_of(command, options);
        CHECK(text == "6\n");
        char got[100];
        REQUIRE(::read(ends[0], got, sizeof got) == 7);
        CHECK(std::string(got, 7) == "through");
        CHECK((::fcntl(ends[1], F_GETFD) & FD_CLOEXEC) != 0); // here nothing has changed
        options.close_descriptors = false;
        text = co_await output_of("test -e /proc/self/fd/" + std::to_string(other) + " && echo there", options);
        CHECK(text == "there\n");
        for (const int each : {ends[0], ends[1], other, high}) ::close(each);
        const std::string error = co_await error_of([&] { return aio::create_subprocess("true", options); });
        CHECK(error == "create_subprocess: descriptor " + std::to_string(high) + ": Bad file descriptor");
    });
}

TEST_CASE("process: started with a passed descriptor it is as any other", "[io]") {
    each_way([]() -> aio::task<> {
        const int passed = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        aio::process_options options = pipes(true, true, true);
        options.pass_descriptors.push_back(passed);
        options.cwd = "/";
        options.add_env.push_back("ADDED=yes");
        options.new_session = true;
        aio::process p = co_await aio::create_subprocess(
            "sh", "-c", "cat; pwd; echo $ADDED >&2; ps -o sid= -p $$ | tr -d ' '; kill -TERM $$", options);
        const aio::process_output all = co_await p.communicate("in\n");
        CHECK(all.out == "in\n/\n" + std::to_string(p.pid()) + "\n");
        CHECK(all.err == "yes\n");
        CHECK(p.returncode() == -SIGTERM);
        options.in = aio::subprocess::devnull;
        options.err = aio::subprocess::to_stdout;
        options.new_session = false;
        options.new_group = true;
        std::string text = co_await output_of("cat; ps -o pgid= -p $$ | tr -d ' '; echo $$; echo err >&2", options);
        CHECK(text.substr(0, text.find('\n')) == text.substr(text.find('\n') + 1, text.find('\n')));
        CHECK(text.ends_with("\nerr\n"));
        options = pipes(false, true);
        options.pass_descriptors.push_back(passed);
        options.err = aio::subprocess::stdio(1);
        text = co_await output_of("grep ^SigBlk /proc/self/status | cut -f2", options);
        CHECK(text == "0000000000000000\n");
        const auto before = std::signal(SIGPIPE, SIG_IGN);
        text = co_await output_of("kill -PIPE $$; echo ignored", options);
        CHECK(text.empty());
        std::signal(SIGPIPE, before);
        const auto handled = std::signal(SIGUSR1, [](int) {});
        text = co_await output_of("kill -USR1 $$; echo handled", options);
        CHECK(text.empty());
        std::signal(SIGUSR1, handled);
        ::close(passed);
    });
}

TEST_CASE("process: what cannot be started with a passed descriptor is named, and leaves nothing open",
          "[io][SUB-11]") {
    each_way([]() -> aio::task<> {
        const int passed = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        aio::process_options options = pipes(true, true, true);
        options.pass_descriptors.push_back(passed);
        options.add_env.push_back("PATH=/bin:/usr/bin");
        const auto start = [&](const char* program) {
            return [&options, program] { return aio::create_subprocess(program, options); };
        };
        std::string error = co_await error_of(start("no-such-program"));
        CHECK(error == "start 'no-such-program': No such file or directory");
        error = co_await error_of(start("/etc/passwd"));
        CHECK(error == "start '/etc/passwd': Permission denied");
        error = co_await error_of(start("/etc/passwd/x"));
        CHECK(error == "start '/etc/passwd/x': Not a directory");
        options.cwd = "/no/such/folder";
        error = co_await error_of(start("true"));
        CHECK(error == "start 'true' in '/no/such/folder' (cwd): No such file or directory");
        options.cwd.clear();
        options.add_env.back() = "PATH=/etc:/no/such/folder";
        error = co_await error_of(start("passwd"));
        CHECK(error == "start 'passwd': Permission denied");
        for (const char* call : {"fork", "pipe2", "read", "fcntl"}) {
            aio::testing::faults faulty;
            faulty.fail(call, ENOMEM);
            error = co_await error_of(start("true"));
            CHECK(contains(error, "Cannot allocate memory"));
        }
        ::close(passed);
        CHECK(childless());
    });
}

TEST_CASE("process: options that no program can have are misuse", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const auto refused = [](auto change) {
            aio::process_options options;
            change(options);
            return [options] { return aio::create_subprocess("true", options); };
        };
        std::string error = co_await error_of(refused([](auto& o) { o.pass_descriptors.push_back(2); }));
        CHECK(error == "create_subprocess: 2 cannot be passed; in, out and err are the standard streams");
        error = co_await error_of(refused([](auto& o) { o.pass_descriptors.push_back(-1); }));
        CHECK(contains(error, "-1 cannot be passed"));
        error = co_await error_of(refused([](auto& o) { o.pass_descriptors.push_back(1'000'000); }));
        CHECK(error == "create_subprocess: descriptor 1000000: Bad file descriptor");
        error = co_await error_of(refused([](auto& o) { o.uid = static_cast<uid_t>(-1); }));
        CHECK(error == "create_subprocess: uid or gid is no user's or group's");
        error = co_await error_of(refused([](auto& o) { o.gid = static_cast<gid_t>(-1); }));
        CHECK(contains(error, "uid or gid is no"));
        error = co_await error_of(refused([](auto& o) { o.umask = 01000U; }));
        CHECK(error == "create_subprocess: umask is 0 to 0777");
    });
}

TEST_CASE("process: runs with the umask, the user and the groups that were asked for", "[io]") {
    each_way([]() -> aio::task<> {
        const mode_t ours = ::umask(022);
        aio::process_options options = pipes(false, true);
        options.umask = 0137U;
        std::string text = co_await output_of("umask", options);
        CHECK(text == "0137\n");
        CHECK(::umask(ours) == 022);

        options = pipes(false, true);
        options.uid = ::getuid(); // which needs no privileges
        options.gid = ::getgid();
        text = co_await output_of("id -u; id -g", options);
        CHECK(text == std::to_string(::getuid()) + "\n" + std::to_string(::getgid()) + "\n");

        options.uid = 65'533U;
        options.gid = 65'532U;
        options.cwd = "/";
        if (::geteuid() == 0) {
            text = co_await output_of("id -u; id -g; id -G; echo $(grep ^Uid /proc/self/status)", options);
            CHECK(text == "65533\n65532\n65532\nUid: 65533 65533 65533 65533\n"); // also the saved one, and no group
            options.groups.push_back(65'530U);
            options.groups.push_back(65'531U);
            text = co_await output_of("id -G", options);
            CHECK(text == "65532 65530 65531\n");
        } else {
            const std::string error = co_await error_of([&] { return aio::create_subprocess("id", options); });
            CHECK(error == "start 'id' in '/' (groups): Operation not permitted");
        }
    });
}

TEST_CASE("process: without privileges another user or group is refused, and says which", "[io]") {
    if (::geteuid() != 0) return; // without that right it was seen above already
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (::setgid(65'533) != 0 || ::setuid(65'533) != 0) ::_exit(9);
        const auto refused = [](auto change) {
            aio::process_options options;
            change(options);
            return message_of([&] { aio::run(aio::create_subprocess("id", options)); });
        };
        if (refused([](auto& o) { o.gid = 65'532U; }) != "start 'id' (groups): Operation not permitted") ::_exit(1);
        if (refused([](auto& o) { o.uid = 65'532U; }) != "start 'id' (groups): Operation not permitted") ::_exit(2);
        ::_exit(0);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("process: communicate reads no more than its limit, and the process runs on", "[io]") {
    each_way([]() -> aio::task<> {
        aio::process_options options = pipes(true, true, true);
        options.communicate_limit = 1'000;
        aio::process p = co_await aio::create_subprocess("sh", "-c", "yes; echo never", options);
        const std::string error = co_await error_of([&] { return p.communicate("input"); });
        CHECK(error == "communicate: there is more than the limit");
        CHECK_FALSE(p.returncode());
        CHECK(p.out().buffered() > 1'000);
        CHECK(p.out().buffered() < 400'000);
        const std::string line = co_await p.out().read_line();
        CHECK(line == "y\n");
        p.kill();
        const int status = co_await p.wait();
        CHECK(status == -SIGKILL);

        options.communicate_limit = 5;
        for (const char* command : {"printf 12345", "printf 12345 >&2"}) {
            aio::process fits = co_await aio::create_subprocess("sh", "-c", command, options);
            const aio::process_output all = co_await fits.communicate();
            CHECK(all.out + all.err == "12345");
        }
        aio::process over = co_await aio::create_subprocess("sh", "-c", "printf 123456 >&2", options);
        const std::string of_err = co_await error_of([&] { return over.communicate(); });
        CHECK(of_err == error);
        const std::string left = co_await over.err().read_all();
        CHECK(left == "123456");
        const int ended = co_await over.wait();
        CHECK(ended == 0);
        options.communicate_limit = 0;
        aio::process silent = co_await aio::create_subprocess("true", options);
        const aio::process_output none = co_await silent.communicate();
        CHECK(none.out.empty());
    });
}

TEST_CASE("process: two hundred, eight at a time", "[io][stress]") {
    each_way([]() -> aio::task<> {
        int next = 0;
        auto worker = [&]() -> aio::task<> {
            while (next < 200) {
                const std::string number = std::to_string(next++);
                aio::process p = co_await aio::create_subprocess("echo", number, pipes(false, true));
                const aio::process_output all = co_await p.communicate();
                if (all.out != number + "\n") FAIL_CHECK("process " << number);
            }
        };
        std::vector<aio::task<>> workers;
        for (int i = 0; i < 8; ++i) workers.push_back(worker());
        co_await aio::gather(std::move(workers));
    });
}
