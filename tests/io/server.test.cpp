// SPDX-License-Identifier: BSL-1.0
// covers: io/server_options.hpp
// covers: io/tcp_options.hpp
#include <asynchio/io/server.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"

#include <asynchio/combine/finally.hpp>
#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/io/datagram_socket.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// g++ 12 cannot make an array in a coroutine.
aio::task<aio::server> at_two_hosts() { return aio::start_server(echo_lines, {"127.0.0.1", "127.0.0.2"}, 0); }

aio::task<std::string> ask(aio::stream& server, std::string line) {
    co_await server.write(line);
    co_return co_await server.read_line();
}

aio::task<aio::stream> connect_to(const aio::server& server) {
    return aio::open_connection("127.0.0.1", server.port());
}

std::string socket_path() { return "/tmp/asynchio-test-" + std::to_string(::getpid()) + ".sock"; }

bool exists(const std::string& path) {
    struct stat found{};
    return ::stat(path.c_str(), &found) == 0;
}

} // namespace

TEST_CASE("server: picks a port, tells where it listens, and runs a handler for each connection",
          "[io][SRV-5][SRV-6]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        CHECK(server.is_serving());
        CHECK(server.port() > 0);
        const std::vector<aio::address> all = server.addresses();
        REQUIRE(all.size() == 1);
        CHECK(all[0] == aio::address::ip("127.0.0.1", server.port()));
        std::vector<aio::stream> clients;
        for (int i = 0; i < 10; ++i) clients.push_back(co_await connect_to(server));
        for (std::size_t i = clients.size(); i-- > 0;) {
            const std::string answer = co_await ask(clients[i], std::to_string(i) + "\n");
            CHECK(answer == std::to_string(i) + "\n");
        }
        co_await server.aclose();
        CHECK_FALSE(server.is_serving());
        CHECK(server.port() == 0);
        CHECK(server.addresses().empty());
    });
}

TEST_CASE("server: without a host it listens at all addresses, with one port", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(echo_lines, "", 0);
        for (const aio::address& each : server.addresses()) CHECK(each.port() == server.port());
        aio::stream client = co_await connect_to(server);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        co_await server.aclose();
    });
}

TEST_CASE("server: a handler may be move-only, and lives until the last of its tasks has ended", "[io]") {
    on_each_poller([]() -> aio::task<> {
        counted::reset();
        {
            auto owned = std::make_unique<counted>(7);
            auto handler = [kept = std::move(owned)](aio::stream client) -> aio::task<> {
                co_await client.read_line();
                const std::string text = std::to_string(kept->value) + "\n";
                co_await client.write(text);
            };
            std::optional<aio::server> server = co_await aio::start_server(aio::take(handler), "127.0.0.1", 0);
            aio::stream client = co_await connect_to(*server);
            co_await settle();
            server->close();
            const std::string answer = co_await ask(client, "?\n");
            CHECK(answer == "7\n");
            CHECK(counted::alive == 1);
            server.reset();
        }
        co_await settle();
        CHECK(counted::alive == 0);
    });
}

TEST_CASE("server: a plain call will do as a handler", "[io][SRV-5]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<aio::stream> taken;
        auto take = [&](aio::stream client) { taken.push_back(std::move(client)); };
        aio::server server = co_await aio::start_server(take, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        co_await settle();
        REQUIRE(taken.size() == 1);
        co_await taken[0].write("hello\n");
        const std::string line = co_await client.read_line();
        CHECK(line == "hello\n");
        server.close();
        const auto closed = aio::create_task(server.wait_closed());
        co_await settle();
        CHECK_FALSE(closed.done()); // the stream is still there
        taken.clear();
        co_await closed;
    });
}

TEST_CASE("server: an exception of a handler is reported, and its connection closed; the others go on", "[io][SRV-7]") {
    on_each_poller([]() -> aio::task<> {
        reports seen;
        collect(seen);
        auto handler = [](aio::stream client) -> aio::task<> {
            const std::string line = co_await client.read_line();
            if (line == "fail\n") throw boom("in the handler");
            co_await client.write(line);
        };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream bad = co_await connect_to(server);
        aio::stream good = co_await connect_to(server);
        std::string answer = co_await ask(bad, "fail\n");
        CHECK(answer.empty());
        co_await settle();
        REQUIRE(seen.size() == 1);
        CHECK(seen[0].message == "Unhandled exception in a server's handler");
        CHECK(seen[0].error == "in the handler");
        CHECK(contains(seen[0].source, "Task-"));
        answer = co_await ask(good, "fine\n");
        CHECK(answer == "fine\n");
        auto plain = [](const aio::stream&) { throw boom("plain"); };
        aio::server second = co_await aio::start_server(plain, "127.0.0.1", 0);
        aio::stream third = co_await connect_to(second);
        answer = co_await third.read_line();
        CHECK(answer.empty());
        REQUIRE(seen.size() == 2);
        CHECK(seen[1].error == "plain");
        co_await second.aclose();
        co_await server.aclose();
    });
}

