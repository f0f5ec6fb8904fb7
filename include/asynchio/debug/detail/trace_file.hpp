// SPDX-License-Identifier: BSL-1.0
#pragma once

// The file of a trace, which a thread of its own writes. The format is that of "Trace Event Format" (N. Duca,
// D. Sinclair, 2016): a JSON array of events.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/debug/function_name.hpp>
#include <asynchio/loop/detail/native_thread.hpp>

#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <new>
#include <source_location>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#pragma GCC visibility push(default)

namespace asynchio::debug::detail {

/// Appends a text as a JSON string, with its quotes.
inline void add_json(std::string& out, std::string_view text) {
    out += '"';
    for (const char each : text) {
        const auto code = static_cast<unsigned char>(each);
        if (each == '"' || each == '\\')
            (out += '\\') += each;
        else if (code < 0x20)
            out += asynchio::detail::formatted("\\u%04x", static_cast<unsigned>(code));
        else
            out += each;
    }
    out += '"';
}

/// A step of a loop, as the loop's thread records it; the thread that writes makes text of it.
struct traced_step {
    std::int64_t began;
    std::int64_t took;
    std::source_location from; // its line is 0 for a call
    std::uint32_t task;        // 0 for a call
    std::uint32_t ready;       // how many steps and calls were queued afterwards, up to a limit
    std::int64_t woken_at;     // when a step of this trace made it ready; 0 if none did
    bool ends;                 // whether it was the last step of the task
};

/// A batch of steps, and the names of the tasks that made their first step in it.
struct trace_batch {
    std::vector<traced_step> steps;
    std::vector<std::pair<std::uint32_t, std::string>> names;
};

/// The file of a trace, and the thread that writes it. The file is a whole JSON text after each batch, so that it can be
/// read when the program was killed.
class trace_file {
public:
    static constexpr std::size_t most_waiting = 64; // batches
    static constexpr std::size_t most_spare = 4;

    /// @throws std::system_error if the file cannot be made, or no thread is left.
    trace_file(const std::string& path, std::uint64_t most_bytes) : path_(path), most_bytes_(most_bytes) {
        file_ = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
        if (file_ < 0) asynchio::detail::system_refuses(errno, "trace: open %s", path.c_str());
        try {
            text_ =
                "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"asynchio\"}},\n"
                "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"loop\"}}";
            put();
            spare_.reserve(most_spare);
            thread_ = asynchio::detail::native_thread(&run_thread, this);
        } catch (...) {
            ::close(file_);
            throw;
        }
    }
    trace_file(const trace_file&) = delete;
    trace_file& operator=(const trace_file&) = delete;
    /// Writes what waits, and ends the thread.
    ~trace_file() {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        thread_.join();
        ::close(file_);
        if (dropped_ != 0)
            std::fprintf(stderr,
                         "asynchio: trace: %llu steps were left out of %s: the file could not be written as fast\n",
                         static_cast<unsigned long long>(dropped_), path_.c_str());
    }

    /// Takes a batch; a full one that comes back empty, with its memory, if there is one.
    void give(trace_batch& batch) {
        trace_batch empty;
        {
            const std::lock_guard lock(mutex_);
            if (full_ || waiting_.size() == most_waiting) {
                if (!full_) dropped_ += batch.steps.size();
                batch.steps.clear();
                batch.names.clear();
                return;
            }
            waiting_.push_back(std::move(batch));
            if (!spare_.empty()) {
                empty = std::move(spare_.back());
                spare_.pop_back();
            }
        }
        batch = std::move(empty);
        batch.steps.clear();
        batch.names.clear();
        changed_.notify_all();
    }

private:
    static void* run_thread(void* self) {
        asynchio::detail::name_this_thread("trace", 1);
        static_cast<trace_file*>(self)->run();
        return nullptr;
    }

    void run() noexcept {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            std::vector<trace_batch> taken = std::exchange(waiting_, {});
            const bool skip = full_;
            lock.unlock();
            try {
                for (const trace_batch& each : taken)
                    if (!skip) add(each);
                if (!skip) put();
            } catch (const std::bad_alloc&) {
                fail("there is no memory for it");
            }
            lock.lock();
            for (trace_batch& each : taken)
                if (spare_.size() != spare_.capacity()) spare_.push_back(std::move(each));
        }
    }

    void add(const trace_batch& batch) {
        for (const auto& [task, name] : batch.names) names_[task] = name;
        for (const traced_step& each : batch.steps) add(each);
    }

    void add(const traced_step& step) {
        const std::int64_t end = step.began + step.took;
        begin_event('X', step.began);
        text_ += ",\"dur\":";
        add_time(step.took);
        if (step.task == 0) {
            text_ += ",\"cat\":\"step\",\"name\":\"call\"}";
        } else {
            const place& at = place_of(step.from);
            text_ += at.named;
            text_ += ",\"args\":{\"task\":";
            add_name(step.task);
            text_ += at.placed;
            begin_task(step, at);
        }
        if (step.woken_at != 0 && step.task != 0) {
            ++flows_;
            add_flow('s', step.woken_at, "");
            add_flow('f', step.began, ",\"bp\":\"e\"");
        }
        if (step.ends) end_task(step.task, end);
        add_counter("ready", step.ready, last_ready_, end);
        add_counter("tasks", static_cast<std::uint32_t>(open_.size()), last_tasks_, end);
    }

