// SPDX-License-Identifier: BSL-1.0
#pragma once

// What debug mode notes of the tasks of a loop, beside them: since when a task waits, and which task holds a lock.

#include <asynchio/core/detail/failures.hpp>
#include <asynchio/core/detail/trivial_vector.hpp>
#include <asynchio/loop/detail/loop_core.hpp>
#include <asynchio/loop/detail/loop_notes.hpp>
#include <asynchio/task/detail/running_root.hpp>
#include <asynchio/task/detail/task_name.hpp>
#include <asynchio/task/suspension.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <source_location>
#include <string>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Stands for a time that is not known.
inline constexpr nanoseconds_count unknown_time = -far_future;

/// What is noted of a task, under its number, or of a lock, under its address.
struct debug_note {
    std::uintptr_t key = 0;                 // 0: the place is empty
    nanoseconds_count since = unknown_time; // of a task: when its last step has ended, by the clock of the loop
    const void* lock = nullptr;             // of a task: the lock for which it waits, or null
    std::source_location line;              // where it waits for the lock, or was given it
    std::uint32_t holder = 0;               // of a lock: the number of the task that holds it, or 0
    bool told = false;                      // of a task: whether this wait was reported
};

/// Notes by their keys: an open-addressing hash table with linear probing (Knuth, TAOCP 6.4, algorithm L).
class debug_note_table {
public:
    [[gnu::cold]] debug_note* find(std::uintptr_t key) noexcept {
        for (std::size_t place = hash(key); count_ != 0; ++place) {
            debug_note& each = places_[place & (places_.size() - 1)];
            if (each.key == key) return &each;
            if (each.key == 0) break;
        }
        return nullptr;
    }
    bool full() const noexcept { return 2 * count_ >= places_.size(); }
    std::size_t size() const noexcept { return count_; }
    /// Adds an empty note for a key that is not there; the table must not be full().
    debug_note& add(std::uintptr_t key) noexcept {
        std::size_t place = hash(key);
        const std::size_t mask = places_.size() - 1;
        while (places_[place & mask].key != 0) ++place;
        ++count_;
        debug_note& its = places_[place & mask];
        its.key = key;
        return its;
    }
    /// Drops all notes but those for which `stays(note)` is true, and makes room for as many again, and some more.
    /// @return false without memory; nothing has changed then.
    template<class Stays>
    [[gnu::cold]] bool sweep(Stays stays) noexcept try {
        std::size_t staying = 0;
        for (const debug_note& each : places_)
            if (each.key != 0 && stays(each)) ++staying;
        std::size_t places = 16;
        while (places < 4 * staying + 4) places *= 2;
        debug_note_table kept;
        kept.places_.resize(places);
        for (const debug_note& each : places_)
            if (each.key != 0 && stays(each)) kept.add(each.key) = each;
        places_.swap(kept.places_);
        count_ = staying;
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }

private:
    /// Multiplies with the golden ratio (TAOCP 6.4), since the low bits of addresses differ little.
    static std::size_t hash(std::uintptr_t key) noexcept {
        return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15U) >> 32);
    }

    trivial_vector<debug_note> places_; // a power of two
    std::size_t count_ = 0;
};

/// The notes of a loop.
///
/// Threads: the thread of the loop.
/// Cost: some 50 instructions for each step in debug mode; a note for each task that lives. Without memory, notes are
/// missing.
template<class = void> // a template, as all of debug mode's code that no hot path calls
class debug_notes final : public loop_notes {
public:
    explicit debug_notes(loop_core& loop) noexcept : loop_(loop) {}

