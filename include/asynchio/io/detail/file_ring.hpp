// SPDX-License-Identifier: BSL-1.0
#pragma once

// Reads and writes of files that the kernel carries out while the loop goes on: io_uring(7), without its library. The
// structures are those of <linux/io_uring.h>, which programs would get with all that it includes.

#include <asynchio/core/cancelled_error.hpp>
#include <asynchio/core/detail/shared_text.hpp>
#include <asynchio/io/byte_channel.hpp>
#include <asynchio/io/detail/descriptor.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/loop/detail/fork_count.hpp>
#include <asynchio/loop/detail/services.hpp>
#include <asynchio/loop/detail/watches.hpp>
#include <asynchio/loop/event_loop.hpp>
#include <asynchio/task/suspension.hpp>

#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// io_uring_sqe, as far as it is used here.
struct ring_submission {
    std::uint8_t opcode = 0;
    std::uint8_t flags = 0;
    std::uint16_t priority = 0;
    std::int32_t fd = -1;
    std::uint64_t offset = 0;
    std::uint64_t address = 0;
    std::uint32_t size = 0;
    std::uint32_t operation_flags = 0;
    std::uint64_t user_data = 0;
    std::uint64_t unused[3] = {};
};
static_assert(sizeof(ring_submission) == 64);

/// io_uring_cqe.
struct ring_completion {
    std::uint64_t user_data;
    std::int32_t result;
    std::uint32_t flags;
};

/// io_uring_params.
struct ring_parameters {
    struct submission_offsets {
        std::uint32_t head, tail, mask, entries, flags, dropped, array, unused;
        std::uint64_t user_address;
    };
    struct completion_offsets {
        std::uint32_t head, tail, mask, entries, overflow, completions, flags, unused;
        std::uint64_t user_address;
    };
    std::uint32_t submission_entries = 0, completion_entries = 0, flags = 0, thread_cpu = 0, thread_idle = 0;
    std::uint32_t features = 0, other_ring = 0, unused[3] = {};
    submission_offsets submissions = {};
    completion_offsets completions = {};
};
static_assert(sizeof(ring_parameters) == 120);

class ring_operation;

/// The ring of a loop.
class file_ring final : public service, private attached_watch {
public:
    static constexpr std::uint8_t sync = 3, cancel = 14, read = 22, write = 23; // operations

    explicit file_ring(loop_core& loop) : loop_(loop) {
        ready = [](fd_watch& self, unsigned char) noexcept {
            static_cast<file_ring&>(static_cast<attached_watch&>(self)).take();
        };
        if (!open()) ring_ = descriptor();
    }
    ~file_ring() override {
        loop_.outside().descriptors.detach(*this);
        if (submissions_ != nullptr) ::munmap(submissions_, entries * sizeof(ring_submission));
        if (rings_ != nullptr) ::munmap(rings_, rings_size_);
    }

    /// Returns the ring of the loop; a null pointer if the system has none for this process.
    static file_ring* of(loop_core& loop) {
        file_ring& ring = loop.services().get<file_ring>(loop);
        return ring.ring_ && ring.process_.is_here() ? &ring : nullptr;
    }

    void close() noexcept override {}
    bool closed() const noexcept override { return true; }

private:
    friend ring_operation;
    static constexpr std::uint32_t entries = 64;
    static constexpr std::uint32_t one_mapping = 1, keeps_completions = 2, reads_and_writes = 8; // features
    static constexpr off_t submissions_at = 0x10000000;
    static constexpr std::uint32_t more_completions = 2; // a flag of the submissions: the kernel keeps some back
    static constexpr unsigned with_completions = 1;      // a flag of io_uring_enter(2)

