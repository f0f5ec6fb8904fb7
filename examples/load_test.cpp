// SPDX-License-Identifier: BSL-1.0

// Loads an HTTP server and tells how it bears it: requests a second, and how long they took.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/load_test.cpp -o load_test
//     ./load_test --connections 100 --seconds 5 http://127.0.0.1:8000/
//     ./load_test --rate 2000 --seconds 10 http://127.0.0.1:8000/
//
// Without --rate each connection sends its next request when the last one is answered (a closed loop): a slow server is
// asked less often, and looks better than it is. With --rate requests begin at fixed times, whatever the server does (an
// open loop), and their latency counts from the time at which they should have begun, so that the waiting is seen
// ("coordinated omission", Gil Tene).
//
// Exit status: 0, 1 if no request succeeded, 2 for wrong usage, 130 for Ctrl-C, which prints what there is.
//
// Run: ./load_test --help
// Read next: static_file_server.cpp

#include <asynchio.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr char usage[] = "usage: load_test [options] http://HOST[:PORT]/PATH\n";
constexpr char help[] = R"(
  --connections N  connections at a time, kept alive (default: 50)
  --requests N     stop after N requests
  --seconds S      stop after S seconds (default: 10, without --requests)
  --rate N         begin N requests a second, whatever the server does
  --timeout S      give up on a request after S seconds (default: 10)
  --help           print this
)";

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct options {
    std::string host, path = "/";
    int port = 80;
    std::size_t connections = 50;
    std::uint64_t requests = UINT64_MAX;
    double seconds = 0;
    double rate = 0;
    double timeout = 10;
    bool help = false;
};

double number(const std::string& name, const std::string& word, double least) {
    char* end = nullptr;
    const double value = std::strtod(word.c_str(), &end);
    if (word.empty() || *end != '\0' || !(value >= least) || !(value <= 1e9))
        throw usage_error(name + " needs a number, not '" + word + "'");
    return value;
}

options parse(const std::vector<std::string>& words) {
    options o;
    std::string target;
    for (auto word = words.begin(); word != words.end(); ++word) {
        const auto value = [&](double least) {
            const std::string& name = *word;
            if (word + 1 == words.end()) throw usage_error(name + " needs a value");
            return number(name, *++word, least);
        };
        if (*word == "--connections")
            o.connections = static_cast<std::size_t>(value(1));
        else if (*word == "--requests")
            o.requests = static_cast<std::uint64_t>(value(1));
        else if (*word == "--seconds")
            o.seconds = value(0.001);
        else if (*word == "--rate")
            o.rate = value(0.001);
        else if (*word == "--timeout")
            o.timeout = value(0.001);
        else if (*word == "--help" || *word == "-h")
            o.help = true;
        else if (word->starts_with("-"))
            throw usage_error("unknown option '" + *word + "'");
        else if (!target.empty())
            throw usage_error("one URL is enough");
        else
            target = *word;
    }
    if (o.help) return o;
    if (!target.starts_with("http://")) throw usage_error("which http:// URL?");
    const std::string rest = target.substr(7);
    const std::string site = rest.substr(0, rest.find('/'));
    if (site.size() < rest.size()) o.path = rest.substr(site.size());
    const std::size_t colon = site.rfind(':');
    o.host = site.substr(0, colon);
    if (colon != std::string::npos) {
        const auto read = std::from_chars(site.data() + colon + 1, site.data() + site.size(), o.port);
        if (read.ec != std::errc() || read.ptr != site.data() + site.size() || o.port < 1 || o.port > 65535)
            throw usage_error("'" + site + "' has no port");
    }
    if (o.host.empty()) throw usage_error("'" + target + "' has no host");
    if (o.seconds == 0) o.seconds = o.requests == UINT64_MAX ? 10 : 1e6;
    return o;
}

