// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/tools.hpp>

#include <asynchio/task/run.hpp>
#include <asynchio/task/yield.hpp>

#include "support/catch.hpp"
#include "support/message_of.hpp"
#include "support/threads.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

namespace aio = asynchio;
using asynchio_tests::contains;
using namespace std::chrono_literals;
using aio::debug::detail::duration_of;
using steady = std::chrono::steady_clock;

namespace {

/// Runs the hidden case `name` of this program with something in the environment.
/// @return what it prints, to stderr too. @throws std::runtime_error when it fails.
std::string run_child(const std::string& environment, const std::string& name) {
    std::array<char, 4096> path{};
    if (::readlink("/proc/self/exe", path.data(), path.size() - 1) < 0) throw std::runtime_error("no /proc/self/exe");
    const std::string command = environment + " '" + path.data() + "' '" + name + "' 2>&1";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("popen");
    std::string printed;
    std::array<char, 4096> buffer{};
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe))
        printed.append(buffer.data(), got);
    const int status = ::pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("the child has failed: " + printed);
    return printed;
}

/// A folder that goes at the end of the scope, with all that is in it.
class folder {
public:
    folder() {
        if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp");
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    ~folder() { std::filesystem::remove_all(path_); }
    const std::string& path() const noexcept { return path_; }

private:
    std::string path_ = std::filesystem::temp_directory_path() / "asynchio-XXXXXX";
};

/// Computes until nobody can miss it.
aio::task<> stalls() {
    co_await aio::yield();
    const auto end = steady::now() + 400ms;
    while (steady::now() < end) asynchio_tests::take_a_moment(1'000);
}

} // namespace

TEST_CASE("tools: a child that stalls", "[.]") {
    aio::run(stalls());
    std::thread([] { aio::run(stalls()); }).join();
}

TEST_CASE("tools: a child that has a watchdog of its own", "[.]") {
    std::atomic<int> reports = 0;
    aio::run([&]() -> aio::task<> {
        const aio::debug::watchdog own(50ms, [&](const aio::debug::stall_report&) { ++reports; });
        CHECK_THROWS_AS(aio::debug::watchdog(), std::logic_error);
        co_await stalls();
    });
    CHECK(reports >= 1);
}

TEST_CASE("tools: durations have a unit") {
    CHECK(duration_of("100ms") == 100ms);
    CHECK(duration_of("2s") == 2s);
    CHECK(duration_of("5us") == 5us);
    CHECK(duration_of("1min") == 1min);
    CHECK(duration_of("3h") == 3h);
    for (const char* each :
         {"", "100", "ms", "0s", "-1s", "1.5s", "1 s", "1sx", "99999999999999999999s", "9223372036h"})
        CHECK(duration_of(each) == 0s);
}

TEST_CASE("tools: without variables nothing is set up") {
    CHECK_FALSE(aio::debug::environment_tools);
    for (const char* each : {"1h", "''"})
        CHECK_FALSE(
            contains(run_child(std::string("ASYNCHIO_WATCHDOG=") + each, "tools: a child that stalls"), "asynchio:"));
}

TEST_CASE("tools: ASYNCHIO_WATCHDOG watches every loop", "[time]") {
    const std::string printed = run_child("ASYNCHIO_WATCHDOG=100ms", "tools: a child that stalls");
    INFO(printed);
    const auto first = printed.find("asynchio: Task-1 has held up the loop for ");
    REQUIRE(first != std::string::npos);
    CHECK(printed.find("asynchio: Task-1 has held up the loop for ", first + 1) != std::string::npos);
    CHECK(contains(printed, "stalls "));
}

TEST_CASE("tools: ASYNCHIO_WATCHDOG gives way to a watchdog of the program", "[time]") {
    const std::string printed = run_child("ASYNCHIO_WATCHDOG=50ms", "tools: a child that has a watchdog of its own");
    INFO(printed);
    CHECK_FALSE(contains(printed, "held up"));
}

TEST_CASE("tools: a bad ASYNCHIO_WATCHDOG is one line, and the program goes on") {
    for (const char* each : {"soon", "100", "0s"}) {
        const std::string printed =
            run_child(std::string("ASYNCHIO_WATCHDOG=") + each, "tools: a child that has a watchdog of its own");
        INFO(printed);
        const auto at = printed.find("asynchio: ASYNCHIO_WATCHDOG=");
        REQUIRE(at != std::string::npos);
        CHECK(contains(printed, "is not a duration such as 100ms, 2s or 1min; there is no watchdog\n"));
        CHECK(printed.find("asynchio:", at + 1) == std::string::npos);
    }
}

TEST_CASE("tools: ASYNCHIO_PROFILE writes the folded stacks of all loops", "[time]") {
    const folder where;
    const std::string path = where.path() + "/profile.folded";
    { std::ofstream(path) << "an old profile\n"; }
    const std::string printed = run_child("ASYNCHIO_PROFILE=" + path, "tools: a child that stalls");
    CHECK_FALSE(contains(printed, "asynchio:"));
    std::ifstream lines(path);
    int found = 0;
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        CHECK_FALSE(contains(line, "an old profile"));
        CHECK(line.find_last_not_of("0123456789") == line.rfind(' '));
        if (contains(line, "stalls tools.test.cpp:")) ++found;
    }
    CHECK(found == 2);
}

