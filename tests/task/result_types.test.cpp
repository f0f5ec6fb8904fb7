// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/virtual_run.hpp"

#include <asynchio.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// Results of unusual types, through all that hands a result on.

namespace aio = asynchio;
using namespace asynchio_tests;
using namespace std::chrono_literals;

namespace {

/// Has an operator new that nobody may call.
struct never_on_the_heap {
    never_on_the_heap(int n) : value(n) {}
    static void* operator new(std::size_t) = delete;
    static void* operator new(std::size_t, void*) = delete;
    static void operator delete(void*) = delete;
    int value;
};

/// Its move may throw besides, so that containers keep it in a box.
struct never_on_the_heap_and_throws : never_on_the_heap {
    using never_on_the_heap::never_on_the_heap;
    never_on_the_heap_and_throws(never_on_the_heap_and_throws&& other) noexcept(false)
        : never_on_the_heap(other.value) {}
};

struct immovable {
    immovable(int n) : value(n) {}
    immovable(immovable&&) = delete;
    int value;
};

template<class T>
aio::task<T> makes(int n) {
    co_await aio::yield();
    co_return T(n);
}

/// Outside of the templates below: a check that awaits is not for g++ 12 there.
void is_three(const never_on_the_heap& result) { CHECK(result.value == 3); }

/// Awaits a task of `T` in every way that hands its result on.
template<class T>
aio::task<> goes_everywhere() {
    is_three(co_await makes<T>(3));
    is_three(co_await aio::create_task(makes<T>(3)));
    const auto caught = co_await aio::nothrow(makes<T>(3));
    is_three(caught.value());
    is_three(co_await aio::wait_for(makes<T>(3), 1h));
    is_three(co_await aio::shield(makes<T>(3)));
    auto both = co_await aio::gather(makes<T>(1), makes<T>(3));
    CHECK(std::get<1>(both).value == 3);
    std::vector<aio::task<T>> tasks;
    tasks.push_back(makes<T>(3));
    auto all = co_await aio::gather(std::move(tasks));
    CHECK(all[0].value == 3);
    auto outcomes = co_await aio::gather(aio::return_exceptions, makes<T>(1), makes<T>(3));
    CHECK(std::get<1>(outcomes).value().value == 3);
    auto first = co_await aio::race(makes<T>(3), aio::sleep(1h));
    CHECK(std::get<0>(first).value == 3);
    auto body = [] { return makes<T>(3); };
    is_three(co_await aio::with(aio::timeout(1h), body));
    auto cleanup = [] {};
    is_three(co_await aio::finally(body, cleanup));
    is_three(co_await aio::co_invoke(body));

    aio::future<T> future;
    future.set_result(3);
    CHECK(future.result().value == 3);
    is_three(co_await std::move(future));

    auto blocking = [] { return T(3); };
    is_three(co_await aio::to_thread(blocking));
}

/// Yields a `T`, and puts one through what passes values on.
template<class T>
aio::task<> goes_through_streams() {
    auto items = []() -> aio::async_generator<T> {
        T item(3);
        co_yield aio::take(item);
    };
    auto stream = items();
    auto item = co_await stream.next();
    CHECK(item->value == 3);
    const auto end = co_await stream.next();
    CHECK(!end);
    auto merged = aio::merge(items(), items());
    is_three(*co_await merged.next());
    co_await merged.aclose();

    aio::queue<T> queue;
    queue.put_nowait(T(3));
    is_three(co_await queue.get());
}

const std::string outside = "outside";
std::string changing = "changing";

/// Gives an rvalue reference to what it holds, which ends with it.
class gives_rvalue {
public:
    explicit gives_rvalue(std::string text) : text_(std::move(text)) {}
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    std::string&& await_resume() noexcept { return std::move(text_); }

private:
    std::string text_;
};

} // namespace

TEST_CASE("result types: const objects go everywhere") {
    virtual_run(goes_everywhere<const never_on_the_heap>());
    CHECK(aio::run(makes<const never_on_the_heap>(3)).value == 3);
    virtual_run([]() -> aio::task<> {
        auto pointer = []() -> aio::task<const std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
        const std::unique_ptr<int> own = co_await pointer();
        CHECK(*own == 3);
    });
}

TEST_CASE("result types: an operator new of the class is not used") {
    virtual_run(goes_everywhere<never_on_the_heap>());
    virtual_run(goes_everywhere<never_on_the_heap_and_throws>());
    virtual_run(goes_through_streams<never_on_the_heap>());
    virtual_run(goes_through_streams<never_on_the_heap_and_throws>());
}

TEST_CASE("result types: one that cannot be moved is seen through its handle") {
    auto main = []() -> aio::task<> {
        auto make = []() -> aio::task<immovable> { co_return 3; };
        const auto made = aio::create_task(make());
        const immovable& seen = co_await made;
        CHECK(seen.value == 3);
        CHECK(&made.result() == &seen);
        aio::future<immovable> future;
        future.set_result(4);
        CHECK((co_await future).value == 4);
    };
    virtual_run(main());
}

TEST_CASE("result types: a reference refers to the very object") {
    auto main = []() -> aio::task<> {
        auto constant = []() -> aio::task<const std::string&> { co_return outside; };
        auto wrapped = []() -> aio::task<const std::string&> { co_return std::cref(outside); };
        auto variable = []() -> aio::task<std::string&> { co_return std::ref(changing); };
        auto as_const = []() -> aio::task<const std::string&> { co_return std::ref(changing); };
        CHECK(&co_await constant() == &outside);
        CHECK(&co_await wrapped() == &outside);
        CHECK(&co_await variable() == &changing);
        CHECK(&co_await as_const() == &changing);
        CHECK(&co_await aio::create_task(constant()) == &outside);
        CHECK(&co_await aio::wait_for(variable(), 1h) == &changing);
        CHECK(&(co_await aio::nothrow(variable())).value() == &changing);
        const aio::future<const std::string&> future;
        future.set_result(outside);
        CHECK(&co_await future == &outside);
        auto blocking = []() -> const std::string& { return outside; };
        CHECK(&co_await aio::to_thread(blocking) == &outside);
    };
    virtual_run(main());
}

TEST_CASE("result types: what is given as an rvalue reference becomes an object") {
    const std::string text(100, 'x');
    auto main = [&]() -> aio::task<> {
        CHECK(co_await gives_rvalue(text) == text);
        CHECK((co_await aio::nothrow(gives_rvalue(text))).value() == text);
        CHECK(co_await aio::create_task(gives_rvalue(text)) == text);
        CHECK(co_await aio::wait_for(gives_rvalue(text), 1h) == text);
        CHECK(co_await aio::shield(gives_rvalue(text)) == text);
        auto both = co_await aio::gather(gives_rvalue(text), gives_rvalue(text));
        CHECK(std::get<1>(both) == text);
        auto give = [&] { return gives_rvalue(text); };
        CHECK(co_await aio::co_invoke(give) == text);
        CHECK(co_await aio::with(aio::timeout(1h), give) == text);
        std::string moved = text;
        auto blocking = [&]() -> std::string&& { return std::move(moved); };
        const std::string result = co_await aio::to_thread(blocking);
        CHECK(result == text);
        CHECK(moved.empty());
    };
    virtual_run(main());
}