TEST_CASE("server: a handler that is cancelled ends quietly and closes its connection", "[io][SRV-8]") {
    on_each_poller([]() -> aio::task<> {
        reports seen;
        collect(seen);
        aio::any_task_handle handler_task;
        auto handler = [&](aio::stream client) -> aio::task<> {
            handler_task = aio::current_task();
            co_await client.read_line();
        };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        co_await settle();
        handler_task.cancel();
        const std::string line = co_await client.read_line();
        CHECK(line.empty());
        CHECK(seen.empty());
        co_await server.aclose();
    });
}

TEST_CASE("server: close stops listening and keeps the connections; wait_closed waits for their end",
          "[io][SRV-9][SRV-10]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        const int port = server.port();
        const auto before = aio::create_task(server.wait_closed());
        aio::stream client = co_await connect_to(server);
        std::string answer = co_await ask(client, "one\n");
        CHECK_FALSE(before.done());
        server.close();
        server.close();
        CHECK_FALSE(server.is_serving());
        const std::string error = co_await error_of([&] { return aio::open_connection("127.0.0.1", port); });
        CHECK(contains(error, "Connection refused"));
        const auto cancelled = aio::create_task(server.wait_closed());
        co_await settle();
        CHECK_FALSE(before.done());
        cancelled.cancel();
        answer = co_await ask(client, "two\n");
        CHECK(answer == "two\n");
        co_await client.aclose();
        co_await before;
        co_await server.wait_closed();
        CHECK(cancelled.cancelled());
        CHECK(message_of([&] { server.start_serving(); }) == "server: it is closed");
    });
}

TEST_CASE("server: wait_closed returns after readers have seen the end that close_clients gives them", "[io][SRV-11]") {
    std::string trace;
    const auto handle = [&](aio::stream client) -> aio::task<> {
        co_await client.write("hello\n");
        const std::string line = co_await client.read_line();
        trace += line.empty() ? "end " : "line ";
        co_await client.aclose();
        trace += "handler ";
    };
    on_each_poller([&]() -> aio::task<> {
        trace.clear();
        aio::server server = co_await aio::start_server(handle, "127.0.0.1", 0);
        std::vector<aio::stream> clients;
        for (int i = 0; i < 2; ++i) {
            clients.push_back(co_await aio::open_connection("127.0.0.1", server.port()));
            const std::string greeting = co_await clients.back().read_line();
            CHECK(greeting == "hello\n");
        }
        co_await settle(); // both handlers read
        server.close();
        server.close_clients();
        co_await server.wait_closed();
        trace += "main ";
        CHECK(trace == "end handler end handler main ");
        co_await server.wait_closed();
    });
    CHECK(trace == "end handler end handler main ");
}

TEST_CASE("server: main may end as soon as wait_closed returns, the handlers have gone on", "[io][SRV-11]") {
    std::string trace;
    const auto handle = [&](aio::stream client) -> aio::task<> {
        try {
            co_await client.write("hello\n");
            const std::string line = co_await client.read_line();
            trace += line.empty() ? "end" : "line";
        } catch (const aio::cancelled_error&) {
            trace += "cancelled";
            throw;
        }
    };
    on_each_poller([&]() -> aio::task<> {
        trace.clear();
        aio::server server = co_await aio::start_server(handle, "127.0.0.1", 0);
        aio::stream client = co_await aio::open_connection("127.0.0.1", server.port());
        co_await client.read_line();
        co_await settle();
        server.close();
        server.close_clients();
        co_await server.wait_closed();
    });
    CHECK(trace == "end");
}

