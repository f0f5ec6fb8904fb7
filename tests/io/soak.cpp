// SPDX-License-Identifier: BSL-1.0

// Many connections at once that exchange random bytes, while operations are cancelled, connections reset, and
// descriptors run out; then many that do nothing.
//
//     soak [--seconds N] [--connections N] [--idle N] [--seed N] [--poller epoll|poll]
//
// Prints its seed and what happened; ends with 1 if a byte was lost, doubled or changed, if descriptors or memory did
// not come back, or if idle connections woke the loop.

#include <asynchio/combine/gather.hpp>
#include <asynchio/combine/with.hpp>
#include <asynchio/io/open_connection.hpp>
#include <asynchio/io/server.hpp>
#include <asynchio/io/stream.hpp>
#include <asynchio/loop/detail/frame_pool.hpp>
#include <asynchio/task/create_task.hpp>
#include <asynchio/task/nothrow.hpp>
#include <asynchio/task/runner.hpp>
#include <asynchio/task/sleep.hpp>
#include <asynchio/task/yield.hpp>
#include <asynchio/testing/audit.hpp>

#include "support/threads.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <exception>
#include <malloc.h>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <system_error>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace {

struct settings {
    int seconds = 10;
    int connections = 1000;
    int idle = 10'000;
    std::uint64_t seed = std::random_device()();
    aio::poller_kind poller = aio::poller_kind::epoll;
};

class dice {
public:
    explicit dice(std::uint64_t seed) : engine_(seed) {}
    std::size_t below(std::size_t end) { return static_cast<std::size_t>(engine_() % end); }
    bool one_in(std::size_t n) { return below(n) == 0; }

private:
    std::mt19937_64 engine_;
};

/// The bytes that each connection sends, from a place of its own on, round and round; a prime number of them.
class expected_bytes {
public:
    static constexpr std::size_t period = 65'537;
    static constexpr std::size_t most = 65'536;

    explicit expected_bytes(std::uint64_t seed) : bytes_(period + most, ' ') {
        dice d(seed);
        for (std::size_t i = 0; i < bytes_.size(); ++i)
            bytes_[i] = i < period ? static_cast<char>(d.below(256)) : bytes_[i - period];
    }
    std::string_view at(std::size_t position, std::size_t count) const {
        return std::string_view(bytes_).substr(position % period, count);
    }

private:
    std::string bytes_;
};

struct soak {
    explicit soak(const settings& s) : chosen(s), bytes(s.seed) {}

    settings chosen;
    expected_bytes bytes;
    std::chrono::steady_clock::time_point end;
    std::size_t connected = 0, completed = 0, reset_by_client = 0, reset_by_server = 0, found_reset = 0;
    std::size_t cancelled = 0, without_descriptors = 0, episodes = 0, reports = 0;
    std::uint64_t echoed = 0;
    std::exception_ptr unexpected; // in a handler

    bool over() const { return std::chrono::steady_clock::now() >= end; }
};

[[noreturn]] void wrong(const std::string& what) { throw std::runtime_error(what); }

bool is_reset(const std::system_error& e) {
    const int error = e.code().value();
    return error == ECONNRESET || error == EPIPE;
}

/// Awaits a task that is cancelled after some turns, or when this one is. @return whether it ended before.
template<class Handle>
aio::task<bool> interrupted(Handle running, soak& all, dice& d) {
    std::exception_ptr stopped;
    try {
        for (std::size_t turns = d.below(4); turns > 0; --turns) co_await aio::yield();
    } catch (const aio::cancelled_error&) {
        stopped = std::current_exception();
    }
    running.cancel();
    const auto ended = co_await aio::nothrow(running); // it refers to what may go then
    if (stopped) std::rethrow_exception(stopped);
    if (ended) co_return true;
    if (!ended.cancelled()) std::rethrow_exception(ended.error());
    ++all.cancelled;
    co_return false;
}

aio::task<> write_once(aio::stream& s, std::string_view what) { co_await s.write(what); }
aio::task<std::size_t> read_once(aio::stream& s, aio::mutable_byte_view into) { co_return co_await s.read_some(into); }

