/* How many steps a number has to 1: an even one is halved, an odd one tripled and one added. */
#include "disperse.h"

/* The largest exact whole number of some languages. */
static const int64_t most = (INT64_C(1) << 53) - 1;

disperse_result disperse_handle(const char *kind, disperse_bytes input) {
  int64_t n, count = 0;
  (void)kind;
  if (!disperse_number(input, &n) || n < 1) return disperse_permanent("%s has no way to 1", input.data);
  for (; n != 1; count++) {
    if (n > most) return disperse_permanent("a number on the way is over 2^53 - 1");
    n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  }
  return disperse_ok_number(count);
}
