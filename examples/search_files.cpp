// SPDX-License-Identifier: BSL-1.0

// Searches directory trees for a text, as grep does: how to hide blocking work behind a loop.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/search_files.cpp -o search_files
//     ./search_files co_await examples include
//     ./search_files --timeout 2 deadline ~/projects /mnt/share
//     ./search_files --compare include /usr/include
//
// Walking, reading and printing block, so they are calls in worker threads (to_thread). The loop decides what runs
// next: at most `--workers` chunks of files are searched at a time, results come in the order in which chunks are
// done, and a progress bar moves meanwhile. Nothing here needs a lock but the terminal.
//
// A read that hangs can be stopped by nobody. So the calls own all that they touch, and a cancelled one is left behind
// (abandon_on_cancel): that is how `--timeout` and Ctrl-C always work.
//
// Copy from it: search_tree and search_chunk for any job of that kind, screen for a bar among lines of output.
// Run: ./search_files co_await examples include
// Read next: examples/README.md

#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace aio = asynchio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

// ---- Options --------------------------------------------------------------------------------------------------------

constexpr std::string_view usage = "usage: search_files [options] TEXT [PATH...]\n";
constexpr std::string_view help = R"(
Prints each line that contains TEXT, in the files of the trees at PATH (default: .),
as path:line: text. Binary files and symbolic links inside the trees are skipped.

  --workers N     search N chunks of files at a time (default: cores + 4)
  --timeout S     give up on a file after S seconds; with --mode async only
  --mode MODE     async: worker threads behind a loop (default)
                  threads: a thread for each chunk; sequential: no threads
  --compare       search in all three modes, print times instead of lines
  --help          print this
  --              end of the options

Exit status: 0 something was found, 1 nothing, 2 an error, 130 Ctrl-C.
)";

struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct options {
    std::string text;
    std::vector<fs::path> paths;
    std::size_t workers = aio::thread_pool::default_size();
    std::optional<aio::duration> timeout;
    std::string mode = "async";
    bool compare = false;
    bool help = false;
};

std::size_t parse_workers(const std::string& word) {
    char* end = nullptr;
    const long number = std::strtol(word.c_str(), &end, 10);
    if (word.empty() || *end != '\0' || number < 1 || number > 1000)
        throw usage_error("--workers needs a number from 1 to 1000, not '" + word + "'");
    return static_cast<std::size_t>(number);
}

aio::duration parse_timeout(const std::string& word) {
    char* end = nullptr;
    const double seconds = std::strtod(word.c_str(), &end);
    if (word.empty() || *end != '\0' || !(seconds > 0) || !(seconds <= 1e9))
        throw usage_error("--timeout needs a number of seconds above 0, not '" + word + "'");
    return std::chrono::ceil<aio::duration>(std::chrono::duration<double>(seconds));
}

std::string parse_mode(const std::string& word) {
    if (word != "async" && word != "threads" && word != "sequential")
        throw usage_error("--mode is async, threads or sequential, not '" + word + "'");
    return word;
}

void check(const options& o) {
    if (o.text.empty()) throw usage_error("TEXT must not be empty: every line contains nothing");
    if (o.text.find('\n') != std::string::npos) throw usage_error("TEXT must not contain a line break");
    if (o.timeout && (o.compare || o.mode != "async"))
        throw usage_error("--timeout works with --mode async only: nobody else can leave a read behind");
}

options parse(const std::vector<std::string>& words) {
    options o;
    std::vector<std::string> operands;
    bool only_operands = false;
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (only_operands || !word->starts_with('-') || *word == "-") {
            operands.push_back(*word);
            continue;
        }
        const std::size_t equals = word->find('=');
        const std::string name = word->substr(0, equals);
        const auto value = [&]() -> std::string {
            if (equals != std::string::npos) return word->substr(equals + 1);
            if (word + 1 == words.end()) throw usage_error(name + " needs a value");
            return *++word;
        };
        if (name == "--workers")
            o.workers = parse_workers(value());
        else if (name == "--timeout")
            o.timeout = parse_timeout(value());
        else if (name == "--mode")
            o.mode = parse_mode(value());
        else if (*word == "--compare")
            o.compare = true;
        else if (*word == "--help" || *word == "-h")
            o.help = true;
        else if (*word == "--")
            only_operands = true;
        else
            throw usage_error("unknown option '" + *word + "'");
    }
    if (o.help) return o;
    if (operands.empty()) throw usage_error("TEXT is missing");
    o.text = operands.front();
    o.paths.assign(operands.begin() + 1, operands.end());
    if (o.paths.empty()) o.paths.emplace_back(".");
    check(o);
    return o;
}

