// SPDX-License-Identifier: BSL-1.0
#include <asynchio/io/open_connection.hpp>

// covers: io/resolve.hpp
// covers: io/socket_options.hpp
#include <asynchio/io/resolve.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"

#include <asynchio/combine/wait_for.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/faults.hpp>
#include <asynchio/testing/for_each_cancellation.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

aio::task<> greet(aio::stream client) { co_await client.write("hello\n"); }

/// Names for the tests, without asking anybody: "both.test" has two addresses of which nobody listens at the first.
int names_of_tests(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
    if ((hints->ai_flags & AI_NUMERICHOST) || std::string(host) != "both.test")
        return ::getaddrinfo(host, service, hints, found);
    addrinfo numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    addrinfo* second = nullptr;
    int error = ::getaddrinfo("127.0.0.9", service, &numeric, found);
    if (error == 0) error = ::getaddrinfo("127.0.0.1", service, &numeric, &second);
    if (error == 0) (*found)->ai_next = second;
    return error;
}

/// While it is closed, questions for names wait in their threads.
struct gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
    int waiting = 0;

    void pass() {
        std::unique_lock lock(mutex);
        ++waiting;
        opened.wait(lock, [this] { return open; });
        --waiting;
        opened.notify_all();
    }
    void let_all_go() {
        std::unique_lock lock(mutex);
        open = true;
        opened.notify_all();
        opened.wait(lock, [this] { return waiting == 0; });
        open = false;
    }
};
gate slow_names;

int slow_resolver(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
    if (!(hints->ai_flags & AI_NUMERICHOST)) slow_names.pass();
    return ::getaddrinfo(host, service, hints, found);
}

} // namespace

TEST_CASE("resolve: numbers need no thread, and ports are checked", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<aio::address> all = co_await aio::resolve("127.0.0.1", 80);
        REQUIRE(all.size() == 1);
        CHECK(all[0].to_string() == "127.0.0.1:80");
        all = co_await aio::resolve("::1", "443");
        REQUIRE(all.size() == 1);
        CHECK(all[0].to_string() == "[::1]:443");
        CHECK(aio::testing::audit().threads == 0);
        CHECK(message_of([] { static_cast<void>(aio::resolve("x", 70000)); }) ==
              "resolve: 70000 is not a port (0 to 65535)");
    });
}

TEST_CASE("resolve: names are asked for in threads; what has none is an error that names it", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<aio::address> all = co_await aio::resolve("localhost", 80, AF_INET);
        REQUIRE(all.size() == 1);
        CHECK(all[0].to_string() == "127.0.0.1:80");
        const std::string error = co_await error_of([] { return aio::resolve("no such host.invalid", 80); });
        CHECK(contains(error, "resolve no such host.invalid:80: "));
        bool category = false;
        try {
            co_await aio::resolve("no such host.invalid", 80);
        } catch (const std::system_error& e) {
            category = e.code().category() == aio::resolve_category();
        }
        CHECK(category);
    });
}

TEST_CASE("resolve: a cancelled question is not waited for, not even at the end of the loop", "[io]") {
    const changed_calls changed;
    changed->getaddrinfo = &slow_resolver;
    {
        const watchdog guard;
        aio::run([]() -> aio::task<> {
            const auto asking = aio::create_task(aio::resolve("localhost", 80));
            while (true) {
                {
                    const std::unique_lock lock(slow_names.mutex);
                    if (slow_names.waiting == 1) break;
                }
                co_await aio::yield();
            }
            CHECK(asking.cancel());
            const auto ended = co_await aio::nothrow(asking);
            CHECK(ended.cancelled());
        });
    }
    slow_names.let_all_go();
    while (aio::testing::audit().threads != 0) {} // the thread that was left behind
}