    bool open() {
        ring_parameters p;
        ring_ = descriptor(calls.io_uring_setup(entries, &p));
        constexpr std::uint32_t needed = one_mapping | keeps_completions | reads_and_writes;
        if (!ring_ || (p.features & needed) != needed) return false;
        const std::size_t submissions_end = p.submissions.array + p.submission_entries * sizeof(std::uint32_t);
        const std::size_t completions_end = p.completions.completions + p.completion_entries * sizeof(ring_completion);
        rings_size_ = submissions_end > completions_end ? submissions_end : completions_end;
        rings_ = static_cast<unsigned char*>(map(rings_size_, 0));
        submissions_ = static_cast<ring_submission*>(map(entries * sizeof(ring_submission), submissions_at));
        if (rings_ == nullptr || submissions_ == nullptr) return false;
        submission_tail_ = number_at(p.submissions.tail);
        submission_mask_ = *number_at(p.submissions.mask);
        submission_flags_ = number_at(p.submissions.flags);
        submission_array_ = number_at(p.submissions.array);
        completion_head_ = number_at(p.completions.head);
        completion_tail_ = number_at(p.completions.tail);
        completion_mask_ = *number_at(p.completions.mask);
        completions_ = reinterpret_cast<ring_completion*>(rings_ + p.completions.completions);
        fd = ring_.get();
        return true;
    }
    void* map(std::size_t size, off_t offset) const noexcept {
        void* const mapped =
            calls.mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_.get(), offset);
        return mapped != MAP_FAILED ? mapped : nullptr;
    }
    std::uint32_t* number_at(std::uint32_t offset) const noexcept {
        return reinterpret_cast<std::uint32_t*>(rings_ + offset);
    }
    /// Has the loop look for completions. @return whether the system lets it.
    bool watch() noexcept {
        try {
            if (!attached()) loop_.outside().attach(*this, fd_watch::readable);
        } catch (const std::exception&) {
            return false;
        }
        return true;
    }

    /// Hands something over to the kernel. @return whether it has taken it.
    bool submit(const ring_submission& what) noexcept {
        const std::uint32_t at = *submission_tail_;
        submissions_[at & submission_mask_] = what;
        submission_array_[at & submission_mask_] = at & submission_mask_;
        __atomic_store_n(submission_tail_, at + 1, __ATOMIC_RELEASE);
        if (uninterrupted([&] { return calls.io_uring_enter(ring_.get(), 1, 0, 0); }) == 1) return true;
        __atomic_store_n(submission_tail_, at, __ATOMIC_RELEASE); // the kernel has not seen it
        return false;
    }
    /// Tells the operations that are over.
    void take() noexcept;
    /// Waits for a completion, outside the loop.
    void wait_outside() noexcept {
        calls.io_uring_enter(ring_.get(), 0, 1, with_completions);
        take();
    }

    loop_core& loop_;
    process_mark process_;
    descriptor ring_;
    unsigned char* rings_ = nullptr;
    std::size_t rings_size_ = 0;
    ring_submission* submissions_ = nullptr;
    std::uint32_t* submission_tail_ = nullptr;
    std::uint32_t submission_mask_ = 0;
    const std::uint32_t* submission_flags_ = nullptr;
    std::uint32_t* submission_array_ = nullptr;
    std::uint32_t* completion_head_ = nullptr;
    std::uint32_t* completion_tail_ = nullptr;
    std::uint32_t completion_mask_ = 0;
    const ring_completion* completions_ = nullptr;
    std::size_t under_way_ = 0;
};

/// Awaitable: an operation of the ring. Its result is a count or an errno; EAGAIN if the kernel takes no more.
///
/// Cancellation: the kernel is asked to give the operation up, and the task waits until it has done with the memory.
class ring_operation final : public suspension {
public:
    ring_operation(file_ring& ring, const ring_submission& what) noexcept : ring_(ring), what_(what) {}
    ring_operation(const ring_operation&) = delete;
    ring_operation& operator=(const ring_operation&) = delete;
    ~ring_operation() override {
        if (!under_way_ || !ring_.process_.is_here()) return;
        give_up();
        while (under_way_) ring_.wait_outside();
    }

    static bool await_ready() noexcept { return false; }
    template<class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) {
        what_.user_data = reinterpret_cast<std::uintptr_t>(this);
        ++ring_.under_way_;
        under_way_ = true;
        ring_.loop_.expect_post();
        if (!ring_.submit(what_)) over(io_result::would_block());
        ring_.take();
        if (under_way_ && !ring_.watch())
            while (under_way_) ring_.wait_outside();
        if (!under_way_) return false;
        park(awaiting, where);
        return true;
    }
    io_result await_resume() {
        resumed();
        if (cancelled_) throw cancelled_error(std::move(message_));
        return result_;
    }

    const char* waiting_for() const noexcept override { return "file"; }
    cancel_reply cancel(const shared_text& message) noexcept override {
        if (!under_way_) return cancel_reply::refused;
        if (!cancelled_) give_up();
        cancelled_ = true;
        message_ = message;
        return cancel_reply::forwarded;
    }

private:
    friend file_ring;

    void give_up() noexcept {
        ring_submission request;
        request.opcode = file_ring::cancel;
        request.address = what_.user_data;
        ring_.submit(request);
    }
    void over(io_result result) noexcept {
        result_ = result;
        under_way_ = false;
        ring_.loop_.post_arrived();
        if (--ring_.under_way_ == 0) ring_.loop_.outside().descriptors.detach(ring_);
        if (parked() && !ring_.loop_.closing()) wake();
    }

    file_ring& ring_;
    ring_submission what_;
    io_result result_;
    shared_text message_;
    bool under_way_ = false;
    bool cancelled_ = false;
};

inline void file_ring::take() noexcept {
    for (;;) {
        const std::uint32_t at = *completion_head_;
        if (at == __atomic_load_n(completion_tail_, __ATOMIC_ACQUIRE)) {
            if ((__atomic_load_n(submission_flags_, __ATOMIC_RELAXED) & more_completions) == 0) return;
            if (calls.io_uring_enter(ring_.get(), 0, 0, with_completions) < 0) return;
            continue;
        }
        const ring_completion each = completions_[at & completion_mask_];
        __atomic_store_n(completion_head_, at + 1, __ATOMIC_RELEASE);
        if (each.user_data == 0) continue; // a request to give something up
        auto& operation = *reinterpret_cast<ring_operation*>(static_cast<std::uintptr_t>(each.user_data));
        operation.over(each.result >= 0 ? io_result::bytes(static_cast<std::size_t>(each.result))
                                        : io_result::failed(-each.result));
    }
}

} // namespace asynchio::detail

#pragma GCC visibility pop
