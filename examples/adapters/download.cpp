// SPDX-License-Identifier: BSL-1.0

// Downloads files, several at a time: what was begun is resumed, what fails is tried again, and checksums are checked.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/download.cpp -o download -lcurl -lssl -lcrypto
//     ./download https://example.org/a.iso https://example.org/b.iso#sha256=0123...
//
// A file that is not whole yet is NAME.part, with what the server calls that version of it in NAME.part.version. Ctrl-C
// leaves both, and the next call goes on from there, if the server still has the same version. On a terminal, one line
// tells of the progress.
//
// Run: ./download
// Test: exit 2

#include <asynchio.hpp>
#include <asynchio/adapters/libcurl.hpp>
#include <asynchio/adapters/openssl.hpp> // and with it OpenSSL's SHA-256

#include <openssl/evp.h>

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace http = asynchio::libcurl;
using namespace std::chrono_literals;

// ---- Options --------------------------------------------------------------------------------------------------------

constexpr char usage[] = "usage: download [options] URL[#sha256=HEX]...\n";
constexpr char help[] = R"(
Downloads files by HTTP and HTTPS, and resumes those that were begun.

  --into FOLDER    where the files go (default: here)
  --list FILE      more URLs, one in a line, each as above or behind its checksum: HEX URL; "-" is standard input
  --at-a-time N    downloads under way at a time (default: 4)
  --tries N        how often each is tried (default: 5)
  --trust FILE     certificates of authorities to trust, in PEM form
  --help           print this

Exit status: 0 all files are there, 1 some are not, 2 wrong usage, 130 Ctrl-C.
)";

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct job {
    std::string url;
    std::string name;
    std::string sha256; // in small letters; empty if it is not known
};

struct options {
    std::vector<job> jobs;
    std::filesystem::path folder = ".";
    int at_a_time = 4;
    int tries = 5;
    std::string trusted;
    bool help = false;
};

