// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/system_calls.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/probes.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/core/errors.hpp>
#include <asynchio/core/read_errors.hpp>
#include <asynchio/io/datagram_socket.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/for_each_errno.hpp>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;
using aio::testing::errno_plan;
using aio::testing::errno_report;
using aio::testing::faulty_run;
using aio::testing::for_each_errno;

namespace {

/// Reports of servers are not looked at here.
void be_quiet() {
    aio::get_running_loop().set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
}

/// A line there and back, then the end; what does not come in time counts as lost.
aio::task<> talk(aio::stream there) {
    auto talking = [&]() -> aio::task<> {
        co_await there.write("hello\n");
        const std::string line = co_await there.read_line();
        if (!line.empty()) CHECK(line == "hello\n");
        co_await there.write_eof();
        const std::string rest = co_await there.read_all();
        if (!line.empty()) CHECK(rest.empty());
        co_await there.aclose();
    };
    co_await aio::wait_for(talking, 300ms);
}

aio::connect_options soon() {
    aio::connect_options options;
    options.timeout = 300ms;
    return options;
}

aio::task<> by_number() {
    be_quiet();
    aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), soon());
        CHECK(there.peer_address().port() == server.port());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

/// To all addresses of this machine, by turns.
aio::task<> by_name() {
    be_quiet();
    aio::server server = co_await aio::start_server(echo_lines, "", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("localhost", server.port(), soon());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

aio::task<> by_path() {
    be_quiet();
    const std::string path = "/tmp/asynchio-faults-" + std::to_string(::getpid());
    aio::server server = co_await aio::start_unix_server(echo_lines, path);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_unix_connection(path, soon());
        co_await talk(std::move(there));
    };
    co_await aio::with(server, body);
}

/// Several parts, a file, and a reset.
aio::task<> ways_of_writing() {
    be_quiet();
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
    std::fputs("a file\n", file.get());
    std::fflush(file.get());
    auto handler = [&](aio::stream client) -> aio::task<> {
        const std::vector<std::string> parts{std::string("one "), std::string(), std::string("line\n")};
        co_await client.write(parts);
        const std::size_t sent = co_await client.send_file(::fileno(file.get()), 0);
        CHECK(sent == 7);
        co_await client.read_line();
    };
    aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
    auto body = [&]() -> aio::task<> {
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), soon());
        auto reads = [&]() -> aio::task<> {
            std::string line = co_await there.read_line();
            if (!line.empty()) CHECK(line == "one line\n");
            line = co_await there.read_line();
            if (!line.empty()) CHECK(line == "a file\n");
        };
        co_await aio::wait_for(reads, 300ms);
        there.abort();
    };
    co_await aio::with(server, body);
}

