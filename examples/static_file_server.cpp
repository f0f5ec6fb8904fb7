// SPDX-License-Identifier: BSL-1.0

// Serves the files of a folder over HTTP: keep-alive, ranges, conditional requests, listings of folders.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/static_file_server.cpp -o static_file_server
//     ./static_file_server --port 8080 --threads 4 /usr/share/doc
//
// Each of N threads runs a loop with a server of its own; the system deals the connections out (SO_REUSEPORT), so that
// nothing is shared. A file goes from the disk to the socket without passing through this program (send_file). The
// first Ctrl-C stops listening, lets the responses that are under way end, and closes the connections that are idle; the
// second ends it at once.
//
// Symbolic links in the folder are followed; opening a file blocks its loop for the moment that it takes.
//
// Copy from it: file_server for a protocol of requests and responses, run for several loops and a graceful end.
// Run: ./static_file_server --help
// Read next: load_test.cpp

#include <asynchio.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <dirent.h>
#include <exception>
#include <fcntl.h>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

constexpr char usage[] = "usage: static_file_server [--host HOST] [--port N] [--threads N] FOLDER\n";
constexpr char help[] = R"(
Serves the files of FOLDER over HTTP/1.1.

  --host HOST   the address to listen at (default: 127.0.0.1)
  --port N      the port; 0 picks a free one (default: 8000)
  --threads N   loops, each on a thread of its own (default: 1)
  --help        print this

Prints the address when it listens. Exit status: 0 after Ctrl-C, 1 an error, 2 wrong usage.
)";

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct options {
    std::string folder;
    std::string host = "127.0.0.1";
    int port = 8000;
    std::size_t threads = 1;
    bool help = false;
};

int number(const std::string& name, const std::string& word, int least, int most) {
    int value = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
    if (read.ec != std::errc() || read.ptr != word.data() + word.size() || value < least || value > most)
        throw usage_error(name + " needs a number from " + std::to_string(least) + " to " + std::to_string(most) +
                          ", not '" + word + "'");
    return value;
}

options parse(const std::vector<std::string>& words) {
    options o;
    for (auto word = words.begin(); word != words.end(); ++word) {
        const auto value = [&]() -> std::string {
            if (word + 1 == words.end()) throw usage_error(*word + " needs a value");
            return *(word + 1);
        };
        if (*word == "--host")
            o.host = value(), ++word;
        else if (*word == "--port")
            o.port = number(*word, value(), 0, 65535), ++word;
        else if (*word == "--threads")
            o.threads = static_cast<std::size_t>(number(*word, value(), 1, 1024)), ++word;
        else if (*word == "--help" || *word == "-h")
            o.help = true;
        else if (word->starts_with("-"))
            throw usage_error("unknown option '" + *word + "'");
        else if (!o.folder.empty())
            throw usage_error("one FOLDER is enough");
        else
            o.folder = *word;
    }
    if (o.help) return o;
    if (o.folder.empty()) throw usage_error("which FOLDER?");
    struct stat what{};
    if (::stat(o.folder.c_str(), &what) != 0 || !S_ISDIR(what.st_mode))
        throw usage_error("'" + o.folder + "' is no folder");
    return o;
}

// ---- HTTP -----------------------------------------------------------------------------------------------------------

std::string lower(std::string_view text) {
    std::string low(text);
    for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return low;
}

struct request {
    std::string method;
    std::string path; // decoded, without the query
    std::map<std::string, std::string> headers;
    bool keep_alive = true;
    bool valid = false;
};

/// "%20" as what it stands for. @return nothing if that is malformed, or a zero byte.
std::optional<std::string> decoded(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            plain += text[i];
            continue;
        }
        unsigned code = 0;
        if (i + 2 >= text.size() ||
            std::from_chars(text.data() + i + 1, text.data() + i + 3, code, 16).ptr != text.data() + i + 3 || code == 0)
            return std::nullopt;
        plain += static_cast<char>(code);
        i += 2;
    }
    return plain;
}