TEST_CASE("tools: %p in ASYNCHIO_PROFILE is the number of the process", "[time]") {
    const folder where;
    const std::string printed = run_child("ASYNCHIO_PROFILE=" + where.path() + "/p-%p", "tools: a child that stalls");
    int found = 0;
    for (const auto& each : std::filesystem::directory_iterator(where.path())) {
        const std::string name = each.path().filename();
        CHECK(name.starts_with("p-"));
        CHECK(name.find_first_not_of("0123456789", 2) == std::string::npos);
        ++found;
    }
    CHECK(found == 1);
}

TEST_CASE("tools: a path that cannot be written is one line, and the program goes on") {
    const std::string printed =
        run_child("ASYNCHIO_PROFILE=/no/such/folder/profile", "tools: a child that has a watchdog of its own");
    INFO(printed);
    const std::string line = "asynchio: ASYNCHIO_PROFILE=/no/such/folder/profile: the file cannot be written: No such";
    const auto at = printed.find(line);
    REQUIRE(at != std::string::npos);
    CHECK(printed.find("asynchio:", at + 1) == std::string::npos);
}

TEST_CASE("tools: ASYNCHIO_TRACE traces each loop into a file of its own", "[time]") {
    const folder where;
    const std::string path = where.path() + "/trace.json";
    const std::string printed = run_child("ASYNCHIO_TRACE=" + path, "tools: a child that stalls");
    CHECK_FALSE(contains(printed, "asynchio:"));
    for (const std::string& each : {path, path + ".2"}) {
        std::ostringstream text;
        text << std::ifstream(each).rdbuf();
        INFO(each);
        CHECK(contains(text.str(), "stalls\",\"args\""));
        CHECK(text.str().ends_with("\n]\n"));
    }
    const std::string refused = run_child("ASYNCHIO_TRACE=/no/such/folder/x", "tools: a child that stalls");
    CHECK(contains(refused, "asynchio: ASYNCHIO_TRACE: trace: open /no/such/folder/x"));
}

TEST_CASE("tools: a child that is asked", "[.]") {
    const char* const path = std::getenv("ASYNCHIO_INSPECT");
    if (path == nullptr) return; // it was not started by the case below
    aio::run([path]() -> aio::task<> {
        std::puts(std::filesystem::is_socket(path) ? "there is a socket" : "there is no socket");
        co_return;
    });
    std::puts(std::filesystem::exists(path) ? "it is left" : "it is gone");
}

TEST_CASE("tools: ASYNCHIO_INSPECT serves a socket while a loop lives") {
    const folder where;
    const std::string printed =
        run_child("ASYNCHIO_INSPECT=" + where.path() + "/socket", "tools: a child that is asked");
    CHECK(contains(printed, "there is a socket\nit is gone\n"));
    CHECK_FALSE(contains(printed, "asynchio:"));
    const std::string refused = run_child("ASYNCHIO_INSPECT=/no/such/folder/x", "tools: a child that is asked");
    CHECK(contains(refused, "asynchio: ASYNCHIO_INSPECT: serve: /no/such/folder/x: No such file"));
}
