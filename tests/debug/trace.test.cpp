// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/trace.hpp>

// covers: debug/detail/trace_file.hpp
#include <asynchio/combine/gather.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/sync/queue.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>

#include "support/captured_stderr.hpp"
#include "support/message_of.hpp"
#include "support/virtual_run.hpp"

#include <cctype>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace aio = asynchio;
using asynchio_tests::captured_stderr;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

/// A file that is gone at the end.
struct temporary_file {
    temporary_file() {
        std::string pattern = (std::filesystem::temp_directory_path() / "trace-XXXXXX").string();
        const int file = ::mkstemp(pattern.data());
        if (file >= 0) ::close(file);
        path = pattern;
    }
    temporary_file(const temporary_file&) = delete;
    temporary_file& operator=(const temporary_file&) = delete;
    ~temporary_file() { std::filesystem::remove(path); }
    std::string text() const {
        std::ifstream in(path);
        std::ostringstream all;
        all << in.rdbuf();
        return all.str();
    }
    std::string path;
};

/// An event, as name and text of each member.
using event = std::map<std::string, std::string>;

/// Reads one JSON value, as its text; strings are unescaped as far as the tests need it.
/// @throws std::runtime_error for what is no JSON.
std::string value_at(const std::string& text, std::size_t& at, event* members = nullptr) {
    const auto skip = [&] {
        while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
    };
    const auto expect = [&](char c) {
        skip();
        if (at >= text.size() || text[at] != c)
            throw std::runtime_error(std::string("expected ") + c + " at " + std::to_string(at));
        ++at;
    };
    skip();
    if (at >= text.size()) throw std::runtime_error("ends early");
    std::string value;
    if (text[at] == '"') {
        for (++at; at < text.size() && text[at] != '"'; ++at) {
            if (text[at] == '\\') ++at;
            value += text[at];
        }
        expect('"');
    } else if (text[at] == '{') {
        const std::size_t begin = at++;
        skip();
        if (text[at] == '}') return text.substr(begin, ++at - begin);
        for (;;) {
            const std::string name = value_at(text, at);
            expect(':');
            const std::string member = value_at(text, at);
            if (members != nullptr && !members->emplace(name, member).second)
                throw std::runtime_error("twice: " + name);
            skip();
            if (text[at] == '}') return text.substr(begin, ++at - begin);
            expect(',');
        }
    } else {
        while (at < text.size() && std::string("+-.0123456789eEtruefalsn").find(text[at]) != std::string::npos)
            value += text[at++];
        if (value.empty()) throw std::runtime_error("no value at " + std::to_string(at));
    }
    return value;
}

/// Reads a trace. @throws std::runtime_error if it is not a JSON array of objects.
std::vector<event> events_of(const std::string& text) {
    std::vector<event> all;
    std::size_t at = 0;
    if (text.empty() || text[at++] != '[') throw std::runtime_error("no array");
    for (;;) {
        event one;
        value_at(text, at, &one);
        all.push_back(one);
        while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
        if (at < text.size() && text[at] == ']') return all;
        if (at >= text.size() || text[at++] != ',') throw std::runtime_error("no end of the array");
    }
}

std::vector<event> of_phase(const std::vector<event>& all, const std::string& phase) {
    std::vector<event> some;
    for (const event& each : all)
        if (each.at("ph") == phase) some.push_back(each);
    return some;
}

aio::task<> worker() {
    co_await aio::yield();
    co_await aio::sleep(1ms);
}

} // namespace

