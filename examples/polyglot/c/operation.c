/* Which number of each range has the longest way to 1. */
#include <stdio.h>
#include <stdlib.h>
#include "disperse.h"

bool disperse_next(disperse_bytes *task) { return disperse_line(task); }

disperse_result disperse_run(disperse_bytes task) {
  enum { MOST = 100000 };
  long long from, to;
  DISPERSE_CHECK(sscanf(task.data, "%lld %lld", &from, &to) == 2);
  DISPERSE_CHECK(1 <= from && from <= to && to - from < MOST);
  size_t count = to - from + 1, longest = 0;
  disperse_action *actions = calloc(count, sizeof *actions);
  disperse_outcome *outcomes = calloc(count, sizeof *outcomes);
  DISPERSE_CHECK(actions && outcomes);
  for (size_t i = 0; i < count; i++) actions[i] = (disperse_action){"steps", disperse_digits(from + i)};
  disperse_perform_all(actions, count, NULL, outcomes);
  int64_t most = 0, steps;
  for (size_t i = 0; i < count; i++) {
    if (!outcomes[i].ok) return disperse_fail("%s", outcomes[i].bytes.data);
    DISPERSE_CHECK(disperse_number(outcomes[i].bytes, &steps));
    if (steps > most) longest = i, most = steps;
  }
  /* The instance of a task ends with the task, which frees its memory. */
  return disperse_okf("\"%lld-%lld: %lld takes %lld steps\"", from, to, from + (long long)longest, (long long)most);
}