TEST_CASE("server: close_clients lets readers see the end, abort_clients gives them an error", "[io][SRV-11]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<std::string> ends;
        auto handler = [&](aio::stream client) -> aio::task<> {
            std::string end;
            try {
                const std::string line = co_await client.read_line();
                end = line.empty() ? "end" : line;
                co_await client.write("late");
            } catch (const std::system_error& e) {
                end += e.code() == std::errc::broken_pipe ? ", EPIPE" : e.code().message();
            }
            ends.push_back(end);
        };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream first = co_await connect_to(server);
        co_await settle();
        server.close_clients();
        std::string line = co_await first.read_line();
        CHECK(line.empty());
        aio::stream second = co_await connect_to(server);
        co_await settle();
        server.abort_clients();
        const std::string error = co_await error_of([&] { return second.read_line(); });
        CHECK(contains(error, "Connection reset by peer"));
        co_await settle();
        REQUIRE(ends.size() == 2);
        CHECK(ends[0] == "end, EPIPE");
        CHECK(ends[1] == "Software caused connection abort");
        server.close();
        co_await server.wait_closed();
    });
}

TEST_CASE("server: serve_forever ends when it is cancelled or closed, with all handlers", "[io][SRV-12]") {
    on_each_poller([]() -> aio::task<> {
        for (const bool cancel : {true, false}) {
            bool cleaned = false;
            auto handler = [&](aio::stream client) -> aio::task<> {
                try {
                    co_await client.read_line();
                } catch (const aio::cancelled_error&) {
                    cleaned = true;
                    throw;
                }
            };
            aio::server_options later;
            later.start_serving = false;
            aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0, later);
            CHECK_FALSE(server.is_serving());
            const auto serving = aio::create_task(server.serve_forever());
            co_await settle();
            CHECK(server.is_serving());
            const std::string error = co_await error_of([&] { return server.serve_forever(); });
            CHECK(error == "serve_forever: the server is in it already");
            aio::stream client = co_await connect_to(server);
            co_await settle();
            if (cancel)
                serving.cancel();
            else
                server.close();
            const auto ended = co_await aio::nothrow(serving);
            CHECK(ended.cancelled() == cancel);
            CHECK(cleaned);
            const std::string again = co_await error_of([&] { return server.serve_forever(); });
            CHECK(again == "server: it is closed");
        }
    });
}

TEST_CASE("server: with closes it and waits for the handlers at the end", "[io][SRV-13]") {
    on_each_poller([]() -> aio::task<> {
        int running = 0;
        auto handler = [&](aio::stream client) -> aio::task<> {
            ++running;
            try {
                co_await client.read_line();
            } catch (const aio::cancelled_error&) {}
            co_await aio::yield();
            --running;
        };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream client;
        auto body = [&]() -> aio::task<> {
            client = co_await connect_to(server);
            co_await settle();
            CHECK(running == 1);
        };
        co_await aio::with(server, body);
        CHECK(running == 0);
        CHECK_FALSE(server.is_serving());
    });
}

TEST_CASE("server: before start_serving nobody can connect", "[io][SRV-14]") {
    on_each_poller([]() -> aio::task<> {
        aio::server_options options;
        options.start_serving = false;
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0, options);
        const std::string error = co_await error_of([&] { return connect_to(server); });
        CHECK(contains(error, "Connection refused"));
        server.start_serving();
        server.start_serving();
        aio::stream client = co_await connect_to(server);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        co_await server.aclose();
    });
}

TEST_CASE("server: an address in use is an error that names it, and may be shared on demand", "[io][SRV-16]") {
    on_each_poller([]() -> aio::task<> {
        aio::server_options shared;
        shared.reuse_port = true;
        aio::server first = co_await aio::start_server(echo_lines, "127.0.0.1", 0, shared);
        const int port = first.port();
        const std::string error = co_await error_of([&] { return aio::start_server(echo_lines, "127.0.0.1", port); });
        CHECK(error == "bind to 127.0.0.1:" + std::to_string(port) + ": Address already in use");
        aio::server second = co_await aio::start_server(echo_lines, "127.0.0.1", port, shared);
        CHECK(second.port() == port);
        co_await second.aclose();
        co_await first.aclose();
        aio::server_options none;
        none.backlog = 0;
        const std::string misuse =
            co_await error_of([&] { return aio::start_server(echo_lines, "127.0.0.1", 0, none); });
        CHECK(misuse == "start_server: the backlog must be at least 1");
        const std::string port_error =
            co_await error_of([&] { return aio::start_server(echo_lines, "127.0.0.1", -1); });
        CHECK(port_error == "start_server: -1 is not a port (0 to 65535)");
    });
}

