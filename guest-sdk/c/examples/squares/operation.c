/* Adds up the squares of the numbers of each line. */
#include <stdlib.h>
#include "disperse.h"

bool disperse_next(disperse_bytes *task) { return disperse_line(task); }

disperse_result disperse_run(disperse_bytes task) {
  enum { MOST = 1000 };
  disperse_action actions[MOST];
  disperse_outcome outcomes[MOST];
  size_t count = 0;
  char *end;
  for (const char *at = task.data;; at = end) {
    long long n = strtoll(at, &end, 10);
    if (end == at) break;
    DISPERSE_CHECK(count < MOST);
    actions[count++] = (disperse_action){"square", disperse_digits(n)};
  }
  disperse_perform_all(actions, count, NULL, outcomes);
  int64_t sum = 0, square;
  for (size_t i = 0; i < count; i++) {
    if (!outcomes[i].ok) return disperse_fail("%s", outcomes[i].bytes.data);
    DISPERSE_CHECK(disperse_number(outcomes[i].bytes, &square));
    sum += square;
  }
  return disperse_ok_number(sum);
}
