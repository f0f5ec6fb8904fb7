// SPDX-License-Identifier: BSL-1.0

// A keeper of notes on the command line, in a database of SQLite that several processes may use at once.
//
//     c++ -std=c++20 -O2 -pthread -Iinclude examples/adapters/sqlite_notes.cpp -o sqlite_notes -lsqlite3
//     ./sqlite_notes add "buy milk"              prints the number of the new note
//     ./sqlite_notes list
//     ./sqlite_notes search milk buy             lists the notes that have all of the words
//     ./sqlite_notes remove 1
//     ./sqlite_notes --file work.db export       prints JSON, a line for each note
//
// The file is notes.db in the current folder unless --file names another one. Ctrl-C ends the program at any time, also
// while another process has locked the file; a note is then either saved or not.
//
// Run: ./sqlite_notes help
// Test: exit 2

#include <asynchio/adapters/sqlite.hpp>
#include <asynchio/combine.hpp>
#include <asynchio/task.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace aio = asynchio;
using aio::sqlite::connection;
using aio::sqlite::row;

struct request {
    std::string file = "notes.db";
    std::string command;
    std::vector<std::string> words;
    std::int64_t number = 0; // of the note to remove
};

/// Returns whether the database has been used for notes; a new one has not.
aio::task<bool> has_notes(const connection& db, const request& wanted) {
    const auto found = co_await db.query("SELECT (SELECT count(*) FROM sqlite_schema), "
                                         "(SELECT application_id FROM pragma_application_id)");
    const auto application = found.at(0).get<std::int64_t>(1);
    if (found.at(0).get<std::int64_t>(0) == 0 && application == 0) co_return false;
    if (application != 0x4e6f7465) throw std::runtime_error(wanted.file + " is a database of another program");
    co_return true;
}

/// Writes a text whose further lines stand below the first one, without characters that control the terminal.
void print_text(std::string_view text) {
    for (const char each : text) {
        if (each == '\n')
            std::fputs("\n        ", stdout);
        else
            std::putchar((each >= 0 && each < ' ' && each != '\t') || each == '\x7f' ? '?' : each);
    }
}

void print_note(const row& note) {
    std::printf("%6lld  ", note.get<long long>("id"));
    print_text(note.get<std::string>("text"));
    std::putchar('\n');
}

void print_json(std::string_view text) {
    std::putchar('"');
    for (const char each : text) {
        if (each == '"' || each == '\\')
            std::printf("\\%c", each);
        else if (each >= 0 && each < ' ')
            std::printf("\\u%04x", static_cast<unsigned>(each));
        else
            std::putchar(each);
    }
    std::putchar('"');
}

aio::task<> add(connection& db, const request& wanted) {
    std::int64_t number = 0;
    auto body = [&]() -> aio::task<> {
        const bool used = co_await has_notes(db, wanted);
        if (!used) {
            co_await db.execute("PRAGMA application_id = 0x4e6f7465");
            co_await db.execute("CREATE TABLE notes(id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, "
                                "added TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')))");
        }
        const auto done = co_await db.execute("INSERT INTO notes(text) VALUES (?)", wanted.words.at(0));
        number = done.last_rowid;
    };
    co_await aio::with(db.transaction("BEGIN IMMEDIATE"), body);
    std::printf("%lld\n", static_cast<long long>(number));
}

aio::task<> list(connection& db) {
    auto notes = db.stream("SELECT id, text FROM notes ORDER BY id");
    while (auto note = co_await notes.next()) print_note(*note);
}

aio::task<> search(connection& db, const request& wanted) {
    co_await db.execute("CREATE TEMP TABLE words(pattern TEXT)");
    for (const std::string& word : wanted.words) {
        std::string pattern = "%";
        for (const char each : word) {
            if (each == '%' || each == '_' || each == '\\') pattern += '\\';
            pattern += each;
        }
        pattern += '%';
        co_await db.execute("INSERT INTO words VALUES (?)", pattern);
    }
    auto notes = db.stream("SELECT id, text FROM notes WHERE NOT EXISTS "
                           "(SELECT 1 FROM words WHERE text NOT LIKE pattern ESCAPE '\\') ORDER BY id");
    while (auto note = co_await notes.next()) print_note(*note);
}

