// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/start_server_on.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/combine/with.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;

namespace {

aio::task<std::string> ask(aio::stream server) {
    co_await server.write("hello\n");
    co_return co_await server.read_line();
}

int bound_socket(const aio::address& where, int type = SOCK_STREAM) {
    const int fd = ::socket(where.family(), type | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(::bind(fd, where.data(), where.size()) == 0);
    return fd;
}
int bound_socket() { return bound_socket(aio::address::ip("127.0.0.1", 0)); }

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

} // namespace

TEST_CASE("start_server_on: serves on a socket that listens already, or does not yet", "[io]") {
    on_each_poller([]() -> aio::task<> {
        for (const bool listens : {true, false}) {
            const int fd = bound_socket();
            if (listens) REQUIRE(::listen(fd, 5) == 0);
            aio::server server = co_await aio::start_server_on(echo_lines, fd);
            CHECK(server.port() != 0);
            CHECK(server.is_serving());
            const std::string answer = co_await ask(co_await aio::open_connection("127.0.0.1", server.port()));
            CHECK(answer == "hello\n");
            CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
            co_await server.aclose();
            CHECK_FALSE(is_open(fd));
        }
    });
}

TEST_CASE("start_server_on: serves on several sockets, and leaves the file of a Unix-domain socket", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const std::string path = "/tmp/asynchio-inherited-" + std::to_string(::getpid());
        ::unlink(path.c_str());
        std::vector<int> all;
        all.push_back(bound_socket());
        all.push_back(bound_socket(aio::address::unix_path(path)));
        aio::server server = co_await aio::start_server_on(echo_lines, all);
        CHECK(server.addresses().size() == 2);
        std::string answer = co_await ask(co_await aio::open_connection("127.0.0.1", server.port()));
        CHECK(answer == "hello\n");
        answer = co_await ask(co_await aio::open_unix_connection(path));
        CHECK(answer == "hello\n");
        co_await server.aclose();
        struct stat found{};
        CHECK(::stat(path.c_str(), &found) == 0);
        CHECK(::unlink(path.c_str()) == 0);
    });
}

TEST_CASE("start_server_on: the options of connections hold, and those of new sockets do not count", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::server_options options;
        options.keep_alive = true;
        options.no_delay = false;
        options.start_serving = false;
        options.configure = [](int, const aio::address&) { throw std::runtime_error("not for this one"); };
        int alive = -1;
        int no_delay = -1;
        const auto handler = [&](aio::stream client) {
            alive = option_of(client.native_handle(), SOL_SOCKET, SO_KEEPALIVE);
            no_delay = option_of(client.native_handle(), IPPROTO_TCP, TCP_NODELAY);
        };
        aio::server server = co_await aio::start_server_on(handler, bound_socket(), options);
        CHECK_FALSE(server.is_serving());
        server.start_serving();
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port());
        const std::string end = co_await there.read_all();
        CHECK(alive == 1);
        CHECK(no_delay == 0);
        co_await server.aclose();
    });
}

TEST_CASE("start_server_on: what is no socket to listen on is refused and named, and all are closed", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const auto refused = [](int fd) {
            return message_of([&] { static_cast<void>(aio::start_server_on(echo_lines, fd)); });
        };
        CHECK(refused(-1) == "start_server_on: descriptor -1: Bad file descriptor");
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        CHECK(refused(ends[0]) ==
              "start_server_on: descriptor " + std::to_string(ends[0]) + ": Socket operation on non-socket");
        CHECK_FALSE(is_open(ends[0]));
        const int datagrams = bound_socket(aio::address::ip("127.0.0.1", 0), SOCK_DGRAM);
        CHECK(refused(datagrams) ==
              "start_server_on: descriptor " + std::to_string(datagrams) + " is no stream socket");
        CHECK_FALSE(is_open(datagrams));
        const std::vector<int> two{bound_socket(), ends[1]};
        CHECK_THROWS_AS(aio::start_server_on(echo_lines, two), std::system_error);
        CHECK_FALSE(is_open(two[0]));
        CHECK_FALSE(is_open(two[1]));
        CHECK(message_of([] { static_cast<void>(aio::start_server_on(echo_lines, std::vector<int>())); }) ==
              "start_server_on: there is no descriptor");
        aio::server_options options;
        options.backlog = 0;
        const int fd = bound_socket();
        CHECK_THROWS_AS(aio::start_server_on(echo_lines, fd, options), std::invalid_argument);
        CHECK_FALSE(is_open(fd));
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0); // connected
        const std::string error = co_await error_of([&] { return aio::start_server_on(echo_lines, ends[0]); });
        CHECK(contains(error, "listen on "));
        CHECK_FALSE(is_open(ends[0]));
        ::close(ends[1]);
    });
}