// ---- What is found --------------------------------------------------------------------------------------------------

struct totals {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t matches = 0;
    std::uint64_t binary = 0; // files that were skipped
    std::uint64_t errors = 0;
    std::uint64_t fingerprint = 0; // of the lines, in any order

    bool operator==(const totals&) const = default;
    totals& operator+=(const totals& other) {
        files += other.files;
        bytes += other.bytes;
        matches += other.matches;
        binary += other.binary;
        errors += other.errors;
        fingerprint += other.fingerprint;
        return *this;
    }
};

/// What a chunk of files gives.
struct found {
    totals counts;
    std::string lines;  // "path:line: text\n" each
    std::string errors; // "search_files: path: reason\n" each

    void fail(const std::string& path, const std::string& reason) {
        errors += "search_files: " + path + ": " + reason + "\n";
        ++counts.errors;
    }
    void fail(const std::string& path, int error) { fail(path, std::generic_category().message(error)); }
};

// ---- The walk: blocking ---------------------------------------------------------------------------------------------

/// Some files to search, and what went wrong while they were looked for.
struct chunk {
    std::vector<std::string> files;
    found trouble;

    chunk() = default; // so that g++ 12 passes it through co_await
    bool empty() const { return files.empty() && trouble.errors.empty(); }
};

/// The files below some paths, chunk by chunk. Follows the symbolic links it was given, not those it meets.
class tree_walk {
public:
    tree_walk(std::vector<fs::path> roots, std::size_t chunk_size) : ahead_(std::move(roots)), size_(chunk_size) {
        std::reverse(ahead_.begin(), ahead_.end());
    }

    /// The next files; an empty chunk at the end.
    chunk next() {
        chunk made;
        while (made.files.size() < size_) {
            if (here_ != fs::directory_iterator())
                take_entry(made);
            else if (!ahead_.empty())
                enter_next(made);
            else
                break;
        }
        return made;
    }

private:
    void enter_next(chunk& made) {
        const fs::path path = std::move(ahead_.back());
        ahead_.pop_back();
        std::error_code error;
        const fs::file_status status = fs::status(path, error);
        if (fs::is_directory(status)) {
            here_ = fs::directory_iterator(path, error);
            name_ = path.string();
        } else if (fs::exists(status)) {
            made.files.push_back(path.string());
        }
        if (error) made.trouble.fail(path.string(), error.value());
    }

    void take_entry(chunk& made) {
        std::error_code error;
        const fs::directory_entry& entry = *here_;
        if (!entry.is_symlink(error)) {
            if (entry.is_directory(error))
                ahead_.push_back(entry.path());
            else if (entry.is_regular_file(error))
                made.files.push_back(entry.path().string());
        }
        here_.increment(error);
        if (error) made.trouble.fail(name_, error.value());
    }

    std::vector<fs::path> ahead_; // the next one last
    fs::directory_iterator here_;
    std::string name_;
    std::size_t size_;
};

// ---- The search: blocking -------------------------------------------------------------------------------------------

std::size_t find(std::string_view in, std::string_view text, std::size_t from) {
    const void* at = ::memmem(in.data() + from, in.size() - from, text.data(), text.size());
    return at == nullptr ? std::string_view::npos : static_cast<std::size_t>(static_cast<const char*>(at) - in.data());
}

/// The lines of one file that contain a text.
class line_search {
public:
    line_search(const std::string& path, const std::string& text, std::string& out)
        : path_(path), text_(text), out_(out) {}

