// SPDX-License-Identifier: BSL-1.0

// Crawls web sites: many connections at a time in one thread, bounded in all and per host.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/web_crawler.cpp -o web_crawler
//     ./web_crawler                         a site of its own: 200 pages, slow ones, broken ones, a trap
//     ./web_crawler --depth 2 http://localhost/doc/
//     ./web_crawler --json http://example.com/ > pages.jsonl
//
// Without a URL it serves a site on loopback and crawls it three times: with one task per page, one page at a time, and
// with one thread per page, which must find the same. With URLs it crawls those sites: http only, no other hosts unless
// told, robots.txt is heeded. What is wrong with a page is reported for that page, and nothing else is lost.
//
// Each page is a task of one task_group; semaphores bound how many are under way; wait_for bounds the time of each. When
// Ctrl-C cancels all that, every connection is closed, and the summary tells what was there by then.
//
// Copy from it: crawl for any job that finds its own work, response for reading HTTP by hand, progress for a line that
// moves.
// Run: ./web_crawler --no-compare --summary-only
// Read next: examples/README.md

#include <asynchio.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <system_error>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

// ---- Options --------------------------------------------------------------------------------------------------------

constexpr char usage[] = "usage: web_crawler [options] [URL...]\n";
constexpr char help[] = R"(
Crawls the http:// sites at URL..., or a site of its own without one.

  --concurrency N  pages under way at a time (default: 100)
  --per-host N     the same for each host (default: 20; own site: as --concurrency)
  --depth N        links to follow from the start (default: 12)
  --pages N        stop after N pages (default: 10000)
  --timeout S      give up on a page after S seconds (default: 10)
  --max-bytes N    give up on a page that is larger (default: 10000000)
  --any-host       follow links to other hosts
  --ignore-robots  do not ask for robots.txt
  --json           a line of JSON for each page; the summary goes to standard error
  --summary-only   no line for each error
  --no-compare     own site: do not crawl it one page at a time and with threads
  --help           print this

Exit status: 0 pages were fetched, 1 none was, 2 wrong usage, 130 Ctrl-C.
)";

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct options {
    std::vector<std::string> urls;
    std::size_t concurrency = 100;
    std::optional<std::size_t> per_host;
    std::size_t depth = 12;
    std::size_t pages = 10'000;
    double timeout = 10;
    std::size_t max_bytes = 10'000'000;
    bool any_host = false;
    bool robots = true;
    bool json = false;
    bool summary_only = false;
    bool compare = true;
    bool help = false;
};

std::size_t number(const std::string& name, const std::string& word, std::size_t least) {
    std::size_t value = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
    if (read.ec != std::errc() || read.ptr != word.data() + word.size() || value < least)
        throw usage_error(name + " needs a number from " + std::to_string(least) + " on, not '" + word + "'");
    return value;
}

options parse(const std::vector<std::string>& words) {
    options o;
    for (auto word = words.begin(); word != words.end(); ++word) {
        const std::size_t equals = word->starts_with("--") ? word->find('=') : std::string::npos;
        const std::string name = word->substr(0, equals);
        const auto value = [&]() -> std::string {
            if (equals != std::string::npos) return word->substr(equals + 1);
            if (word + 1 == words.end()) throw usage_error(name + " needs a value");
            return *++word;
        };
        if (name == "--concurrency")
            o.concurrency = number(name, value(), 1);
        else if (name == "--per-host")
            o.per_host = number(name, value(), 1);
        else if (name == "--depth")
            o.depth = number(name, value(), 0);
        else if (name == "--pages")
            o.pages = number(name, value(), 1);
        else if (name == "--max-bytes")
            o.max_bytes = number(name, value(), 1);
        else if (name == "--timeout") {
            const std::string text = value();
            char* end = nullptr;
            o.timeout = std::strtod(text.c_str(), &end);
            if (text.empty() || *end != '\0' || !(o.timeout > 0) || !(o.timeout < 1e6))
                throw usage_error(name + " needs a number of seconds above 0, not '" + text + "'");
        } else if (*word == "--any-host")
            o.any_host = true;
        else if (*word == "--ignore-robots")
            o.robots = false;
        else if (*word == "--json")
            o.json = true;
        else if (*word == "--summary-only")
            o.summary_only = true;
        else if (*word == "--no-compare")
            o.compare = false;
        else if (*word == "--help" || *word == "-h")
            o.help = true;
        else if (word->starts_with("-"))
            throw usage_error("unknown option '" + *word + "'");
        else
            o.urls.push_back(*word);
    }
    return o;
}

// ---- URLs -----------------------------------------------------------------------------------------------------------

/// What is wrong with a page: a kind to be counted by, and the words.
struct page_error : std::runtime_error {
    page_error(std::string k, const std::string& what) : std::runtime_error(what), kind(std::move(k)) {}
    std::string kind;
};