request parse_request(std::string_view head) {
    request r;
    const std::size_t end_of_line = head.find("\r\n");
    const std::string_view line = head.substr(0, end_of_line);
    const std::size_t first = line.find(' '), second = line.rfind(' ');
    if (first == std::string_view::npos || first == second || !line.substr(second + 1).starts_with("HTTP/1.")) return r;
    r.method = line.substr(0, first);
    const std::string_view target = line.substr(first + 1, second - first - 1);
    const std::optional<std::string> path = decoded(target.substr(0, target.find('?')));
    r.keep_alive = line.substr(second + 1) != "HTTP/1.0";
    for (std::size_t at = end_of_line + 2; at < head.size();) {
        const std::size_t end = std::min(head.find("\r\n", at), head.size());
        const std::string_view header = head.substr(at, end - at);
        at = end + 2;
        const std::size_t colon = header.find(':');
        if (header.empty()) continue;
        if (colon == std::string_view::npos) return r;
        const std::size_t value = header.find_first_not_of(" \t", colon + 1);
        r.headers[lower(header.substr(0, colon))] =
            value == std::string_view::npos ? "" : std::string(header.substr(value));
    }
    if (const auto connection = r.headers.find("connection"); connection != r.headers.end())
        r.keep_alive =
            lower(connection->second) == "keep-alive" || (r.keep_alive && lower(connection->second) != "close");
    r.valid = path && path->starts_with('/');
    if (r.valid) r.path = *path;
    return r;
}

std::string http_date(std::time_t when) {
    char text[64];
    std::tm parts{};
    ::gmtime_r(&when, &parts);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return text;
}

std::string_view type_of(std::string_view path) {
    constexpr std::pair<std::string_view, std::string_view> types[] = {{".html", "text/html; charset=utf-8"},
                                                                       {".htm", "text/html; charset=utf-8"},
                                                                       {".css", "text/css"},
                                                                       {".js", "text/javascript"},
                                                                       {".json", "application/json"},
                                                                       {".txt", "text/plain; charset=utf-8"},
                                                                       {".md", "text/plain; charset=utf-8"},
                                                                       {".svg", "image/svg+xml"},
                                                                       {".png", "image/png"},
                                                                       {".jpg", "image/jpeg"},
                                                                       {".gif", "image/gif"},
                                                                       {".ico", "image/x-icon"},
                                                                       {".pdf", "application/pdf"},
                                                                       {".wasm", "application/wasm"}};
    for (const auto& [ending, type] : types)
        if (path.ends_with(ending)) return type;
    return "application/octet-stream";
}

