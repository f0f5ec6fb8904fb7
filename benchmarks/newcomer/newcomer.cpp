// SPDX-License-Identifier: BSL-1.0

// newcomer JOB WAY [PIECES]: does one of three jobs in one of several ways, in a process of its own, and prints what it took
// as a line of JSON: seconds, processor seconds, memory, context switches. newcomer latency CASE [SECONDS]: how late a
// tick of a millisecond is while something else goes on. run.py makes tables of it.
//
//   waits       1,000 waits of 10 ms: answers that are on their way
//   blocking    200 calls that block for 5 ms: a driver or a file system without an asynchronous way
//   processor   64 pieces of arithmetic of some milliseconds
//
//   sequential, threads, asynchio, to_thread   (processor: threads are as many as there are cores)
//   wide        to_thread with a pool of 50 threads, for what blocks

#include <asynchio.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>

namespace aio = asynchio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto wait_length = 10ms;
constexpr auto block_length = 5ms;
constexpr std::size_t wide_pool = 50;

int blocking_call(int x) {
    std::this_thread::sleep_for(block_length);
    return x;
}

/// Some milliseconds of work, whose answer is known.
int arithmetic(int x) {
    unsigned state = 1;
    for (int i = 0; i < 5'000'000; ++i) state = state * 1'664'525u + 1'013'904'223u;
    return state == 0 ? -1 : x;
}

void wait_here(std::chrono::milliseconds length) { std::this_thread::sleep_for(length); }

struct job {
    int pieces;
    std::function<int(int)> here;               // does a piece in the calling thread
    std::function<aio::task<int>(int)> in_loop; // does it in the loop
};

int sequential(const job& what) {
    int sum = 0;
    for (int i = 0; i < what.pieces; ++i) sum += what.here(i);
    return sum;
}

/// A thread for each piece; or so many threads that take the next piece.
int threads(const job& what, int at_once) {
    std::atomic<int> next{0};
    std::atomic<int> sum{0};
    std::vector<std::thread> all;
    for (int i = 0; i < at_once; ++i)
        all.emplace_back([&] {
            for (int piece = next++; piece < what.pieces; piece = next++) sum += what.here(piece);
        });
    for (std::thread& each : all) each.join();
    return sum;
}

int asynchronously(const job& what, const std::function<aio::task<int>(int)>& piece, std::size_t pool) {
    auto all = [&]() -> aio::task<int> {
        if (pool != 0) aio::set_default_pool(pool);
        std::vector<aio::task<int>> pieces;
        for (int i = 0; i < what.pieces; ++i) pieces.push_back(piece(i));
        const std::vector<int> answers = co_await aio::gather(std::move(pieces));
        int sum = 0;
        for (const int each : answers) sum += each;
        co_return sum;
    };
    return aio::run(all);
}

int usage() {
    std::fputs("usage: newcomer waits|blocking|processor sequential|threads|asynchio|to_thread|wide [PIECES]\n"
               "       newcomer latency idle|worker|blocked [SECONDS]\n",
               stderr);
    return 2;
}

double seconds(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; }

/// The most there was in memory, in kB: of this program alone, where getrusage remembers who started it.
long peak_memory() {
    long found = 0;
    if (std::FILE* status = std::fopen("/proc/self/status", "r")) {
        char line[256];
        while (std::fgets(line, sizeof line, status) != nullptr)
            if (std::sscanf(line, "VmHWM: %ld", &found) == 1) break;
        std::fclose(status);
    }
    return found;
}

