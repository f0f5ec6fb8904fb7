// SPDX-License-Identifier: BSL-1.0

// Everything is used with types of one namespace, `greedy`, in which user_names.py has declared a template of each name
// that the library calls. See there.

#include <asynchio.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace aio = asynchio;
using namespace std::chrono_literals;

namespace greedy {

struct my_item {
    int value = 0;
    auto operator<=>(const my_item&) const = default;
};

/// Its move may throw, so that it is kept in a box.
struct my_heavy {
    my_heavy() = default;
    my_heavy(my_heavy&&) noexcept(false) {}
    my_heavy& operator=(my_heavy&&) noexcept(false) { return *this; }
};

struct my_error {
    int code = 0;
};

struct my_makes {
    aio::task<my_item> operator()() const { co_return my_item{1}; }
};
struct my_makes_of {
    aio::task<my_item> operator()(my_item x) const { co_return x; }
};
struct my_starts {
    aio::task<> operator()(aio::task_status<my_item>& status, my_item x) const {
        status.started(x);
        co_return;
    }
};
struct my_gives {
    my_item operator()() const { return my_item{2}; }
};
struct my_told {
    template<class... A>
    void operator()(A&&...) const {}
};

/// An awaitable that is its own awaiter.
struct my_ready {
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    static my_item await_resume() noexcept { return {}; }
};

struct my_resource {
    aio::task<my_item> async_enter() { co_return my_item{3}; }
    aio::task<> async_exit(std::exception_ptr) { co_return; }
};
struct my_body {
    aio::task<my_item> operator()(my_item x) const { co_return x; }
};

struct my_items {
    my_item all[2];
};
const my_item* begin(const my_items& i) { return i.all; }
const my_item* end(const my_items& i) { return i.all + 2; }

aio::async_generator<my_item> my_stream() {
    const my_item one;
    co_yield one;
}
aio::generator<my_item> my_numbers() {
    const my_item one;
    co_yield one;
    co_yield aio::elements_of(my_numbers());
}
aio::async_generator<my_item&> my_references(my_item& of) { co_yield of; }

aio::task<> my_tasks() {
    co_await aio::create_task(my_makes());
    co_await aio::create_task(my_makes_of(), my_item());
    co_await aio::create_task(aio::named("name"), my_makes());
    co_await aio::create_task(aio::eager, my_makes()(), "name");
    co_await aio::create_task(my_ready());
    co_await aio::co_invoke(my_makes());
    const auto caught = co_await aio::nothrow(my_makes()());
    static_cast<void>(caught.value());
    const auto handle = aio::create_task(my_makes()());
    handle.add_done_callback(my_told());
    co_await handle;
    aio::future<my_item> future;
    future.add_done_callback(my_told());
    future.set_result(my_item());
    co_await std::move(future);
    aio::completion<my_item> called;
    called.callback()(my_item());
    co_await called;
    aio::completion<my_item> uncalled;
    uncalled.callback().fail(my_error());
    co_await aio::nothrow(uncalled);
    aio::future<my_item> failed;
    failed.set_exception(my_error());
    co_await aio::nothrow(failed);
    co_await aio::sleep(0s, my_item());
    aio::context_var<my_item> variable("variable", my_item());
    auto token = variable.set(my_item());
    static_cast<void>(variable.get());
    variable.reset(token);
    auto& loop = aio::get_running_loop();
    loop.call_soon(my_told(), my_item());
    loop.call_later(0s, my_told(), my_item()).cancel();
    loop.call_soon_threadsafe(my_told(), my_item());
    loop.set_exception_handler(my_told());
    co_await loop.create_task(my_makes());
    aio::copy_context().run(my_told(), my_item());
}

aio::task<> my_combined() {
    my_makes make;
    my_item one;
    co_await aio::gather(my_makes()(), make, my_ready());
    std::vector<aio::task<my_item>> several;
    several.push_back(my_makes()());
    co_await aio::gather(std::move(several));
    co_await aio::gather(aio::return_exceptions, my_makes()(), make);
    co_await aio::race(my_makes()(), make);
    std::vector<aio::task<my_item>> racing;
    racing.push_back(my_makes()());
    co_await aio::race(std::move(racing));
    co_await aio::wait_for(my_makes()(), 1h);
    co_await aio::wait_for(my_ready(), 1h);
    co_await aio::shield(my_makes()());
    std::vector<aio::task_handle<my_item>> handles{aio::create_task(my_makes()())};
    co_await aio::wait(handles);
    auto in_order = aio::as_completed(handles);
    co_await in_order.next();
    my_resource opened;
    co_await aio::with(opened, my_body());
    co_await aio::with(aio::timeout(1h), make);
    co_await aio::with(aio::move_on_after(1h), make);
    co_await aio::finally(make, my_told());
    co_await aio::on_cancel(make, my_told());
    auto in_group = [](aio::task_group& group) -> aio::task<> {
        group.create_task(my_makes());
        group.create_task(my_makes_of(), my_item());
        co_return;
    };
    co_await aio::with(aio::task_group(), in_group);
    auto starts = [](aio::task_group& group) -> aio::task<> {
        co_await group.start(my_starts(), my_item());
        co_await group.start<my_item>(my_starts(), my_item());
    };
    co_await aio::with(aio::task_group(), starts);
    auto all = aio::merge(aio::buffered(1), my_stream(), my_stream());
    co_await all.next();
    co_await all.aclose();
    auto mapped = aio::map_ordered(my_stream(), my_makes_of(), 2);
    co_await mapped.next();
    co_await mapped.aclose();
    auto of_range = aio::map_unordered(my_items(), my_makes_of(), 2);
    co_await of_range.next();
    co_await of_range.aclose();
    auto referring = my_references(one);
    co_await referring.next();
    for (const my_item& each : my_numbers()) {
        static_cast<void>(each);
        break;
    }
}

aio::task<> my_synchronized() {
    aio::queue<my_item> fifo;
    aio::lifo_queue<my_item> lifo;
    aio::priority_queue<my_item> smallest;
    aio::queue<my_heavy> boxes;
    co_await fifo.put(my_item());
    co_await lifo.put(my_item());
    co_await smallest.put(my_item());
    co_await boxes.put(my_heavy());
    co_await fifo.get();
    co_await lifo.get();
    co_await smallest.get();
    co_await boxes.get();
    aio::condition changed;
    const auto guard = co_await changed.scoped_acquire();
    auto always = [](auto...) { return true; };
    co_await changed.wait_for(always);
}

aio::task<> my_threads() {
    co_await aio::to_thread(my_gives());
    co_await aio::run_in_executor(my_gives());
    aio::threadsafe_queue<my_item> between(1);
    co_await between.put(my_item());
    co_await between.get();
    auto& loop = aio::get_running_loop();
    auto started = aio::run_coroutine_threadsafe(my_makes(), loop.ref());
    started.add_done_callback(my_told());
    co_await aio::wrap_future(started);
    aio::loop_group loops(1);
    co_await aio::wrap_future(loops.submit(my_makes()));
}

struct my_handler {
    aio::task<> operator()(aio::stream client) const {
        std::vector<std::string> parts{"a", "b"};
        co_await client.write(parts);
        co_await client.read_until(parts);
        co_await client.aclose();
    }
};
struct my_call {
    void operator()() const {}
};
struct my_scenario {
    aio::task<> operator()() const { return my_synchronized(); }
};
struct my_words {
    std::vector<std::string> all;
};
const std::string* begin(const my_words& w) { return w.all.data(); }
const std::string* end(const my_words& w) { return w.all.data() + w.all.size(); }

/// Only compiled: the rest of the program needs no sockets.
aio::task<> my_connections() {
    auto server = co_await aio::start_server(my_handler(), "localhost", 0);
    co_await server.aclose();
    const my_words words;
    co_await aio::create_subprocess(words);
    auto& loop = aio::get_running_loop();
    loop.add_reader(0, my_call());
    loop.add_signal_handler(1, my_call());
}

} // namespace greedy

int main(int argc, char**) {
    if (argc > 1000) {
        aio::run(greedy::my_connections());
        aio::testing::for_each_cancellation(greedy::my_scenario());
        aio::testing::for_each_errno(greedy::my_scenario());
    }
    const auto all = []() -> aio::task<> {
        co_await greedy::my_tasks();
        co_await greedy::my_combined();
        co_await greedy::my_synchronized();
        co_await greedy::my_threads();
    };
    aio::run(all);
    static_cast<void>(aio::run(greedy::my_makes()));
}