    /// Searches the lines that are whole in `piece`. @return how many bytes they are.
    std::size_t search(std::string_view piece, bool last) {
        const std::string_view lines = last ? piece : piece.substr(0, piece.rfind('\n') + 1); // npos + 1 is 0
        std::size_t counted = 0;
        std::size_t at = 0;
        while ((at = find(lines, text_, at)) != std::string_view::npos) {
            const std::size_t begin = lines.rfind('\n', at) + 1;
            const std::size_t end = std::min(lines.find('\n', at), lines.size());
            line_ += count_lines(lines.substr(counted, begin - counted));
            add(lines.substr(begin, end - begin));
            counted = begin;
            at = end;
        }
        if (!last) line_ += count_lines(lines.substr(counted));
        return lines.size();
    }

    std::uint64_t matches() const { return matches_; }

private:
    static std::uint64_t count_lines(std::string_view text) {
        return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
    }
    void add(std::string_view line) {
        out_.append(path_).append(":").append(std::to_string(line_)).append(": ").append(line).append("\n");
        ++matches_;
    }

    const std::string& path_;
    const std::string& text_;
    std::string& out_;
    std::uint64_t line_ = 1;
    std::uint64_t matches_ = 0;
};

/// A descriptor that closes itself.
class file {
public:
    explicit file(const std::string& path) : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    file(const file&) = delete;
    file& operator=(const file&) = delete;
    ~file() {
        if (number_ >= 0) ::close(number_);
    }

    bool is_open() const { return number_ >= 0; }

    /// Fills `buffer` from `begin` on. @return where what was read ends: before the end of `buffer` at the end of the
    /// file; nothing on an error, which is in errno.
    std::optional<std::size_t> read(std::string& buffer, std::size_t begin) const {
        while (begin < buffer.size()) {
            const ssize_t count = ::read(number_, buffer.data() + begin, buffer.size() - begin);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return std::nullopt;
            if (count == 0) break;
            begin += static_cast<std::size_t>(count);
        }
        return begin;
    }

private:
    int number_;
};

/// Searches one file, piece by piece; a line that a piece cuts moves to the front of the next one.
void search_file(const std::stop_token& stop, const std::string& path, const std::string& text, std::string& buffer,
                 found& out) {
    const file input(path);
    if (!input.is_open()) return out.fail(path, errno);
    ++out.counts.files;
    std::string lines;
    line_search search(path, text, lines);
    for (std::size_t kept = 0; !stop.stop_requested();) {
        if (kept == buffer.size()) buffer.resize(2 * buffer.size());
        const auto end = input.read(buffer, kept);
        if (!end) return out.fail(path, errno);
        const std::string_view piece(buffer.data(), *end);
        const bool last = *end < buffer.size();
        out.counts.bytes += *end - kept;
        if (piece.find('\0', kept) != std::string_view::npos) {
            ++out.counts.binary;
            return;
        }
        const std::size_t searched = search.search(piece, last);
        if (last) break;
        kept = *end - searched;
        std::memmove(buffer.data(), buffer.data() + searched, kept);
    }
    out.counts.matches += search.matches();
    out.counts.fingerprint += std::hash<std::string>()(lines);
    out.lines += lines;
}

/// Searches some files. Owns all that it touches, since it may be left behind.
found search_files(std::stop_token stop, chunk files, std::string text) {
    found out = std::move(files.trouble);
    std::string buffer(std::size_t(64) * 1024, '\0');
    for (const std::string& path : files.files) {
        if (stop.stop_requested()) break;
        search_file(stop, path, text, buffer, out);
    }
    return out;
}

// ---- The terminal ---------------------------------------------------------------------------------------------------

void write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw std::system_error(errno, std::generic_category(), "standard output");
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

/// Standard output and error for all threads: whole lines, and a bar below them that is never in their way.
class screen {
public:
    screen(bool quiet, bool with_bar) : quiet_(quiet), with_bar_(with_bar) {}

    /// @throws std::system_error when standard output takes no more.
    void print(const std::string& lines, const std::string& errors) {
        if (quiet_) return;
        const std::lock_guard lock(mutex_);
        erase();
        if (!errors.empty()) std::fputs(errors.c_str(), stderr);
        write_all(STDOUT_FILENO, lines);
    }