/// Latencies in buckets that are 1/32 wide, from microseconds to hours, as HdrHistogram does.
class histogram {
public:
    void add(steady::duration took) {
        const auto value = static_cast<std::uint64_t>(
            std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
        ++buckets_[std::min(index(value), buckets_.size() - 1)];
        ++count_;
        most_ = std::max(most_, value);
    }
    std::uint64_t count() const { return count_; }
    /// In milliseconds.
    double percentile(double percent) const {
        if (count_ == 0) return 0;
        auto left = static_cast<std::uint64_t>(percent / 100 * static_cast<double>(count_ - 1)) + 1;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            if (buckets_[i] >= left) return static_cast<double>(std::min(upper(i), most_)) * 1e-3;
            left -= buckets_[i];
        }
        return static_cast<double>(most_) * 1e-3;
    }
    double most() const { return static_cast<double>(most_) * 1e-3; }
    /// A bar for each power of two that there is.
    void print() const {
        std::map<unsigned, std::uint64_t> rows;
        std::uint64_t largest = 1;
        for (std::size_t i = 0; i < buckets_.size(); ++i)
            if (buckets_[i] != 0) rows[static_cast<unsigned>(std::bit_width(upper(i)))] += buckets_[i];
        if (rows.empty()) return;
        for (const auto& [power, count] : rows) largest = std::max(largest, count);
        for (unsigned power = rows.begin()->first; power <= rows.rbegin()->first; ++power) {
            const std::uint64_t count = rows[power];
            const std::string bar((count * 50 + largest - 1) / largest, '#');
            std::printf("  up to %9.2f ms %9llu %s\n", static_cast<double>(std::uint64_t(1) << power) * 1e-3,
                        static_cast<unsigned long long>(count), bar.c_str());
        }
    }

private:
    static constexpr std::size_t parts = 32;
    static std::size_t index(std::uint64_t value) {
        if (value < parts * 2) return static_cast<std::size_t>(value);
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - 6;
        return parts * shift + static_cast<std::size_t>(value >> shift);
    }
    static std::uint64_t upper(std::size_t i) {
        if (i < parts * 2) return i;
        const std::size_t shift = i / parts - 1;
        return ((i - parts * shift + 1) << shift) - 1;
    }
    std::array<std::uint64_t, parts * 40> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t most_ = 0;
};

struct results {
    histogram latencies;
    std::map<std::string, std::uint64_t> errors;
    std::uint64_t bytes = 0;
    std::uint64_t begun = 0;
    steady::time_point begin = steady::now();
    double seconds() const { return std::chrono::duration<double>(steady::now() - begin).count(); }
};

struct http_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// One connection, which is opened again when it fails.
class client {
public:
    client(const options& o, const aio::address& where, results& into) : options_(o), where_(where), results_(into) {
        request_ = "GET " + o.path + " HTTP/1.1\r\nHost: " + o.host + "\r\n\r\n";
    }

    /// Asks until it is time to stop.
    aio::task<> run() {
        for (;;) {
            const std::uint64_t mine = results_.begun++;
            steady::time_point due = steady::now();
            if (mine >= options_.requests) co_return;
            if (options_.rate > 0) {
                due = results_.begin + std::chrono::duration_cast<steady::duration>(
                                           std::chrono::duration<double>(static_cast<double>(mine) / options_.rate));
                if (const auto early = due - steady::now(); early > 0s) co_await aio::sleep(early);
            }
            if (due - results_.begin >= std::chrono::duration<double>(options_.seconds)) co_return;
            co_await ask(due);
        }
    }

private:
    aio::task<> ask(steady::time_point due) {
        std::string error;
        try {
            co_await aio::wait_for(exchange(), std::chrono::duration<double>(options_.timeout));
            results_.latencies.add(steady::now() - due);
            co_return;
        } catch (const aio::timeout_error&) {
            error = "timeout";
        } catch (const aio::incomplete_read_error&) {
            error = "closed early";
        } catch (const std::system_error& e) {
            error = e.code().message();
        } catch (const std::exception& e) {
            error = e.what();
        }
        ++results_.errors[error];
        stream_ = aio::stream();
        co_await aio::sleep(10ms); // not at full speed against a wall
    }
    aio::task<> exchange() {
        const bool kept = stream_ && !stream_.is_closed();
        if (!kept) stream_ = co_await aio::open_connection(where_.host(), where_.port());
        std::optional<std::string> head = co_await ask_once(kept);
        if (!head) {
            stream_ = co_await aio::open_connection(where_.host(), where_.port());
            head = co_await ask_once(false);
        }
        results_.bytes += head->size();
        if (!head->starts_with("HTTP/1.") || head->size() < 12) throw http_error("no HTTP response");
        const std::string status = head->substr(9, 3);
        const bool ends_here = co_await skip_body(*head, status == "204" || status == "304");
        const std::string connection = header(*head, "connection");
        const bool old = head->starts_with("HTTP/1.0 ") && connection != "keep-alive";
        if (ends_here || old || connection == "close") stream_ = aio::stream();
        if (status[0] != '2' && status[0] != '3') throw http_error("HTTP " + status);
    }
    /// The request, and the head of its response. @return nothing if the server had closed a connection that was kept,
    /// which it may at any time.
    aio::task<std::optional<std::string>> ask_once(bool kept) {
        try {
            co_await stream_.write(request_);
            co_return co_await stream_.read_until("\r\n\r\n");
        } catch (const aio::incomplete_read_error& e) {
            if (!kept || !e.partial().empty()) throw;
        } catch (const std::system_error& e) {
            if (!kept || (e.code() != std::errc::connection_reset && e.code() != std::errc::broken_pipe)) throw;
        }
        co_return std::nullopt;
    }
    /// @return whether the connection has ended with the body.
    aio::task<bool> skip_body(const std::string& head, bool none) {
        if (none) co_return false;
        if (header(head, "transfer-encoding") == "chunked") {
            for (;;) {
                const std::string line = co_await stream_.read_until("\r\n");
                const std::size_t size = number(line, 16);
                results_.bytes += line.size();
                if (size == 0) break;
                co_await skip(size + 2);
            }
            std::string trailer;
            do trailer = co_await stream_.read_until("\r\n");
            while (trailer != "\r\n");
            co_return false;
        }
        const std::string length = header(head, "content-length");
        if (!length.empty()) {
            co_await skip(number(length, 10));
            co_return false;
        }
        for (;;) {
            const std::size_t got = co_await stream_.read_some(buffer_);
            if (got == 0) co_return true;
            results_.bytes += got;
        }
    }
    aio::task<> skip(std::size_t left) {
        while (left != 0) {
            const std::size_t got =
                co_await stream_.read_some(std::span(buffer_.data(), std::min(left, buffer_.size())));
            if (got == 0) throw http_error("closed early");
            results_.bytes += got;
            left -= got;
        }
    }
    static std::size_t number(const std::string& text, int base) {
        std::size_t value = 0;
        const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value, base);
        if (wrong != std::errc() || value > SIZE_MAX / 2) throw http_error("a body of no known length");
        return value;
    }
    /// The value of a header, in small letters; empty if there is none.
    static std::string header(const std::string& head, std::string_view name) {
        const std::string key = "\r\n" + std::string(name) + ":";
        const auto lower = [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); };
        const auto at = std::search(head.begin(), head.end(), key.begin(), key.end(),
                                    [&](char a, char b) { return lower(a) == b; });
        if (at == head.end()) return {};
        const auto begin =
            std::find_if(at + static_cast<std::ptrdiff_t>(key.size()), head.end(), [](char c) { return c != ' '; });
        std::string value(begin, std::find(begin, head.end(), '\r'));
        std::transform(value.begin(), value.end(), value.begin(), lower);
        return value;
    }

    const options& options_;
    const aio::address& where_;
    results& results_;
    std::string request_;
    aio::stream stream_;
    std::vector<char> buffer_ = std::vector<char>(65'536);
};

