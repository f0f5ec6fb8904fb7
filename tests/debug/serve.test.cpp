// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/serve.hpp>

#include <asynchio/combine/gather.hpp>
#include <asynchio/sync/event.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/run.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/thread/to_thread.hpp>

#include "support/message_of.hpp"
#include "support/net.hpp"
#include "support/virtual_run.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace aio = asynchio;
using asynchio_tests::audited;
using asynchio_tests::contains;
using asynchio_tests::message_of;
using asynchio_tests::virtual_run;
using namespace std::chrono_literals;

namespace {

/// A folder that is gone at the end, for sockets.
struct temporary_folder {
    temporary_folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "serve-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path = pattern;
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    ~temporary_folder() { std::filesystem::remove_all(path); }
    std::string file(const char* name) const { return (path / name).string(); }
    std::filesystem::path path;
};

/// A connection of a client, with blocking calls.
class connection {
public:
    explicit connection(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size());
        if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            throw std::runtime_error("connect");
    }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() { ::close(socket_); }

    void send(const std::string& text) const {
        static_cast<void>(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL));
    }
    std::string read_all() const {
        std::string all;
        char bytes[4096];
        for (;;) {
            const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
            if (count <= 0) return all;
            all.append(bytes, static_cast<std::size_t>(count));
        }
    }

private:
    int socket_;
};

std::string ask(const std::string& path, const std::string& question) {
    const connection to(path);
    to.send(question);
    return to.read_all();
}

/// What the running loop answers.
aio::task<std::string> answer_to(std::string path, std::string question) {
    std::string answer = co_await aio::to_thread(ask, path, question);
    co_return answer;
}

/// Runs `main(path)` on a loop that serves, in real time.
template<class Main>
void run_served(Main main) {
    const audited afterwards;
    const temporary_folder folder;
    const std::string path = folder.file("socket");
    aio::run([&]() -> aio::task<> {
        aio::debug::serve(path);
        co_await main(path);
    });
    CHECK_FALSE(std::filesystem::exists(path));
}

} // namespace

TEST_CASE("serve: tasks, tree, metrics, and what it does not know", "[time]") {
    run_served([](const std::string& path) -> aio::task<> {
        const auto sleeper = aio::create_task(aio::sleep(1h), "sleeper");
        const auto waiter =
            aio::create_task([](aio::task_handle<> h) -> aio::task<> { co_await h; }(sleeper), "waiter");
        const std::string tasks = co_await answer_to(path, "tasks\n");
        CHECK(contains(tasks, "sleeper: waiting for sleep\n"));
        CHECK(contains(tasks, "waiter: waiting for task sleeper\n"));
        const std::string tree = co_await answer_to(path, "tree\r\n");
        CHECK(contains(tree, "* sleeper: waiting for sleep\n"));
        CHECK(contains(tree, "    * waiter: waiting for task sleeper\n"));
        CHECK_FALSE(tree.starts_with("* waiter"));
        const std::string metrics = co_await answer_to(path, "metrics\n");
        CHECK(contains(metrics, "asynchio_tasks 3\n")); // with this one
        const std::string unknown = co_await answer_to(path, "help\n");
        CHECK(unknown == "error: this answers tasks, tree, metrics, profile SECONDS, and trace SECONDS\n");
        const std::string endless = co_await answer_to(path, std::string(1000, 'x'));
        CHECK(endless.starts_with("error: "));
        const std::string never = co_await answer_to(path, "profile 0\n");
        CHECK(never == "error: profile takes a number of seconds, 1 to 600\n");
        sleeper.cancel();
        waiter.cancel();
    });
}

TEST_CASE("serve: a profile of the next second", "[time]") {
    run_served([](const std::string& path) -> aio::task<> {
        bool over = false;
        const auto busy = [&over]() -> aio::task<> {
            while (!over) {
                co_await aio::yield();
                const auto end = std::chrono::steady_clock::now() + 1ms;
                while (std::chrono::steady_clock::now() < end) {}
            }
        };
        const auto working = aio::create_task(busy());
        std::string folded;
        for (int tries = 0; tries < 20 && !contains(folded, "serve.test.cpp:");
             ++tries) // a busy machine samples little
            folded = co_await answer_to(path, "profile 1\n");
        over = true;
        co_await working;
        CHECK(contains(folded, "serve.test.cpp:"));
    });
}

TEST_CASE("serve: a trace of the next second, and one at a time", "[time]") {
    const std::size_t before = asynchio_tests::open_descriptors();
    run_served([](const std::string& path) -> aio::task<> {
        const auto wrong = co_await answer_to(path, "trace\n");
        CHECK(wrong.starts_with("error: this answers"));
        const auto never = co_await answer_to(path, "trace 601\n");
        CHECK(never == "error: trace takes a number of seconds, 1 to 600\n");
        bool over = false;
        const auto busy = [&over]() -> aio::task<> {
            while (!over) co_await aio::sleep(1ms);
        };
        const auto working = aio::create_task(busy(), "a worker");
        {
            const aio::debug::trace own(path + ".json");
            const auto refused = co_await answer_to(path, "trace 1\n");
            CHECK(refused == "error: trace: this loop is traced already; destroy that trace first\n");
        }
        const auto text = co_await answer_to(path, "trace 1\n");
        CHECK(text.starts_with("[\n{\"name\":\"process_name\""));
        CHECK(text.find(']', text.size() - 4) != std::string::npos); // whole
        CHECK(contains(text, "a worker"));
        CHECK(contains(text, "serve.test.cpp:"));
        over = true;
        co_await working;
    });
    CHECK(asynchio_tests::closed_down_to(before)); // its file is gone
}

