// SPDX-License-Identifier: BSL-1.0

// A pool of processes: copies of this program compute what may crash or leak, each fed through a pipe by the loop of the
// first one. A worker that crashes is replaced, and its job is tried once more.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/process_pool.cpp -o process_pool
//     ./process_pool --workers 4 600851475143 1000000007
//     seq 1000000000000 1000000000099 | ./process_pool
//
// Jobs are words of the command line, or else lines of standard input: numbers, whose prime factors are printed in the
// order of the jobs. Two more words show what crashes: "abort" always, "once" the first time. Exit status: 0 if all jobs
// were done, 1 if one was not, 2 for wrong usage, 130 for Ctrl-C.
//
// Run: ./process_pool --workers 2 600851475143 once 12 abort 97 none
// Prints:
//   600851475143: 71 839 1471 6857
//   once: this worker came after the one that crashed
//   12: 2 2 3
//   abort: its worker was killed by signal 6, twice
//   97: 97
//   none: is no number from 2 on
//
// Test: exit 1
// Read next: web_crawler.cpp

#include <asynchio.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace aio = asynchio;

// The worker: reads a line with the number of the attempt and a job, writes a line, and so on to the end of its input.

std::string factors(const std::string& job) {
    char* end = nullptr;
    std::uint64_t number = std::strtoull(job.c_str(), &end, 10);
    if (job[0] < '1' || job[0] > '9' || *end != '\0' || number < 2) return "is no number from 2 on";
    std::string found;
    for (std::uint64_t i = 2; number > 1; ++i) {
        if (i > number / i) i = number;
        for (; number % i == 0; number /= i) found += (found.empty() ? "" : " ") + std::to_string(i);
    }
    return found;
}

int work() {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    for (std::string line; std::getline(std::cin, line);) {
        const std::string job = line.substr(2);
        if (job == "abort" || (job == "once" && line[0] == '1')) std::abort();
        std::cout << (job == "once" ? "this worker came after the one that crashed" : factors(job)) << std::endl;
    }
    return 0;
}

// The pool.

class worker_crashed : public std::runtime_error {
public:
    explicit worker_crashed(int code)
        : std::runtime_error(code < 0 ? "its worker was killed by signal " + std::to_string(-code) + ", twice"
                                      : "its worker ended with status " + std::to_string(code) + ", twice") {}
};

/// Processes that are started when there is work, at most so many; a resource of with(), which ends them.
class process_pool {
public:
    explicit process_pool(std::size_t workers) {
        for (std::size_t i = 0; i < workers; ++i) places_.put_nowait(std::nullopt);
    }

    aio::task<process_pool&> async_enter() { co_return *this; }
    /// Ends the workers, which have nothing to do any more.
    aio::task<> async_exit(std::exception_ptr) {
        while (auto each = places_.try_get()) {
            if (!*each) continue;
            co_await (*each)->in().aclose();
            co_await (*each)->wait();
        }
    }

    /// Has a worker do a job, as soon as one is free. A cancelled job takes its worker with it.
    /// @throws worker_crashed if two workers in a row did not survive it.
    aio::task<std::string> run(std::string job) {
        for (int attempt = 1;; ++attempt) {
            maybe_worker found = co_await places_.get();
            place mine(places_, std::move(found));
            if (!mine.worker) mine.worker = co_await start();
            aio::process worker = std::move(*mine.worker); // killed when this goes away
            mine.worker.reset();
            const std::string line = std::to_string(attempt) + ' ' + job + '\n';
            std::string answer;
            try {
                co_await worker.in().write(line);
                answer = co_await worker.out().read_line();
            } catch (const std::system_error&) {} // it has crashed before it has read the line
            if (answer.ends_with('\n')) {
                answer.pop_back();
                mine.worker = std::move(worker);
                co_return answer;
            }
            const int code = co_await worker.wait();
            if (attempt == 2) throw worker_crashed(code);
        }
    }

private:
    using maybe_worker = std::optional<aio::process>;

    /// A place in the pool, which goes back with its worker, or without one that is lost.
    struct place {
        place(aio::queue<maybe_worker>& of, maybe_worker taken) : from(of), worker(std::move(taken)) {}
        place(const place&) = delete;
        place& operator=(const place&) = delete;
        ~place() { from.put_nowait(std::move(worker)); }

        aio::queue<maybe_worker>& from;
        maybe_worker worker;
    };

    static aio::task<aio::process> start() {
        aio::process_options pipes;
        pipes.in = pipes.out = aio::subprocess::pipe;
        pipes.new_group = true; // Ctrl-C is for the pool, not for its workers
        co_return co_await aio::create_subprocess("/proc/self/exe", "--work", pipes);
    }

    aio::queue<maybe_worker> places_;
};

struct options {
    std::size_t workers = std::thread::hardware_concurrency();
    std::vector<std::string> jobs;
};

aio::task<int> run_all(options o) {
    bool all_done = true;
    auto body = [&](process_pool& entered) -> aio::task<> {
        const auto run = [&](const std::string& job) -> aio::task<std::string> {
            try {
                const std::string answer = co_await entered.run(job);
                co_return job + ": " + answer;
            } catch (const worker_crashed& e) {
                all_done = false;
                co_return job + ": " + e.what();
            }
        };
        auto answers = aio::map_ordered(o.jobs, run, 2 * o.workers);
        while (const auto answer = co_await answers.next()) {
            std::puts(answer->c_str());
            std::fflush(stdout);
        }
    };
    process_pool pool(o.workers);
    co_await aio::with(pool, body);
    co_return all_done ? 0 : 1;
}

std::optional<options> parse(int argc, char** argv) {
    options o;
    int i = 1;
    if (argc > 1 && argv[1][0] == '-') {
        if (argc < 3 || std::string(argv[1]) != "--workers") return std::nullopt;
        char* end = nullptr;
        const unsigned long value = std::strtoul(argv[2], &end, 10);
        if (argv[2][0] < '1' || argv[2][0] > '9' || *end != '\0' || value > 1000) return std::nullopt;
        o.workers = value;
        i = 3;
    }
    o.jobs.assign(argv + i, argv + argc);
    if (o.jobs.empty())
        for (std::string line; std::getline(std::cin, line);)
            if (!line.empty()) o.jobs.push_back(line);
    return o;
}

int main(int argc, char** argv) {
    if (argc == 2 && std::string(argv[1]) == "--work") return work();
    const std::optional<options> o = parse(argc, argv);
    if (!o) {
        std::fputs("usage: process_pool [--workers N] [NUMBER...]\n", stderr);
        return 2;
    }
    aio::run_options with_signal;
    with_signal.handle_sigint = true;
    try {
        return aio::run(run_all(*o), with_signal);
    } catch (const aio::keyboard_interrupt&) {
        std::fputs("process_pool: interrupted\n", stderr);
        return 130;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "process_pool: %s\n", e.what());
        return 1;
    }
}