aio::task<> remove(connection& db, const request& wanted) {
    const auto done = co_await db.execute("DELETE FROM notes WHERE id = ?", wanted.number);
    if (done.rows == 0) throw std::runtime_error("there is no note " + std::to_string(wanted.number));
}

aio::task<> export_all(connection& db) {
    auto notes = db.stream("SELECT id, added, text FROM notes ORDER BY id");
    while (auto note = co_await notes.next()) {
        std::printf("{\"id\": %lld, \"added\": ", note->get<long long>("id"));
        print_json(note->get<std::string>("added"));
        std::fputs(", \"text\": ", stdout);
        print_json(note->get<std::string>("text"));
        std::fputs("}\n", stdout);
    }
}

aio::task<> serve(request wanted) {
    aio::sqlite::options how;
    if (wanted.command != "add") how.flags = SQLITE_OPEN_READWRITE; // only `add` makes a file
    connection db = co_await connection::open(wanted.file, how);
    auto body = [&]() -> aio::task<> {
        if (wanted.command == "add") {
            co_await add(db, wanted);
            co_return;
        }
        const bool used = co_await has_notes(db, wanted);
        if (wanted.command == "remove" && !used)
            throw std::runtime_error("there is no note " + std::to_string(wanted.number));
        if (!used) co_return;
        if (wanted.command == "list") co_await list(db);
        if (wanted.command == "search") co_await search(db, wanted);
        if (wanted.command == "remove") co_await remove(db, wanted);
        if (wanted.command == "export") co_await export_all(db);
    };
    co_await aio::with(db, body);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        throw std::runtime_error("standard output cannot be written");
}

/// Returns whether a text is in UTF-8, as the database expects it.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i++]);
        int more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : (first & 0xf0) == 0xe0 ? 2 : 3;
        if (more == 3 && (first < 0xf0 || first > 0xf4)) return false;
        std::uint32_t point = first & (0x7fu >> more);
        for (; more > 0; --more, ++i) {
            if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
            point = point << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
        }
        const bool surrogate = point >= 0xd800 && point < 0xe000;
        if (surrogate || point > 0x10ffff || (first >= 0xe0 && point < 0x800) || (first >= 0xf0 && point < 0x10000))
            return false;
    }
    return true;
}

/// Returns the number that a text is, or 0.
std::int64_t number_of(const std::string& text) {
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) return 0;
    return std::stoll(text);
}

/// Returns whether the arguments are a request, which is then known.
bool parse(std::vector<std::string> given, request& wanted) {
    if (given.size() >= 2 && given[0] == "--file") {
        wanted.file = given[1];
        given.erase(given.begin(), given.begin() + 2);
    }
    if (given.empty() || wanted.file.empty()) return false;
    wanted.command = given[0];
    wanted.words.assign(given.begin() + 1, given.end());
    const std::size_t count = wanted.words.size();
    if (wanted.command == "remove") wanted.number = count == 1 ? number_of(wanted.words[0]) : 0;
    return (wanted.command == "add" && count == 1 && !wanted.words[0].empty()) ||
           (wanted.command == "search" && count > 0) || (wanted.command == "remove" && wanted.number > 0) ||
           ((wanted.command == "list" || wanted.command == "export") && count == 0);
}

int usage() {
    std::fputs("usage: sqlite_notes [--file FILE] add TEXT | list | search WORD... | remove NUMBER | export\n", stderr);
    return 2;
}

int main(int argc, char** argv) {
    request wanted;
    if (!parse(std::vector<std::string>(argv + 1, argv + argc), wanted)) return usage();
    try {
        for (const std::string& word : wanted.words)
            if (!is_utf8(word)) throw std::runtime_error("the text is not in UTF-8");
        aio::run(serve(wanted), {.handle_sigint = true});
    } catch (const aio::keyboard_interrupt&) {
        return 130;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "sqlite_notes: %s\n", e.what());
        return 1;
    }
}