struct url {
    std::string host;
    int port = 80;
    std::string path; // with the query, without a fragment

    std::string site() const { return port == 80 ? host : host + ":" + std::to_string(port); }
    std::string text() const { return "http://" + site() + path; }
    auto operator<=>(const url&) const = default;
};

std::string lower(std::string_view text) {
    std::string low(text);
    for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return low;
}

/// RFC 3986, 5.2.4: "." and ".." taken out.
std::string without_dots(std::string_view path) {
    const std::string_view only_path = path.substr(0, path.find('?'));
    std::vector<std::string_view> parts;
    bool ends_in_slash = false;
    for (std::size_t at = 1; at <= only_path.size();) {
        const std::size_t slash = std::min(only_path.find('/', at), only_path.size());
        const std::string_view part = only_path.substr(at, slash - at);
        ends_in_slash = slash < only_path.size() || part.empty() || part == "." || part == "..";
        if (part == ".." && !parts.empty()) parts.pop_back();
        if (part != "." && part != ".." && !(part.empty() && slash == only_path.size())) parts.push_back(part);
        at = slash + 1;
    }
    std::string clean;
    for (const std::string_view part : parts) clean.append("/").append(part);
    if (clean.empty() || (ends_in_slash && clean.back() != '/')) clean += '/';
    return clean.append(path.substr(only_path.size()));
}

/// @throws page_error for what cannot be fetched.
url parse_url(std::string_view text) {
    const std::string_view before_fragment = text.substr(0, text.find('#'));
    if (lower(before_fragment.substr(0, 8)) == "https://")
        throw page_error("https", "https is not supported: " + std::string(text));
    if (lower(before_fragment.substr(0, 7)) != "http://")
        throw page_error("bad URL", "not an http URL: " + std::string(text));
    const std::string_view rest = before_fragment.substr(7);
    const std::size_t end_of_site = std::min(rest.find_first_of("/?"), rest.size());
    std::string_view site = rest.substr(0, end_of_site);
    if (const std::size_t at = site.rfind('@'); at != std::string_view::npos) site.remove_prefix(at + 1);
    url made;
    const std::size_t colon = site.find(':', site.starts_with('[') ? std::min(site.find(']'), site.size()) : 0);
    made.host = lower(site.substr(0, colon));
    if (colon != std::string_view::npos) {
        const std::string_view port = site.substr(colon + 1);
        const auto read = std::from_chars(port.data(), port.data() + port.size(), made.port);
        if (read.ec != std::errc() || read.ptr != port.data() + port.size() || made.port < 1 || made.port > 65535)
            throw page_error("bad URL", "no port: " + std::string(text));
    }
    const bool is_text =
        std::none_of(rest.begin(), rest.end(), [](char c) { return static_cast<unsigned char>(c) <= ' '; });
    if (made.host.empty() || !is_text) throw page_error("bad URL", "no URL: " + std::string(text));
    const std::string path(rest.substr(end_of_site));
    made.path = without_dots(path.starts_with('/') ? path : "/" + path);
    return made;
}

/// Where a link on the page `base` goes; nothing for one that is not about http.
std::optional<url> follow(const url& base, std::string_view link) {
    link = link.substr(0, link.find('#'));
    if (link.starts_with("//")) return parse_url("http:" + std::string(link));
    const std::size_t colon = link.find(':');
    if (colon != std::string_view::npos && colon < link.find_first_of("/?")) {
        const std::string scheme = lower(link.substr(0, colon));
        if (scheme != "http" && scheme != "https") return std::nullopt; // mailto:, javascript:, ...
        return parse_url(link);
    }
    if (link.empty()) return base;
    const std::string folder = base.path.substr(0, base.path.substr(0, base.path.find('?')).rfind('/') + 1);
    std::string path(link);
    if (link.starts_with('?'))
        path = base.path.substr(0, base.path.find('?')) + path;
    else if (!link.starts_with('/'))
        path = folder + path;
    return parse_url("http://" + base.site() + path);
}

