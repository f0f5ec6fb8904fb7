// SPDX-License-Identifier: BSL-1.0
// covers: task/detail/user_line.hpp
#include <asynchio/task/detail/user_line.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/process.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/sleep.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/virtual_run.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <netdb.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

struct told {
    std::string message;
    std::string file;
    unsigned line;
};

/// What debug mode reports of `main()`, long steps excepted.
template<class Main>
std::vector<told> told_of(Main main, bool debug = true) {
    std::vector<told> all;
    auto whole = [&]() -> aio::task<> {
        auto& loop = aio::get_running_loop();
        loop.set_slow_callback_duration(1h);
        loop.set_report_handler([&all](aio::event_loop&, const aio::exception_context& context) {
            all.push_back({context.message, context.created.file_name(), context.created.line()});
        });
        co_await main();
    };
    virtual_run(whole(), {.debug = debug});
    return all;
}

std::string sleeping() { return "sleep"; }

} // namespace

TEST_CASE("unclosed: debug mode reports a server that is dropped while it is open, with its line", "[io][DBG-14]") {
    for (const bool debug : {true, false}) {
        unsigned line = 0;
        const auto all = told_of(
            [&]() -> aio::task<> {
                {
                    line = __LINE__ + 1;
                    const aio::server dropped = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
                }
                {
                    aio::server closed = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
                    co_await closed.aclose();
                }
                {
                    aio::server stopped = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
                    stopped.close();
                }
                auto unwound = []() -> aio::task<> {
                    const aio::server open = co_await aio::start_server(echo_lines, "127.0.0.1", 0);
                    throw std::runtime_error("why");
                };
                const auto why = co_await aio::nothrow(unwound());
                CHECK(!why);
            },
            debug);
        REQUIRE(all.size() == (debug ? 1 : 0));
        if (!debug) continue;
        CHECK(all[0].message == "a server was dropped while it was open, so that nobody waits for its handlers");
        CHECK(all[0].file == __FILE__);
        CHECK(all[0].line == line);
    }
}

TEST_CASE("unclosed: debug mode reports a process that is dropped while it runs, with its line", "[io][DBG-14]") {
    for (const bool debug : {true, false}) {
        unsigned line = 0;
        std::string pid;
        const auto all = told_of(
            [&]() -> aio::task<> {
                {
                    line = __LINE__ + 1;
                    const aio::process dropped = co_await aio::create_subprocess(sleeping(), "1000");
                    pid = std::to_string(dropped.pid());
                }
                aio::process ended = co_await aio::create_subprocess("true");
                co_await ended.wait();
                aio::process killed = co_await aio::create_subprocess(sleeping(), "1000");
                killed.kill();
                co_await killed.wait();
            },
            debug);
        REQUIRE(all.size() == (debug ? 1 : 0));
        if (!debug) continue;
        CHECK(all[0].message == "process " + pid + " was dropped while it ran, and is killed");
        CHECK(all[0].file == __FILE__);
        CHECK(all[0].line == line);
    }
}

TEST_CASE("unclosed: debug mode reports a stream that is dropped before all was read", "[io][DBG-14]") {
    for (const bool debug : {true, false}) {
        unsigned line = 0;
        const auto all = told_of(
            [&]() -> aio::task<> {
                aio::server server = co_await aio::start_server(
                    [](aio::stream client) -> aio::task<> {
                        co_await client.write("one\ntwo\n");
                        co_await client.read_all(); // until the other side is gone
                    },
                    "127.0.0.1", 0);
                auto connect = [&]() -> aio::task<aio::stream> {
                    return aio::open_connection("127.0.0.1", server.port());
                };
                {
                    line = __LINE__ + 1;
                    aio::stream left_early = co_await connect();
                    const std::string first = co_await left_early.read_line();
                    CHECK(first == "one\n");
                }
                {
                    aio::stream replaced = co_await connect();
                    const std::string first = co_await replaced.read_line();
                    CHECK(first == "one\n");
                    replaced = aio::stream();
                }
                {
                    aio::stream all_read = co_await connect();
                    const std::string both = co_await all_read.read_exactly(8);
                    CHECK(both == "one\ntwo\n");
                }
                {
                    aio::stream closed = co_await connect();
                    const std::string first = co_await closed.read_line();
                    CHECK(first == "one\n");
                    co_await closed.aclose();
                }
                {
                    aio::stream aborted = co_await connect();
                    const std::string first = co_await aborted.read_line();
                    CHECK(first == "one\n");
                    aborted.abort();
                }
                co_await server.aclose();
            },
            debug);
        REQUIRE(all.size() == (debug ? 2 : 0));
        if (!debug) continue;
        CHECK(all[1].message.ends_with(" was dropped while 4 bytes that have come were unread"));
        CHECK(all[0].message.starts_with("the stream to 127.0.0.1:"));
        CHECK(all[0].message.ends_with(" was dropped while 4 bytes that have come were unread"));
        CHECK(all[0].file == __FILE__);
        CHECK(all[0].line == line);
    }
}

TEST_CASE("unclosed: debug mode reports a look-up that takes long, with its line", "[io][DBG-12]") {
    const changed_calls changed;
    changed->getaddrinfo = [](const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
        if ((hints->ai_flags & AI_NUMERICHOST) != 0 && std::string(host) == "far.test") return EAI_NONAME;
        return ::getaddrinfo("127.0.0.1", service, hints, found);
    };
    for (const bool slow : {true, false}) {
        unsigned line = 0;
        const auto all = told_of([&]() -> aio::task<> {
            if (slow) aio::get_running_loop().set_slow_callback_duration(1ns);
            line = __LINE__ + 1;
            const std::vector<aio::address> found = co_await aio::resolve("far.test", 80);
            CHECK(found.size() == 1);
            aio::get_running_loop().set_slow_callback_duration(1h);
        });
        std::size_t reports = 0;
        for (const told& each : all) {
            if (!contains(each.message, "resolve")) continue; // a step
            ++reports;
            CHECK(each.message.starts_with("to resolve far.test:80 took "));
            CHECK(each.file == __FILE__);
            CHECK(each.line == line);
        }
        CHECK(reports == (slow ? 1 : 0));
    }
}