    bool has_bar() const { return with_bar_; }
    /// Puts `bar` in place of the one before; not while a thread prints.
    void draw(std::string bar) {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (!with_bar_ || !lock) return;
        winsize size{};
        if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
            bar.resize(std::min<std::size_t>(bar.size(), size.ws_col - 1U));
        std::fprintf(stderr, "\r%s\033[K", bar.c_str());
        drawn_ = true;
    }
    void clear() {
        const std::unique_lock lock(mutex_, std::try_to_lock);
        if (lock) erase();
    }

private:
    void erase() {
        if (std::exchange(drawn_, false)) std::fputs("\r\033[K", stderr);
    }

    std::mutex mutex_;
    bool drawn_ = false;
    const bool quiet_;
    const bool with_bar_;
};

std::string with_commas(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
    return digits;
}

std::string in_megabytes(double bytes) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f MB", bytes / 1e6);
    return text.data();
}

std::string in_seconds(std::chrono::duration<double> time) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3f s", time.count());
    return text.data();
}

std::string describe(const totals& t, std::chrono::duration<double> time) {
    return with_commas(t.matches) + (t.matches == 1 ? " match in " : " matches in ") + with_commas(t.files) +
           (t.files == 1 ? " file, " : " files, ") + in_megabytes(double(t.bytes)) + ", " +
           in_megabytes(double(t.bytes) / std::max(time.count(), 1e-9)) + "/s";
}

// ---- The job --------------------------------------------------------------------------------------------------------

/// One search from its beginning to its end.
struct job {
    const options& wanted;
    std::shared_ptr<screen> terminal;
    std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
    totals so_far{};
    std::size_t left_behind = 0;

    std::chrono::duration<double> elapsed() const { return std::chrono::steady_clock::now() - started; }
    /// With a timeout each file is a chunk of its own, so that it can be left behind alone.
    tree_walk walk() const { return {wanted.paths, wanted.timeout ? 1U : 32U}; }
};

/// Each read that hangs keeps a thread. The pool starts threads when they are needed, so room for more costs nothing.
constexpr std::size_t most_left_behind = 64;

aio::task<> search_chunk(job& j, chunk files) {
    found result;
    const std::string name = files.files.empty() ? "" : files.files.front();
    try {
        auto search = aio::to_thread(aio::abandon_on_cancel, search_files, std::move(files), j.wanted.text);
        result = co_await aio::wait_for(std::move(search), j.wanted.timeout);
    } catch (const aio::timeout_error&) {
        result.fail(name, "timed out");
        if (++j.left_behind > most_left_behind)
            throw std::runtime_error(std::to_string(j.left_behind) + " reads hang; giving up");
    }
    j.so_far += result.counts;
    if (!result.lines.empty() || !result.errors.empty())
        co_await aio::to_thread(aio::abandon_on_cancel, &screen::print, j.terminal, std::move(result.lines),
                                std::move(result.errors));
}

/// Walks on as long as fewer than `--workers` chunks are being searched.
aio::task<> search_tree(job& j, aio::task_group& group) {
    const auto walk = std::make_shared<tree_walk>(j.walk());
    std::vector<aio::task_handle<>> running;
    for (;;) {
        chunk next = co_await aio::to_thread(aio::abandon_on_cancel, &tree_walk::next, walk);
        if (next.empty()) co_return;
        running.push_back(group.create_task(search_chunk(j, std::move(next))));
        if (running.size() < j.wanted.workers) continue;
        auto ready = co_await aio::wait(running, aio::first_completed);
        running = std::move(ready.pending);
    }
}

aio::task<> show_progress(const job& j) {
    for (std::size_t step = 0;; ++step) {
        co_await aio::sleep(100ms);
        std::string bar = "[          ] ";
        bar.replace(1 + step % 8, 3, "===");
        j.terminal->draw(bar + describe(j.so_far, j.elapsed()));
    }
}

aio::task<> search_async(job& j) {
    aio::set_default_pool(j.wanted.workers + 1 + most_left_behind);
    auto search = [&j](aio::task_group& group) { return search_tree(j, group); };
    if (j.terminal->has_bar())
        co_await aio::race(aio::with(aio::task_group(), search), show_progress(j));
    else
        co_await aio::with(aio::task_group(), search);
}