/// One time in a hundred the writing is cancelled on its way, and goes on from where it stopped.
aio::task<> write_all(aio::stream& s, std::string_view what, soak& all, dice& d) {
    while (!what.empty()) {
        if (!d.one_in(100)) {
            co_await s.write(what);
            co_return;
        }
        const std::uint64_t before = s.bytes_written();
        const auto writing = aio::create_task(write_once(s, what));
        co_await interrupted(writing, all, d);
        what.remove_prefix(static_cast<std::size_t>(s.bytes_written() - before));
    }
}

/// Reads, and is interrupted now and then.
aio::task<std::size_t> read_some(aio::stream& s, aio::mutable_byte_view into, soak& all, dice& d) {
    while (d.one_in(100)) {
        const auto reading = aio::create_task(read_once(s, into));
        const bool done = co_await interrupted(reading, all, d);
        if (done) co_return reading.result();
    }
    co_return co_await s.read_some(into);
}

aio::task<> echo(aio::stream client, soak& all, std::uint64_t seed) {
    dice d(seed);
    const std::size_t size = 1 + d.below(40'000);
    const auto buffer = std::make_unique<char[]>(size);
    for (;;) {
        const std::size_t got = co_await read_some(client, aio::mutable_byte_view(buffer.get(), size), all, d);
        if (got == 0) co_return;
        if (d.one_in(1000)) {
            ++all.reset_by_server;
            client.abort();
            co_return;
        }
        co_await write_all(client, std::string_view(buffer.get(), got), all, d);
    }
}

/// Sends, and checks what comes back.
class session {
public:
    session(aio::stream s, soak& all, std::uint64_t seed)
        : stream_(std::move(s)), all_(all), d_(seed), begin_(d_.below(expected_bytes::period)) {}

    aio::task<> run() {
        co_await aio::gather(write(), read());
        if (aborted_) co_return;
        if (received_ != sent_)
            wrong(std::to_string(sent_) + " bytes sent, " + std::to_string(received_) + " received");
        ++all_.completed;
    }

private:
    aio::task<> write() {
        for (std::size_t parts = 1 + d_.below(20); parts > 0; --parts) {
            const std::size_t size = 1 + d_.below(d_.one_in(4) ? expected_bytes::most : 1000);
            co_await write_all(stream_, all_.bytes.at(begin_ + sent_, size), all_, d_);
            sent_ += size;
            if (d_.one_in(100)) {
                ++all_.reset_by_client;
                aborted_ = true;
                stream_.abort();
                co_return;
            }
            if (d_.one_in(3)) co_await aio::sleep(std::chrono::milliseconds(d_.below(20)));
        }
        co_await stream_.write_eof();
    }
    aio::task<> read() {
        const std::size_t size = 1 + d_.below(30'000);
        const auto buffer = std::make_unique<char[]>(size);
        for (;;) {
            const std::size_t got = co_await read_some(stream_, aio::mutable_byte_view(buffer.get(), size), all_, d_);
            if (got == 0) co_return;
            if (std::string_view(buffer.get(), got) != all_.bytes.at(begin_ + received_, got))
                wrong("other bytes than were sent, near byte " + std::to_string(received_));
            received_ += got;
            all_.echoed += got;
        }
    }

    aio::stream stream_;
    soak& all_;
    dice d_;
    std::size_t begin_;
    std::size_t sent_ = 0;
    std::size_t received_ = 0;
    bool aborted_ = false;
};

aio::task<> client(int port, soak& all, std::uint64_t seed) {
    for (std::uint64_t n = 0; !all.over(); ++n) {
        bool refused = false;
        try {
            session one(co_await aio::open_connection("127.0.0.1", port), all, seed + n);
            ++all.connected;
            co_await one.run();
        } catch (const std::system_error& e) {
            refused = e.code().value() == EMFILE;
            if (refused)
                ++all.without_descriptors;
            else if (is_reset(e))
                ++all.found_reset;
            else
                throw;
        }
        if (refused) co_await aio::sleep(20ms);
    }
}

/// While it lives, no descriptor can be opened. A sanitizer needs some itself: there the calls only say so.
class episode {
public:
    episode() {
        if (asynchio_tests::sanitized) {
            aio::detail::calls.accept4 = [](int, sockaddr*, socklen_t*, int) { return refuse(); };
            aio::detail::calls.socket = [](int, int, int) { return refuse(); };
            return;
        }
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const ::rlimit none{3, before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    episode(const episode&) = delete;
    episode& operator=(const episode&) = delete;
    ~episode() {
        if (asynchio_tests::sanitized)
            aio::detail::calls = aio::detail::system_calls();
        else
            ::setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    static int refuse() {
        errno = EMFILE;
        return -1;
    }
    ::rlimit before_{};
};

aio::task<> run_out_now_and_then(soak& all) {
    for (;;) {
        co_await aio::sleep(700ms);
        const episode now;
        ++all.episodes;
        co_await aio::sleep(200ms);
    }
}

/// Resets, and descriptors that ran out, are what this is about; the rest is not.
void look_at(soak& all, const aio::exception_context& context) {
    ++all.reports;
    try {
        std::rethrow_exception(context.exception);
    } catch (const std::system_error& e) {
        if (!is_reset(e) && e.code().value() != EMFILE) all.unexpected = context.exception;
    } catch (...) {
        all.unexpected = context.exception;
    }
}

/// All connections at once, for some time.
aio::task<> traffic(soak& all, std::chrono::milliseconds time) {
    all.end = std::chrono::steady_clock::now() + time;
    aio::get_running_loop().set_exception_handler(
        [&](aio::event_loop&, const aio::exception_context& context) { look_at(all, context); });
    std::uint64_t number = all.chosen.seed;
    auto handler = [&](aio::stream s) { return echo(std::move(s), all, ++number); };
    aio::server_options many;
    many.backlog = 1024;
    aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0, many);
    const auto trouble = aio::create_task(run_out_now_and_then(all));
    std::vector<aio::task_handle<>> clients;
    for (int i = 1; i <= all.chosen.connections; ++i) {
        const std::uint64_t seed = all.chosen.seed + 1'000'000 * static_cast<std::uint64_t>(i);
        clients.push_back(aio::create_task(client(server.port(), all, seed)));
    }
    auto body = [&]() -> aio::task<> { co_await aio::gather(clients); };
    co_await aio::with(server, body);
    trouble.cancel();
    static_cast<void>(co_await aio::nothrow(trouble));
    if (all.unexpected) std::rethrow_exception(all.unexpected);
}

std::size_t open_descriptors() {
    std::size_t count = 0;
    ::DIR* all = ::opendir("/proc/self/fd");
    if (all == nullptr) throw std::system_error(errno, std::generic_category(), "/proc/self/fd");
    while (::readdir(all) != nullptr) ++count;
    ::closedir(all);
    return count;
}

std::size_t heap() {
    const auto all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
}
/// Without the slabs of coroutine frames, which stay: the audit at the end knows of each frame.
std::size_t heap_besides_frames() { return heap() - aio::detail::frame_memory::shared.slab_bytes(); }

aio::task<> wait_for_ever(aio::stream s) { co_await s.read_line(); }

/// Connections on which nothing happens: what they cost, and whether they keep quiet.
aio::task<> idle(int wanted) {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto possible =
        static_cast<int>((std::min<::rlim_t>(limit.rlim_cur, 1'000'000) - open_descriptors() - 20) / 2);
    const int count = std::min(wanted, possible);
    aio::server server = co_await aio::start_server(wait_for_ever, "127.0.0.1", 0);
    std::vector<aio::task_handle<>> clients;
    clients.reserve(static_cast<std::size_t>(count));
    const std::size_t before = heap();
    for (int i = 0; i < count; ++i) {
        aio::stream one = co_await aio::open_connection("127.0.0.1", server.port());
        clients.push_back(aio::create_task(wait_for_ever(std::move(one))));
    }
    co_await aio::sleep(500ms);
    const std::size_t each = (heap() - before) / static_cast<std::size_t>(2 * std::max(count, 1));
    ::rusage first{}, second{};
    ::getrusage(RUSAGE_THREAD, &first);
    co_await aio::sleep(2s);
    ::getrusage(RUSAGE_THREAD, &second);
    const long wakeups = second.ru_nvcsw - first.ru_nvcsw - 1; // the one at the end
    std::printf("idle: %d connections, %zu bytes of heap for each end with its task, %ld wake-ups in 2 s\n", count,
                each, wakeups);
    if (wakeups > 2) wrong("idle connections woke the loop");
    for (auto& one : clients) one.cancel();
    co_await server.aclose();
}

int usage(const char* program) {
    std::fprintf(stderr, "usage: %s [--seconds N] [--connections N] [--idle N] [--seed N] [--poller epoll|poll]\n",
                 program);
    return 2;
}

void run(const settings& chosen) {
    soak all(chosen);
    aio::run_options options;
    options.poller = chosen.poller;
    aio::runner runner(options);
    const auto time = std::chrono::milliseconds(1000 * chosen.seconds);
    runner.run(traffic(all, time / 5)); // so that all memory is there that is kept
    const std::size_t descriptors_before = open_descriptors();
    const std::size_t heap_before = heap_besides_frames();
    runner.run(traffic(all, time * 4 / 5));
    const std::size_t descriptors = open_descriptors();
    const std::size_t heap_after = heap_besides_frames();
    std::printf("traffic: %zu connections (%zu completed, %zu reset by the client, %zu by the server, %zu found so), "
                "%.1f MB echoed, %zu operations cancelled, %zu episodes without descriptors (%zu refused), "
                "%zu reports\n",
                all.connected, all.completed, all.reset_by_client, all.reset_by_server, all.found_reset,
                static_cast<double>(all.echoed) / 1e6, all.cancelled, all.episodes, all.without_descriptors,
                all.reports);
    std::printf("left: %zu descriptors (%zu before), %zu bytes of heap (%zu before)\n", descriptors, descriptors_before,
                heap_after, heap_before);
    if (all.completed == 0 || all.cancelled == 0 || all.episodes == 0) wrong("nothing happened");
    if (all.found_reset > all.reset_by_server) wrong("more resets than were made");
    if (descriptors != descriptors_before) wrong("descriptors were not closed");
    if (!asynchio_tests::sanitized && heap_after > heap_before + 1'000'000) wrong("memory was not given back");
    if (chosen.idle > 0) runner.run(idle(chosen.idle));
}

} // namespace

int main(int argc, char** argv) {
    settings chosen;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        if (name == "--poller" && i + 1 < argc) {
            const std::string_view kind = argv[i + 1];
            if (kind != "epoll" && kind != "poll") return usage(argv[0]);
            chosen.poller = kind == "poll" ? aio::poller_kind::poll : aio::poller_kind::epoll;
            continue;
        }
        char* end = nullptr;
        const unsigned long long value = i + 1 < argc ? std::strtoull(argv[i + 1], &end, 10) : 0;
        if (end == nullptr || end == argv[i + 1] || *end != '\0' || value > 1'000'000'000) return usage(argv[0]);
        if (name == "--seconds" && value > 0)
            chosen.seconds = static_cast<int>(value);
        else if (name == "--connections" && value > 0)
            chosen.connections = static_cast<int>(value);
        else if (name == "--idle")
            chosen.idle = static_cast<int>(value);
        else if (name == "--seed")
            chosen.seed = value;
        else
            return usage(argv[0]);
    }
    std::printf("seed: %llu\n", static_cast<unsigned long long>(chosen.seed));
    std::fflush(stdout);
    try {
        run(chosen);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "soak: %s\n", e.what());
        return 1;
    }
    const auto left = aio::testing::audit();
    if (left.clean()) return 0;
    std::fprintf(stderr, "soak: left behind:\n%s", left.to_string().c_str());
    return 1;
}
