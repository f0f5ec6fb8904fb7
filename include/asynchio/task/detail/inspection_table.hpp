// SPDX-License-Identifier: BSL-1.0
#pragma once

// The description of the library's objects for programs that read the memory of this one: asynchio_ps.py, a debugger.
// It is constant data, which nothing in the program looks at.

#include <asynchio/loop/detail/loop_core.hpp>
#include <asynchio/loop/detail/loops_of_process.hpp>
#include <asynchio/task/detail/frame.hpp>
#include <asynchio/task/detail/named_suspension.hpp>
#include <asynchio/task/suspension.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// The protected members of a loop. There is no object of this class.
class loop_members : public loop_core {
public:
    using step = interrupted_step;
    static constexpr intrusive_list<frame> loop_core::* tasks = &loop_members::tasks_;
    static constexpr bool loop_core::* running = &loop_members::running_;
    static constexpr std::atomic<std::uint64_t> loop_core::* iterations = &loop_members::iterations_;
    static constexpr const thread_state* loop_core::* thread = &loop_members::thread_;
    static constexpr const step* loop_core::* interrupted = &loop_members::interrupted_;

protected:
    ~loop_members() = default;
};

/// Where the objects of the library keep what a reader looks for. A pointer to a member is in memory the distance of the
/// member from the beginning of the object, and the compiler has checked it. asynchio_ps.py reads the fields in this
/// order; a change of them, or of what they stand for, takes a new version.
struct inspection_table {
    char magic[16] = "asynchio_tasks\n";
    std::uint32_t version = 1;
    std::uint32_t size = sizeof(inspection_table);
    std::uint32_t pointer_size = sizeof(void*);
    std::uint32_t promise_in_coroutine = 2 * sizeof(void*); // behind the addresses of resume and destroy
    loop_list* loops = &loops_of_process;

    // Lists. One is a pointer to the first link; the `prev` of the first is the last.
    intrusive_list<listed_loop> loop_list::* first_loop = &loop_list::loops;
    list_link* list_link::* link_prev = &list_link::prev;
    list_link* list_link::* link_next = &list_link::next;

    // A loop.
    list_link* loop_core::* loop_prev = &list_link::prev;
    intrusive_list<frame> loop_core::* loop_tasks = loop_members::tasks;
    bool loop_core::* loop_running = loop_members::running;
    std::atomic<std::uint64_t> loop_core::* loop_iterations = loop_members::iterations;
    const thread_state* loop_core::* loop_thread = loop_members::thread;
    const loop_members::step* loop_core::* loop_interrupted = loop_members::interrupted;
    ready_item* thread_state::* thread_current = &thread_state::current;
    ready_item* loop_members::step::* interrupted_task = &loop_members::step::task;
    const loop_members::step* loop_members::step::* interrupted_outer = &loop_members::step::outer;

    // A task.
    list_link* frame::* task_prev = &list_link::prev;
    unsigned short frame::* task_flags = &shared_state::flags_;
    intrusive_list<watcher> frame::* task_watchers = &shared_state::watchers;
    scheduler* frame::* task_loop = &shared_state::loop;
    std::source_location frame::* task_awaited_at = &shared_state::awaited_at;
    task_extra_ptr frame::* task_extra_word = &shared_state::extra;
    void* frame::* task_waiting_for = &ready_item::waiting_for;
    void* frame::* task_resume_point = &ready_item::resume_point;
    ready_item::kind frame::* task_what = &ready_item::what;
    unsigned short frame::* task_cancels = &frame::cancels;
    std::uint32_t frame::* task_id = &frame::id;
    frame* frame::* task_parent = &frame::parent;
    child_owner* frame::* task_owner = &frame::owner;
    std::source_location frame::* task_made_at = &frame::made_at;
    std::source_location frame::* task_place = &frame::place_;
    shared_text task_extra::* extra_name = &task_extra::name;
    std::size_t shared_text::block::* text_size = &shared_text::block::size;

    // A wait. Classes of waits, and their bases, are found by their names in the type_info before the virtual functions.
    const char* const named_suspension::* named_word = &named_suspension::what_;
    void* ready_item::* item_waiting_for = &ready_item::waiting_for;

    // Sizes.
    std::uint32_t task_size = sizeof(frame);
    std::uint32_t text_begin = sizeof(shared_text::block);
    std::uint32_t watcher_size = sizeof(watcher);
    std::uint32_t suspension_size = sizeof(suspension);
    std::uint32_t extra_tags = task_extra_ptr::tags; // of a word that is no task_extra
    std::uint32_t inner_tag = frame::inner_tag;      // of a place that is the address of an awaited frame

    // Values.
    std::uint32_t step = static_cast<std::uint32_t>(ready_item::kind::step);
    std::uint32_t root = flag_root;
    std::uint32_t branch = flag_branch;
    std::uint32_t done = flag_done;
    std::uint32_t waiting = flag_waiting;
    std::uint32_t future = flag_future;
    std::uint32_t started = flag_started;
    std::uint32_t owned = flag_owned;
};

static_assert(sizeof(intrusive_list<frame>) == sizeof(void*) && sizeof(task_extra_ptr) == sizeof(void*) &&
              sizeof(shared_text) == sizeof(void*) && sizeof(std::size_t frame::*) == sizeof(void*));

// The section is found by its name in a program without symbols, and kept by a linker that drops what nothing uses.
#if defined(__ELF__)
#if __has_cpp_attribute(gnu::retain)
[[gnu::retain]]
#endif
[[gnu::section("asynchio_ps"), gnu::used]]
#endif
inline constexpr inspection_table table_for_inspection{};

} // namespace asynchio::detail

#pragma GCC visibility pop