TEST_CASE("server: a Unix-domain socket's file is removed when it is stale, and at close", "[io][SRV-17]") {
    on_each_poller([]() -> aio::task<> {
        const std::string path = socket_path();
        ::unlink(path.c_str());
        { // left behind by who ended without closing
            const int stale = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const aio::address where = aio::address::unix_path(path);
            REQUIRE(::bind(stale, where.data(), where.size()) == 0);
            ::close(stale);
            REQUIRE(exists(path));
        }
        aio::server server = co_await aio::start_unix_server(echo_lines, path);
        CHECK(server.port() == 0);
        CHECK(server.addresses()[0].path() == path);
        aio::stream client = co_await aio::open_unix_connection(path);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        // One that is alive is not robbed.
        const std::string error = co_await error_of([&] { return aio::start_unix_server(echo_lines, path); });
        CHECK(error == "bind to unix:" + path + ": Address already in use");
        CHECK(exists(path));
        co_await server.aclose();
        CHECK_FALSE(exists(path));
    });
}

TEST_CASE("server: one that does not serve yet is not robbed of its path, nor greeted by who looks", "[io][SRV-17]") {
    on_each_poller([]() -> aio::task<> {
        const std::string path = socket_path();
        aio::server_options later;
        later.start_serving = false;
        aio::server first = co_await aio::start_unix_server(echo_lines, path, later);
        std::string error = co_await error_of([&] { return aio::start_unix_server(echo_lines, path); });
        CHECK(error == "bind to unix:" + path + ": Address already in use");
        error = message_of([&] { aio::datagram_socket::bound(aio::address::unix_path(path)); });
        CHECK(error == "bind to unix:" + path + ": Address already in use");
        first.start_serving();
        error = co_await error_of([&] { return aio::start_unix_server(echo_lines, path); });
        CHECK(contains(error, "Address already in use"));
        aio::stream client = co_await aio::open_unix_connection(path);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        co_await first.aclose();
        CHECK_FALSE(exists(path));
    });
}

TEST_CASE("server: a relative path is removed wherever the process is by then", "[io][SRV-17]") {
    char folder[] = "/tmp/asynchio-relative-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    char before[4096];
    REQUIRE(::getcwd(before, sizeof before) != nullptr);
    on_each_poller([&]() -> aio::task<> {
        REQUIRE(::chdir(folder) == 0);
        aio::server server = co_await aio::start_unix_server(echo_lines, "relative.sock");
        aio::datagram_socket socket = aio::datagram_socket::bound(aio::address::unix_path("relative.dgram"));
        REQUIRE(::chdir("/") == 0);
        CHECK(exists(std::string(folder) + "/relative.sock"));
        co_await server.aclose();
        CHECK_FALSE(exists(std::string(folder) + "/relative.sock"));
        CHECK(exists(std::string(folder) + "/relative.dgram"));
        socket.close();
        CHECK_FALSE(exists(std::string(folder) + "/relative.dgram"));
    });
    REQUIRE(::chdir(before) == 0);
    CHECK(::rmdir(folder) == 0);
}

TEST_CASE("server: what is left at the end of run is cancelled", "[io][SRV-18]") {
    bool cleaned = false;
    auto handler = [&](aio::stream client) -> aio::task<> {
        try {
            co_await client.read_line();
        } catch (const aio::cancelled_error&) {
            cleaned = true;
            throw;
        }
    };
    for (const bool keep : {true, false}) {
        cleaned = false;
        std::optional<aio::server> kept;
        std::optional<aio::stream> client;
        on_each_poller([&]() -> aio::task<> {
            kept.reset();
            client.reset();
            aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
            client = co_await connect_to(server);
            co_await settle();
            if (keep) kept = std::move(server); // past its loop
            client.reset();
        });
        CHECK((cleaned || keep));
    }
}

TEST_CASE("server: aclose in one of its own handlers is misuse", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::optional<aio::server> server;
        std::string error;
        auto handler = [&](aio::stream) -> aio::task<> { error = co_await error_of([&] { return server->aclose(); }); };
        server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(*server);
        const std::string line = co_await client.read_line();
        CHECK(error == "server: aclose() in one of its own handlers would wait for itself; use close()");
        co_await server->aclose();
    });
}

TEST_CASE("server: aclose that is cancelled waits for the handlers all the same", "[io]") {
    on_each_poller([]() -> aio::task<> {
        int turns = 0;
        auto handler = [&](aio::stream client) -> aio::task<> {
            try {
                co_await client.read_line();
            } catch (const aio::cancelled_error&) {}
            for (; turns < 5; ++turns) {
                try {
                    co_await aio::yield();
                } catch (const aio::cancelled_error&) {}
            }
        };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        co_await settle();
        const auto closing = aio::create_task(server.aclose());
        co_await aio::yield();
        closing.cancel();
        const auto ended = co_await aio::nothrow(closing);
        CHECK(ended.cancelled());
        CHECK(turns == 5);
    });
}

