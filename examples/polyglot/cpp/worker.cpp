// How many steps a number has to 1, in C++ with the header for C.
#include "disperse.h"

#include <map>

namespace {

// What an instance remembers from one action to the next; it may be gone at any moment.
std::map<int64_t, int64_t> known{{1, 0}};

int64_t steps(int64_t n) {
  if (auto found = known.find(n); found != known.end()) return found->second;
  int64_t count = 1 + steps(n % 2 == 0 ? n / 2 : 3 * n + 1);
  if (known.size() < 100'000) known.emplace(n, count);
  return count;
}

}  // namespace

disperse_result disperse_handle(const char *, disperse_bytes input) {
  int64_t n;
  if (!disperse_number(input, &n) || n < 1) return disperse_permanent("%s has no way to 1", input.data);
  return disperse_ok_number(steps(n));
}
