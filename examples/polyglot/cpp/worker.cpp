// How many steps a number has to 1, in C++ with the header for C.
#include "disperse.h"

#include <map>
#include <optional>

namespace {

// The largest exact whole number of some languages.
constexpr int64_t most = (int64_t{1} << 53) - 1;

// The state of an instance: kept from one action to the next, but it may be lost at any moment.
std::map<int64_t, int64_t> known{{1, 0}};

std::optional<int64_t> steps(int64_t n) {
  if (auto found = known.find(n); found != known.end()) return found->second;
  if (n > most) return std::nullopt;
  auto rest = steps(n % 2 == 0 ? n / 2 : 3 * n + 1);
  if (!rest) return std::nullopt;
  if (known.size() < 100'000) known.emplace(n, *rest + 1);
  return *rest + 1;
}

}  // namespace

disperse_result disperse_handle(const char *, disperse_bytes input) {
  int64_t n;
  if (!disperse_number(input, &n) || n < 1) return disperse_permanent("%s has no way to 1", input.data);
  if (auto count = steps(n)) return disperse_ok_number(*count);
  return disperse_permanent("a number on the way is over 2^53 - 1");
}