TEST_CASE("server: errors of single connections do not stop it", "[io][SRV-15]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        static int calls;
        calls = 0;
        changed->accept4 = [](int fd, sockaddr* peer, socklen_t* size, int flags) {
            constexpr int errors[] = {ECONNABORTED, EPROTO, EINTR, EPERM, ENETDOWN, EHOSTUNREACH};
            if (calls < 6) {
                errno = errors[calls++];
                return -1;
            }
            return ::accept4(fd, peer, size, flags);
        };
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        CHECK(calls == 6);
        co_await server.aclose();
    });
}

TEST_CASE("server: without descriptors it waits, tells it once, and recovers", "[io][SRV-15][time]") {
    on_each_poller([]() -> aio::task<> {
        reports seen;
        collect(seen);
        const changed_calls changed;
        static int calls;
        calls = 0;
        changed->accept4 = [](int fd, sockaddr* peer, socklen_t* size, int flags) {
            if (++calls <= 3) {
                errno = calls == 2 ? ENFILE : EMFILE;
                return -1;
            }
            return ::accept4(fd, peer, size, flags);
        };
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        const auto begin = std::chrono::steady_clock::now();
        aio::stream client = co_await connect_to(server);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        CHECK(std::chrono::steady_clock::now() - begin >= 300ms); // ten times a second, not more
        CHECK(calls >= 4);
        CHECK(calls <= 5);
        REQUIRE(seen.size() == 1);
        CHECK(seen[0].message == "Cannot accept connections, trying again every 100 ms");
        CHECK(contains(seen[0].error, "accept on 127.0.0.1:"));
        CHECK(contains(seen[0].error, "Too many open files"));
        co_await server.aclose();
    });
}

TEST_CASE("server: several listening sockets without descriptors wait together", "[io][SRV-15][time]") {
    on_each_poller([]() -> aio::task<> {
        reports seen;
        collect(seen);
        const changed_calls changed;
        static int calls;
        calls = 0;
        changed->accept4 = [](int, sockaddr*, socklen_t*, int) {
            ++calls;
            errno = EMFILE;
            return -1;
        };
        std::optional<aio::server> server = co_await at_two_hosts();
        const aio::stream one = co_await connect_to(*server);
        co_await aio::sleep(30ms); // apart from each other
        const aio::stream two = co_await aio::open_connection("127.0.0.2", server->port());
        co_await aio::sleep(500ms);
        CHECK(calls <= 12);
        CHECK(seen.size() == 2);
        server.reset();
        co_await settle();
        CHECK(aio::get_running_loop().pending_timers() == 0);
        co_await aio::sleep(150ms);
        CHECK(calls <= 12);
    });
}

TEST_CASE("server: when listening fails, it can be tried again", "[io][SRV-14]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        static int calls;
        calls = 0;
        changed->listen = [](int fd, int backlog) {
            if (++calls == 1) {
                errno = EADDRINUSE;
                return -1;
            }
            return ::listen(fd, backlog);
        };
        aio::server_options later;
        later.start_serving = false;
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0, later);
        CHECK(message_of([&] { server.start_serving(); }) ==
              "listen on 127.0.0.1:" + std::to_string(server.port()) + ": Address already in use");
        CHECK_FALSE(server.is_serving());
        server.start_serving();
        CHECK(server.is_serving());
        aio::stream client = co_await connect_to(server);
        const std::string answer = co_await ask(client, "x\n");
        CHECK(answer == "x\n");
        co_await server.aclose();
    });
}

TEST_CASE("server: closed or destroyed while it waits for descriptors, it stays closed", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::get_running_loop().set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
        const changed_calls changed;
        changed->accept4 = [](int, sockaddr*, socklen_t*, int) {
            errno = EMFILE;
            return -1;
        };
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        co_await settle();
        co_await server.aclose();
        CHECK(aio::get_running_loop().pending_timers() == 0);
    });
}

namespace {

/// On each poller, cancelled once, and a second time one and two steps later.
template<class Scenario>
void cancel_everywhere(Scenario scenario, std::size_t least_points) {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        for (const std::size_t second : {0U, 1U, 2U}) {
            aio::testing::cancellation_plan plan;
            plan.second_after = second;
            plan.options.virtual_time = false;
            plan.options.poller = kind;
            const audited afterwards;
            const std::size_t before = open_descriptors();
            const auto report = aio::testing::for_each_cancellation(scenario, plan);
            CHECK(report.points >= least_points);
            CHECK(report.failed == 0);
            CHECK(closed_down_to(before));
        }
    }
}

