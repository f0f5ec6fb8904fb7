// SPDX-License-Identifier: BSL-1.0
#pragma once

// A server of HTTP for tests, in a temporary folder, with a port of 127.0.0.1 for plain HTTP and one for TLS.

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

namespace asynchio_tests {

/// Returns the path of nginx, or an empty one.
inline std::filesystem::path nginx_program() {
    for (const char* each : {"/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"})
        if (std::filesystem::exists(each)) return each;
    return {};
}

/// Returns a port of 127.0.0.1 at which nobody listens.
inline int unused_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    ::bind(fd, reinterpret_cast<sockaddr*>(&any), size);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size);
    ::close(fd);
    return ntohs(any.sin_port);
}

class nginx_server {
public:
    /// @param http lines for the block of that name, @param server lines for both servers, @param tls lines for the one
    /// with TLS: its certificate and key.
    nginx_server(std::string_view http, std::string_view server, std::string_view tls) {
        char name[] = "/tmp/asynchio_nginx_XXXXXX";
        if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = name;
        ::chmod(name, 0755); // the workers may be another user
        std::filesystem::create_directory(folder_ / "put");
        ::chmod((folder_ / "put").c_str(), 0777);
        for (int left = 5;; --left) {
            configure(http, server, tls);
            try {
                run();
                break;
            } catch (const std::runtime_error&) { // another process may have taken a port meanwhile
                if (left == 0) throw;
            }
        }
    }
    nginx_server(const nginx_server&) = delete;
    nginx_server& operator=(const nginx_server&) = delete;
    ~nginx_server() {
        stop();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    /// Ends the server at once, and its connections with it.
    void stop() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    /// Starts the server, and waits until it listens.
    void run() {
        const std::string program = nginx_program(), conf = folder_ / "conf", prefix = folder_, log = folder_ / "log";
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGTERM);
            const int out = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
            ::dup2(out, 1);
            ::dup2(out, 2);
            ::execl(program.c_str(), program.c_str(), "-c", conf.c_str(), "-p", prefix.c_str(), nullptr);
            ::_exit(127);
        }
        for (int i = 0; i < 3000; ++i) {
            if (std::filesystem::exists(folder_ / "pid")) return; // written when it listens
            if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
                pid_ = 0;
                break;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        std::ifstream text(log);
        throw std::runtime_error("nginx does not start: " + std::string(std::istreambuf_iterator<char>(text), {}));
    }

    void write(const std::string& name, std::string_view content) const { std::ofstream(folder_ / name) << content; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::string tls_url(const std::string& host = "localhost") const {
        return "https://" + host + ":" + std::to_string(tls_port_);
    }

private:
    void configure(std::string_view http, std::string_view server, std::string_view tls) {
        const std::string folder = folder_;
        port_ = unused_port();
        do tls_port_ = unused_port();
        while (tls_port_ == port_);
        std::ofstream conf(folder_ / "conf");
        conf << "daemon off; worker_processes 1; pid " << folder << "/pid; error_log " << folder << "/log;\n"
             << "events { worker_connections 1000; }\nhttp {\naccess_log off; keepalive_requests 1000000;\n";
        for (const char* each : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
            conf << each << "_temp_path " << folder << "/" << each << ";\n";
        conf << http << "\nserver { listen 127.0.0.1:" << port_ << "; root " << folder << "; " << server << " }\n"
             << "server { listen 127.0.0.1:" << tls_port_ << " ssl http2; root " << folder << "; " << tls << server
             << " }\n}\n";
    }

    std::filesystem::path folder_;
    int port_ = 0;
    int tls_port_ = 0;
    pid_t pid_ = 0;
};

} // namespace asynchio_tests