TEST_CASE("resolve: questions that nobody waits for any more do not keep others waiting", "[io]") {
    const changed_calls changed;
    changed->getaddrinfo = [](const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
        if (std::string(host) == "slow.test") {
            if (hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
            slow_names.pass();
            return EAI_NONAME;
        }
        return ::getaddrinfo(host, service, hints, found);
    };
    const auto waiting = [] {
        const std::unique_lock lock(slow_names.mutex);
        return slow_names.waiting;
    };
    const audited afterwards;
    const watchdog guard;
    aio::run([&]() -> aio::task<> {
        for (int abandoned = 0; abandoned < 20; ++abandoned) { // more than there are threads for those who wait
            const auto asking = aio::create_task(aio::resolve("slow.test", 80));
            while (waiting() != abandoned + 1) co_await aio::yield();
            asking.cancel();
            const auto ended = co_await aio::nothrow(asking);
            CHECK(ended.cancelled());
            if (abandoned % 5 != 0) continue;
            const std::vector<aio::address> all = co_await aio::resolve("localhost", 80, AF_INET);
            CHECK(all.size() == 1);
        }
        // Those who wait are four at a time still.
        std::vector<aio::task_handle<std::vector<aio::address>>> asked;
        for (int i = 0; i < 6; ++i) asked.push_back(aio::create_task(aio::resolve("slow.test", 80)));
        while (waiting() != 24) co_await aio::yield();
        for (int i = 0; i < 1'000; ++i) co_await aio::yield();
        CHECK(waiting() == 24);
        asked[0].cancel(); // the next takes its place, and is cancelled where it is
        while (waiting() != 25) co_await aio::yield();
        for (const auto& each : asked) each.cancel();
        for (const auto& each : asked) co_await aio::nothrow(each);
        slow_names.let_all_go();
        while (aio::testing::audit().threads > 4) co_await aio::yield(); // no more than are needed stay
        const std::vector<aio::address> all = co_await aio::resolve("localhost", 80, AF_INET);
        CHECK(all.size() == 1);
    });
}

TEST_CASE("open_connection: connects by name and by number", "[io][SRV-1][SWR-19]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(greet, "127.0.0.1", 0);
        for (int i = 0; i < 2; ++i) {
            aio::stream stream = co_await aio::open_connection(i == 0 ? "127.0.0.1" : "localhost", server.port());
            const std::string line = co_await stream.read_line();
            CHECK(line == "hello\n");
            CHECK(stream.peer_address().port() == server.port());
            CHECK(stream.local_address().host() == "127.0.0.1");
            int on = 0;
            socklen_t size = sizeof on;
            CHECK(::getsockopt(stream.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0);
            CHECK(on == 1);
        }
        co_await server.aclose();
    });
}

TEST_CASE("open_connection: who refuses is named", "[io][SRV-1][SRV-2]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(greet, "127.0.0.1", 0);
        const int port = server.port();
        const std::string text = std::to_string(port);
        co_await server.aclose();
        std::string error = co_await error_of([&] { return aio::open_connection("127.0.0.1", port); });
        CHECK(error == "connect to 127.0.0.1:" + text + ": Connection refused");
        const changed_calls changed;
        changed->getaddrinfo = &names_of_tests;
        error = co_await error_of([&] { return aio::open_connection("both.test", port); });
        CHECK(error ==
              "connect to both.test:" + text + " (127.0.0.9:" + text + ", 127.0.0.1:" + text + "): Connection refused");
        changed->connect = [](int fd, const sockaddr* to, socklen_t size) {
            if (aio::address(to, size).host() != "127.0.0.9") return ::connect(fd, to, size);
            errno = ENETUNREACH;
            return -1;
        };
        error = co_await error_of([&] { return aio::open_connection("both.test", port); });
        CHECK(error == "connect to both.test:" + text + " (127.0.0.9:" + text + ": Network is unreachable; 127.0.0.1:" +
                           text + ": Connection refused): Network is unreachable");
        error = co_await error_of([&] { return aio::open_connection("127.0.0.1", 65536); });
        CHECK(error == "open_connection: 65536 is not a port (0 to 65535)");
    });
}

TEST_CASE("open_connection: goes on to the next address when one fails", "[io][SRV-2]") {
    on_each_poller([]() -> aio::task<> {
        aio::server server = co_await aio::start_server(greet, "127.0.0.1", 0);
        const changed_calls changed;
        changed->getaddrinfo = &names_of_tests;
        aio::stream stream = co_await aio::open_connection("both.test", server.port());
        CHECK(stream.peer_address().host() == "127.0.0.1");
        co_await server.aclose();
    });
}

