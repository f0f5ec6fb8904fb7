// SPDX-License-Identifier: BSL-1.0

// The event loop as a guest of GLib's main loop, and so of GTK's: a GSource waits for native_handle() and
// next_deadline(), and runs what is ready. Needs GLib (Debian: libglib2.0-dev).
//
//     c++ -std=c++20 -pthread -Iinclude examples/foreign/guest_in_glib.cpp -o guest_in_glib
//         $(pkg-config --cflags --libs glib-2.0)
//
// Run: ./guest_in_glib
// Prints:
//   a task has slept in GLib's main loop
//   a thread computed 42
//   the main loop has set a future: 7
//   the main loop has counted 3 ticks of its own
//
// Read next: guest_in_qt.cpp

#include <asynchio/loop.hpp>
#include <asynchio/task.hpp>
#include <asynchio/thread.hpp>

#include <chrono>
#include <glib-unix.h>
#include <glib.h>
#include <iostream>
#include <memory>
#include <optional>

namespace aio = asynchio;
using namespace std::chrono_literals;

/// A GSource is a struct of C, which GLib allocates with what stands behind it.
struct guest_source {
    GSource base;
    aio::event_loop* loop;
    gpointer handle;
};

aio::event_loop& loop_of(GSource* source) { return *reinterpret_cast<guest_source*>(source)->loop; }

/// GLib asks in each iteration how long it may wait, also after code of the program that used the loop.
gboolean prepare(GSource* source, gint* milliseconds) {
    const aio::event_loop& loop = loop_of(source);
    const std::optional<aio::time_point> deadline = loop.next_deadline();
    *milliseconds = -1;
    if (!deadline) return FALSE;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - loop.time());
    *milliseconds = left > 0ms ? static_cast<gint>(left.count()) : 0;
    return left <= 0ms;
}

gboolean check(GSource* source) {
    gint left = 0;
    return g_source_query_unix_fd(source, reinterpret_cast<guest_source*>(source)->handle) != 0 ||
           prepare(source, &left);
}

gboolean dispatch(GSource* source, GSourceFunc, gpointer) {
    loop_of(source).run_ready(); // exceptions of tasks and callbacks do not come through it
    return G_SOURCE_CONTINUE;
}

struct source_end {
    void operator()(GSource* source) const {
        g_source_destroy(source);
        g_source_unref(source);
    }
};

std::unique_ptr<GSource, source_end> attach(aio::event_loop& loop) {
    static GSourceFuncs functions{prepare, check, dispatch, nullptr, nullptr, nullptr};
    GSource* const source = g_source_new(&functions, sizeof(guest_source));
    auto* const guest = reinterpret_cast<guest_source*>(source);
    guest->loop = &loop;
    guest->handle = g_source_add_unix_fd(source, loop.native_handle(), G_IO_IN);
    g_source_attach(source, nullptr);
    return std::unique_ptr<GSource, source_end>(source);
}

struct program_state {
    GMainLoop* host;
    aio::future<int> answer;
    int ticks = 0;
};

gboolean tick(gpointer data) {
    auto& state = *static_cast<program_state*>(data);
    if (++state.ticks < 3) return G_SOURCE_CONTINUE;
    state.answer.set_result(7);
    return G_SOURCE_REMOVE;
}

aio::task<> program(program_state& state) {
    co_await aio::sleep(10ms);
    std::cout << "a task has slept in GLib's main loop\n";
    const int product = co_await aio::to_thread([] { return 6 * 7; });
    std::cout << "a thread computed " << product << '\n';
    g_timeout_add(5, tick, &state);
    const int value = co_await state.answer;
    std::cout << "the main loop has set a future: " << value << '\n';
    std::cout << "the main loop has counted " << state.ticks << " ticks of its own\n";
    g_main_loop_quit(state.host);
}

int main() {
    aio::runner runner;
    aio::event_loop& loop = runner.get_loop();
    program_state state{g_main_loop_new(nullptr, FALSE), loop.create_future<int>()};
    const auto task = loop.create_task(program(state));
    {
        const auto guest = attach(loop);
        g_main_loop_run(state.host);
    }
    g_main_loop_unref(state.host);
}