/// The targets of links (the `href` of each element `a`), in order.
std::vector<std::string> links_in(std::string_view html) {
    std::vector<std::string> found;
    for (std::size_t at = 0; (at = html.find('<', at)) != std::string_view::npos;) {
        if (html.substr(at, 4) == "<!--") {
            at = std::min(html.find("-->", at), html.size());
            continue;
        }
        const std::size_t end = std::min(html.find('>', at), html.size());
        const std::string_view tag = html.substr(at, end - at);
        at = end;
        if (tag.size() < 3 || std::tolower(tag[1]) != 'a' || !std::isspace(static_cast<unsigned char>(tag[2])))
            continue;
        const std::size_t name = lower(tag).find("href=");
        if (name == std::string::npos) continue;
        std::string_view value = tag.substr(name + 5);
        if (value.starts_with('"') || value.starts_with('\''))
            value = value.substr(1, std::min(value.find(value.front(), 1), value.size()) - 1);
        else
            value = value.substr(0, value.find_first_of(" \t\r\n"));
        std::string link(value);
        for (std::size_t amp = 0; (amp = link.find("&amp;", amp)) != std::string::npos; ++amp) link.erase(amp + 1, 4);
        found.push_back(std::move(link));
    }
    return found;
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

/// A response, made of what comes, piece by piece (RFC 9112).
class response {
public:
    explicit response(std::size_t most) : most_(most) {}

    int status = 0;
    std::map<std::string, std::string> headers; // names in lower case
    std::string body;

    bool whole() const { return state_ == state::whole; }

    /// @throws page_error for what is no response, or too much.
    void add(std::string_view piece) {
        pending_.append(piece);
        while (step()) {}
    }
    /// The other side has closed.
    void end() {
        if (state_ == state::until_end) state_ = state::whole;
        if (whole()) return;
        throw page_error("cut off", state_ == state::head ? "closed before a response came"
                                                          : "closed in the middle of a response");
    }

private:
    enum class state { head, counted, chunk_size, chunk, chunk_end, trailer, until_end, whole };
    static constexpr std::size_t largest_head = 65'536;

    [[noreturn]] static void malformed(const std::string& what) {
        throw page_error("malformed", "malformed response: " + what);
    }

    /// @return whether it got further.
    bool step() {
        switch (state_) {
        case state::head: {
            const std::size_t end = pending_.find("\r\n\r\n");
            if (end == std::string::npos) {
                if (pending_.size() > largest_head) malformed("its head has no end");
                if (pending_.size() >= 5 && !pending_.starts_with("HTTP/")) malformed("it does not begin with HTTP/");
                return false;
            }
            read_head(pending_.substr(0, end));
            pending_.erase(0, end + 4);
            return true;
        }
        case state::counted:
        case state::chunk: {
            const std::size_t taken = std::min(left_, pending_.size());
            append(taken);
            left_ -= taken;
            if (left_ != 0) return false;
            state_ = state_ == state::chunk ? state::chunk_end : state::whole;
            return true;
        }
        case state::chunk_size: {
            const std::optional<std::string> line = take_line();
            if (!line) return false;
            const auto read = std::from_chars(line->data(), line->data() + line->size(), left_, 16);
            if (read.ec != std::errc() || left_ > std::size_t(1) << 40)
                malformed("'" + line->substr(0, 20) + "' is no chunk size");
            state_ = left_ == 0 ? state::trailer : state::chunk;
            return true;
        }
        case state::chunk_end: {
            const std::optional<std::string> line = take_line();
            if (!line) return false;
            if (!line->empty()) malformed("a chunk is longer than it says");
            state_ = state::chunk_size;
            return true;
        }
        case state::trailer: {
            const std::optional<std::string> line = take_line();
            if (!line) return false;
            if (line->empty()) state_ = state::whole;
            return true;
        }
        case state::until_end: append(pending_.size()); return false;
        case state::whole: return false;
        }
        return false;
    }

    void read_head(const std::string& head) {
        std::size_t at = std::min(head.find("\r\n"), head.size());
        const std::string first = head.substr(0, at);
        if (!first.starts_with("HTTP/1.") || first.size() < 12 || first[8] != ' ' ||
            std::from_chars(first.data() + 9, first.data() + 12, status).ec != std::errc() || status < 100)
            malformed("'" + first.substr(0, 40) + "'");
        headers.clear();
        while (at < head.size()) {
            const std::size_t end = std::min(head.find("\r\n", at + 2), head.size());
            const std::string line = head.substr(at + 2, end - at - 2);
            const std::size_t colon = line.find(':');
            if (colon == std::string::npos || colon == 0) malformed("'" + line.substr(0, 40) + "' is no header");
            const std::size_t value = line.find_first_not_of(" \t", colon + 1);
            headers[lower(line.substr(0, colon))] = value == std::string::npos ? "" : line.substr(value);
            at = end;
        }
        if (status / 100 == 1) return; // the real one follows
        if (status == 204 || status == 304) {
            state_ = state::whole;
        } else if (lower(headers["transfer-encoding"]).find("chunked") != std::string::npos) {
            state_ = state::chunk_size;
        } else if (const auto length = headers.find("content-length"); length != headers.end()) {
            const std::string& text = length->second;
            const auto read = std::from_chars(text.data(), text.data() + text.size(), left_);
            if (read.ec != std::errc() || read.ptr != text.data() + text.size())
                malformed("'" + text + "' is no length");
            if (left_ > most_) throw page_error("too large", text + " bytes");
            state_ = state::counted;
        } else {
            state_ = state::until_end;
        }
    }

    void append(std::size_t count) {
        body.append(pending_, 0, count);
        pending_.erase(0, count);
        if (body.size() > most_) throw page_error("too large", "more than " + std::to_string(most_) + " bytes");
    }
    std::optional<std::string> take_line() {
        const std::size_t end = pending_.find("\r\n");
        if (end == std::string::npos) {
            if (pending_.size() > 1000) malformed("a line has no end");
            return std::nullopt;
        }
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 2);
        return line;
    }

    std::size_t most_;
    state state_ = state::head;
    std::size_t left_ = 0;
    std::string pending_;
};