aio::task<> through_a_pipe() {
    int made[2];
    if (::pipe2(made, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe of the test");
    struct closed_unless_taken {
        int fd;
        ~closed_unless_taken() {
            if (fd >= 0) ::close(fd);
        }
    } start{made[0]};
    aio::stream out = aio::stream::from_descriptor(made[1], "the pipe's end");
    aio::stream in = aio::stream::from_descriptor(std::exchange(start.fd, -1), "the pipe's start");
    auto piping = [&]() -> aio::task<> {
        co_await out.write("hello\n");
        std::string got = co_await in.read_line();
        CHECK(got == "hello\n");
        co_await out.write_eof();
        got = co_await in.read_all();
        CHECK(got.empty());
    };
    co_await aio::wait_for(piping, 1s);
}

aio::task<> names() {
    const std::vector<aio::address> all = co_await aio::resolve("localhost", 80);
    CHECK_FALSE(all.empty());
}

aio::task<> datagrams() {
    aio::datagram_socket here = aio::datagram_socket::bound(aio::address::ip("127.0.0.1", 0));
    const aio::address where = here.local_address();
    if (!where) throw std::runtime_error("127.0.0.1: no local address");
    aio::datagram_socket there = aio::datagram_socket::connected(where);
    auto sending = [&]() -> aio::task<> {
        co_await there.send("hello");
        char text[10];
        const aio::datagram got = co_await here.receive_from(text);
        CHECK(std::string(text, got.size) == "hello");
    };
    co_await aio::wait_for(sending, 1s);
}

/// Real time: a program takes some to start.
aio::task<> another_program() {
    aio::process_options options;
    options.in = aio::subprocess::pipe;
    options.out = aio::subprocess::pipe;
    aio::process cat = co_await aio::create_subprocess("cat", options);
    auto talking = [&]() -> aio::task<> {
        const aio::process_output all = co_await cat.communicate("hello\n");
        if (!all.out.empty()) CHECK(all.out == "hello\n");
        const int status = co_await cat.wait();
        CHECK(status == 0);
    };
    co_await aio::wait_for(talking, 10s);
}

aio::task<> says_hello(aio::process& echo) {
    const aio::process_output all = co_await echo.communicate();
    CHECK(all.out == "hello\n");
    const int status = co_await echo.wait();
    CHECK(status == 0);
}

/// Everything that a program can be started with, and one that is looked for in a PATH of its own.
aio::task<> a_program_elsewhere() {
    aio::process_options options;
    options.in = aio::subprocess::devnull;
    options.out = aio::subprocess::pipe;
    options.err = aio::subprocess::to_stdout;
    options.cwd = "/";
    options.add_env.push_back("PATH=/no/such/folder:/bin:/usr/bin");
    options.new_group = true;
    aio::process echo = co_await aio::create_subprocess("echo", "hello", options);
    co_await aio::wait_for(says_hello(echo), 10s);
}

aio::task<> a_forked_program() {
    aio::process_options options;
    options.in = aio::subprocess::devnull;
    options.out = aio::subprocess::pipe;
    options.umask = 077U;
    const struct copy {
        copy() : fd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 50)) {}
        copy(const copy&) = delete;
        copy& operator=(const copy&) = delete;
        ~copy() { ::close(fd); }
        int fd;
    } passed;
    options.pass_descriptors.push_back(passed.fd);
    aio::process echo = co_await aio::create_subprocess("echo", "hello", options);
    co_await aio::wait_for(says_hello(echo), 10s);
}

/// The files of sockets, one of which stands in the way first.
aio::task<> files_of_sockets() {
    const std::string name = "asynchio-faults-files-" + std::to_string(::getpid());
    const aio::address where = aio::address::unix_path("/tmp/" + name);
    { // left behind by who ended without closing
        const int stale = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::bind(stale, where.data(), where.size()) != 0 && errno != EADDRINUSE) throw std::runtime_error("bind");
        ::close(stale);
    }
    aio::datagram_socket here = aio::datagram_socket::bound(where);
    if (::chdir("/tmp") != 0) throw std::runtime_error("chdir");
    const std::string relative = "./" + name + "-relative";
    aio::server there = co_await aio::start_unix_server([](aio::stream) -> aio::task<> { co_return; }, relative);
    co_await there.aclose();
}

aio::task<> a_scope() {
    const aio::address local = aio::address::ip("fe80::1%lo", 80);
    CHECK(local.host() == "fe80::1%lo");
    co_return;
}

/// What a scenario may end with: an error of the system that says what was done with whom, or what follows from it.
void check_error(const faulty_run& run, const std::vector<std::string>& names) {
    if (run.error == nullptr) return;
    INFO(run.what.call << " failed with " << run.what.error << ": " << text_of(run.error));
    try {
        std::rethrow_exception(run.error);
    } catch (const std::system_error& e) {
        bool named = false;
        for (const std::string& each : names) named = named || contains(e.what(), each);
        CHECK(named);
        CHECK(std::string(e.what()).ends_with(": " + e.code().message()));
    } catch (const std::invalid_argument& e) {
        CHECK(contains(e.what(), "there is no network interface"));
    } catch (const aio::timeout_error&) {
        SUCCEED();
    } catch (const aio::incomplete_read_error&) {
        SUCCEED();
    } catch (const std::runtime_error& e) {
        CHECK(contains(e.what(), "no local address"));
    }
}

/// Each call x each error: once, with poll and false alarms, and from then on.
template<class Scenario>
std::size_t fail_everywhere(Scenario scenario, const std::vector<std::string>& names, bool virtual_time = true) {
    std::size_t pairs = 0;
    for (const char* how : {"once", "with poll and false alarms", "from then on"}) {
        INFO(how);
        errno_plan plan;
        plan.options.virtual_time = virtual_time;
        plan.all_later = how[0] == 'f';
        plan.false_alarms = how[0] == 'w';
        plan.options.poller = plan.false_alarms ? aio::poller_kind::poll : aio::poller_kind::epoll;
        const std::size_t before = open_descriptors();
        const errno_report report = for_each_errno(scenario, plan);
        CHECK(closed_down_to(before));
        for (const faulty_run& each : report.runs) check_error(each, names);
        pairs = report.runs.size();
    }
    return pairs;
}