void print(const results& r) {
    const double seconds = r.seconds();
    std::uint64_t failed = 0;
    for (const auto& [what, count] : r.errors) failed += count;
    std::printf("requests      %llu in %.2f s, %.0f a second\n", static_cast<unsigned long long>(r.latencies.count()),
                seconds, static_cast<double>(r.latencies.count()) / seconds);
    std::printf("bytes         %llu, %.1f MB a second\n", static_cast<unsigned long long>(r.bytes),
                static_cast<double>(r.bytes) / seconds * 1e-6);
    std::printf("errors        %llu\n", static_cast<unsigned long long>(failed));
    for (const auto& [what, count] : r.errors)
        std::printf("  %s: %llu\n", what.c_str(), static_cast<unsigned long long>(count));
    std::printf("latency       p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n", r.latencies.percentile(50),
                r.latencies.percentile(90), r.latencies.percentile(99), r.latencies.most());
    r.latencies.print();
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto cpu = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                     static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
    std::printf("this program  %.2f s of processor time, %ld MB\n", cpu, used.ru_maxrss / 1024);
}

aio::task<int> load(options o) {
    const std::vector<aio::address> found = co_await aio::resolve(o.host, o.port);
    const aio::address where = found.at(0);
    results all;
    auto work = [&]() -> aio::task<> {
        std::vector<client> clients;
        clients.reserve(o.connections);
        for (std::size_t i = 0; i < o.connections; ++i) clients.emplace_back(o, where, all);
        std::vector<aio::task<>> running;
        running.reserve(clients.size());
        for (client& each : clients) running.push_back(each.run());
        co_await aio::gather(std::move(running));
    };
    auto progress = [&]() -> aio::task<> {
        for (;; co_await aio::sleep(200ms))
            if (::isatty(STDERR_FILENO))
                std::fprintf(stderr, "\r\033[K%.1f s, %llu requests, p50 %.2f ms, p99 %.2f ms", all.seconds(),
                             static_cast<unsigned long long>(all.latencies.count()), all.latencies.percentile(50),
                             all.latencies.percentile(99));
    };
    auto both = [&]() -> aio::task<> { co_await aio::race(work, progress); };
    const auto tell = [&] {
        if (::isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
        print(all);
    };
    co_await aio::finally(both, tell);
    co_return all.latencies.count() == 0 ? 1 : 0;
}

int main(int argc, char** argv) try {
    const options o = parse(std::vector<std::string>(argv + 1, argv + argc));
    if (o.help) {
        std::printf("%s%s", usage, help);
        return 0;
    }
    aio::run_options with_signal;
    with_signal.handle_sigint = true;
    return aio::run(load(o), with_signal);
} catch (const usage_error& e) {
    std::fprintf(stderr, "load_test: %s\n%s", e.what(), usage);
    return 2;
} catch (const aio::keyboard_interrupt&) {
    return 130;
} catch (const std::exception& e) {
    std::fprintf(stderr, "load_test: %s\n", e.what());
    return 1;
}