TEST_CASE("start_server_on: never awaited, or cancelled, it closes the descriptor", "[io]") {
    on_each_poller([]() -> aio::task<> {
        int fd = bound_socket();
        { const auto never = aio::start_server_on(echo_lines, fd); }
        CHECK_FALSE(is_open(fd));
        fd = bound_socket();
        auto cancelled = aio::create_task(aio::start_server_on(echo_lines, fd));
        cancelled.cancel();
        const auto ended = co_await aio::nothrow(std::move(cancelled));
        CHECK(ended.cancelled());
        CHECK_FALSE(is_open(fd));
    });
    const auto found = aio::testing::for_each_cancellation([]() -> aio::task<> {
        aio::server server = co_await aio::start_server_on(echo_lines, bound_socket());
        auto body = [&]() -> aio::task<> {
            const std::string answer = co_await ask(co_await aio::open_connection("127.0.0.1", server.port()));
            CHECK(answer == "hello\n");
        };
        co_await aio::with(server, body);
    });
    CHECK(found.points > 1);
}

TEST_CASE("start_server_on: whatever fails is told, and leaves nothing open", "[io]") {
    for (const char* call : {"getsockopt", "fcntl", "getsockname", "listen", "setsockopt"}) {
        INFO(call);
        on_each_poller([&]() -> aio::task<> {
            aio::testing::faults faulty;
            faulty.fail(call, EINVAL, 100);
            aio::server_options options;
            options.keep_alive = true;
            const int fd = bound_socket();
            const std::string error = co_await error_of([&] { return aio::start_server_on(echo_lines, fd, options); });
            CHECK_FALSE(error.empty());
            CHECK_FALSE(is_open(fd));
        });
    }
}

TEST_CASE("inherited_listeners: returns what a service manager has passed to this process", "[io]") {
    const auto in_child = [](const char* count, bool own_pid) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child != 0) {
            int status = -1;
            REQUIRE(::waitpid(child, &status, 0) == child);
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        ::setenv("LISTEN_PID", std::to_string(own_pid ? ::getpid() : ::getppid()).c_str(), 1);
        count != nullptr ? ::setenv("LISTEN_FDS", count, 1) : ::unsetenv("LISTEN_FDS");
        for (const int fd : {3, 4}) ::dup2(0, fd);
        ::close(5);
        try {
            const std::vector<int> all = aio::inherited_listeners();
            for (const int each : all)
                if (!(::fcntl(each, F_GETFD) & FD_CLOEXEC)) ::_exit(90);
            if (!all.empty() && all.front() != 3) ::_exit(91);
            ::_exit(static_cast<int>(all.size()));
        } catch (const std::system_error& e) {
            ::_exit(contains(e.what(), "inherited_listeners: descriptor 5: Bad file descriptor") ? 80 : 81);
        }
    };
    CHECK(in_child("2", true) == 2);
    CHECK(in_child("1", true) == 1);
    CHECK(in_child("2", false) == 0); // they are another process's
    CHECK(in_child("0", true) == 0);
    CHECK(in_child("-1", true) == 0);
    CHECK(in_child("two", true) == 0);
    CHECK(in_child("2x", true) == 0);
    CHECK(in_child("99999999999999999999", true) == 0);
    CHECK(in_child(nullptr, true) == 0);
    CHECK(in_child("3", true) == 80); // one is not there
    CHECK(aio::inherited_listeners().empty());
}