int run_job(const std::string& name, const std::string& way, int pieces) {
    const auto in_pool = [](int (*call)(int)) {
        return [call](int x) -> aio::task<int> { co_return co_await aio::to_thread(call, x); };
    };
    const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    job what;
    std::function<aio::task<int>(int)> thread_piece;
    int at_once = 0;
    if (name == "waits") {
        what = {1000,
                [](int x) {
                    wait_here(wait_length);
                    return x;
                },
                [](int x) -> aio::task<int> {
                    co_await aio::sleep(wait_length);
                    co_return x;
                }};
        thread_piece = in_pool([](int x) {
            wait_here(wait_length);
            return x;
        });
    } else if (name == "blocking") {
        what = {200, blocking_call, [](int x) -> aio::task<int> { co_return blocking_call(x); }};
        thread_piece = in_pool(blocking_call);
    } else if (name == "processor") {
        what = {64, arithmetic, [](int x) -> aio::task<int> { co_return arithmetic(x); }};
        thread_piece = in_pool(arithmetic);
        at_once = cores;
    } else {
        return usage();
    }
    if (pieces > 0) what.pieces = pieces;
    if (at_once == 0) at_once = what.pieces;

    const auto begin = steady::now();
    int sum = 0;
    if (way == "sequential")
        sum = sequential(what);
    else if (way == "threads")
        sum = threads(what, at_once);
    else if (way == "asynchio")
        sum = asynchronously(what, what.in_loop, 0);
    else if (way == "to_thread")
        sum = asynchronously(what, thread_piece, 0);
    else if (way == "wide")
        sum = asynchronously(what, thread_piece, wide_pool);
    else
        return usage();
    const double took = std::chrono::duration<double>(steady::now() - begin).count();
    if (sum != what.pieces * (what.pieces - 1) / 2) {
        std::fputs("newcomer: wrong answer\n", stderr);
        return 1;
    }
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    std::printf("{\"job\": \"%s\", \"way\": \"%s\", \"pieces\": %d, \"wall\": %.6f, \"cpu\": %.6f, \"memory_kb\": %ld, "
                "\"voluntary\": %ld, \"involuntary\": %ld}\n",
                name.c_str(), way.c_str(), what.pieces, took, seconds(used.ru_utime) + seconds(used.ru_stime),
                peak_memory(), used.ru_nvcsw, used.ru_nivcsw);
    return 0;
}

/// Ticks each millisecond, and how late each one was.
aio::task<std::vector<double>> ticks(aio::clock::duration length) {
    std::vector<double> late;
    const auto end = aio::clock::now() + length;
    for (auto due = aio::clock::now() + 1ms; due < end; due = std::max(due + 1ms, aio::clock::now())) {
        co_await aio::sleep_until(due);
        late.push_back(std::chrono::duration<double, std::micro>(aio::clock::now() - due).count());
    }
    co_return late;
}

int run_latency(const std::string& name, int length) {
    if (name != "idle" && name != "worker" && name != "blocked") return usage();
    auto measured = [&]() -> aio::task<std::vector<double>> {
        auto ticking = aio::create_task(ticks(std::chrono::seconds(length)));
        while (!ticking.done()) {
            if (name == "worker")
                co_await aio::to_thread(arithmetic, 0); // in a worker: the loop goes on
            else if (name == "blocked")
                std::this_thread::sleep_for(50ms); // in the loop: nothing else does
            co_await aio::sleep(name == "worker" ? 0ms : 200ms);
        }
        co_return co_await ticking;
    };
    std::vector<double> late = aio::run(measured);
    std::sort(late.begin(), late.end());
    const auto at = [&](double part) {
        return late[static_cast<std::size_t>(part * static_cast<double>(late.size() - 1))];
    };
    std::printf("{\"case\": \"%s\", \"ticks\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
                name.c_str(), late.size(), at(0.5), at(0.99), late.back());
    return 0;
}

} // namespace

int main(int count, char** words) {
    if (count != 3 && count != 4) return usage();
    const int number = count == 4 ? std::atoi(words[3]) : 0;
    if (count == 4 && number <= 0) return usage();
    if (std::string(words[1]) == "latency") return run_latency(words[2], number > 0 ? number : 3);
    return run_job(words[1], words[2], number);
}
