/* Counts the words of a line. */
#include <ctype.h>
#include "disperse.h"

disperse_result disperse_handle(const char *kind, disperse_bytes line) {
  int64_t words = 0;
  bool inside = false;
  (void)kind;
  for (size_t i = 0; i < line.size; i++) {
    bool space = isspace((unsigned char)line.data[i]);
    words += inside && space;
    inside = !space;
  }
  return disperse_ok_number(words + inside);
}
