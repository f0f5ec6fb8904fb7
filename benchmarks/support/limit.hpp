// SPDX-License-Identifier: BSL-1.0
#pragma once

// The hand-written limit: coroutines with symmetric transfer, one intrusive queue and recycled frames, and nothing
// else. No cancellation, no exception is kept, no handle outlives a task, no line is known. What a row costs at least.

#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

namespace limit {

/// One free list per 64-byte class, for one thread.
struct frames {
    struct block {
        block* next;
    };
    static inline block* free[33] = {};
    static inline char* slab = nullptr;
    static inline char* slab_end = nullptr;

    static void* take(std::size_t size) {
        const std::size_t index = (size + 63) / 64;
        if (index < 33 && free[index] != nullptr) {
            block* first = free[index];
            free[index] = first->next;
            return first;
        }
        return carve(index * 64);
    }
    static void give(void* address, std::size_t size) noexcept {
        const std::size_t index = (size + 63) / 64;
        free[index] = new (address) block{free[index]};
    }

private:
    [[gnu::noinline]] static void* carve(std::size_t size) {
        if (static_cast<std::size_t>(slab_end - slab) < size) {
            constexpr std::size_t slab_size = std::size_t(64) * 1024;
            slab = static_cast<char*>(::operator new(slab_size, std::align_val_t(64)));
            slab_end = slab + slab_size;
        }
        return std::exchange(slab, slab + size);
    }
};

struct item {
    item* next = nullptr;
    std::coroutine_handle<> resume;
};

/// First in, first out, in rounds.
struct queue {
    item* first = nullptr;
    item** last = &first;

    void push(item& i) noexcept {
        i.next = nullptr;
        *last = &i;
        last = &i.next;
    }
    void run() {
        while (first != nullptr) {
            item* each = std::exchange(first, nullptr);
            last = &first;
            while (each != nullptr) {
                item* next = each->next;
                each->resume.resume();
                each = next;
            }
        }
    }
};

inline queue ready;

struct promise_base {
    static void* operator new(std::size_t size) { return frames::take(size); }
    static void operator delete(void* address, std::size_t size) noexcept { frames::give(address, size); }

    std::coroutine_handle<> continuation = std::noop_coroutine();

    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        template<class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
            return self.promise().continuation;
        }
        void await_resume() const noexcept {}
    };
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static final_awaiter final_suspend() noexcept { return {}; }
    [[noreturn]] static void unhandled_exception() noexcept { std::abort(); }
};

template<class T>
struct task {
    struct promise_type : promise_base {
        T value;
        task get_return_object() noexcept { return task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
        void return_value(T v) noexcept { value = v; }
    };
    std::coroutine_handle<promise_type> handle;

    explicit task(std::coroutine_handle<promise_type> h) noexcept : handle(h) {}
    task(task&& other) noexcept : handle(std::exchange(other.handle, {})) {}
    ~task() {
        if (handle) handle.destroy();
    }
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
        handle.promise().continuation = parent;
        return handle;
    }
    T await_resume() noexcept { return handle.promise().value; }
};

/// Started by hand and gone at its end; counts down when it ends.
struct detached {
    struct promise_type : item {
        static void* operator new(std::size_t size) { return frames::take(size); }
        static void operator delete(void* address, std::size_t size) noexcept { frames::give(address, size); }
        std::size_t* running = nullptr;

        ~promise_type() {
            if (running != nullptr) --*running;
        }
        detached get_return_object() noexcept {
            resume = std::coroutine_handle<promise_type>::from_promise(*this);
            return {*this};
        }
        static std::suspend_always initial_suspend() noexcept { return {}; }
        static std::suspend_never final_suspend() noexcept { return {}; }
        static void return_void() noexcept {}
        [[noreturn]] static void unhandled_exception() noexcept { std::abort(); }
    };
    promise_type& promise;

    void start(std::size_t& running) {
        ++running;
        promise.running = &running;
        ready.push(promise);
    }
};

/// Back to the end of the queue.
struct yield {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<detached::promise_type> self) const noexcept {
        ready.push(self.promise());
    }
    void await_resume() const noexcept {}
};

} // namespace limit