/// Part of a file of `size` bytes.
struct range {
    std::uint64_t first;
    std::uint64_t count;
};
/// RFC 9110, 14.1.2, one range: nothing for what is to be ignored; an empty one that cannot be given.
std::optional<range> parse_range(std::string_view text, std::uint64_t size) {
    if (!text.starts_with("bytes=") || text.find(',') != std::string_view::npos) return std::nullopt;
    text.remove_prefix(6);
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return std::nullopt;
    const auto parsed = [](std::string_view digits) -> std::optional<std::uint64_t> {
        std::uint64_t value = 0;
        const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (digits.empty() || read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
        return value;
    };
    const auto first = parsed(text.substr(0, dash)), last = parsed(text.substr(dash + 1));
    if (dash == 0) { // the last so many
        if (!last) return std::nullopt;
        const std::uint64_t count = std::min(*last, size);
        return range{size - count, count};
    }
    if (!first || (!last && dash + 1 != text.size()) || (last && *last < *first)) return std::nullopt;
    if (*first >= size) return range{0, 0};
    return range{*first, std::min(last.value_or(size - 1), size - 1) - *first + 1};
}

std::string escaped(std::string_view text) {
    std::string html;
    for (const char c : text) {
        if (c == '&')
            html += "&amp;";
        else if (c == '<')
            html += "&lt;";
        else if (c == '"')
            html += "&quot;";
        else
            html += c;
    }
    return html;
}
std::string encoded(std::string_view name) {
    std::string text;
    for (const char c : name) {
        char code[8];
        if (std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-._~").find(c) != std::string_view::npos)
            text += c;
        else
            std::snprintf(code, sizeof code, "%%%02X", static_cast<unsigned char>(c)), text += code;
    }
    return text;
}

/// The entries of a folder as a page.
std::string listing(const std::string& folder, const std::string& path) {
    std::vector<std::string> names;
    if (::DIR* all = ::opendir(folder.c_str())) {
        while (const ::dirent* each = ::readdir(all)) {
            std::string name = each->d_name;
            struct stat what{};
            if (name == "." || (name == ".." && path == "/") || ::stat((folder + name).c_str(), &what) != 0) continue;
            names.push_back(S_ISDIR(what.st_mode) ? name + "/" : name);
        }
        ::closedir(all);
    }
    std::sort(names.begin(), names.end());
    std::string page =
        "<!doctype html><meta charset=utf-8><title>" + escaped(path) + "</title><h1>" + escaped(path) + "</h1><ul>\n";
    for (const std::string& name : names) {
        const bool folder_name = name.ends_with('/');
        const std::string link =
            encoded(folder_name ? std::string_view(name).substr(0, name.size() - 1) : name) + (folder_name ? "/" : "");
        page += "<li><a href=\"" + link + "\">" + escaped(name) + "</a>\n";
    }
    return page + "</ul>\n";
}

// ---- The server -----------------------------------------------------------------------------------------------------

/// A file that is open while it is sent.
class open_file {
public:
    explicit open_file(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (fd_ >= 0 && ::fstat(fd_, &what) != 0) what = {};
    }
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    ~open_file() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    struct stat what{};

private:
    int fd_;
};

/// The server of one loop.
class file_server {
public:
    static constexpr std::size_t largest_head = 16'384;
    static constexpr auto idle_limit = 15s; // for the next request, and for each part of a response

    explicit file_server(std::string root) : root_(std::move(root)) {}

    aio::task<> operator()(aio::stream client) {
        const auto self = connections_.insert(connections_.end(), {aio::current_task(), true});
        const auto end = [&] { connections_.erase(self); };
        auto talk = [&]() -> aio::task<> { co_await answer_all(client, *self); };
        co_await aio::finally(talk, end);
    }
    /// Lets the responses that are under way end.
    void stop() {
        stopping_ = true;
        for (const connection& each : connections_)
            if (each.idle) each.task.cancel();
    }

private:
    struct connection {
        aio::any_task_handle task;
        bool idle; // it waits for a request
    };

    aio::task<> answer_all(aio::stream& client, connection& self) {
        bool too_large = false; // what is awaited cannot stand in a catch block
        try {
            co_await answer_each(client, self);
        } catch (const aio::limit_overrun_error&) {
            too_large = true;
        } catch (const aio::incomplete_read_error&) { // it has closed its side
        } catch (const aio::timeout_error&) {         // it took too long
        } catch (const std::system_error&) {          // it is gone
        }
        if (!too_large) co_return;
        const auto told = co_await aio::nothrow(
            text(client, "431 Request Header Fields Too Large", "the request's head is too large\n", false, true));
    }

    aio::task<> answer_each(aio::stream& client, connection& self) {
        bool keep_alive = true;
        while (keep_alive && !stopping_) {
            self.idle = true;
            const std::string head = co_await aio::wait_for(client.read_until("\r\n\r\n", largest_head), idle_limit);
            self.idle = false;
            const request r = parse_request(std::string_view(head).substr(0, head.size() - 2));
            keep_alive = r.valid && r.keep_alive && r.headers.count("content-length") == 0 &&
                         r.headers.count("transfer-encoding") == 0;
            co_await respond(client, r, keep_alive);
        }
    }

    aio::task<> respond(aio::stream& client, const request& r, bool keep_alive) {
        const bool with_body = r.method != "HEAD";
        if (!r.valid) co_return co_await text(client, "400 Bad Request", "this is no request\n", false, true);
        if (r.method != "GET" && r.method != "HEAD")
            co_return co_await text(client, "405 Method Not Allowed\r\nAllow: GET, HEAD", "only GET and HEAD\n",
                                    keep_alive, true);
        if ((r.path + "/").find("/../") != std::string::npos)
            co_return co_await text(client, "403 Forbidden", "not from here\n", keep_alive, with_body);
        std::string path = root_ + r.path;
        struct stat what{};
        if (::stat(path.c_str(), &what) == 0 && S_ISDIR(what.st_mode)) {
            if (!path.ends_with('/')) {
                const std::size_t name = r.path.rfind('/') + 1;
                co_return co_await text(client,
                                        "301 Moved Permanently\r\nLocation: " + encoded(r.path.substr(name)) + "/", "",
                                        keep_alive, with_body);
            }
            if (::stat((path + "index.html").c_str(), &what) != 0)
                co_return co_await text(client, "200 OK", listing(path, r.path), keep_alive, with_body,
                                        "text/html; charset=utf-8");
            path += "index.html";
        }
        const open_file file(path);
        if (file.get() < 0 || !S_ISREG(file.what.st_mode)) {
            const bool denied = file.get() < 0 && errno == EACCES;
            co_return co_await text(client, denied ? "403 Forbidden" : "404 Not Found",
                                    denied ? "not allowed\n" : "there is no such file\n", keep_alive, with_body);
        }
        co_await send(client, r, file, path, keep_alive);
    }

    aio::task<> send(aio::stream& client, const request& r, const open_file& file, const std::string& path,
                     bool keep_alive) {
        const auto size = static_cast<std::uint64_t>(file.what.st_size);
        const std::string modified = http_date(file.what.st_mtime);
        const auto header = [&](const char* name) {
            const auto found = r.headers.find(name);
            return found == r.headers.end() ? std::string() : found->second;
        };
        if (header("if-modified-since") == modified)
            co_return co_await text(client, "304 Not Modified\r\nLast-Modified: " + modified, "", keep_alive, false);
        std::string status = "200 OK";
        range part{0, size};
        if (const std::optional<range> asked = parse_range(header("range"), size)) {
            if (asked->count == 0)
                co_return co_await text(client,
                                        "416 Range Not Satisfiable\r\nContent-Range: bytes */" + std::to_string(size),
                                        "", keep_alive, true);
            part = *asked;
            status = "206 Partial Content\r\nContent-Range: bytes " + std::to_string(part.first) + "-" +
                     std::to_string(part.first + part.count - 1) + "/" + std::to_string(size);
        }
        std::string head = "HTTP/1.1 " + status + "\r\nContent-Type: " + std::string(type_of(path)) +
                           "\r\nContent-Length: " + std::to_string(part.count) + "\r\nLast-Modified: " + modified +
                           "\r\nAccept-Ranges: bytes" + connection_header(keep_alive) + "\r\n\r\n";
        std::uint64_t sent = part.count;
        if (r.method != "HEAD") sent = part.count <= small ? append(head, file.get(), part) : 0;
        co_await aio::wait_for(client.write(head), idle_limit);
        // A part at a time: a slow client has the limit for each, not for all.
        constexpr std::uint64_t most = 4 << 20;
        while (sent < part.count) {
            const auto count = static_cast<std::size_t>(std::min(most, part.count - sent));
            const std::size_t got =
                co_await aio::wait_for(client.send_file(file.get(), part.first + sent, count), idle_limit);
            if (got == 0) { // it has shrunk: the client must see that something is missing
                client.abort();
                co_return;
            }
            sent += got;
        }
    }

    /// Adds a part of a file, so that head and body go in one packet. @return its bytes; fewer if the file has shrunk.
    static std::uint64_t append(std::string& to, int file, range part) {
        const std::size_t before = to.size();
        to.resize(before + static_cast<std::size_t>(part.count));
        const ssize_t got = ::pread(file, to.data() + before, to.size() - before, static_cast<off_t>(part.first));
        to.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        return to.size() - before;
    }

    aio::task<> text(aio::stream& client, std::string status, std::string body, bool keep_alive, bool with_body,
                     std::string type = "text/plain; charset=utf-8") {
        std::string all = "HTTP/1.1 " + status + "\r\nContent-Type: " + type +
                          "\r\nContent-Length: " + std::to_string(body.size()) + connection_header(keep_alive) +
                          "\r\n\r\n";
        if (with_body) all += body;
        co_await aio::wait_for(client.write(all), idle_limit);
    }
    static constexpr std::uint64_t small = 65'536; // bytes: what is larger goes with sendfile

    std::string connection_header(bool keep_alive) const {
        return keep_alive && !stopping_ ? "\r\nConnection: keep-alive" : "\r\nConnection: close";
    }

    std::string root_;
    std::list<connection> connections_;
    bool stopping_ = false;
};

/// On each loop.
aio::task<int> listen(options o, std::unique_ptr<aio::server>& server, file_server& files) {
    aio::server_options shared;
    shared.reuse_port = o.threads > 1;
    shared.backlog = 1024;
    auto handler = [&files](aio::stream client) { return files(std::move(client)); };
    server = std::make_unique<aio::server>(co_await aio::start_server(handler, o.host, o.port, shared));
    co_return server->port();
}

/// What each loop has.
struct worker {
    explicit worker(const std::string& folder) : files(folder) {}
    file_server files;
    std::unique_ptr<aio::server> server;
};

aio::task<int> run(options o) {
    std::list<worker> workers;
    aio::loop_group loops(o.threads);
    aio::signal_set signals(SIGINT, SIGTERM);
    auto body = [&]() -> aio::task<> {
        for (std::size_t i = 0; i < loops.size(); ++i) {
            worker& w = workers.emplace_back(o.folder);
            o.port = co_await aio::wrap_future(loops.submit(i, [&o, &w] { return listen(o, w.server, w.files); }));
        }
        std::printf("http://%s:%d/\n", o.host.c_str(), o.port);
        std::fflush(stdout);
        co_await signals.wait();
        std::vector<aio::future<>> ends;
        std::size_t i = 0;
        for (worker& w : workers) {
            auto stop = [&w]() -> aio::task<> {
                w.server->close();
                w.files.stop();
                co_await w.server->wait_closed();
            };
            ends.push_back(aio::wrap_future(loops.submit(i++, stop)));
        }
        auto graceful = [&]() -> aio::task<> {
            for (const aio::future<>& each : ends) co_await each;
        };
        co_await aio::race(graceful, signals.wait()); // the second Ctrl-C ends it
        i = 0;
        for (worker& w : workers) {
            auto end = [&w]() -> aio::task<> {
                if (w.server) co_await w.server->aclose();
                w.server.reset();
            };
            co_await aio::wrap_future(loops.submit(i++, end));
        }
    };
    co_await aio::with(loops, body);
    co_return 0;
}

int main(int argc, char** argv) try {
    const options o = parse(std::vector<std::string>(argv + 1, argv + argc));
    if (o.help) {
        std::printf("%s%s", usage, help);
        return 0;
    }
    return aio::run(run(o));
} catch (const usage_error& e) {
    std::fprintf(stderr, "static_file_server: %s\n%s", e.what(), usage);
    return 2;
} catch (const std::exception& e) {
    std::fprintf(stderr, "static_file_server: %s\n", e.what());
    return 1;
}