TEST_CASE("open_connection: tries the next address beside one that does not answer, and takes who is first",
          "[io][SRV-3][time]") {
    on_each_poller([]() -> aio::task<> {
        // A listener whose backlog is full does not answer.
        const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        aio::server server = co_await aio::start_server(greet, "127.0.0.1", 0);
        const aio::address there = aio::address::ip("127.0.0.9", server.port());
        REQUIRE(::bind(silent, there.data(), there.size()) == 0);
        REQUIRE(::listen(silent, 0) == 0);
        std::vector<int> full;
        for (int i = 0; i < 3; ++i) {
            full.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            ::connect(full.back(), there.data(), there.size());
        }
        const changed_calls changed;
        changed->getaddrinfo = &names_of_tests;
        aio::connect_options options;
        options.happy_eyeballs_delay = 20ms;
        aio::stream stream = co_await aio::open_connection("both.test", server.port(), options);
        CHECK(stream.peer_address().host() == "127.0.0.1");
        // Alone, it times out.
        options.timeout = 30ms;
        const std::string error =
            co_await error_of([&] { return aio::open_connection("127.0.0.9", server.port(), options); });
        CHECK(error == "connect to 127.0.0.9:" + std::to_string(server.port()) + ": timed out");
        for (const int each : full) ::close(each);
        ::close(silent);
        co_await server.aclose();
    });
}

TEST_CASE("open_connection: the timeout holds while the name is asked for, too", "[io][time]") {
    const changed_calls changed;
    changed->getaddrinfo = &slow_resolver;
    aio::run([]() -> aio::task<> {
        aio::connect_options options;
        options.timeout = 10ms;
        const std::string error = co_await error_of([&] { return aio::open_connection("localhost", 80, options); });
        CHECK(error == "connect to localhost:80: timed out while resolving");
    });
    slow_names.let_all_go();
    while (aio::testing::audit().threads != 0) {}
}

TEST_CASE("open_connection: cancelled at every point, also twice, it leaves no socket open", "[io][SRV-4]") {
    for (const auto kind : {aio::poller_kind::epoll, aio::poller_kind::poll}) {
        for (const std::size_t second : {0U, 1U}) {
            aio::testing::cancellation_plan plan;
            plan.second_after = second;
            plan.options.virtual_time = false;
            plan.options.poller = kind;
            const audited afterwards;
            const std::size_t before = open_descriptors();
            const auto scenario = []() -> aio::task<> {
                aio::server server = co_await aio::start_server(greet, "127.0.0.1", 0);
                aio::stream stream = co_await aio::open_connection("127.0.0.1", server.port());
                co_await stream.read_line();
                co_await server.aclose();
            };
            const auto report = aio::testing::for_each_cancellation(scenario, plan);
            CHECK(report.points >= 3);
            CHECK(report.failed == 0);
            CHECK(closed_down_to(before));
        }
    }
}

TEST_CASE("open_connection: without descriptors it says so", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const changed_calls changed;
        changed->socket = [](int, int, int) {
            errno = EMFILE;
            return -1;
        };
        const std::string error = co_await error_of([] { return aio::open_connection("127.0.0.1", 80); });
        CHECK(error == "connect to 127.0.0.1:80: Too many open files");
    });
}

TEST_CASE("open_connection: the options of sockets hold before connecting", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const auto handler = [](aio::stream) {};
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        std::string prepared;
        aio::connect_options options;
        options.keep_alive = true;
        options.no_delay = false;
        options.send_buffer = 30'000;
        options.local_address = aio::address::ip("127.0.0.9", 0);
        options.configure = [&](int fd, const aio::address& where) {
            prepared += where.to_string();
            CHECK(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1);
            CHECK(option_of(fd, SOL_SOCKET, SO_SNDBUF) >= 30'000);
        };
        aio::stream there = co_await aio::open_connection("127.0.0.1", server.port(), options);
        CHECK(prepared == "127.0.0.1:" + std::to_string(server.port()));
        CHECK(there.local_address().host() == "127.0.0.9");
        CHECK(option_of(there.native_handle(), IPPROTO_TCP, TCP_NODELAY) == 0);
        aio::stream plain = co_await aio::open_connection("127.0.0.1", server.port());
        CHECK(option_of(plain.native_handle(), IPPROTO_TCP, TCP_NODELAY) == 1);
        CHECK(option_of(plain.native_handle(), SOL_SOCKET, SO_KEEPALIVE) == 0);
        co_await server.aclose();
    });
}

