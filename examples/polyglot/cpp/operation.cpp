// Which number of each range has the longest way to 1.
#include "disperse.h"

#include <cstdio>
#include <string>
#include <vector>

bool disperse_next(disperse_bytes *task) { return disperse_line(task); }

disperse_result disperse_run(disperse_bytes task) {
  constexpr int most_numbers = 100'000;
  long long from, to;
  DISPERSE_CHECK(std::sscanf(task.data, "%lld %lld", &from, &to) == 2);
  DISPERSE_CHECK(1 <= from && from <= to && to - from < most_numbers);
  std::vector<disperse_action> actions;
  for (long long n = from; n <= to; n++) actions.push_back({"steps", disperse_digits(n)});
  std::vector<disperse_outcome> outcomes(actions.size());
  disperse_perform_all(actions.data(), actions.size(), nullptr, outcomes.data());
  long long longest = from;
  int64_t most = 0, steps;
  for (const auto &outcome : outcomes) {
    if (!outcome.ok) return disperse_fail("%s", outcome.bytes.data);
    DISPERSE_CHECK(disperse_number(outcome.bytes, &steps));
    if (steps > most) longest = from + (&outcome - outcomes.data()), most = steps;
  }
  auto range = std::to_string(from) + "-" + std::to_string(to);
  return disperse_okf("\"%s: %lld takes %lld steps\"", range.c_str(), longest, static_cast<long long>(most));
}