    /// Forgets all.
    [[gnu::cold]] void clear() noexcept {
        tasks_.sweep([](const debug_note&) { return false; });
        locks_.sweep([](const debug_note&) { return false; });
        next_look_ = 0;
    }
    /// Returns when the wait of a task has begun, by the clock of the loop; unknown_time if that is not known.
    [[gnu::cold]] nanoseconds_count since(const frame& task) noexcept {
        if (hook_of(task) == nullptr) return unknown_time;
        const debug_note* const its = tasks_.find(task.id);
        if (its != nullptr && its->since != unknown_time) return its->since;
        // The first step of a branch is made inside one of its task, whose notes say when that was.
        const frame* const whole = task.has(flag_branch) ? identity_of(const_cast<frame*>(&task)) : nullptr;
        return whole != nullptr && whole != &task ? since(*whole) : unknown_time;
    }
    /// Returns " held by Task-3 since server.cpp:41" for a task that waits for a lock of which that is known, else nothing.
    [[gnu::cold]] std::string holder(const frame& waiting) {
        text found;
        const debug_note* const its = tasks_.find(waiting.id);
        write_holder(its != nullptr && hook_of(waiting) != nullptr ? its->lock : nullptr, found);
        return found.bytes;
    }

    /// Notes that a task has got a lock. @param line where.
    [[gnu::cold]] void holds(const void* lock, const frame& task, const std::source_location& line) noexcept {
        debug_note* const its = note_of(locks_, reinterpret_cast<std::uintptr_t>(lock));
        if (its == nullptr) return;
        its->holder = task.id;
        its->line = line;
    }
    /// Notes that nobody holds a lock.
    [[gnu::cold]] void released(const void* lock) noexcept {
        if (debug_note* const its = locks_.find(reinterpret_cast<std::uintptr_t>(lock))) its->holder = 0;
    }
    /// Notes that a task is about to wait for a lock, and reports a cycle that this closes. @param line where. @param alone
    /// whether a task that waits for itself is a cycle.
    [[gnu::cold]] void waits(const void* lock, frame& task, const std::source_location& line, bool alone) noexcept {
        debug_note* const its = note_of(tasks_, task.id);
        if (its == nullptr) return;
        its->lock = lock;
        its->line = line;
        if (!task.is_asked() && closes_cycle(task.id, alone)) report_cycle(task.id);
    }

    [[gnu::cold]] void begins(const ready_item&, nanoseconds_count now) noexcept override { began_ = now; }
    [[gnu::cold]] void steps(const ready_item& item) noexcept override {
        const frame& task = static_cast<const frame&>(item);
        debug_note* const its = note_of(tasks_, task.id);
        last_ = task.id;
        if (its == nullptr) return;
        const nanoseconds_count since = its->since;
        const nanoseconds_count waited = since == unknown_time ? 0 : time(began_) - since;
        const bool tell = loop_.slow_wait() > 0 && !its->told && waited >= loop_.slow_wait();
        its->lock = nullptr;
        its->told = false;
        its->since = time(began_);
        if (tell) report_wait(const_cast<frame&>(task), waited, nullptr);
    }
    [[gnu::cold]] void ran(nanoseconds_count now) noexcept override {
        if (debug_note* const its = tasks_.find(last_)) its->since = time(now);
        last_ = 0;
    }

    [[gnu::cold]] nanoseconds_count next_look() const noexcept override {
        return loop_.slow_wait() <= 0 ? far_future : loop_.slow_wait() != limit_ ? 0 : next_look_;
    }
    [[gnu::cold]] void look(nanoseconds_count real) noexcept override {
        const nanoseconds_count now = time(real);
        if (now < next_look() || loop_.closing()) return;
        constexpr nanoseconds_count shortest = 1'000'000;
        limit_ = loop_.slow_wait();
        nanoseconds_count earliest = later(now, limit_);
        for (frame* each = loop_.tasks().front(); each != nullptr;) {
            frame& task = *each;
            const suspension* const hook = hook_of(task);
            debug_note* const its = hook != nullptr ? note_of(tasks_, task.id) : nullptr;
            ++task.references; // the report's handler may drop it
            if (its != nullptr && !its->told) {
                if (its->since == unknown_time && (its->since = since(task)) == unknown_time) its->since = now;
                const nanoseconds_count due = later(its->since, limit_);
                if (due > now) {
                    earliest = due < earliest ? due : earliest;
                } else {
                    its->told = true;
                    report_wait(task, now - its->since, hook->waiting_for());
                }
            }
            each = loop_.tasks().after(task);
            drop(task);
        }
        const nanoseconds_count pause = limit_ / 16 > shortest ? limit_ / 16 : shortest;
        next_look_ = earliest < later(now, pause) ? later(now, pause) : earliest;
    }

private:
    struct name_text {
        char bytes[128];
    };
    struct text {
        char bytes[512];
    };
    static constexpr std::size_t most_locks = 1 << 16; // a lock that is gone is noted until the task that held it ends