TEST_CASE("open_connection: options that cannot be, or that are refused, are told, and leave nothing open", "[io]") {
    on_each_poller([]() -> aio::task<> {
        const auto handler = [](aio::stream) {};
        aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
        const int port = server.port();
        const auto connect = [port](const aio::connect_options& o) {
            return [port, &o] { return aio::open_connection("127.0.0.1", port, o); };
        };
        aio::connect_options negative;
        negative.send_buffer = -1;
        std::string error = co_await error_of(connect(negative));
        CHECK(error == "open_connection: the size of a buffer must not be negative");
        error = co_await error_of([&] { return aio::open_unix_connection("@nobody", negative); });
        CHECK(error == "open_unix_connection: the size of a buffer must not be negative");
        aio::connect_options throwing;
        throwing.configure = [](int, const aio::address&) { throw std::runtime_error("not this one"); };
        error = co_await error_of(connect(throwing));
        CHECK(error == "not this one");
        error = co_await error_of([&] { return aio::open_unix_connection("@nobody", throwing); });
        CHECK(error == "not this one");
        aio::connect_options other_family;
        other_family.local_address = aio::address::ip("::1", 0);
        error = co_await error_of(connect(other_family));
        CHECK(contains(error, "connect to 127.0.0.1:"));
        aio::connect_options foreign;
        foreign.local_address = aio::address::ip("192.0.2.1", 0);
        error = co_await error_of(connect(foreign));
        CHECK(contains(error, "Cannot assign requested address"));
        aio::testing::faults faulty;
        faulty.fail("setsockopt", ENOPROTOOPT, 100);
        aio::connect_options alive;
        alive.keep_alive = true;
        error = co_await error_of(connect(alive));
        CHECK(contains(error, "Protocol not available"));
        co_await server.aclose();
    });
}

TEST_CASE("socket_hook: is a value: copies have a function of their own, and an empty one does nothing", "[io]") {
    const aio::address where = aio::address::ip("127.0.0.1", 1);
    int calls = 0;
    aio::socket_hook counting = [&calls, own = 0](int fd, const aio::address&) mutable { calls += ++own * fd; };
    aio::socket_hook copy = counting;
    copy(1, where);
    copy(1, where);
    counting(10, where);
    CHECK(calls == 13);
    aio::socket_hook moved = std::move(copy);
    CHECK(moved);
    copy = moved;
    copy = aio::socket_hook();
    CHECK_FALSE(copy);
    copy(1, where);
    CHECK(calls == 13);
    aio::socket_hook& self = moved;
    moved = self;
    moved(1, where);
    CHECK(calls == 16);
}

TEST_CASE("open_unix_connection: connects by path and by abstract name", "[io][SRV-17]") {
    on_each_poller([]() -> aio::task<> {
        const std::string name = "@asynchio-test-" + std::to_string(::getpid());
        aio::server server = co_await aio::start_unix_server(greet, name);
        aio::stream stream = co_await aio::open_unix_connection(name);
        const std::string line = co_await stream.read_line();
        CHECK(line == "hello\n");
        CHECK(stream.peer_address().path() == name);
        co_await server.aclose();
        const std::string error = co_await error_of([&] { return aio::open_unix_connection(name); });
        CHECK(error == "connect to unix:" + name + ": Connection refused");
    });
}

TEST_CASE("open_unix_connection: waits while the backlog is full", "[io][time]") {
    on_each_poller([]() -> aio::task<> {
        const std::string name = "@asynchio-full-" + std::to_string(::getpid());
        const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const aio::address where = aio::address::unix_path(name);
        REQUIRE(::bind(listener, where.data(), where.size()) == 0);
        REQUIRE(::listen(listener, 0) == 0);
        aio::stream first = co_await aio::open_unix_connection(name);
        const auto second = aio::create_task(aio::open_unix_connection(name));
        aio::connect_options soon;
        soon.timeout = 5ms;
        const std::string error = co_await error_of([&] { return aio::open_unix_connection(name, soon); });
        CHECK(error == "connect to unix:" + name + ": timed out");
        CHECK_FALSE(second.done());
        ::close(::accept(listener, nullptr, nullptr));
        co_await second;
        ::close(listener);
    });
}