/// A client that is gone resets its connection, which is reported.
void be_quiet() {
    aio::get_running_loop().set_exception_handler([](aio::event_loop&, const aio::exception_context&) {});
}

} // namespace

TEST_CASE("server: cancelled at every point, also twice, it leaves nothing open", "[io]") {
    cancel_everywhere(
        []() -> aio::task<> {
            be_quiet();
            aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
            auto body = [&]() -> aio::task<> {
                auto client = [&]() -> aio::task<> {
                    aio::stream stream = co_await connect_to(server);
                    const std::string answer = co_await ask(stream, "x\n");
                    CHECK(answer == "x\n");
                };
                co_await aio::gather(client, client);
            };
            co_await aio::with(server, body);
        },
        10);
}

TEST_CASE("server: serve_forever and wait_closed cancelled at every point, also twice", "[io][SRV-10][SRV-12]") {
    cancel_everywhere(
        []() -> aio::task<> {
            be_quiet();
            int cleaned = 0;
            int begun = 0;
            auto slow_to_end = [&](aio::stream client) -> aio::task<> {
                ++begun;
                std::exception_ptr cancelled;
                try {
                    co_await client.read_line();
                } catch (const aio::cancelled_error&) {
                    cancelled = std::current_exception();
                }
                for (int i = 0; i < 3; ++i) co_await aio::nothrow(aio::yield());
                ++cleaned;
                if (cancelled) std::rethrow_exception(cancelled);
            };
            aio::server server = co_await aio::start_server(slow_to_end, "127.0.0.1", 0);
            aio::stream client = co_await connect_to(server);
            const auto forever = aio::create_task(server.serve_forever());
            co_await settle();
            server.close();
            co_await forever;
            CHECK(begun == cleaned);
            client.abort();
            co_await server.wait_closed();
        },
        10);
}

TEST_CASE("server: a connection that its handler has released does not count any more", "[io]") {
    on_each_poller([]() -> aio::task<> {
        int taken = -1;
        const auto handler = [&](aio::stream client) { taken = client.release(); };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port());
        while (taken < 0) co_await aio::yield();
        server.close();
        co_await aio::wait_for(server.wait_closed(), 10s);
        REQUIRE(::write(taken, "on its own\n", 11) == 11);
        const std::string line = co_await there.read_line();
        CHECK(line == "on its own\n");
        CHECK(::close(taken) == 0);
    });
}

TEST_CASE("server: listens at several hosts, with one port, and without doubles", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const std::vector<std::string> hosts{"127.0.0.1", "127.0.0.2", "127.0.0.1"};
        aio::server server = co_await aio::start_server(echo_lines, hosts, 0);
        const std::vector<aio::address> where = server.addresses();
        REQUIRE(where.size() == 2);
        CHECK(where[0] == aio::address::ip("127.0.0.1", server.port()));
        CHECK(where[1] == aio::address::ip("127.0.0.2", server.port()));
        for (const std::string& host : hosts) {
            aio::stream there = co_await aio::open_connection(host, server.port());
            const std::string line = co_await ask(there, "hello\n");
            CHECK(line == "hello\n");
        }
        co_await server.aclose();
        aio::server in_braces = co_await at_two_hosts();
        CHECK(in_braces.addresses().size() == 2);
        co_await in_braces.aclose();
        std::string error =
            co_await error_of([] { return aio::start_server(echo_lines, std::vector<std::string>(), 0); });
        CHECK(error == "start_server: there is no host");
        const std::vector<std::string> wrong{"127.0.0.1", "no host!"};
        error = co_await error_of([&] { return aio::start_server(echo_lines, wrong, 0); });
        CHECK(contains(error, "resolve no host!:0"));
        const std::vector<std::string> elsewhere{"127.0.0.1", "192.0.2.1"}; // which this machine does not have
        aio::server one = co_await aio::start_server(echo_lines, elsewhere, 0);
        CHECK(one.addresses().size() == 1);
        co_await one.aclose();
    });
}