/// As fast or as slowly as the system likes.
template<class Scenario>
void run_in_pieces(Scenario scenario) {
    on_each_poller([&]() -> aio::task<> {
        aio::testing::faults faulty;
        faulty.one_byte_at_a_time();
        faulty.interrupt_everything();
        co_await scenario();
        CHECK(faulty.count() > 0);
    });
}

} // namespace

TEST_CASE("system_calls: whatever fails while a server and a client talk is told, and leaves nothing behind",
          "[io][SWR-16]") {
    CHECK(fail_everywhere(by_number, {"127.0.0.1:"}) >= 290);
}

TEST_CASE("system_calls: whatever fails while a client connects by name is told, and leaves nothing behind",
          "[io][SRV-2]") {
    CHECK(fail_everywhere(by_name, {"localhost:", "127.0.0.1:", "[::1]:", "0.0.0.0:", "[::]:", "resolve :0"}) >= 300);
}

TEST_CASE("system_calls: whatever fails at a Unix-domain socket is told, and leaves nothing behind", "[io]") {
    CHECK(fail_everywhere(by_path, {"unix:/tmp/asynchio-faults-", "unix socket"}) >= 200);
}

TEST_CASE("system_calls: whatever fails while parts and files are written is told, and leaves nothing behind", "[io]") {
    CHECK(fail_everywhere(ways_of_writing, {"127.0.0.1:"}) >= 200);
}

TEST_CASE("system_calls: whatever fails at a pipe is told, and leaves nothing behind", "[io]") {
    CHECK(fail_everywhere(through_a_pipe, {"the pipe's end", "the pipe's start"}) >= 40);
}

TEST_CASE("system_calls: whatever fails while a name is looked up is told, and leaves nothing behind", "[io]") {
    CHECK(fail_everywhere(names, {"resolve localhost:80"}) >= 12);
}

TEST_CASE("system_calls: whatever fails while datagrams are sent is told, and leaves nothing behind", "[io][SWR-25]") {
    CHECK(fail_everywhere(datagrams, {"127.0.0.1:", "datagram_socket"}) >= 70);
}

TEST_CASE("system_calls: whatever fails while another program is run is told, and leaves nothing behind", "[io]") {
    CHECK(fail_everywhere(another_program, {"create_subprocess", "start 'cat'", "of 'cat'", "watch process"}, false) >=
          70);
    errno = 0;
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1); // no zombie either
    CHECK(errno == ECHILD);
}

TEST_CASE("system_calls: whatever fails while a program is run with all options is told, and leaves nothing behind",
          "[io]") {
    CHECK(fail_everywhere(a_program_elsewhere,
                          {"create_subprocess", "start 'echo' in '/'", "of 'echo'", "watch process"}, false) >= 50);
    errno = 0;
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1); // no zombie either
    CHECK(errno == ECHILD);
}

TEST_CASE("system_calls: whatever fails while a program is started by fork is told, and leaves nothing behind",
          "[io]") {
    CHECK(fail_everywhere(a_forked_program, {"create_subprocess", "start 'echo'", "of 'echo'", "watch process"},
                          false) >= 50);
    errno = 0;
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1); // no zombie either
    CHECK(errno == ECHILD);
}

TEST_CASE("system_calls: whatever fails about the files of sockets and a scope is told, and leaves nothing behind",
          "[io]") {
    char before[4096];
    REQUIRE(::getcwd(before, sizeof before) != nullptr);
    CHECK(fail_everywhere(files_of_sockets, {"unix:", "datagram_socket"}) >= 100);
    REQUIRE(::chdir(before) == 0);
    CHECK(fail_everywhere(a_scope, {"network interface 'lo'"}) == 5);
}

TEST_CASE("system_calls: one byte at a time, and each call interrupted once, everything still works", "[io]") {
    run_in_pieces(by_number);
    run_in_pieces(by_name);
    run_in_pieces(by_path);
    run_in_pieces(ways_of_writing);
    run_in_pieces(through_a_pipe);
    run_in_pieces(names);
    run_in_pieces(datagrams);
    run_in_pieces(another_program);
    run_in_pieces(a_forked_program);
}
