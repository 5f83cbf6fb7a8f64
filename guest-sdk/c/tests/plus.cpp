// A worker in C++: its functions have the same names, and it reverses its text.
#include <algorithm>
#include <string>

#include "disperse.h"

disperse_result disperse_handle(const char *, disperse_bytes input) {
  std::string text(input.data, input.size);
  DISPERSE_CHECK(text != "x");
  std::reverse(text.begin(), text.end());
  return disperse_ok(disperse_format("%s", text.c_str()));
}