/// Searches without a loop: chunks wait for each other, and Ctrl-C just kills.
void search_threads(job& j) {
    tree_walk walk = j.walk();
    std::deque<std::future<found>> running;
    const auto finish_first = [&] {
        const found result = running.front().get();
        running.pop_front();
        j.so_far += result.counts;
        j.terminal->print(result.lines, result.errors);
    };
    for (chunk next = walk.next(); !next.empty(); next = walk.next()) {
        if (running.size() == j.wanted.workers) finish_first();
        running.push_back(
            std::async(std::launch::async, search_files, std::stop_token(), std::move(next), j.wanted.text));
    }
    while (!running.empty()) finish_first();
}

void search_sequential(job& j) {
    tree_walk walk = j.walk();
    for (chunk next = walk.next(); !next.empty(); next = walk.next()) {
        const found result = search_files(std::stop_token(), std::move(next), j.wanted.text);
        j.so_far += result.counts;
        j.terminal->print(result.lines, result.errors);
    }
}

void search(job& j, const std::string& mode) {
    if (mode == "sequential") return search_sequential(j);
    if (mode == "threads") return search_threads(j);
    try {
        aio::run(search_async(j), {.handle_sigint = true, .shutdown_timeout = 20ms});
    } catch (const aio::exception_group& errors) { // of the task_group: the first one ended it
        std::rethrow_exception(errors.exceptions().front());
    }
}

// ---- The program ----------------------------------------------------------------------------------------------------

void say(const std::string& text) { std::fputs(("search_files: " + text + "\n").c_str(), stderr); }

int status_of(const totals& t) {
    if (t.errors != 0) return 2;
    return t.matches != 0 ? 0 : 1;
}

int search_and_print(const options& wanted) {
    job j{wanted, std::make_shared<screen>(false, ::isatty(STDERR_FILENO) == 1)};
    bool interrupted = false;
    try {
        search(j, wanted.mode);
    } catch (const aio::keyboard_interrupt&) {
        interrupted = true;
    }
    j.terminal->clear();
    std::string summary = (interrupted ? "interrupted: " : "") + describe(j.so_far, j.elapsed());
    if (j.so_far.binary != 0) summary += ", " + with_commas(j.so_far.binary) + " binary skipped";
    say(summary);
    return interrupted ? 130 : status_of(j.so_far);
}

/// All modes, after one that only warms the system's file cache.
int compare(const options& wanted) {
    const auto quiet = std::make_shared<screen>(true, false);
    job reference{wanted, quiet};
    search(reference, "sequential");
    std::printf("%-12s%10s%12s%14s%12s%10s\n", "mode", "time", "files", "bytes", "matches", "speed-up");
    bool agreed = true;
    double longest = 0;
    for (const char* mode : {"sequential", "threads", "async"}) {
        job j{wanted, quiet};
        search(j, mode);
        const double time = j.elapsed().count();
        if (longest == 0) longest = time;
        std::printf("%-12s%10s%12s%14s%12s%10.2f\n", mode, in_seconds(j.elapsed()).c_str(),
                    with_commas(j.so_far.files).c_str(), in_megabytes(double(j.so_far.bytes)).c_str(),
                    with_commas(j.so_far.matches).c_str(), longest / time);
        agreed = agreed && j.so_far == reference.so_far;
    }
    if (!agreed) say("the modes disagree: did a file change meanwhile?");
    return agreed ? status_of(reference.so_far) : 2;
}

int main(int count, char** words) try {
    const options wanted = parse(std::vector<std::string>(words + 1, words + count));
    if (wanted.help) return std::fputs((std::string(usage) + std::string(help)).c_str(), stdout) < 0 ? 2 : 0;
    return wanted.compare ? compare(wanted) : search_and_print(wanted);
} catch (const usage_error& e) {
    say(e.what());
    std::fputs((std::string(usage) + "Try --help.\n").c_str(), stderr);
    return 2;
} catch (const aio::keyboard_interrupt&) {
    return 130;
} catch (const std::system_error& e) {
    if (e.code() == std::errc::broken_pipe) return 141; // what a shell says of grep then
    say(e.what());
    return 2;
} catch (const std::exception& e) {
    say(e.what());
    return 2;
}