std::string request_for(const url& page) {
    return "GET " + page.path + " HTTP/1.1\r\nHost: " + page.site() +
           "\r\nUser-Agent: asynchio-crawler/1\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
}

/// Awaits what it has to wait for.
aio::task<response> fetch(url page, std::size_t most) {
    const std::string host = page.host.starts_with('[') ? page.host.substr(1, page.host.size() - 2) : page.host;
    aio::stream server = co_await aio::open_connection(host, page.port);
    const std::string request = request_for(page);
    co_await server.write(request);
    response got(most);
    std::vector<char> buffer(16'384);
    while (!got.whole()) {
        const std::size_t count = co_await server.read_some(buffer);
        if (count == 0)
            got.end();
        else
            got.add(std::string_view(buffer.data(), count));
    }
    co_return got;
}

/// Fetches a page with blocking calls, for a thread.
response blocking_fetch(const url& page, const options& o) {
    const aio::address where = aio::address::ip(page.host, page.port);
    const struct owner {
        int fd;
        ~owner() { ::close(fd); }
    } server{::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto fail = [&](const char* what) {
        throw std::system_error(errno, std::generic_category(), what + (" " + page.site()));
    };
    if (server.fd < 0) fail("socket for");
    const timeval limit{static_cast<time_t>(o.timeout),
                        static_cast<suseconds_t>((o.timeout - std::floor(o.timeout)) * 1e6)};
    ::setsockopt(server.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (::connect(server.fd, where.data(), where.size()) != 0) fail("connect to");
    const std::string request = request_for(page);
    if (::send(server.fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) fail("write to");
    response got(o.max_bytes);
    std::vector<char> buffer(16'384);
    while (!got.whole()) {
        const ssize_t count = ::recv(server.fd, buffer.data(), buffer.size(), 0);
        if (count < 0) fail("read from");
        if (count == 0)
            got.end();
        else
            got.add(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
    }
    return got;
}

/// robots.txt (RFC 9309): the longest rule that matches decides, Allow where two are alike.
class robots {
public:
    robots() = default;
    explicit robots(std::string_view text) {
        bool ours = false, in_rules = true;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            std::string_view line = text.substr(at, end - at);
            at = end + 1;
            line = line.substr(0, line.find('#'));
            const std::size_t colon = line.find(':');
            if (colon == std::string_view::npos) continue;
            const std::string name = lower(trimmed(line.substr(0, colon)));
            const std::string value(trimmed(line.substr(colon + 1)));
            if (name == "user-agent") {
                if (in_rules) ours = false;
                in_rules = false;
                ours = ours || value == "*" || lower(value) == "asynchio-crawler";
            } else if (name == "allow" || name == "disallow") {
                in_rules = true;
                if (ours && !value.empty()) rules_.emplace_back(value, name == "allow");
            }
        }
    }
    bool allow(std::string_view path) const {
        std::size_t longest = 0;
        bool allowed = true;
        for (const auto& [prefix, allows] : rules_) {
            if (!path.starts_with(prefix) || prefix.size() < longest) continue;
            allowed = allows || (prefix.size() == longest && allowed && longest != 0);
            longest = prefix.size();
        }
        return allowed;
    }

private:
    static std::string_view trimmed(std::string_view text) {
        const std::size_t first = text.find_first_not_of(" \t\r");
        if (first == std::string_view::npos) return {};
        return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
    }
    std::vector<std::pair<std::string, bool>> rules_;
};

// ---- What is known --------------------------------------------------------------------------------------------------

/// What one crawl has found, and how it went. For one thread at a time.
class findings {
public:
    explicit findings(const options& o) : options_(o) {}

    /// A link to `to`, `depth` links away from the start. Calls `visit(url)` for a page that is new. A page that is found
    /// again on a shorter way has its links looked at again: so what is found does not depend on who was quicker.
    template<class Visit>
    void offer(const url& to, std::size_t depth, Visit& visit) {
        if (depth > options_.depth) return;
        if (const auto known = pages_.find(to); known != pages_.end()) {
            if (depth >= known->second.depth) return;
            known->second.depth = depth;
            for (const url& link : known->second.links) offer(link, depth + 1, visit);
            return;
        }
        if (pages_.size() >= options_.pages || (!options_.any_host && !hosts_.contains(to.site()))) return;
        pages_[to].depth = depth;
        visit(to);
    }
    void allow_host(const url& of) { hosts_.insert(of.site()); }

    /// What it links to is offered in turn.
    template<class Visit>
    void fetched(const url& from, const response& got, steady::duration took, Visit& visit) {
        latencies_.push_back(std::chrono::duration<double, std::milli>(took).count());
        bytes_ += got.body.size();
        known_page& here = pages_[from];
        if (got.status / 100 == 3 && got.headers.contains("location")) {
            add_link(here, from, got.headers.at("location"));
            if (!here.links.empty()) offer(here.links[0], here.depth, visit);
            tell(from, got.status, got.body.size(), latencies_.back(), here.links.size(), "");
            return;
        }
        if (got.status != 200) {
            const std::string error = "HTTP " + std::to_string(got.status);
            ++errors_[error];
            tell(from, got.status, got.body.size(), latencies_.back(), 0, error);
            return;
        }
        ++fetched_;
        const auto type = got.headers.find("content-type");
        if (type == got.headers.end() || lower(type->second).starts_with("text/html"))
            for (const std::string& link : links_in(got.body)) add_link(here, from, link);
        tell(from, got.status, got.body.size(), latencies_.back(), here.links.size(), "");
        const std::vector<url> links = here.links; // offer may change what is known
        for (const url& link : links) offer(link, here.depth + 1, visit);
    }
    void failed(const url& page, const std::string& kind, const std::string& what, steady::duration took) {
        ++errors_[kind];
        tell(page, 0, 0, std::chrono::duration<double, std::milli>(took).count(), 0, what);
    }
    void refused_by_robots() { ++forbidden_; }

    std::size_t count() const { return fetched_; }
    std::size_t known() const { return pages_.size(); }
    std::size_t answered() const { return latencies_.size(); }
    std::uint64_t bytes() const { return bytes_; }
    std::size_t forbidden() const { return forbidden_; }
    const std::map<std::string, std::size_t>& errors() const { return errors_; }
    std::size_t error_count() const {
        std::size_t all = 0;
        for (const auto& [kind, number] : errors_) all += number;
        return all;
    }
    /// In milliseconds.
    double latency(double percent) const {
        if (latencies_.empty()) return 0;
        std::vector<double> sorted = latencies_;
        std::sort(sorted.begin(), sorted.end());
        return sorted[static_cast<std::size_t>(std::lround(percent / 100 * static_cast<double>(sorted.size() - 1)))];
    }
    bool same_as(const findings& other) const {
        return fetched_ == other.fetched_ && bytes_ == other.bytes_ && errors_ == other.errors_ &&
               std::equal(
                   pages_.begin(), pages_.end(), other.pages_.begin(), other.pages_.end(),
                   [](const auto& a, const auto& b) { return a.first == b.first && a.second.depth == b.second.depth; });
    }
    /// Tells of the pages as they come.
    bool quiet = false;

private:
    struct known_page {
        std::size_t depth = 0;
        std::vector<url> links;
    };

    void add_link(known_page& here, const url& from, const std::string& link) {
        try {
            if (const std::optional<url> to = follow(from, link)) here.links.push_back(*to);
        } catch (const page_error& e) {
            ++errors_[e.kind];
            if (!quiet && !options_.json && !options_.summary_only)
                std::fprintf(stderr, "%s: %s\n", from.text().c_str(), e.what());
        }
    }
    void tell(const url& page, int status, std::size_t size, double ms, std::size_t links, const std::string& error);

    const options options_;
    std::map<url, known_page> pages_;
    std::set<std::string> hosts_;
    std::map<std::string, std::size_t> errors_;
    std::vector<double> latencies_;
    std::uint64_t bytes_ = 0;
    std::size_t fetched_ = 0;
    std::size_t forbidden_ = 0;
};

std::string quoted(std::string_view text) {
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') json += '\\';
        if (static_cast<unsigned char>(c) < ' ') {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
            json += code;
        } else {
            json += c;
        }
    }
    return json + '"';
}

void findings::tell(const url& page, int status, std::size_t size, double ms, std::size_t links,
                    const std::string& error) {
    if (quiet) return;
    if (options_.json) {
        std::printf("{\"url\": %s, \"status\": %d, \"bytes\": %zu, \"ms\": %.1f, \"depth\": %zu, \"links\": %zu, "
                    "\"error\": %s}\n",
                    quoted(page.text()).c_str(), status, size, ms, pages_[page].depth, links,
                    error.empty() ? "null" : quoted(error).c_str());
    } else if (!error.empty() && !options_.summary_only) {
        std::fprintf(stderr, "%s%s: %s\n", ::isatty(STDERR_FILENO) ? "\r\033[K" : "", page.text().c_str(),
                     error.c_str());
    }
}

/// Kind and words of an exception.
std::pair<std::string, std::string> describe(const std::exception& e) {
    if (const auto* page = dynamic_cast<const page_error*>(&e)) return {page->kind, e.what()};
    if (dynamic_cast<const aio::timeout_error*>(&e) != nullptr) return {"timeout", "timed out"};
    if (const auto* system = dynamic_cast<const std::system_error*>(&e)) {
        if (system->code() == std::errc::resource_unavailable_try_again) return {"timeout", "timed out"};
        return {lower(system->code().message()), e.what()};
    }
    return {"other", e.what()};
}

// ---- The crawl, in tasks --------------------------------------------------------------------------------------------

class crawl {
public:
    crawl(const options& o, findings& into)
        : options_(o), found_(into), all_(static_cast<std::ptrdiff_t>(o.concurrency)) {}

    /// Until no page is left. Cancelled, it leaves what it has found.
    aio::task<> run(std::vector<url> starts) {
        aio::task_group pages;
        auto body = [&](aio::task_group& group) -> aio::task<> {
            group_ = &group;
            for (const url& each : starts) {
                found_.allow_host(each);
                found_.offer(each, 0, *this);
            }
            co_return;
        };
        co_await aio::with(pages, body);
    }

    /// For findings: a page that is new.
    void operator()(const url& page) { group_->create_task(visit(page)); }

private:
    struct host {
        explicit host(std::size_t most) : turns(static_cast<std::ptrdiff_t>(most)) {}
        aio::semaphore turns;
        std::optional<aio::task_handle<robots>> rules;
    };

    aio::task<> visit(url page) {
        host& at = host_of(page);
        if (options_.robots) {
            if (!at.rules) at.rules = aio::create_task(rules_of(page));
            const robots rules = co_await aio::shield(*at.rules);
            if (!rules.allow(page.path)) {
                found_.refused_by_robots();
                co_return;
            }
        }
        const auto of_host = co_await at.turns.scoped_acquire();
        const auto of_all = co_await all_.scoped_acquire();
        const auto begin = steady::now();
        std::string kind, what;
        try {
            const auto limit = std::chrono::duration<double>(options_.timeout);
            const response got = co_await aio::wait_for(fetch(page, options_.max_bytes), limit);
            found_.fetched(page, got, steady::now() - begin, *this);
        } catch (const std::exception& e) {
            std::tie(kind, what) = describe(e);
            found_.failed(page, kind, what, steady::now() - begin);
        }
    }

    /// A site without a readable robots.txt allows everything.
    aio::task<robots> rules_of(url page) {
        page.path = "/robots.txt";
        try {
            const auto limit = std::chrono::duration<double>(options_.timeout);
            const response got = co_await aio::wait_for(fetch(page, 500'000), limit);
            if (got.status == 200) co_return robots(got.body);
        } catch (const std::exception&) { // the page itself will tell
        }
        co_return robots();
    }

    host& host_of(const url& page) {
        std::unique_ptr<host>& place = hosts_[page.site()];
        const std::size_t most = options_.per_host.value_or(options_.urls.empty() ? options_.concurrency : 20);
        if (place == nullptr) place = std::make_unique<host>(most);
        return *place;
    }

    const options& options_;
    findings& found_;
    aio::semaphore all_;
    std::map<std::string, std::unique_ptr<host>> hosts_;
    aio::task_group* group_ = nullptr;
};

// ---- The same without a loop, to compare ----------------------------------------------------------------------------

/// What the two own: Ctrl-C leaves their threads behind.
using shared_findings = std::shared_ptr<findings>;

void crawl_one_at_a_time(const options& o, const shared_findings& into, const url& start) {
    findings& found = *into;
    std::deque<url> queue;
    auto visit = [&](const url& page) { queue.push_back(page); };
    found.allow_host(start);
    found.offer(start, 0, visit);
    while (!queue.empty()) {
        const url page = std::move(queue.front());
        queue.pop_front();
        const auto begin = steady::now();
        try {
            const response got = blocking_fetch(page, o);
            found.fetched(page, got, steady::now() - begin, visit);
        } catch (const std::exception& e) {
            const auto [kind, what] = describe(e);
            found.failed(page, kind, what, steady::now() - begin);
        }
    }
}

void crawl_with_threads(const options& o, const shared_findings& into, const url& start) {
    findings& found = *into;
    std::mutex mutex;
    std::condition_variable ended;
    std::size_t running = 0;
    std::function<void(const url&)> visit = [&](const url& page) {
        ++running;
        std::thread([&, page] {
            const auto begin = steady::now();
            std::optional<response> got;
            std::pair<std::string, std::string> error;
            try {
                got = blocking_fetch(page, o);
            } catch (const std::exception& e) {
                error = describe(e);
            }
            const std::unique_lock lock(mutex);
            if (got)
                found.fetched(page, *got, steady::now() - begin, visit);
            else
                found.failed(page, error.first, error.second, steady::now() - begin);
            if (--running == 0) ended.notify_all();
        }).detach();
    };
    std::unique_lock lock(mutex);
    found.allow_host(start);
    found.offer(start, 0, visit);
    ended.wait(lock, [&] { return running == 0; });
}

// ---- A site to try it on --------------------------------------------------------------------------------------------

/// Pages that link to each other, made from a seed: most answer within some milliseconds, some are slow, some broken.
class site {
public:
    static constexpr int pages = 200;

    aio::task<> answer(aio::stream client) {
        std::string head;
        try {
            head = co_await client.read_until("\r\n\r\n");
        } catch (const aio::incomplete_read_error&) {
            co_return;
        }
        const std::string path = head.substr(4, head.find(' ', 4) - 4);
        try {
            co_await respond(client, path);
        } catch (const std::system_error&) { // it has gone
        }
    }

private:
    aio::task<> respond(aio::stream& client, std::string path) {
        int page = -1;
        if (path == "/") page = 0;
        if (path.starts_with("/page/")) page = std::atoi(path.c_str() + 6);
        if (path.starts_with("/old/")) { // moved
            const std::string moved =
                "HTTP/1.1 301 Moved Permanently\r\nLocation: /page/" + path.substr(5) + "\r\nContent-Length: 0\r\n\r\n";
            co_await aio::sleep(5ms);
            co_await client.write(moved);
        } else if (path.starts_with("/trap/")) { // links without end
            const std::string next = std::to_string(std::atoi(path.c_str() + 6) + 1);
            co_await aio::sleep(5ms);
            const std::string text = ok("<a href=\"" + next + "\">deeper</a> <a href=\"/\">home</a>");
            co_await client.write(text);
        } else if (page >= 0 && page < pages) {
            std::mt19937 random(static_cast<unsigned>(page) + 1);
            const bool slow = page % 40 == 7;
            co_await aio::sleep(slow ? 250ms : std::chrono::milliseconds(5 + random() % 20));
            co_await write_page(client, page, random);
        } else {
            const std::string text = "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found";
            co_await client.write(text);
        }
    }

    static aio::task<> write_page(aio::stream& client, int page, std::mt19937& random) {
        if (page % 50 == 11) {
            co_await client.write("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
        } else if (page % 50 == 23) { // ends too early
            co_await client.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<a href=\"/\">");
        } else if (page % 50 == 37) {
            co_await client.write("this is no HTTP\r\n\r\n");
        } else {
            std::string body = "<html><title>" + std::to_string(page) + "</title>\n";
            for (int i = 0; i < 4; ++i) body += "<a href=\"/page/" + std::to_string(random() % pages) + "\">more</a>\n";
            if (page * 2 + 2 < pages) // a tree, so that all are found
                body += "<a href='/page/" + std::to_string(page * 2 + 1) + "'>left</a> <A HREF=/page/" +
                        std::to_string(page * 2 + 2) + " >right</A>\n";
            if (page % 10 == 3) body += "<a href=\"/old/" + std::to_string((page + 1) % pages) + "\">old</a>\n";
            if (page % 60 == 5) body += "<a href=\"/missing/" + std::to_string(page) + "\">missing</a>\n";
            if (page == 9) body += "<a href=\"trap/../../trap/1\">trap</a>\n";
            body += std::string(random() % 20'000, '.');
            const std::string text = page % 3 == 0 ? chunked(body) : ok(body);
            co_await client.write(text);
        }
    }

    static std::string ok(const std::string& body) {
        return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body;
    }
    static std::string chunked(const std::string& body) {
        std::string text = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (std::size_t at = 0; at < body.size(); at += 4096) {
            const std::string piece = body.substr(at, 4096);
            char size[32];
            std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
            text += size + piece + "\r\n";
        }
        return text + "0\r\n\r\n";
    }
};

// ---- What is printed ------------------------------------------------------------------------------------------------

/// A line that tells how far it is, on a terminal.
aio::task<> progress(const findings& found, steady::time_point begin) {
    if (!::isatty(STDERR_FILENO)) co_return;
    for (;;) {
        const double seconds = std::chrono::duration<double>(steady::now() - begin).count();
        std::fprintf(stderr, "\r\033[K%zu pages, %zu known, %zu errors, %.1f MB, %.0f pages/s", found.count(),
                     found.known(), found.error_count(), static_cast<double>(found.bytes()) * 1e-6,
                     seconds > 0 ? static_cast<double>(found.answered()) / seconds : 0);
        std::fflush(stderr);
        co_await aio::sleep(100ms);
    }
}
void clear_progress() {
    if (::isatty(STDERR_FILENO)) std::fputs("\r\033[K", stderr);
}

struct timed {
    std::string name;
    const findings* found;
    double seconds;
};

void print_summary(const findings& found, double seconds, std::FILE* to) {
    std::fprintf(to, "pages          %zu\n", found.count());
    std::fprintf(to, "bytes          %llu\n", static_cast<unsigned long long>(found.bytes()));
    std::fprintf(to, "errors         %zu\n", found.error_count());
    for (const auto& [kind, count] : found.errors()) std::fprintf(to, "  %-12s %zu\n", kind.c_str(), count);
    if (found.forbidden() != 0) std::fprintf(to, "not allowed    %zu (robots.txt)\n", found.forbidden());
    std::fprintf(to, "seconds        %.2f\n", seconds);
    std::fprintf(to, "pages/s        %.0f\n", seconds > 0 ? static_cast<double>(found.answered()) / seconds : 0);
    std::fprintf(to, "latency        p50 %.0f ms, p95 %.0f ms, p99 %.0f ms\n", found.latency(50), found.latency(95),
                 found.latency(99));
}

void print_table(const std::vector<timed>& all) {
    std::printf("\n%-22s %7s %9s %7s %8s %8s %7s %7s %7s\n", "", "pages", "bytes", "errors", "seconds", "pages/s",
                "p50 ms", "p95 ms", "p99 ms");
    for (const timed& each : all)
        std::printf("%-22s %7zu %9llu %7zu %8.2f %8.0f %7.0f %7.0f %7.0f\n", each.name.c_str(), each.found->count(),
                    static_cast<unsigned long long>(each.found->bytes()), each.found->error_count(), each.seconds,
                    static_cast<double>(each.found->answered()) / each.seconds, each.found->latency(50),
                    each.found->latency(95), each.found->latency(99));
}

// ---- The program ----------------------------------------------------------------------------------------------------

/// Crawls, with the progress line; prints the summary also when it is cancelled.
aio::task<double> crawl_and_tell(const options& o, findings& found, std::vector<url> starts) {
    const auto begin = steady::now();
    const auto seconds = [&] { return std::chrono::duration<double>(steady::now() - begin).count(); };
    crawl job(o, found);
    auto line = aio::create_task(progress(found, begin));
    auto work = [&]() -> aio::task<> { co_await job.run(std::move(starts)); };
    auto tell = [&] {
        line.cancel();
        clear_progress();
        std::fflush(stdout);
        print_summary(found, seconds(), o.json ? stderr : stdout);
    };
    co_await aio::finally(work, tell);
    co_return seconds();
}

aio::task<int> crawl_own_site(const options& o) {
    site content;
    auto handler = [&](aio::stream client) -> aio::task<> { co_await content.answer(std::move(client)); };
    aio::server server = co_await aio::start_server(handler, "127.0.0.1", 0);
    int status = 0;
    auto body = [&]() -> aio::task<> {
        const url start{"127.0.0.1", server.port(), "/"};
        findings found(o);
        const auto one = std::make_shared<findings>(o);
        const auto threads = std::make_shared<findings>(o);
        one->quiet = threads->quiet = true;
        std::vector<timed> all;
        std::vector<url> starts(1, start);
        const double seconds = co_await crawl_and_tell(o, found, std::move(starts));
        all.push_back({"a task per page", &found, seconds});
        status = found.count() == 0 ? 1 : 0;
        if (!o.compare) co_return;
        const auto measure = [&](const char* name, auto call, const shared_findings& into) -> aio::task<> {
            if (::isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K%s ...", name);
            const auto begin = steady::now();
            co_await aio::to_thread(aio::abandon_on_cancel, call, o, into, start);
            all.push_back({name, into.get(), std::chrono::duration<double>(steady::now() - begin).count()});
            clear_progress();
        };
        co_await measure("one page at a time", &crawl_one_at_a_time, one);
        co_await measure("a thread per page", &crawl_with_threads, threads);
        if (!o.json) print_table(all);
        if (!one->same_as(found) || !threads->same_as(found)) {
            std::fputs("web_crawler: the three did not find the same\n", stderr);
            status = 1;
        }
    };
    co_await aio::with(server, body);
    co_return status;
}

aio::task<int> crawl_urls(const options& o, std::vector<url> starts) {
    findings found(o);
    co_await crawl_and_tell(o, found, std::move(starts));
    co_return found.count() == 0 ? 1 : 0;
}

int main(int argc, char** argv) try {
    const options o = parse(std::vector<std::string>(argv + 1, argv + argc));
    if (o.help) {
        std::printf("%s%s", usage, help);
        return 0;
    }
    std::vector<url> starts;
    for (const std::string& each : o.urls) {
        try {
            starts.push_back(parse_url(each));
        } catch (const page_error& e) {
            throw usage_error(e.what());
        }
    }
    aio::run_options run;
    run.handle_sigint = true;
    return starts.empty() ? aio::run(crawl_own_site(o), run) : aio::run(crawl_urls(o, std::move(starts)), run);
} catch (const usage_error& e) {
    std::fprintf(stderr, "web_crawler: %s\n%s", e.what(), usage);
    return 2;
} catch (const aio::keyboard_interrupt&) {
    return 130;
} catch (const std::exception& e) {
    std::fprintf(stderr, "web_crawler: %s\n", e.what());
    return 1;
}