    nanoseconds_count time(nanoseconds_count real) const noexcept {
        return loop_.in_virtual_time() ? loop_.now() : real;
    }

    /// Returns the note of a key, which is made if need be; null without memory.
    [[gnu::cold]] debug_note* note_of(debug_note_table& table, std::uintptr_t key) noexcept {
        if (debug_note* const known = table.find(key)) return known;
        if (table.full() && !sweep(table)) return nullptr;
        return &table.add(key);
    }
    /// Drops the notes of tasks that are done, and of locks that such tasks held.
    [[gnu::cold]] bool sweep(debug_note_table& table) noexcept {
        // A list of the numbers that live, in a table, since a search through the tasks for each note took too long.
        debug_note_table living;
        for (const frame* each = loop_.tasks().front(); each != nullptr; each = loop_.tasks().after(*each)) {
            if (living.full() && !living.sweep([](const debug_note&) { return true; })) return false;
            living.add(each->id);
        }
        const bool locks = &table == &locks_;
        const bool too_many = locks && locks_.size() >= most_locks;
        return table.sweep([&](const debug_note& each) {
            return !too_many && living.find(locks ? each.holder : each.key) != nullptr;
        });
    }

    template<class Task>
    static void drop(Task& task) noexcept {
        release(task); // declared above this header
    }
    /// Returns the task with a number; null if it is done.
    [[gnu::cold]] frame* task_of(std::uintptr_t id) const noexcept {
        frame* each = loop_.tasks().front();
        while (each != nullptr && each->id != id) each = loop_.tasks().after(*each);
        return each;
    }
    /// Writes the name of the task for which `task` runs; that of none has ended.
    [[gnu::cold, gnu::noinline]] static void write_name(frame* task, name_text& into) noexcept {
        const frame* const whole = task != nullptr ? identity_of(task) : nullptr;
        if (whole == nullptr && task == nullptr) {
            std::snprintf(into.bytes, sizeof into.bytes, "a task that has ended");
            return;
        }
        const name_of_task name(whole != nullptr ? *whole : *task);
        std::snprintf(into.bytes, sizeof into.bytes, "%.*s", name.length(), name.text.data());
    }
    /// Writes " held by Task-3 since server.cpp:41", or nothing.
    [[gnu::cold, gnu::noinline]] void write_holder(const void* lock, text& into) noexcept {
        into.bytes[0] = '\0';
        const debug_note* const its = locks_.find(reinterpret_cast<std::uintptr_t>(lock));
        if (its == nullptr || its->holder == 0) return;
        name_text name;
        write_name(task_of(its->holder), name);
        std::snprintf(into.bytes, sizeof into.bytes, " held by %s since %s:%u", name.bytes, its->line.file_name(),
                      static_cast<unsigned>(its->line.line()));
    }

