// SPDX-License-Identifier: BSL-1.0

// What a running loop counts, for Prometheus: a server answers GET /metrics with the iterations, tasks, timers, and, once
// they are measured, where the loop's time goes. A client in the same program asks it.
//
//     c++ -std=c++20 -pthread -Iinclude examples/metrics_endpoint.cpp -o metrics_endpoint
//
// Run: ./metrics_endpoint
// Prints:
//   HTTP/1.1 200 OK
//   asynchio_tasks{loop="main"} 5
//   asynchio_timers{loop="main"} 3
//   the longest step has taken 20 ms or longer
//   and /other is not found: HTTP/1.1 404 Not Found
//
// Read next: dump_tasks_when_stuck.cpp

#include <asynchio/combine.hpp>
#include <asynchio/debug/metrics.hpp>
#include <asynchio/io.hpp>
#include <asynchio/task.hpp>

#include <chrono>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

aio::task<> answer(aio::stream client) {
    const std::string request = co_await client.read_line();
    while ((co_await client.read_line()).size() > 2) {} // the headers, up to an empty line
    const bool known = request.starts_with("GET /metrics ");
    const std::string body = known ? aio::metrics_text(aio::get_running_loop(), "main") : "";
    co_await client.write("HTTP/1.1 " + std::string(known ? "200 OK" : "404 Not Found") +
                          "\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body);
}

aio::task<std::string> get(int port, std::string path) {
    aio::stream server = co_await aio::open_connection("localhost", port);
    co_await server.write("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::string answer = co_await server.read_all();
    co_return answer;
}

/// Holds up the loop, as a blocking call does.
aio::task<> compute() {
    const auto end = std::chrono::steady_clock::now() + 20ms;
    while (std::chrono::steady_clock::now() < end) {}
    co_return;
}

/// Returns the line of a text that starts with `begin`, without its end.
std::string line_of(const std::string& text, const std::string& begin) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(begin)) return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
    return "nothing starts with " + begin;
}

aio::task<> amain() {
    aio::get_running_loop().set_metrics(true);
    aio::server server = co_await aio::start_server(answer, "localhost", 0);
    auto body = [&]() -> aio::task<> {
        co_await aio::create_task(compute());
        std::vector<aio::task_handle<>> sleepers;
        sleepers.reserve(3);
        for (int i = 0; i < 3; ++i) sleepers.push_back(aio::create_task(aio::sleep(1h)));

        const std::string page = co_await get(server.port(), "/metrics");
        std::cout << line_of(page, "HTTP/") << '\n'
                  << line_of(page, "asynchio_tasks{") << '\n'
                  << line_of(page, "asynchio_timers{") << '\n';
        const std::string longest = line_of(page, "asynchio_longest_step_seconds{");
        const bool seen = std::stod(longest.substr(longest.rfind(' '))) >= 0.02;
        std::cout << (seen ? "the longest step has taken 20 ms or longer\n" : "the long step was not seen\n");
        const std::string other = co_await get(server.port(), "/other");
        std::cout << "and /other is not found: " << line_of(other, "HTTP/") << '\n';
        for (const auto& each : sleepers) each.cancel();
    };
    co_await aio::with(server, body);
}

int main() { aio::run(amain()); }