    /// The texts of a place in the source, which are made once.
    struct place {
        std::string function;
        std::string named;  // category and name of a slice
        std::string placed; // file and line, and the end of the event
    };
    const place& place_of(const std::source_location& from) {
        place& known = places_[__builtin_bit_cast(const void*, from)];
        if (!known.function.empty()) return known;
        known.function = function_name(from);
        known.named = ",\"cat\":\"step\",\"name\":";
        add_json(known.named, known.function);
        known.placed = ",\"from\":";
        add_json(known.placed, asynchio::detail::formatted("%s:%u", from.file_name(), unsigned(from.line())));
        known.placed += "}}";
        return known;
    }

    void begin_task(const traced_step& step, const place& at) {
        if (!open_.emplace(step.task, &at).second) return;
        begin_event('b', step.began);
        end_track(step.task, at);
    }
    void end_task(std::uint32_t task, std::int64_t now) {
        const auto track = open_.find(task);
        if (track == open_.end()) return;
        begin_event('e', now);
        end_track(task, *track->second);
        open_.erase(track);
        names_.erase(task);
    }
    /// Appends the rest of an event of a task's own track, which has the name of the function in which it began.
    void end_track(std::uint32_t task, const place& at) {
        text_ += ",\"cat\":\"task\",\"id\":";
        add_number(task);
        text_ += ",\"name\":";
        const auto named = names_.find(task);
        add_json(text_, at.function + " (" + (named != names_.end() ? named->second : numbered(task)) + ")");
        text_ += '}';
    }
    void add_flow(char phase, std::int64_t at, const char* binding) {
        begin_event(phase, at);
        text_ += binding;
        text_ += ",\"cat\":\"wake\",\"name\":\"wake\",\"id\":";
        add_number(flows_);
        text_ += '}';
    }
    void add_counter(const char* name, std::uint32_t value, std::uint32_t& last, std::int64_t at) {
        if (std::exchange(last, value) == value) return;
        begin_event('C', at);
        text_.append(",\"name\":\"").append(name).append("\",\"args\":{\"").append(name).append("\":");
        add_number(value);
        text_ += "}}";
    }

    void begin_event(char phase, std::int64_t at) {
        text_ += ",\n{\"ph\":\"";
        text_ += phase;
        text_ += "\",\"pid\":1,\"tid\":1,\"ts\":";
        add_time(at);
    }
    /// Appends nanoseconds as microseconds.
    void add_time(std::int64_t nanoseconds) {
        add_number(static_cast<std::uint64_t>(nanoseconds / 1000));
        const auto rest = static_cast<int>(nanoseconds % 1000);
        const char digits[] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                               static_cast<char>('0' + rest % 10)};
        text_.append(digits, sizeof digits);
    }
    void add_number(std::uint64_t number) {
        char digits[20];
        text_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
    }
    void add_name(std::uint32_t task) {
        if (const auto named = names_.find(task); named != names_.end()) return add_json(text_, named->second);
        text_ += "\"Task-";
        add_number(task);
        text_ += '"';
    }
    static std::string numbered(std::uint32_t task) { return asynchio::detail::formatted("Task-%u", unsigned(task)); }

    /// Writes the text, and an end that the next text overwrites.
    void put() {
        if (bytes_ + text_.size() > most_bytes_) return fail("it has reached its maximum size");
        const std::size_t whole = text_.size();
        text_ += "\n]\n";
        for (std::size_t done = 0; done < text_.size();) {
            const auto written =
                ::pwrite(file_, text_.data() + done, text_.size() - done, static_cast<off_t>(bytes_ + done));
            if (written < 0 && errno != EINTR) return fail(std::generic_category().message(errno).c_str());
            if (written > 0) done += static_cast<std::size_t>(written);
        }
        bytes_ += whole;
        text_.clear();
    }
    /// Ends the trace: the file keeps what was written, and the program goes on.
    void fail(const char* why) noexcept {
        text_.clear();
        const auto end = static_cast<off_t>(bytes_);
        if (::ftruncate(file_, end) != 0 || ::pwrite(file_, "\n]\n", 3, end) != 3)
            std::fprintf(stderr, "asynchio: trace: %s is not whole: add a ] at its end\n", path_.c_str());
        std::fprintf(stderr, "asynchio: trace: %s: %s; the trace ends here\n", path_.c_str(), why);
        const std::lock_guard lock(mutex_);
        full_ = true;
    }

    const std::string path_;
    const std::uint64_t most_bytes_;
    int file_ = -1;
    asynchio::detail::native_thread thread_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<trace_batch> waiting_;
    std::vector<trace_batch> spare_; // with room for some, so that to keep one takes no memory
    bool ending_ = false;
    bool full_ = false; // nothing is written any more
    std::uint64_t dropped_ = 0;

    // The writing thread has these.
    std::string text_;
    std::uint64_t bytes_ = 0;
    std::uint64_t flows_ = 0;
    std::uint32_t last_ready_ = 0;
    std::uint32_t last_tasks_ = 0;
    std::unordered_map<const void*, place> places_;        // by the compiler's object for the place
    std::unordered_map<std::uint32_t, const place*> open_; // the tasks that have begun, and where
    std::unordered_map<std::uint32_t, std::string> names_; // of tasks that were given one
};

} // namespace asynchio::debug::detail

#pragma GCC visibility pop