    /// Returns the number of the task that holds the lock for which the task with the number `id` waits, or 0.
    [[gnu::cold]] std::uint32_t next_in_chain(std::uintptr_t id) noexcept {
        const debug_note* const its = tasks_.find(id);
        const void* const lock = its != nullptr ? its->lock : nullptr;
        const debug_note* const held = lock != nullptr ? locks_.find(reinterpret_cast<std::uintptr_t>(lock)) : nullptr;
        return held != nullptr ? held->holder : 0;
    }
    /// Whether the task `id`, which is about to wait, waits for itself through the locks of other tasks that wait.
    [[gnu::cold]] bool closes_cycle(std::uint32_t id, bool alone) noexcept {
        std::uint32_t each = next_in_chain(id);
        if (each == id) return alone;
        for (std::size_t steps = 0; each != 0 && each != id; ++steps) {
            if (steps > tasks_.size()) return false; // a cycle that is known already
            each = next_in_chain(each);
        }
        if (each == 0) return false;
        for (each = next_in_chain(id); each != id; each = next_in_chain(each)) {
            const frame* const task = task_of(each); // a task that was woken has not run, so that its note is old
            if (task == nullptr || hook_of(*task) == nullptr || task->is_asked()) return false;
        }
        return true;
    }
    [[gnu::cold, gnu::noinline]] void report_cycle(std::uint32_t first) noexcept try {
        std::string lines;
        std::size_t count = 0;
        std::uint32_t each = first;
        do {
            const debug_note& its = *tasks_.find(each);
            name_text name;
            text holder;
            write_name(task_of(each), name);
            write_holder(its.lock, holder);
            lines = formatted("%s\n  %s waits at %s:%u for a lock%s", lines.c_str(), name.bytes, its.line.file_name(),
                              static_cast<unsigned>(its.line.line()), holder.bytes);
            ++count;
            each = next_in_chain(each);
        } while (each != first);
        text head;
        std::snprintf(head.bytes, sizeof head.bytes,
                      count == 1 ? "a task waits for itself" : "%zu tasks wait for each other", count);
        loop_.report(
            formatted("lock cycle: %s%s\n  (unless another task releases one of them)", head.bytes, lines.c_str()), {},
            {});
    } catch (...) { // no memory for a report
    }
    /// @param what the wait in which it is, null if that is over.
    [[gnu::cold, gnu::noinline]] void report_wait(frame& task, nanoseconds_count time, const char* what) noexcept try {
        const std::source_location where = task.innermost().where();
        name_text name;
        text holder;
        write_name(&task, name);
        const debug_note* const its = tasks_.find(task.id);
        write_holder(what != nullptr && its != nullptr ? its->lock : nullptr, holder);
        loop_.report(formatted("%s %s %.3f seconds%s%s%s at %s:%u", name.bytes,
                               what != nullptr ? "has waited" : "waited", static_cast<double>(time) * 1e-9,
                               what != nullptr ? " for " : "", what != nullptr ? what : "", holder.bytes,
                               where.file_name(), static_cast<unsigned>(where.line())),
                     {}, task.created());
    } catch (...) { // no memory for a report
    }

    loop_core& loop_;
    debug_note_table tasks_;
    debug_note_table locks_;
    nanoseconds_count began_ = 0;     // of the step or call that runs
    std::uint32_t last_ = 0;          // the number of the task that made a step last; 0 when it has ended
    nanoseconds_count limit_ = 0;     // of the last look()
    nanoseconds_count next_look_ = 0; // by the clock of the loop
};

/// Returns the notes of a loop; null without debug mode.
template<class T = void>
debug_notes<T>* notes_of(const scheduler* loop) noexcept {
    const auto* const core = static_cast<const loop_core*>(loop);
    return core != nullptr && core->debug() ? static_cast<debug_notes<T>*>(core->notes()) : nullptr;
}

/// Begins to keep notes of a loop. @return null without memory.
template<class T = void>
[[gnu::cold]] loop_notes* make_notes(loop_core& loop) noexcept try {
    auto& notes = loop.services().get<debug_notes<T>>(loop);
    notes.clear();
    return &notes;
} catch (...) {
    return nullptr;
}

} // namespace asynchio::detail

#pragma GCC visibility pop