TEST_CASE("trace: a slice for each step, with function and task") {
    const temporary_file file;
    virtual_run([&]() -> aio::task<> {
        const aio::debug::trace t(file.path);
        co_await aio::create_task(worker(), "a \"worker\"");
    });
    const auto all = events_of(file.text());
    std::size_t steps = 0;
    double last = 0;
    for (const event& each : of_phase(all, "X")) {
        CHECK(std::stod(each.at("dur")) >= 0);
        CHECK(std::stod(each.at("ts")) >= last); // one thread: a step begins when the last one has ended
        last = std::stod(each.at("ts")) + std::stod(each.at("dur")) - 0.002;
        if (!contains(each.at("name"), "worker")) continue;
        ++steps;
        CHECK(contains(each.at("args"), R"("task":"a \"worker\"")"));
        CHECK(contains(each.at("args"), "trace.test.cpp:"));
    }
    CHECK(steps == 3);
}

TEST_CASE("trace: a step that a call of the loop makes is one of its task") {
    const temporary_file file;
    virtual_run([&]() -> aio::task<> {
        const aio::debug::trace t(file.path);
        aio::queue<int> items;
        const auto takes = [](aio::queue<int>& from) -> aio::task<int> { co_return co_await from.get(); };
        const auto taking = aio::create_task(takes(items), "taker");
        co_await aio::yield();
        items.put_nowait(1);
        co_await taking;
    });
    std::size_t steps = 0;
    for (const event& each : of_phase(events_of(file.text()), "X"))
        if (each.count("args") != 0 && contains(each.at("args"), R"("task":"taker")")) ++steps;
    CHECK(steps == 2);
}

TEST_CASE("trace: a track for each task, from its first step to its end") {
    const temporary_file file;
    virtual_run([&]() -> aio::task<> {
        const aio::debug::trace t(file.path);
        const auto one = aio::create_task(worker());
        const auto two = aio::create_task(worker());
        co_await aio::gather(one, two);
    });
    const auto all = events_of(file.text());
    std::map<std::string, double> begins;
    for (const event& each : of_phase(all, "b")) begins[each.at("id")] = std::stod(each.at("ts"));
    const auto ends = of_phase(all, "e");
    CHECK(ends.size() == 2); // the main task has not ended
    for (const event& each : ends) {
        CHECK(begins.count(each.at("id")) == 1);
        CHECK(begins[each.at("id")] <= std::stod(each.at("ts")));
        CHECK(contains(each.at("name"), "worker (Task-"));
    }
}

TEST_CASE("trace: an arrow from the step that wakes to the step that follows, with both ends in slices") {
    const temporary_file file;
    virtual_run([&]() -> aio::task<> {
        const aio::debug::trace t(file.path);
        aio::event go;
        const auto waits = [](aio::event& e) -> aio::task<> { co_await e.wait(); };
        const auto handle = aio::create_task(waits(go));
        co_await aio::yield();
        go.set();
        co_await handle;
    });
    const auto all = events_of(file.text());
    const auto starts = of_phase(all, "s");
    const auto ends = of_phase(all, "f");
    REQUIRE_FALSE(starts.empty());
    REQUIRE(starts.size() == ends.size());
    std::map<std::string, double> woken;
    for (const event& each : starts) woken[each.at("id")] = std::stod(each.at("ts"));
    const auto slices = of_phase(all, "X");
    const auto in_slice = [&](double at) {
        for (const event& each : slices) {
            const double begin = std::stod(each.at("ts"));
            if (at >= begin - 0.001 && at <= begin + std::stod(each.at("dur")) + 0.002) return true;
        }
        return false;
    };
    std::size_t in_slices = 0;
    for (const event& each : ends) {
        REQUIRE(woken.count(each.at("id")) == 1);
        CHECK(woken[each.at("id")] <= std::stod(each.at("ts")));
        CHECK(in_slice(std::stod(each.at("ts"))));
        if (in_slice(woken[each.at("id")])) ++in_slices;
    }
    CHECK(in_slices == ends.size());
}

TEST_CASE("trace: curves of ready tasks and of all") {
    const temporary_file file;
    virtual_run([&]() -> aio::task<> {
        const aio::debug::trace t(file.path);
        std::vector<aio::task_handle<>> all;
        for (int i = 0; i < 5; ++i) all.push_back(aio::create_task(worker()));
        co_await aio::yield();
        for (const auto& each : all) co_await each;
    });
    std::set<std::string> ready;
    for (const event& each : of_phase(events_of(file.text()), "C"))
        if (each.at("name") == "ready") ready.insert(each.at("args"));
    CHECK(ready.count("{\"ready\":5}") == 1);
    CHECK(ready.count("{\"ready\":0}") == 1);
}

TEST_CASE("trace: the file is whole while the program runs") {
    const temporary_file file;
    virtual_run([&]() -> aio::task<> {
        const aio::debug::trace t(file.path);
        for (int i = 0; i < 20'000; ++i) co_await aio::yield();
        std::size_t seen = 0;
        for (int tries = 0; tries < 10'000 && seen < 4'096; ++tries) {
            try { // the reading may meet a write
                seen = events_of(file.text()).size();
            } catch (const std::runtime_error&) {}
            std::this_thread::sleep_for(1ms);
        }
        CHECK(seen >= 4'096);
    });
    CHECK(of_phase(events_of(file.text()), "X").size() >= 19'999); // the last step has not ended
}

TEST_CASE("trace: one that outlives its loop ends with it; a second one of a loop is refused") {
    const temporary_file file;
    std::optional<aio::debug::trace> outlives;
    virtual_run([&]() -> aio::task<> {
        outlives.emplace(file.path);
        CHECK(message_of([&] { const aio::debug::trace second(file.path); }) ==
              "trace: this loop is traced already; destroy that trace first");
        co_await aio::yield();
    });
    CHECK_FALSE(of_phase(events_of(file.text()), "X").empty());
    outlives.reset();
    CHECK_THROWS_AS(aio::debug::trace(file.path), std::logic_error);
}

TEST_CASE("trace: a file that cannot be made, a full disk, and a maximum size") {
    virtual_run([]() -> aio::task<> {
        CHECK(contains(message_of([] { const aio::debug::trace t("/nowhere/trace.json"); }), "/nowhere/trace.json"));
        co_return;
    });
    std::string text;
    if (std::filesystem::exists("/dev/full")) {
        const captured_stderr printed;
        virtual_run([]() -> aio::task<> {
            const aio::debug::trace t("/dev/full");
            co_await aio::yield();
        });
        text = printed.text();
        CHECK(contains(text, "/dev/full: "));
        CHECK(contains(text, "the trace ends here\n"));
    }
    const temporary_file file;
    {
        const captured_stderr printed;
        virtual_run([&]() -> aio::task<> {
            const aio::debug::trace t(file.path, 1'000'000);
            for (int i = 0; i < 20'000; ++i) co_await aio::yield();
        });
        text = printed.text();
    }
    CHECK(contains(text, "it has reached its maximum size; the trace ends here\n"));
    CHECK(std::filesystem::file_size(file.path) <= 1'000'004);
    CHECK_FALSE(events_of(file.text()).empty());
}
