// SPDX-License-Identifier: BSL-1.0
#include "run_program.hpp"

#include "statements.hpp"
#include "threads.hpp"

#include <asynchio/testing.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <unistd.h>

namespace oracle {

namespace {

constexpr std::chrono::seconds guard_period(10'000); // after it, whatever still waits is cancelled
constexpr int hopeless = 14;                         // so many times, then the program is given up
constexpr unsigned longest = 20;                     // seconds of real time that a program may take

class program_run {
public:
    program_run(const node& program, long number, const run_settings& settings)
        : program_(program), number_(number), settings_(settings),
          runner_(settings.shuffle
                      ? aio::testing::shuffled_order(*settings.shuffle + static_cast<std::uint64_t>(number))
                      : aio::testing::virtual_clock()) {}

    void run() {
        world_.emplace(program_, runner_.get_loop());
        auto reported = [this](aio::event_loop&, const aio::exception_context& context) { report(context); };
        world_->loop.set_exception_handler(reported);
        for (int i = 0; i < program_.at(4).at(1).number; ++i) {
            try {
                const int value = runner_.run(i == 0 ? first() : second());
                world_->log("-", "main returns " + std::to_string(value));
            } catch (...) {
                world_->log("-", "main fails " + describe_current());
            }
        }
        world_->ending = true;
        runner_.close();
        tell_states();
        world_->silent = true;
        print();
    }

private:
    aio::task<int> first() {
        aio::current_task().set_name("t0");
        hold_up_end_of_pool(world_->loop);
        world_->loop.call_later(guard_period, [this] { guard(1); });
        const int value = co_await run_body(*world_, 0);
        co_return value;
    }
    aio::task<int> second() {
        const std::string name = world_->next_name();
        aio::current_task().set_name(name.empty() ? "t99" : name);
        const int value = co_await run_body(*world_, 1);
        co_return value;
    }

    void guard(int count) {
        world_->log("-", "guard " + std::to_string(count));
        if (count >= 4) {
            for (aio::mutex& each : world_->locks)
                if (each.locked()) each.release();
            for (aio::condition* each : world_->conditions)
                if (each->locked()) each->release();
        }
        if (count >= hopeless) {
            world_->log("-", "HUNG");
            print();
            if (settings_.quiet) std::printf("HUNG #%ld\n", number_);
            std::fflush(stdout);
            _exit(77);
        }
        for (const aio::any_task_handle& each : aio::all_tasks()) each.cancel("guard");
        world_->loop.call_later(guard_period, [this, count] { guard(count + 1); });
    }

    void report(const aio::exception_context& context) {
        const auto says = [&](const char* what) { return context.message.find(what) != std::string::npos; };
        if (says("closing of") && describe(context.exception) == "Misuse") return;
        for (const char* what : {"Exception in callback", "unhandled exception during asyncio.run() shutdown",
                                 "closing of an asynchronous"})
            if (says(what))
                world_->log("-", "handler " + std::string(what, std::strcspn(what, " ")) + ' ' +
                                     describe(context.exception));
    }

    void tell_states() {
        for (std::size_t i = 0; i < std::size(world_->tasks); ++i)
            if (const handle& each = world_->tasks[i])
                world_->log("T" + std::to_string(i), each.name() + ' ' + state(each));
        for (std::size_t i = 0; i < world_->all_futures().size(); ++i)
            world_->log("F" + std::to_string(i), state(world_->all_futures()[i]));
    }

    void print() const {
        if (settings_.quiet) return;
        std::printf("#%ld\n", number_);
        for (const std::string& each : world_->trace) std::printf("%s\n", each.c_str());
        std::fflush(stdout);
    }

    const node& program_;
    const long number_;
    const run_settings& settings_;
    // What programs made outlives the loop: handles, and locks that tasks are destroyed in.
    std::optional<world> world_;
    aio::runner runner_;
};

template<class Table>
Table joined(std::initializer_list<const Table*> tables) {
    Table all;
    for (const Table* each : tables) all.insert(each->begin(), each->end());
    return all;
}

} // namespace

bool run_line(const std::string& text, long number, const run_settings& settings) {
    static const plain_statements plain = joined({&task_calls(), &object_calls(), &thread_calls(), &stream_calls()});
    static const waiting_statements waiting =
        joined({&basic_waits(), &combined_waits(), &nested_waits(), &limited_waits(), &object_waits(),
                &generator_waits(), &thread_waits(), &stream_waits()});
    alarm(longest); // what hangs without the guard ends here, and the next run begins behind it
    {
        const node program = parse(text, plain, waiting);
        program_run(program, number, settings).run();
    }
    const aio::testing::audit_report left = aio::testing::audit();
    if (left.clean()) return true;
    std::printf("AUDIT of #%ld\n%s", number, left.to_string().c_str());
    std::fflush(stdout);
    return false;
}

} // namespace oracle
