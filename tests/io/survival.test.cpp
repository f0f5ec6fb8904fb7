// SPDX-License-Identifier: BSL-1.0

// What the other side, and the system, can do to streams and servers.

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/probes.hpp"
#include "support/reports.hpp"
#include "support/threads.hpp"

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/wait_for.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/testing/faults.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <random>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Both ends of a TCP connection.
struct tcp_pair {
    static aio::task<tcp_pair> make() {
        tcp_pair made;
        const aio::future<> accepted;
        auto keep = [&](aio::stream client) {
            made.second = std::move(client);
            accepted.set_result();
        };
        aio::server server = co_await aio::start_server(keep, "127.0.0.1", 0);
        made.first = co_await aio::open_connection("127.0.0.1", server.port());
        co_await accepted;
        co_return made;
    }
    aio::stream first;
    aio::stream second;
};

/// How often the loop's thread has slept.
long times_slept() {
    ::rusage used{};
    ::getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
}

/// Uses up all descriptors until the end of the scope.
class no_descriptors {
public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const ::rlimit fewer{std::min<::rlim_t>(before_.rlim_cur, 1000), before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &fewer);
        for (;;) {
            const int fd = ::fcntl(0, F_DUPFD_CLOEXEC, 3);
            if (fd < 0) break;
            held_.push_back(fd);
        }
    }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    ~no_descriptors() {
        for (const int each : held_) ::close(each);
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    ::rlimit before_{};
    std::vector<int> held_;
};