bool is_control(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

/// Returns the name of the file that a URL stands for.
std::string name_of(std::string_view url) {
    std::string_view path = url.substr(0, url.find_first_of("?#"));
    const std::size_t scheme = path.find("://");
    if (scheme != std::string_view::npos) path.remove_prefix(scheme + 3);
    const std::size_t slash = path.rfind('/');
    const std::string_view coded = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    std::string name;
    for (std::size_t i = 0; i < coded.size(); ++i) {
        unsigned value = 0;
        if (coded[i] == '%' && i + 2 < coded.size() &&
            std::from_chars(coded.data() + i + 1, coded.data() + i + 3, value, 16).ptr == coded.data() + i + 3) {
            name += static_cast<char>(value);
            i += 2;
        } else {
            name += coded[i];
        }
    }
    if (name.empty()) return "index.html";
    if (name == "." || name == ".." || name.size() > 200 || name.find('/') != std::string::npos ||
        std::any_of(name.begin(), name.end(), is_control))
        throw usage_error("this URL has no name that a file could have: " + std::string(url));
    return name;
}

std::string checksum_of(std::string_view text) {
    std::string hex(text);
    for (char& each : hex)
        if (each >= 'A' && each <= 'F') each = static_cast<char>(each - 'A' + 'a');
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
        throw usage_error("a SHA-256 has 64 hexadecimal digits, and not: " + std::string(text));
    return hex;
}

job parse_job(std::string_view word, std::string_view sum = {}) {
    if (std::any_of(word.begin(), word.end(), is_control) || word.find(' ') != std::string_view::npos)
        throw usage_error("a URL has no blanks and control characters");
    job made;
    const std::size_t fragment = word.find('#');
    made.url = word.substr(0, fragment);
    if (fragment != std::string_view::npos && word.substr(fragment).starts_with("#sha256="))
        sum = word.substr(fragment + 8);
    if (!sum.empty() || word.ends_with("#sha256=")) made.sha256 = checksum_of(sum);
    made.name = name_of(made.url);
    return made;
}

void read_list(const std::string& file, std::vector<job>& into) {
    std::ifstream opened;
    if (file != "-") opened.open(file);
    std::istream& from = file == "-" ? std::cin : opened;
    if (!from) throw usage_error("cannot read the list " + file);
    for (std::string line; std::getline(from, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (line.empty() || line[0] == '#') continue;
        const std::size_t blank = line.find(' ');
        const std::size_t url = blank == std::string::npos ? 0 : line.find_first_not_of(' ', blank);
        if (url == std::string::npos) throw usage_error("the list has a line without a URL: " + line);
        into.push_back(
            parse_job(std::string_view(line).substr(url), std::string_view(line).substr(0, url ? blank : 0)));
    }
}

int number(const std::string& name, const std::string& word) {
    int value = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
    if (read.ec != std::errc() || read.ptr != word.data() + word.size() || value < 1 || value > 1000)
        throw usage_error(name + " needs a number from 1 to 1000, not '" + word + "'");
    return value;
}

options parse(const std::vector<std::string>& words) {
    options o;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const auto value = [&]() -> const std::string& {
            if (i + 1 == words.size()) throw usage_error(word + " needs a value");
            return words[++i];
        };
        if (word == "--help")
            o.help = true;
        else if (word == "--into")
            o.folder = value();
        else if (word == "--list")
            read_list(value(), o.jobs);
        else if (word == "--at-a-time")
            o.at_a_time = number(word, value());
        else if (word == "--tries")
            o.tries = number(word, value());
        else if (word == "--trust")
            o.trusted = value();
        else if (word.starts_with("--"))
            throw usage_error("unknown option " + word);
        else
            o.jobs.push_back(parse_job(word));
    }
    if (o.help) return o;
    if (o.jobs.empty()) throw usage_error("no URL is given");
    if (!std::filesystem::is_directory(o.folder)) throw usage_error("there is no folder " + o.folder.string());
    std::set<std::string> names;
    for (const job& each : o.jobs)
        if (!names.insert(each.name).second) throw usage_error("two URLs stand for the file " + each.name);
    return o;
}

// ---- Files ----------------------------------------------------------------------------------------------------------

/// A download that has failed. Some may be tried again.
struct failure : std::runtime_error {
    failure(const std::string& text, bool again) : std::runtime_error(text), may_be_tried_again(again) {}
    bool may_be_tried_again;
};

[[noreturn]] void system_failure(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

/// Returns the SHA-256 of a file, in hexadecimal digits.
std::string sha256_of(int fd) {
    struct freed {
        void operator()(EVP_MD_CTX* given) const noexcept { EVP_MD_CTX_free(given); }
    };
    const std::unique_ptr<EVP_MD_CTX, freed> sum(EVP_MD_CTX_new());
    if (!sum || EVP_DigestInit_ex(sum.get(), EVP_sha256(), nullptr) != 1) throw std::runtime_error("no SHA-256");
    std::vector<char> buffer(1 << 20);
    for (off_t at = 0;;) {
        const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), at);
        if (got < 0) system_failure("read");
        if (got == 0) break;
        EVP_DigestUpdate(sum.get(), buffer.data(), static_cast<std::size_t>(got));
        at += got;
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(sum.get(), digest, &size);
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        hex += "0123456789abcdef"[digest[i] >> 4];
        hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
}

/// The file NAME.part, which nobody else writes meanwhile.
class part {
public:
    explicit part(std::filesystem::path target)
        : target_(std::move(target)), path_(target_.string() + ".part"),
          version_path_(target_.string() + ".part.version") {
        const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) system_failure("open " + path_.string());
        file_ = aio::file::from_descriptor(fd, path_);
        struct stat about{};
        if (::flock(fd, LOCK_EX | LOCK_NB) != 0 || ::fstat(fd, &about) != 0 || about.st_nlink == 0)
            throw failure("another download writes " + path_.string(), false);
        size_ = static_cast<std::uint64_t>(about.st_size);
        if (size_ > 0) std::getline(std::ifstream(version_path_), version_);
    }

    int descriptor() const { return file_.native_handle(); }
    std::uint64_t size() const { return size_; }
    /// What the server calls the version of which the bytes are; empty if it cannot be resumed.
    const std::string& version() const { return version_; }

    aio::task<> begin_anew(std::string version) {
        co_await file_.truncate(0);
        size_ = 0;
        version_ = std::move(version);
        std::filesystem::remove(version_path_);
        if (!version_.empty()) std::ofstream(version_path_) << version_ << '\n';
    }
    aio::task<> append(std::string bytes) {
        co_await file_.write_at(bytes, size_);
        size_ += bytes.size();
    }
    void finish() {
        std::filesystem::rename(path_, target_);
        std::filesystem::remove(version_path_);
    }
    void discard() {
        std::filesystem::remove(path_);
        std::filesystem::remove(version_path_);
    }

private:
    std::filesystem::path target_, path_, version_path_;
    aio::file file_;
    std::uint64_t size_ = 0;
    std::string version_;
};