TEST_CASE("server: the options of sockets hold before listening, and for the connections", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<std::string> prepared;
        aio::server_options options;
        options.keep_alive = true;
        options.no_delay = false;
        options.receive_buffer = 20'000;
        options.send_buffer = 30'000;
        options.reuse_address = false;
        options.configure = [&](int fd, const aio::address& where) {
            CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
            CHECK(option_of(fd, SOL_SOCKET, SO_REUSEADDR) == 0);
            CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) >= 20'000);
            CHECK(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) == 0);
            prepared.push_back(where.to_string());
        };
        const aio::server_options copy = options;
        std::optional<aio::stream> connection;
        const auto handler = [&](aio::stream client) { connection.emplace(std::move(client)); };
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0, copy);
        CHECK(prepared.size() == 1);
        CHECK(prepared[0] == "127.0.0.1:0");
        aio::stream there = co_await connect_to(server);
        while (!connection) co_await aio::yield();
        const int fd = connection->native_handle();
        CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
        CHECK(option_of(fd, IPPROTO_TCP, TCP_NODELAY) == 0);
        CHECK(option_of(fd, SOL_SOCKET, SO_SNDBUF) >= 30'000);
        connection.reset();
        co_await server.aclose();
        aio::server plain = co_await aio::start_server(handler, "127.0.0.1", 0);
        there = co_await connect_to(plain);
        while (!connection) co_await aio::yield();
        CHECK(option_of(connection->native_handle(), IPPROTO_TCP, TCP_NODELAY) == 1);
        CHECK(option_of(connection->native_handle(), SOL_SOCKET, SO_KEEPALIVE) == 0);
        connection.reset();
        co_await plain.aclose();
    });
}

TEST_CASE("server: options that cannot be, or that are refused, start nothing", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::server_options negative;
        negative.receive_buffer = -1;
        const auto tcp = [](const aio::server_options& o) {
            return [&o] { return aio::start_server(echo_lines, "127.0.0.1", 0, o); };
        };
        std::string error = co_await error_of(tcp(negative));
        CHECK(error == "start_server: the size of a buffer must not be negative");
        aio::server_options mode;
        mode.mode = 0600;
        error = co_await error_of(tcp(mode));
        CHECK(error == "start_server: a mode is for Unix-domain sockets");
        error = co_await error_of([&] { return aio::start_unix_server(echo_lines, "@abstract", mode); });
        CHECK(contains(error, "a mode is 0 to 07777, and for a socket with a file"));
        aio::server_options throwing;
        throwing.configure = [](int, const aio::address&) { throw std::runtime_error("not this one"); };
        error = co_await error_of(tcp(throwing));
        CHECK(error == "not this one");
        aio::server_options closing;
        closing.configure = [](int fd, const aio::address&) { ::shutdown(fd, SHUT_RDWR); };
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0, closing);
        co_await server.aclose();
        aio::testing::faults faulty;
        faulty.fail("setsockopt", ENOPROTOOPT, 100);
        aio::server_options alive;
        alive.keep_alive = true;
        alive.reuse_address = false;
        error = co_await error_of(tcp(alive));
        CHECK(contains(error, "SO_KEEPALIVE for 127.0.0.1:0: Protocol not available"));
    });
}

TEST_CASE("server: the file of a Unix-domain socket has the mode that was asked for before anybody can connect",
          "[io][SRV-17]") {
    on_each_poller([]() -> aio::task<> {
        const std::string path = socket_path();
        const auto mode_of = [&] {
            struct stat found{};
            REQUIRE(::stat(path.c_str(), &found) == 0);
            return found.st_mode & 07777;
        };
        aio::server_options options;
        options.start_serving = false;
        for (const unsigned mode : {0600U, 0666U, 0000U}) {
            options.mode = mode;
            aio::server server = co_await aio::start_unix_server(echo_lines, path, options);
            CHECK(mode_of() == mode);
            const std::string early = co_await error_of([&] { return aio::open_unix_connection(path); });
            CHECK_FALSE(early.empty());
            if (mode == 0666U) {
                server.start_serving();
                aio::stream there = co_await aio::open_unix_connection(path);
                const std::string line = co_await ask(there, "hello\n");
                CHECK(line == "hello\n");
            }
            co_await server.aclose();
            CHECK_FALSE(exists(path));
        }
        aio::testing::faults faulty;
        faulty.fail("chmod", EPERM);
        const std::string error = co_await error_of([&] { return aio::start_unix_server(echo_lines, path, options); });
        CHECK(contains(error, "chmod for unix:" + path + ": Operation not permitted"));
        CHECK_FALSE(exists(path));
    });
}

TEST_CASE("server: ten thousand connections, one after the other", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server =
            co_await aio::start_unix_server(echo_lines, "@asynchio-many-" + std::to_string(::getpid()));
        for (int i = 0; i < 10'000; ++i) {
            aio::stream client = co_await aio::open_unix_connection(server.addresses()[0].path());
            const std::string answer = co_await ask(client, "x\n");
            if (answer != "x\n") FAIL_CHECK("connection " << i);
        }
        co_await server.aclose();
    });
}