/// What a stream is asked to do, by name.
aio::task<> use(aio::stream& s, const std::string& how, int file) {
    char buffer[100];
    if (how == "read_some") {
        while (co_await s.read_some(buffer) != 0) {}
    } else if (how == "read") {
        for (std::string got = "x"; !got.empty();) got = co_await s.read(10);
    } else if (how == "read_exactly") {
        co_await s.read_exactly(1'000'000);
    } else if (how == "read_line") {
        for (std::string got = "x"; !got.empty();) got = co_await s.read_line();
    } else if (how == "read_until") {
        co_await s.read_until("never");
    } else if (how == "read_all") {
        co_await s.read_all();
    } else if (how == "write") {
        const std::string much(100'000, 'x');
        for (;;) co_await s.write(much);
    } else if (how == "write parts") {
        const std::vector<std::string> parts(10, std::string(50'000, 'x'));
        for (;;) co_await s.write(parts);
    } else {
        for (;;) co_await s.send_file(file, 0);
    }
}

void do_to(aio::stream& peer, const std::string& what) {
    if (what == "abort")
        peer.abort();
    else if (what == "half-close")
        ::shutdown(peer.native_handle(), SHUT_WR);
    else
        peer = aio::stream();
}

} // namespace

TEST_CASE("survival: resets, closes and half-closes end each call, before it and while it waits",
          "[io][SWR-16][SRD-13]") {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
    std::fputs(std::string(200'000, 'f').c_str(), file.get());
    std::fflush(file.get());
    on_each_poller([&]() -> aio::task<> {
        for (const std::string how : {"read_some", "read", "read_exactly", "read_line", "read_until", "read_all",
                                      "write", "write parts", "send_file"}) {
            for (const std::string what : {"abort", "close", "half-close"}) {
                const bool writes = how.front() == 'w' || how == "send_file";
                if (writes && what == "half-close") continue; // which is no reason to stop writing
                for (int point = 0; point < 4; ++point) {
                    INFO(how << ", " << what << " at point " << point);
                    tcp_pair ends = co_await tcp_pair::make();
                    if (point % 2 == 1) co_await ends.second.write("some bytes"); // are there or on their way
                    if (point < 2) do_to(ends.second, what);
                    auto body = [&] { return use(ends.first, how, ::fileno(file.get())); };
                    const auto user = aio::create_task(error_of(body));
                    co_await settle();
                    if (point >= 2) do_to(ends.second, what);
                    const std::string error = co_await user;
                    if (what == "abort" || writes) {
                        const bool told = contains(error, "Connection reset by peer") || contains(error, "Broken pipe");
                        CHECK(told);
                        CHECK(contains(error, "127.0.0.1:"));
                    } else if (how == "read_exactly" || how == "read_until") {
                        CHECK(contains(error, point % 2 == 1 ? "10 bytes read" : "0 bytes read"));
                    } else {
                        CHECK(error.empty());
                    }
                }
            }
        }
    });
}

TEST_CASE("survival: a server goes on whatever its clients do", "[io]") {
    on_each_poller([]() -> aio::task<> {
        reports seen;
        collect(seen);
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        for (int round = 0; round < 30; ++round) {
            std::vector<aio::stream> clients;
            for (int i = 0; i < 4; ++i) {
                clients.push_back(co_await aio::open_connection("127.0.0.1", server.port()));
                co_await clients.back().write(i == 0 ? "no newline" : "a line\n");
            }
            clients[1].abort(); // with the answer under way
            co_await clients[2].write_eof();
            const std::string answer = co_await clients[3].read_line();
            CHECK(answer == "a line\n");
        }
        co_await server.aclose();
        for (const report& each : seen) {
            const bool told = contains(each.error, "Connection reset by peer") || contains(each.error, "Broken pipe");
            CHECK(told);
        }
    });
}

TEST_CASE("survival: urgent data does not hold up what comes behind it", "[io]") {
    on_each_poller([]() -> aio::task<> {
        for (const bool waits : {false, true}) {
            tcp_pair ends = co_await tcp_pair::make();
            std::string got;
            auto reads = [&]() -> aio::task<> {
                while (got.size() < 4) got += co_await ends.second.read(100);
            };
            const auto reader = waits ? aio::create_task(reads()) : aio::task_handle<>();
            co_await settle();
            const int fd = ends.first.native_handle();
            CHECK(::send(fd, "ab", 2, 0) == 2);
            CHECK(::send(fd, "!", 1, MSG_OOB) == 1);
            CHECK(::send(fd, "cd", 2, 0) == 2);
            if (waits)
                co_await reader;
            else
                co_await reads();
            CHECK(got == "abcd");
        }
    });
}

TEST_CASE("survival: urgent data that nobody reads makes no wake-ups", "[io][time]") {
    on_each_poller([]() -> aio::task<> {
        aio::testing::faults faulty; // which counts
        tcp_pair ends = co_await tcp_pair::make();
        const auto reader = aio::create_task(ends.second.read_exactly(3));
        co_await settle();
        const int fd = ends.first.native_handle();
        CHECK(::send(fd, "ab", 2, 0) == 2);
        CHECK(::send(fd, "!", 1, MSG_OOB) == 1);
        co_await aio::sleep(100ms);
        CHECK(faulty.count("recv") < 20);
        CHECK(::send(fd, "c", 1, 0) == 1);
        const std::string got = co_await reader;
        CHECK(got == "abc");
    });
}

TEST_CASE("survival: a peer that never reads holds up a write, which a time-out ends; nothing is sent twice",
          "[io][SWR-4][SWR-8]") {
    on_each_poller([]() -> aio::task<> {
        tcp_pair ends = co_await tcp_pair::make();
        std::string much(20'000'000, ' ');
        for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<char>('a' + i % 23);
        auto writes = [&]() -> aio::task<> { co_await ends.first.write(much); };
        const auto ended = co_await aio::nothrow(aio::wait_for(writes, 50ms));
        CHECK_FALSE(ended);
        const auto sent = static_cast<std::size_t>(ends.first.bytes_written());
        CHECK(sent > 0);
        CHECK(sent < much.size());
        // The rest, from where it stopped.
        auto goes_on = [&]() -> aio::task<> {
            co_await ends.first.write(std::string_view(much).substr(sent));
            co_await ends.first.write_eof();
        };
        std::string got;
        auto reads = [&]() -> aio::task<> { got = co_await ends.second.read_all(); };
        co_await aio::gather(goes_on, reads);
        CHECK(got == much);
    });
}

TEST_CASE("survival: much in both directions at once, the bytes as they went in", "[io]") {
    on_each_poller([]() -> aio::task<> {
        tcp_pair ends = co_await tcp_pair::make();
        std::mt19937 random(7);
        std::string there(sanitized ? 2'000'000 : 6'000'000, ' ');
        for (char& each : there) each = static_cast<char>(random());
        const std::string back(there.rbegin(), there.rend());
        std::string arrived, returned;
        auto write = [](aio::stream& s, const std::string& what) -> aio::task<> {
            for (std::size_t at = 0; at < what.size(); at += 123'457)
                co_await s.write(std::string_view(what).substr(at, 123'457));
            co_await s.write_eof();
        };
        auto read = [](aio::stream& s, std::string& into) -> aio::task<> { into = co_await s.read_all(); };
        auto slowly = [](aio::stream& s, std::string& into) -> aio::task<> {
            const auto buffer = std::make_unique<char[]>(10'000);
            for (;;) {
                const std::size_t got = co_await s.read_some(aio::mutable_byte_view(buffer.get(), 10'000));
                if (got == 0) break;
                into.append(buffer.get(), got);
                if (into.size() % 7 == 0) co_await aio::yield();
            }
        };
        co_await aio::gather(write(ends.first, there), write(ends.second, back), read(ends.first, returned),
                             slowly(ends.second, arrived));
        CHECK(arrived == there);
        CHECK(returned == back);
    });
}

TEST_CASE("survival: SIGPIPE never kills, and one that is pending stays so", "[io]") {
    const auto before = std::signal(SIGPIPE, SIG_DFL);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
    std::fputs("text", file.get());
    std::fflush(file.get());
    on_each_poller([&]() -> aio::task<> {
        for (const bool is_pending : {false, true}) {
            sigset_t pipe;
            sigemptyset(&pipe);
            sigaddset(&pipe, SIGPIPE);
            if (is_pending) {
                ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
                ::raise(SIGPIPE);
            }
            int made[2];
            REQUIRE(::pipe2(made, O_CLOEXEC) == 0);
            aio::stream out = aio::stream::from_descriptor(made[1], "a pipe");
            ::close(made[0]);
            std::string error = co_await error_of([&] { return out.write("text"); });
            CHECK(error == "write to a pipe: Broken pipe");
            for (int how = 0; how < 3; ++how) {
                stream_pair ends;
                ends.second = aio::stream();
                const std::vector<std::string> parts(2, std::string("text"));
                if (how == 0)
                    error = co_await error_of([&] { return ends.first.write("text"); });
                else if (how == 1)
                    error = co_await error_of([&] { return ends.first.write(parts); });
                else
                    error = co_await error_of([&] { return ends.first.send_file(::fileno(file.get()), 0); });
                CHECK(contains(error, "Broken pipe"));
            }
            sigset_t pending;
            ::sigpending(&pending);
            CHECK((sigismember(&pending, SIGPIPE) == 1) == is_pending);
            if (is_pending) {
                int number = 0;
                ::sigwait(&pipe, &number);
                ::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
            }
        }
    });
    std::signal(SIGPIPE, before);
}

TEST_CASE("survival: no descriptor is inherited by another program", "[io]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<bool> foreign(2000, false);
        for (int fd = 0; fd < 2000; ++fd) foreign[static_cast<std::size_t>(fd)] = ::fcntl(fd, F_GETFD) != -1;
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        aio::server local = co_await aio::start_unix_server(echo_lines, "@asynchio-" + std::to_string(::getpid()));
        aio::stream client = co_await aio::open_connection("localhost", server.port());
        aio::stream other = co_await aio::open_unix_connection("@asynchio-" + std::to_string(::getpid()));
        co_await client.write("x\n");
        co_await other.write("x\n");
        std::string line = co_await client.read_line();
        line += co_await other.read_line();
        CHECK(line == "x\nx\n");
        int ours = 0;
        for (int fd = 0; fd < 2000; ++fd) {
            const int flags = ::fcntl(fd, F_GETFD);
            if (flags == -1 || foreign[static_cast<std::size_t>(fd)]) continue;
            ++ours;
            INFO("descriptor " << fd);
            CHECK((flags & FD_CLOEXEC) != 0);
        }
        CHECK(ours >= 6);
        co_await server.aclose();
        co_await local.aclose();
    });
}

TEST_CASE("survival: without descriptors a server waits, and serves those who came meanwhile", "[io][SRV-15][time]") {
    if (sanitized) return; // a sanitizer wants a pipe to look at an object
    on_each_poller([]() -> aio::task<> {
        reports seen;
        collect(seen);
        aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
        aio::stream first = co_await aio::open_connection("127.0.0.1", server.port());
        co_await first.write("first\n");
        std::string line = co_await first.read_line();
        CHECK(line == "first\n");
        // The client's socket is there before the descriptors go; connecting goes on in the system.
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        std::optional<no_descriptors> none(std::in_place);
        const aio::address where = aio::address::ip("127.0.0.1", server.port());
        REQUIRE(::connect(fd, where.data(), where.size()) == 0);
        co_await aio::sleep(20ms);
        const long before = times_slept();
        const auto begin = std::chrono::steady_clock::now();
        co_await aio::sleep(500ms);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        CHECK(static_cast<double>(times_slept() - before) <= 20 * took.count() + 5);
        CHECK(seen.size() == 1); // told once
        co_await first.write("still there\n");
        line = co_await first.read_line();
        CHECK(line == "still there\n");
        none.reset();
        aio::stream second = aio::stream::from_descriptor(fd);
        co_await second.write("second\n");
        line = co_await second.read_line();
        CHECK(line == "second\n");
        co_await server.aclose();
    });
}

TEST_CASE("survival: accepting that always fails does not keep the loop busy", "[io][SRV-15][time]") {
    for (const int error : {EPERM, ENETDOWN}) { // which single connections may have, too
        on_each_poller([error]() -> aio::task<> {
            reports seen;
            collect(seen);
            aio::testing::faults faulty;
            faulty.fail("accept4", error, aio::testing::faults::always);
            aio::server_options options;
            options.backlog = 10;
            aio::server server = co_await aio::start_server(echo_lines, "127.0.0.1", 0, options);
            aio::stream client = co_await aio::open_connection("127.0.0.1", server.port());
            co_await aio::sleep(250ms);
            CHECK(faulty.count("accept4") >= 20); // ten each time
            CHECK(faulty.count("accept4") <= 40);
            CHECK(seen.size() == 1);
            faulty.clear();
            co_await client.write("x\n");
            const std::string line = co_await client.read_line();
            CHECK(line == "x\n");
            co_await server.aclose();
        });
    }
}

TEST_CASE("survival: a server that cannot find out its port does not start", "[io][SRV-6]") {
    on_each_poller([]() -> aio::task<> {
        aio::testing::faults faulty;
        faulty.fail("getsockname", ENOBUFS);
        const std::string error = co_await error_of([] { return aio::start_server(echo_lines, "127.0.0.1", 0); });
        CHECK(error == "getsockname after bind to 127.0.0.1:0: No buffer space available");
    });
}

TEST_CASE("survival: connections that wait make no wake-ups", "[io][time]") {
    on_each_poller([]() -> aio::task<> {
        std::vector<tcp_pair> all;
        std::vector<aio::task_handle<std::string>> readers;
        for (int i = 0; i < 50; ++i) all.push_back(co_await tcp_pair::make());
        for (tcp_pair& each : all) {
            readers.push_back(aio::create_task(each.first.read_line()));
            readers.push_back(aio::create_task(each.second.read_line()));
        }
        co_await aio::sleep(10ms);
        const long before = times_slept();
        co_await aio::sleep(200ms);
        CHECK(times_slept() - before <= 2);
        for (auto& each : readers) each.cancel();
    });
}

TEST_CASE("survival: a descriptor's number that is used again is another stream's", "[io]") {
    on_each_poller([]() -> aio::task<> {
        tcp_pair old = co_await tcp_pair::make();
        const int number = old.first.native_handle();
        const auto reader = aio::create_task(old.first.read_line());
        co_await settle();
        co_await old.second.write("for the old one\n"); // noticed by nobody before it is closed
        co_await old.first.aclose();
        tcp_pair fresh = co_await tcp_pair::make();
        aio::stream& heir = fresh.first.native_handle() == number ? fresh.first : fresh.second;
        aio::stream& other = &heir == &fresh.first ? fresh.second : fresh.first;
        CHECK(heir.native_handle() == number);
        const auto waiting = aio::create_task(heir.read_line());
        co_await settle();
        CHECK_FALSE(waiting.done());
        co_await other.write("for the heir\n");
        const std::string line = co_await waiting;
        CHECK(line == "for the heir\n");
        const std::string nothing = co_await reader;
        CHECK(nothing.empty());
    });
}

TEST_CASE("survival: streams and servers live through several runs of a runner, and may outlive it", "[io]") {
    const audited afterwards;
    std::optional<aio::server> server;
    aio::stream client;
    {
        aio::runner runner;
        server = runner.run(aio::start_server(echo_lines, "127.0.0.1", 0));
        client = runner.run(aio::open_connection("127.0.0.1", server->port()));
        for (int i = 0; i < 3; ++i) {
            const std::string answer = runner.run([&]() -> aio::task<std::string> {
                co_await client.write("x\n");
                co_return co_await client.read_line();
            });
            CHECK(answer == "x\n");
        }
    }
    CHECK_FALSE(server->is_serving());
    CHECK(server->addresses().empty());
    CHECK_THROWS_AS(server->start_serving(), std::logic_error);
    server->close_clients();
    server.reset();
    const std::string end = aio::run([&]() -> aio::task<std::string> { co_return co_await client.read_all(); });
    CHECK(end.empty());
    client = aio::stream();
}