TEST_CASE("serve: a client that reads nothing does not hold up the loop, nor do those that say nothing", "[time]") {
    run_served([](const std::string& path) -> aio::task<> {
        std::vector<aio::task_handle<>> many;
        for (int i = 0; i < 20'000; ++i) many.push_back(aio::create_task(aio::sleep(1h)));
        {
            const connection silent(path);
            const connection idle(path);
            idle.send("tasks\n"); // some megabytes, which nobody reads
            const std::string metrics = co_await answer_to(path, "metrics\n");
            CHECK(contains(metrics, "asynchio_tasks "));
            const connection third(path);
            const connection fourth(path);
            const std::string refused = co_await answer_to(path, "tasks\n");
            CHECK(refused == "busy: four others ask already\n");
        }
        for (int tries = 0; tries < 1000; ++tries) { // the loop learns of their end
            const std::string served = co_await answer_to(path, "metrics\n");
            if (!served.starts_with("busy")) break;
            CHECK(tries < 999);
        }
        for (const auto& each : many) each.cancel();
    });
}

TEST_CASE("serve: only the owner may connect, and a path is served once") {
    run_served([](const std::string& path) -> aio::task<> {
        struct stat made{};
        REQUIRE(::stat(path.c_str(), &made) == 0);
        CHECK((made.st_mode & 0777) == 0600);
        CHECK(contains(message_of([&] { aio::debug::serve(path + "2"); }), "serves a socket already"));
        const auto serves_too = [](const std::string& where) {
            return message_of([&] { aio::run([&]() -> aio::task<> { co_return aio::debug::serve(where); }); });
        };
        const std::string refused = co_await aio::to_thread(serves_too, path);
        CHECK(contains(refused, "another program serves " + path));
        const std::string still = co_await answer_to(path, "metrics\n");
        CHECK(contains(still, "asynchio_tasks "));
    });
}

TEST_CASE("serve: a socket that was left behind is replaced, another file is not; bad paths") {
    const temporary_folder folder;
    const std::string path = folder.file("stale");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(left, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::close(left);
    std::ofstream(folder.file("file")) << "text";
    virtual_run([&]() -> aio::task<> {
        CHECK(contains(message_of([&] { aio::debug::serve(folder.file("file")); }), "exists and is no socket"));
        CHECK(std::filesystem::exists(folder.file("file")));
        CHECK_THROWS_AS(aio::debug::serve(std::string(200, 'x')), std::invalid_argument);
        CHECK_THROWS_AS(aio::debug::serve(""), std::invalid_argument);
        CHECK(contains(message_of([&] { aio::debug::serve(folder.file("no/folder")); }), "no/folder"));
        aio::debug::serve(path);
        co_return;
    });
    CHECK_FALSE(std::filesystem::exists(path));
    CHECK_THROWS_AS(aio::debug::serve(path), std::logic_error);
}

TEST_CASE("serve: it does not hide a deadlock") {
    const temporary_folder folder;
    CHECK(contains(message_of([&] {
                       virtual_run([&]() -> aio::task<> {
                           aio::debug::serve(folder.file("socket"));
                           aio::event never;
                           co_await never.wait();
                       });
                   }),
                   "nothing can wake them"));
}

TEST_CASE("serve: asynchio_ps.py asks, and says what is wrong in one line", "[time]") {
    const auto run_script = [](const std::string& arguments) {
        const auto script =
            std::filesystem::path(__FILE__).parent_path() / "../../include/asynchio/debug/asynchio_ps.py";
        std::string printed;
        char bytes[4096];
        std::FILE* const pipe = ::popen(("python3 '" + script.string() + "' " + arguments + " 2>&1").c_str(), "r");
        if (pipe == nullptr) throw std::runtime_error("popen");
        while (const std::size_t count = std::fread(bytes, 1, sizeof bytes, pipe)) printed.append(bytes, count);
        return printed + "exit " + std::to_string(WEXITSTATUS(::pclose(pipe)));
    };
    run_served([&](const std::string& path) -> aio::task<> {
        const std::string tasks = co_await aio::to_thread(run_script, "tasks --socket " + path);
        CHECK(contains(tasks, "Task-1: waiting for thread\n"));
        CHECK(tasks.ends_with("exit 0"));
        const std::string metrics = co_await aio::to_thread(run_script, "metrics --socket " + path);
        CHECK(contains(metrics, "asynchio_tasks 1\n"));
        const std::string trace = co_await aio::to_thread(run_script, "trace --seconds 1 --socket " + path);
        CHECK(trace.starts_with("[\n{\"name\":\"process_name\""));
        CHECK(trace.ends_with("exit 0"));
        const std::string without = co_await aio::to_thread(run_script, std::string("tree"));
        CHECK(contains(without, "asynchio_ps.py tree --socket PATH"));
        CHECK(without.ends_with("\nexit 1"));
        const std::string nowhere = co_await aio::to_thread(run_script, "tasks --socket " + path + ".none");
        CHECK(contains(nowhere, "there is no socket"));
        CHECK(nowhere.ends_with("\nexit 1"));
        const std::string wrong = co_await aio::to_thread(run_script, "ps --socket " + path);
        CHECK(contains(wrong, "at a socket, ask for tasks, tree, metrics, profile, trace\nexit 1"));
    });
}