// ---- What is printed ------------------------------------------------------------------------------------------------

class board {
public:
    explicit board(std::size_t files) : files_(files), on_terminal_(::isatty(STDOUT_FILENO) == 1) {}

    std::uint64_t bytes = 0; // that have come
    std::size_t done = 0;
    std::size_t failed = 0;

    void say(const std::string& line) { print(stdout, line); }
    void complain(const std::string& line) { print(stderr, "download: " + line); }
    /// Shows the progress line, until it is cancelled.
    aio::task<> show() {
        if (!on_terminal_) co_return;
        const auto start = std::chrono::steady_clock::now();
        for (;;) {
            co_await aio::sleep(100ms);
            const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
            const double megabytes = static_cast<double>(bytes) / 1e6;
            std::printf("\r\x1b[K%zu of %zu files, %.1f MB, %.1f MB/s", done + failed, files_, megabytes,
                        megabytes / passed.count());
            std::fflush(stdout);
            shown_ = true;
        }
    }
    void clear() {
        if (!std::exchange(shown_, false)) return;
        std::fputs("\r\x1b[K", stdout);
        std::fflush(stdout);
    }

private:
    void print(std::FILE* to, std::string line) {
        clear();
        std::replace_if(line.begin(), line.end(), is_control, '?');
        std::fprintf(to, "%s\n", line.c_str());
        std::fflush(to);
    }

    std::size_t files_;
    bool on_terminal_;
    bool shown_ = false;
};

// ---- Downloads ------------------------------------------------------------------------------------------------------

/// Returns what If-Range can ask for: a strong ETag, or else the date.
std::string version_of(const http::response_head& of) {
    if (const auto tag = of.headers.find("ETag"); tag && tag->starts_with('"')) return std::string(*tag);
    return std::string(of.headers.find("Last-Modified").value_or(""));
}

/// Whether a response goes on where the file ends: "bytes 5-9/10", with 5 bytes there.
bool continues(const http::response_head& response, std::uint64_t size) {
    return response.headers.find("Content-Range").value_or("").starts_with("bytes " + std::to_string(size) + "-");
}

/// Gets what is missing of a file.
aio::task<> get(http::session& web, const job& what, part& file, board& told) {
    http::request request(what.url);
    const bool resumes = file.size() > 0 && !file.version().empty();
    if (resumes) {
        request.headers.add("Range", "bytes=" + std::to_string(file.size()) + "-");
        request.headers.add("If-Range", file.version());
    }
    http::streamed_response answer = co_await web.stream(std::move(request));
    const std::string all = "bytes */" + std::to_string(file.size());
    if (resumes && answer.status == 416 && answer.headers.find("Content-Range") == all) co_return; // it was whole
    if (resumes && (answer.status == 416 || (answer.status == 206 && !continues(answer, file.size())))) {
        co_await file.begin_anew("");
        throw failure("the server does not resume it", true);
    }
    if (answer.status >= 400)
        throw failure("the server answers with the status " + std::to_string(answer.status),
                      answer.status == 408 || answer.status == 429 || answer.status >= 500);
    if (answer.status == 200)
        co_await file.begin_anew(version_of(answer));
    else if (!resumes || answer.status != 206)
        throw failure("the server answers with the status " + std::to_string(answer.status), false);
    while (auto piece = co_await answer.body.next()) {
        told.bytes += piece->size();
        co_await file.append(std::move(*piece));
    }
}