// drain

TEST_CASE("server: drain lets idle clients see the end, and what has come is answered first", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::event go;
        const auto answers = [&go](aio::stream client) -> aio::task<> {
            for (;;) {
                const std::string line = co_await client.read_line();
                if (line.empty()) co_return;
                co_await go.wait();
                co_await client.write(line);
            }
        };
        aio::server server = co_await aio::start_server(answers, "127.0.0.1", 0);
        aio::stream idle = co_await connect_to(server);
        aio::stream busy = co_await connect_to(server);
        co_await busy.write("one\ntwo\n");
        co_await settle();
        const auto draining = aio::create_task(server.drain(1h));
        const std::string nothing = co_await idle.read_line();
        CHECK(nothing.empty());
        CHECK_FALSE(draining.done());
        CHECK_FALSE(server.is_serving());
        go.set();
        const std::string answers_of_busy = co_await busy.read_all();
        CHECK(answers_of_busy == "one\ntwo\n");
        const bool in_time = co_await draining;
        CHECK(in_time);
    });
}

TEST_CASE("server: drain without clients ends at once, also without a limit and the second time", "[io]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        const bool first = co_await server.drain(std::nullopt);
        CHECK(first);
        const bool second = co_await server.drain(0s);
        CHECK(second);
    });
}

TEST_CASE("server: drain resets what is left when the time is up, and waits for its handler", "[io]") {
    on_each_poller([]() -> aio::task<> {
        bool cleaned_up = false;
        const auto never_ends = [&cleaned_up](aio::stream client) -> aio::task<> {
            co_await client.read_line();
            auto cleanup = [&cleaned_up] { cleaned_up = true; };
            co_await aio::finally(aio::sleep(1h), cleanup);
        };
        aio::server server = co_await aio::start_server(never_ends, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        co_await client.write("x\n");
        co_await settle();
        const bool in_time = co_await server.drain(0s);
        CHECK_FALSE(in_time);
        CHECK(cleaned_up);
        const auto reading = co_await aio::nothrow(client.read_line());
        CHECK_THROWS_AS(reading.rethrow(), std::system_error);
    });
}

TEST_CASE("server: drain that is cancelled ends the handlers at once", "[io]") {
    on_each_poller([]() -> aio::task<> {
        bool cancelled = false;
        const auto waits = [&cancelled](aio::stream client) -> aio::task<> {
            try {
                co_await client.read_line();
                co_await aio::sleep(1h);
            } catch (const aio::cancelled_error&) {
                cancelled = true;
                throw;
            }
        };
        aio::server server = co_await aio::start_server(waits, "127.0.0.1", 0);
        aio::stream client = co_await connect_to(server);
        co_await client.write("x\n");
        co_await settle();
        const auto draining = aio::create_task(server.drain(std::nullopt));
        co_await settle();
        CHECK_FALSE(draining.done());
        draining.cancel();
        const auto ended = co_await aio::nothrow(draining);
        CHECK(ended.cancelled());
        CHECK(cancelled);
    });
}

TEST_CASE("server: drain in one of its own handlers is misuse, and so is a limit that is no number", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::string message;
        aio::server* one = nullptr;
        const auto drains = [&](aio::stream) -> aio::task<> {
            const auto drained = co_await aio::nothrow(one->drain(1s));
            message = message_of([&] { drained.rethrow(); });
        };
        aio::server server = co_await aio::start_server(drains, "127.0.0.1", 0);
        one = &server;
        aio::stream client = co_await connect_to(server);
        const std::string end = co_await client.read_line();
        CHECK(end.empty());
        CHECK(contains(message, "drain() in one of its own handlers"));
        const std::chrono::duration<double> nan(std::nan(""));
        CHECK_THROWS_AS(server.drain(nan), std::invalid_argument);
        co_await server.aclose();
    });
}

TEST_CASE("start_server: a handler that cannot be moved in leaves nothing") {
    const fragile value(1);
    const auto handler = [value](aio::stream) -> aio::task<> { co_return; };
    CHECK(throws_while_made([&] {
              auto given = handler;
              return aio::start_server(aio::take(given), "127.0.0.1", 0);
          }) > 1);
    CHECK(throws_while_made([&] {
              auto given = handler;
              return aio::start_unix_server(aio::take(given), "@x");
          }) > 1);
}
