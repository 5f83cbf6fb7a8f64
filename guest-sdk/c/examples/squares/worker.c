/* Squares a number. */
#include "disperse.h"

disperse_result disperse_handle(const char *kind, disperse_bytes input) {
  int64_t n, square;
  (void)kind;
  if (!disperse_number(input, &n)) return disperse_permanent("`%s` is not a number", input.data);
  if (__builtin_mul_overflow(n, n, &square)) return disperse_permanent("`%s` is too large", input.data);
  return disperse_ok_number(square);
}
