/* Counts in every part of the planner, and writes the total in disperse_finish. */
#include <inttypes.h>
#include <stdlib.h>

#include "disperse.h"

static int64_t handed, taken, sum;

bool disperse_next(disperse_bytes *task) {
  bool more = disperse_line(task);
  handed += more;
  return more;
}

disperse_result disperse_run(disperse_bytes task) {
  disperse_outcome outcome = disperse_perform("square", task, NULL);
  return outcome.ok ? disperse_ok(outcome.bytes) : disperse_fail("%s", outcome.bytes.data);
}

void disperse_collect(disperse_bytes task, disperse_result outcome) {
  int64_t square;
  (void)task;
  if (!disperse_number(outcome.bytes, &square)) abort();
  taken++;
  sum += square;
}

disperse_result disperse_finish(void) {
  disperse_bytes line = disperse_format("%" PRId64 " %" PRId64 " %" PRId64, handed, taken, sum);
  disperse_output_line(line);
  return disperse_ok(disperse_text(""));
}
