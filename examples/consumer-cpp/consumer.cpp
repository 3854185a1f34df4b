// Receives each new token on a Unix socket and answers OK.
//
//   c++ -std=c++17 -O2 -o consumer consumer.cpp
//   ./consumer SOCKET
//
// A sink of type unixsocket connects to SOCKET, sends one JSON object in one
// write, shorter than 4096 bytes, and waits for the answer. Without an OK it
// tries again.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

struct Token {
  std::string access_token;
  long long expires_at;  // Unix time
};

// The position after a member's colon, or npos.
size_t value_of(std::string_view json, std::string_view name) {
  const std::string quoted = '"' + std::string(name) + '"';
  size_t at = json.find(quoted);
  if (at == std::string_view::npos) return at;
  at = json.find_first_not_of(" :", at + quoted.size());
  return at;
}

// A JSON string. A token is printable ASCII (RFC 6749, appendix A.12), of
// which JSON may escape some.
std::optional<std::string> text(std::string_view json, std::string_view name) {
  size_t at = value_of(json, name);
  if (at == std::string_view::npos || json[at] != '"') return std::nullopt;
  std::string out;
  for (++at; at < json.size(); ++at) {
    char c = json[at];
    if (c == '"') return out;
    if (c == '\\') {
      if (++at == json.size()) break;
      c = json[at];
      if (c == 'u') {
        if (at + 4 >= json.size()) break;
        c = static_cast<char>(std::strtol(std::string(json.substr(at + 1, 4)).c_str(), nullptr, 16));
        at += 4;
      }
    }
    out += c;
  }
  return std::nullopt;  // cut off
}

std::optional<Token> parse(std::string_view json) {
  const auto access = text(json, "access_token");
  const size_t expires = value_of(json, "expires_at");
  if (!access || access->empty() || expires == std::string_view::npos || json.back() != '}') return std::nullopt;
  return Token{*access, std::strtoll(std::string(json.substr(expires)).c_str(), nullptr, 10)};
}

int listen_on(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  unlink(path);  // an earlier run's
  const mode_t before = umask(0177);  // for our own user only, from the first moment on
  const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  umask(before);
  return bound == 0 && listen(fd, 8) == 0 ? fd : -1;
}

// Takes one message, and answers OK only if it is whole.
std::optional<Token> receive(int connection) {
  const timeval patience{5, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char buffer[4096];
  const ssize_t n = recv(connection, buffer, sizeof buffer, 0);
  if (n <= 0) return std::nullopt;
  auto token = parse(std::string_view(buffer, static_cast<size_t>(n)));
  const std::string_view answer = token ? "OK" : "ERROR";
  if (send(connection, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return std::nullopt;
  return token;
}

// FNV-1a: it tells two tokens apart in a log and does not tell the token.
uint32_t fingerprint(std::string_view s) {
  uint32_t hash = 2166136261u;
  for (const unsigned char c : s) hash = (hash ^ c) * 16777619u;
  return hash;
}

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: consumer SOCKET\n";
    return 2;
  }
  const int listener = listen_on(argv[1]);
  if (listener < 0) {
    std::cerr << argv[1] << ": " << std::strerror(errno) << '\n';
    return 1;
  }
  for (;;) {
    const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      std::cerr << "accept: " << std::strerror(errno) << '\n';
      return 1;
    }
    const auto token = receive(connection);
    close(connection);
    if (!token) {
      std::cerr << "what came is no token" << std::endl;
      continue;
    }
    // Here a bot hands the token to the thread that trades.
    char hex[9];
    std::snprintf(hex, sizeof hex, "%08x", static_cast<unsigned>(fingerprint(token->access_token)));
    std::cout << "token " << hex << " until " << token->expires_at << std::endl;
  }
}
