// SPDX-License-Identifier: BSL-1.0

// Where does the time of a loop go? A sampling profiler counts the coroutines that have the processor, and a trace
// records every step. Both are written to files: folded stacks for a flame graph, JSON for Perfetto.
//
//     c++ -std=c++20 -O1 -pthread -Iinclude examples/where_time_goes.cpp -o where_time_goes
//
// Run: ./where_time_goes
// With a folder as argument it leaves profile.folded and trace.json there.
// Prints:
//   most of the time: parse_page
//   some of it: log_line
//   the folded stacks have both
//   the trace has slices of both
//
// Read next: metrics_endpoint.cpp

#include <asynchio/combine.hpp>
#include <asynchio/debug/tools.hpp>
#include <asynchio/task.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <system_error>

namespace aio = asynchio;

volatile int sum = 0;

/// Uses the processor, as a parser or a cipher does.
void compute(int amount) {
    for (int i = 0; i < amount; ++i) sum = i;
}

aio::task<> parse_page() {
    co_await aio::yield();
    compute(900'000);
}
aio::task<> log_line() {
    co_await aio::yield();
    compute(300'000);
}

aio::task<> crawl() {
    for (int page = 0; page < 200; ++page) co_await aio::gather(parse_page(), log_line());
}

/// Returns the name in a line of the profiler's table: "  144   82.8%  parse_page crawler.cpp:36".
std::string name_in(const std::string& line) {
    std::istringstream words(line);
    std::string samples;
    std::string share;
    std::string name;
    words >> samples >> share >> name;
    return name.substr(name.rfind(':') + 1); // clang++ writes the namespace, too
}

bool has_both(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str().find("parse_page") != std::string::npos && text.str().find("log_line") != std::string::npos;
}

aio::task<> measure(std::filesystem::path folder) {
    const aio::debug::trace trace((folder / "trace.json").string());
    aio::debug::profiler profiler;
    profiler.start();
    co_await crawl();
    profiler.stop();

    std::ofstream folded(folder / "profile.folded");
    profiler.write_folded(folded);
    std::stringstream table;
    profiler.print(table);
    std::string line;
    std::getline(table, line); // the head
    std::getline(table, line);
    std::cout << "most of the time: " << name_in(line) << '\n';
    std::getline(table, line);
    std::cout << "some of it: " << name_in(line) << '\n';
}

int main(int count, char** arguments) {
    namespace files = std::filesystem;
    const bool keeps = count > 1;
    const files::path folder = keeps ? files::path(arguments[1]) : files::temp_directory_path() / "where_time_goes";
    std::error_code error;
    files::create_directories(folder, error);
    if (error) {
        std::cerr << "where_time_goes: the folder " << folder << " cannot be made: " << error.message() << '\n';
        return 1;
    }
    aio::run(measure(folder));
    std::cout << (has_both(folder / "profile.folded") ? "the folded stacks have both\n" : "the profile is not whole\n")
              << (has_both(folder / "trace.json") ? "the trace has slices of both\n" : "the trace is not whole\n");
    if (!keeps) files::remove_all(folder);
}