/// Whether another try may go better than a transfer that has failed with a code.
bool may_be_tried_again(const http::error& e) {
    switch (e.code()) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_TOO_MANY_REDIRECTS: return false;
    default: return true;
    }
}

aio::task<bool> is_there(std::filesystem::path file, std::string sha256) {
    if (sha256.empty()) co_return false;
    auto same = [&] {
        const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return false;
        const struct closed {
            int fd;
            ~closed() { ::close(fd); }
        } at_end{fd};
        return sha256_of(fd) == sha256;
    };
    const bool found = co_await aio::to_thread(aio::take(same));
    co_return found;
}

aio::task<> download(http::session& web, const options& o, const job& what, board& told) {
    const std::filesystem::path target = o.folder / what.name;
    const bool there = co_await is_there(target, what.sha256);
    if (there) co_return told.say(what.name + ": is there already");
    part file(target);
    auto wait = 500ms;
    for (int left = o.tries;; wait = std::min(wait * 2, 30'000ms)) {
        std::string reason;
        try {
            co_await get(web, what, file, told);
            break;
        } catch (const http::error& e) {
            if (--left == 0 || !may_be_tried_again(e)) throw;
            reason = e.what();
        } catch (const failure& e) {
            if (--left == 0 || !e.may_be_tried_again) throw;
            reason = e.what();
        }
        told.complain(what.name + ": " + reason + "; next try in " + std::to_string(wait.count()) + " ms");
        co_await aio::sleep(wait);
    }
    if (!what.sha256.empty()) {
        auto sum = [&file] { return sha256_of(file.descriptor()); };
        const std::string found = co_await aio::to_thread(aio::take(sum));
        if (found != what.sha256) {
            file.discard();
            throw failure("its SHA-256 is " + found + ", and should be " + what.sha256, false);
        }
    }
    file.finish();
    told.say(what.name + ": " + std::to_string(file.size()) + " bytes");
}

aio::task<> download_or_tell(http::session& web, const options& o, const job& what, aio::semaphore& places,
                             board& told) {
    const aio::semaphore_guard place = co_await places.scoped_acquire();
    try {
        co_await download(web, o, what, told);
        ++told.done;
    } catch (const std::exception& e) {
        ++told.failed;
        told.complain(what.name + ": " + e.what());
    }
}

aio::task<bool> download_all(options o) {
    http::session_options how;
    how.transfers.compression = false; // a range is one of what is sent
    how.transfers.tls.ca_file = o.trusted;
    http::session web(how);
    board told(o.jobs.size());
    aio::semaphore places(o.at_a_time);
    std::vector<aio::task<>> all;
    for (const job& each : o.jobs) all.push_back(download_or_tell(web, o, each, places, told));
    auto showing = aio::create_task(told.show());
    auto work = [&]() -> aio::task<> { co_await aio::gather(std::move(all)); };
    auto tell = [&] {
        showing.cancel();
        told.clear();
    };
    co_await aio::finally(work, tell);
    co_return told.failed == 0;
}

int main(int argc, char** argv) try {
    options o = parse(std::vector<std::string>(argv + 1, argv + argc));
    if (o.help) {
        std::printf("%s%s", usage, help);
        return 0;
    }
    aio::run_options run;
    run.handle_sigint = true;
    return aio::run(download_all(std::move(o)), run) ? 0 : 1;
} catch (const usage_error& e) {
    std::fprintf(stderr, "download: %s\n%s", e.what(), usage);
    return 2;
} catch (const aio::keyboard_interrupt&) {
    std::fputs("download: interrupted; the same call goes on from here\n", stderr);
    return 130;
} catch (const std::exception& e) {
    std::fprintf(stderr, "download: %s\n", e.what());
    return 1;
}
